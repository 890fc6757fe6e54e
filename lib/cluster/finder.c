/*
 * Who is primary, who has which slot. Those of store.address are asked in turn, and behind them the primaries of the last map, so that a
 * cluster whose first nodes are long gone is found again.
 */
#include "cluster/finder.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"

enum {
    WELL_EVERY_MS = 5000,
    AMISS_EVERY_MS = 1000,
    FAILED_AFTER_MS = 200, /* the next in turn is asked */
    LOOK_AFTER_MS = 20,
    LOOK_EVERY_MS = 250,
    ANSWER_TIME_MS = 1000
};

/* Replies of a Sentinel. */
enum { ANSWER_PRIMARY, ANSWER_MASTER, ANSWER_REPLICAS, ANSWER_COUNT };

struct finder {
    struct loop *loop;
    struct finder_settings settings;
    struct conf *conf;     /* held: store.address */
    struct slot_map known; /* the last map: more nodes to ask */
    size_t turn;           /* of the addresses, then of the known */
    char asked[SHARD_ADDRESS_MAX];
    struct redis *redis; /* to that one; NULL: to nobody */
    struct redis_request question;
    bool is_asking, is_next; /* is_next: the next in turn is asked, when it is time */
    struct timer look;
    uint64_t look_at_ms, asked_ms;
    uint64_t epoch;   /* of the cluster or the primary, as far as it was told */
    size_t fruitless; /* how many were asked since somebody knew */
    size_t met;       /* how many have answered since the start */
    char *trouble;
};

static void on_look(struct timer *t);

static void look_in(struct finder *f, uint64_t delay_ms)
{
    f->look_at_ms = clock_ms() + delay_ms;
    timer_start(f->loop, &f->look, delay_ms, on_look);
}

static size_t candidate_count(const struct finder *f)
{
    return f->conf->store.address.count + f->known.count;
}

static const char *candidate(const struct finder *f, size_t i)
{
    size_t first = f->conf->store.address.count;

    return i < first ? f->conf->store.address.items[i] : f->known.addresses[i - first];
}

/* ---- answers */

static void set_trouble(struct finder *f, char *sentence)
{
    mem_free(f->trouble);
    f->trouble = sentence;
}

/* It did not help. Who says what was true once is no help either, until all have said so: an epoch may be a lie. */
static void fail(struct finder *f, char *sentence)
{
    set_trouble(f, sentence);
    f->is_next = true;
    if (++f->fruitless >= 2 * candidate_count(f))
        f->epoch = 0;
    look_in(f, f->fruitless % candidate_count(f) == 0 ? AMISS_EVERY_MS : FAILED_AFTER_MS);
}

static void succeed(struct finder *f)
{
    bool is_well = f->settings.is_well(f->settings.owner);
    /* At the start nobody's epoch is known: each Sentinel is asked once. A node of a cluster says MOVED. */
    bool knows_all = ++f->met >= candidate_count(f) || f->settings.kind != STORE_SENTINEL;

    set_trouble(f, mem_string(""));
    f->fruitless = 0;
    f->is_next = !is_well || !knows_all; /* it may be cut off, and not know */
    look_in(f, !is_well ? AMISS_EVERY_MS : knows_all ? WELL_EVERY_MS : FAILED_AFTER_MS);
}

/* Each failover has an epoch of its own: a Sentinel of an older one was cut off, maybe together with the primary it names. */
static void take_primary(struct finder *f, const struct redis_value *values)
{
    const struct redis_value *answer = &values[ANSWER_PRIMARY], *replicas = &values[ANSWER_REPLICAS];
    uint64_t epoch = sentinel_number_read(&values[ANSWER_MASTER], "config-epoch");
    char address[SHARD_ADDRESS_MAX];
    int r = sentinel_primary_read(answer, address);

    if (r == -ENOENT) {
        fail(f, mem_format("the Sentinel at %s knows no master \"%s\": set store.master to its name",
                           f->asked, f->conf->store.master));
    } else if (r < 0) {
        AUTO_BUF struct buf text = {.data = NULL};
        buf_add_printable(&text, redis_text(answer), 200);
        fail(f,
             mem_format("%s does not answer as a Sentinel does: set store.address to those of the Sentinels "
                        "(it said: %.*s)",
                        f->asked, SPAN_ARG(buf_span(&text))));
    } else if (epoch < f->epoch) {
        fail(f, mem_format("the Sentinel at %s is behind the others", f->asked));
    } else if (replicas->type != REDIS_ARRAY) {
        fail(f, mem_format("the Sentinel at %s does not tell of replicas: allow SENTINEL REPLICAS to "
                           "store.sentinel_user (it said: %.*s)",
                           f->asked, SPAN_ARG(replicas->text)));
    } else {
        f->epoch = epoch;
        f->settings.on_primary(f->settings.owner, address,
                               sentinel_successors_read(replicas, SUCCESSOR_AWAITED_MS));
        succeed(f);
    }
}

static void take_map(struct finder *f, const struct redis_value *values)
{
    struct cluster_state state;
    struct slot_map map;

    if (cluster_state_read(&values[0], &state) < 0 || slot_map_read(&values[1], f->asked, &map) < 0) {
        AUTO_BUF struct buf text = {.data = NULL};
        buf_add_printable(&text, values[1].type == REDIS_ERROR_REPLY ? values[1].text : SPAN(""), 200);
        fail(f,
             mem_format(
                 "%s does not answer as a node of a Redis Cluster does (it said: %.*s): set store.address to "
                 "nodes of the cluster, or store.kind",
                 f->asked, SPAN_ARG(buf_span(&text))));
        return;
    }
    if (!state.is_ok || state.epoch < f->epoch) {
        fail(f, mem_format(
                    state.is_ok
                        ? "the cluster's node at %s is behind the others"
                        : "the cluster is down, says its node at %s (cluster_state:fail): see CLUSTER NODES",
                    f->asked));
        slot_map_done(&map);
        return;
    }
    f->epoch = state.epoch;
    f->settings.on_map(f->settings.owner, &map);
    slot_map_done(&f->known);
    f->known = map;
    succeed(f);
}

static void on_answer(struct redis_request *question, enum redis_result result,
                      const struct redis_value *values)
{
    struct finder *f = CONTAINER_OF(question, struct finder, question);

    f->is_asking = false;
    if (!f->redis)
        return; /* closing */
    if (result != REDIS_OK)
        fail(f, mem_format("%s does not answer", f->asked));
    else if (f->settings.kind == STORE_SENTINEL)
        take_primary(f, values);
    else
        take_map(f, values);
}

static void on_refused(void *owner, const char *reason)
{
    struct finder *f = owner;

    if (!f->is_asking || !redis_withdraw(f->redis, &f->question))
        return;
    f->is_asking = false;
    fail(f, mem_format("%s cannot be asked: %s", f->asked, reason));
}

/* ---- questions */

static int connect_next(struct finder *f)
{
    struct redis_settings settings = {
        .connections = 1,
        .window = 1,
        .timeout_ms = f->settings.timeout_ms,
        .on_refused = on_refused,
        .owner = f,
    };

    f->redis = redis_close(f->redis);
    f->turn = (f->turn + 1) % candidate_count(f);
    f->is_next = false;
    (void) snprintf(f->asked, sizeof f->asked, "%s", candidate(f, f->turn)); /* it fits, or is no address */
    settings.address = f->asked;
    if (f->settings.kind == STORE_SENTINEL)
        access_fill_sentinel(f->settings.access, &settings);
    else
        access_fill(f->settings.access, &settings);
    return redis_open(f->loop, &settings, &f->redis);
}

static void question_encode(struct finder *f)
{
    static const char *const asks[ANSWER_COUNT] = {
        [ANSWER_PRIMARY] = "get-master-addr-by-name",
        [ANSWER_MASTER] = "MASTER",
        [ANSWER_REPLICAS] = "REPLICAS",
    };
    struct buf *b = &f->question.bytes;

    if (b->len)
        return;
    if (f->settings.kind == STORE_SENTINEL) {
        for (size_t i = 0; i < ANSWER_COUNT; i++) {
            resp_command(b, 3);
            resp_arg(b, SPAN("SENTINEL"));
            resp_arg_text(b, asks[i]);
            resp_arg_text(b, f->conf->store.master);
        }
        f->question.reply_count = ANSWER_COUNT;
        return;
    }
    resp_command(b, 2);
    resp_arg(b, SPAN("CLUSTER"));
    resp_arg(b, SPAN("INFO"));
    resp_command(b, 2);
    resp_arg(b, SPAN("CLUSTER"));
    resp_arg(b, SPAN("SLOTS"));
    f->question.reply_count = 2;
}

static void on_look(struct timer *t)
{
    struct finder *f = CONTAINER_OF(t, struct finder, look);

    if (f->is_asking)
        return;
    if ((!f->redis || f->is_next) && connect_next(f) < 0) {
        fail(f, mem_format("\"%s\" is no address", f->asked));
        return;
    }
    question_encode(f);
    f->asked_ms = clock_ms();
    f->question.give_up_ms = f->asked_ms + ANSWER_TIME_MS;
    f->question.on_done = on_answer;
    f->is_asking = true;
    redis_submit(f->redis, &f->question);
}

void finder_look(struct finder *f)
{
    uint64_t now = clock_ms(), at = now + LOOK_AFTER_MS;

    if (f->is_asking)
        return;
    if (f->asked_ms && at < f->asked_ms + LOOK_EVERY_MS)
        at = f->asked_ms + LOOK_EVERY_MS;
    if (at < f->look_at_ms)
        look_in(f, at - now);
}

void finder_renew(struct finder *f)
{
    if (f->redis)
        redis_use_tls(f->redis, access_tls(f->settings.access));
}

const char *finder_trouble(const struct finder *f)
{
    return f->trouble;
}

/* ---- life */

int finder_open(struct loop *l, const struct finder_settings *settings, struct finder **ret_finder,
                char **ret_error)
{
    struct finder *f = NEW(struct finder);

    f->loop = l;
    f->settings = *settings;
    f->conf = conf_hold_current();
    f->turn = (size_t) (clock_us() % candidate_count(f)); /* not all nodes ask the same one */
    f->trouble = mem_format("no answer from %s yet", candidate(f, 0));
    int r = 0;
    for (size_t i = 0; r == 0 && i < candidate_count(f); i++) {
        char host[DOMAIN_MAX + 1];
        uint16_t port;
        const char *address = candidate(f, i);
        if (hostport_parse(span_of(address), 1, host, &port) < 0) {
            *ret_error = mem_format("store.address \"%s\" is not host:port", address);
            r = -EINVAL;
        }
    }
    if (r < 0) {
        (void) finder_close(f); /* always NULL */
        return r;
    }
    look_in(f, 0);
    *ret_finder = f;
    return 0;
}

struct finder *finder_close(struct finder *f)
{
    if (!f)
        return NULL;
    timer_stop(&f->look);
    struct redis *redis = STEAL(f->redis);
    (void) redis_close(redis); /* always NULL */
    redis_request_done(&f->question);
    slot_map_done(&f->known);
    conf_release(f->conf);
    mem_free(f->trouble);
    return mem_free(f);
}
