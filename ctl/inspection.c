/* Every server behind the queue, asked the same questions. */
#include "ctl/inspection.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/access.h"
#include "cluster/topology.h"
#include "ctl/away.h"

/* CLOCKS_APART_MS: couriers end no message's life while they differ by a minute; clocks that are kept right differ by milliseconds. */
enum {
    VISIT_TIME_MS = 4000,
    REPLY_TIME_MS = 3000,
    CLOCKS_APART_MS = 1000,
    LAG_S = 10,
    SENTINELS_LEAST = 3,
    DOWN_AFTER_MOST_MS = 5000
};

/* Replies of a server with data, behind those of the audit; of a cluster's primary one more; and of a Sentinel. */
enum reply { REPLY_TIME = AUDIT_ANSWERS, REPLY_COUNT, REPLY_SLOTS = REPLY_COUNT, REPLY_COUNT_OF_CLUSTER };
enum sentinel_reply { SENTINEL_PRIMARY, SENTINEL_QUORUM, SENTINEL_MASTER, SENTINEL_COUNT };

struct tour {
    struct ask *ask;
    struct access *access;
    struct inspection *inspection;
    struct list visits;
    size_t open;
};

struct visit {
    struct list link;
    struct redis_request request;
    struct redis *redis;
    struct tour *tour;
    struct server *server;
    struct slot_map *map; /* what a primary of a cluster says; else NULL */
    char *refusal;
};

const char *audit_word(enum audit level)
{
    static const char *const words[] = {"good", "advice", "weak", "unsafe", "unfit", "busy"};

    return words[level];
}

/* ---- what is found */

static void find(struct findings *f, enum audit level, const char *text, const char *why)
{
    if (f->count == f->room) {
        f->room = f->room ? 2 * f->room : 8;
        f->all = mem_resize(f->all, f->room * sizeof(*f->all));
    }
    f->all[f->count++] = (struct finding){.level = level, .text = mem_string(text), .why = why};
    f->worst = level > f->worst ? level : f->worst;
}

static void on_finding(void *context, enum audit level, const char *text, const char *why)
{
    find(context, level, text, why);
}

static struct server *server_add(struct inspection *n, const char *address, const char *role,
                                 const char *primary)
{
    struct server *s = NEW(struct server);

    *s = (struct server){.address = mem_string(address),
                         .role = mem_string(role),
                         .primary = primary ? mem_string(primary) : NULL,
                         .version = mem_string("")};
    if (n->count == n->room) {
        n->room = n->room ? 2 * n->room : 16;
        n->servers = mem_resize(n->servers, n->room * sizeof(*n->servers));
    }
    n->servers[n->count++] = s;
    return s;
}

/* ---- a visit */

static void visit_over(struct visit *v)
{
    if (--v->tour->open == 0)
        loop_stop(ask_loop(v->tour->ask));
}

static void on_refused(void *owner, const char *reason)
{
    struct visit *v = owner;

    mem_free(v->refusal);
    v->refusal = mem_string(reason);
}

/* What is away with a primary that does not answer. */
static void add_lost(struct buf *out, const struct visit *v)
{
    struct shards *shards = ask_shards(v->tour->ask);
    const struct list *list = shards_list(shards);

    if (shards_kind(shards) != STORE_CLUSTER || strcmp(v->server->role, "primary") != 0)
        return;
    for (const struct list *it = list->next; it != list; it = it->next) {
        const struct shard *shard = LIST_ENTRY(it, struct shard, link);
        if (strcmp(shard->address, v->server->address) != 0)
            continue;
        buf_add_text(out, "; away with it are partitions ");
        away_add_partitions(out, shards, shard);
        if (shards_find(shards, common_slot()) == shard)
            buf_add_text(out, " and the common keys: nodes, rules, users and tables");
        buf_add_text(
            out, ". See whether it runs and can be reached; a replica of it, if there is one, takes over");
    }
}

/* False: it has not answered, or not all. */
static bool is_answered(struct visit *v, enum redis_result result)
{
    if (result != REDIS_OK) {
        AUTO_BUF struct buf words = {.data = NULL};
        buf_printf(&words, "does not answer%s%s", v->refusal ? ": " : "", v->refusal ? v->refusal : "");
        add_lost(&words, v);
        AUTO_FREE char *text = buf_steal_text(&words);
        find(&v->server->findings, AUDIT_UNFIT, text, "");
    }
    v->server->has_answered = result == REDIS_OK;
    return result == REDIS_OK;
}

static void look_at_replica(struct server *s, const struct audit_replica *r)
{
    s->lag_s = r->lag_s;
    s->behind_bytes = r->behind_bytes;
    if (!r->is_online)
        find(&s->findings, AUDIT_WEAK, "is still copying from its primary: wait",
             "it confirms nothing meanwhile");
    else if (r->lag_s > LAG_S)
        find(&s->findings, AUDIT_WEAK, "has told its primary nothing for long: see its log, and the network",
             "");
}

static void visit_start(struct tour *t, struct server *s, const char *role);

static void visit_replicas(struct visit *v, const struct redis_value *info)
{
    struct audit_replica replicas[AUDIT_REPLICAS_MAX];
    size_t count = audit_replicas(info, replicas);

    for (size_t i = 0; i < count; i++) {
        struct server *s = server_add(v->tour->inspection, replicas[i].address, "replica",
                                      v->server->address);
        v->server->replicas += replicas[i].is_online;
        look_at_replica(s, &replicas[i]);
        visit_start(v->tour, s, s->role);
    }
}

static void take_map(struct visit *v, const struct redis_value *slots)
{
    v->map = NEW(struct slot_map);
    if (slot_map_read(slots, v->server->address, v->map) == 0)
        return;
    v->map = mem_free(v->map);
    find(&v->server->findings, AUDIT_WEAK, "does not say who has which slot: see CLUSTER SLOTS", "");
}

static void on_visited(struct redis_request *request, enum redis_result result,
                       const struct redis_value *values)
{
    struct visit *v = CONTAINER_OF(request, struct visit, request);
    struct server *s = v->server;
    struct audit_demand demand = audit_demand();

    if (is_answered(v, result)) {
        const struct redis_value *info = &values[AUDIT_INFO];
        struct span version = audit_field(info, "redis_version");
        uint64_t middle_ms = clock_wall_ms() - (clock_ms() - request->sent_ms) / 2;
        demand.is_replica = s->primary != NULL;
        audit_look(&demand, values, on_finding, &s->findings);
        mem_free(s->version);
        s->version = mem_text(version.len ? version.at : "", version.len);
        s->memory = audit_memory(info);
        s->clock_ms = (int64_t) answer_time_ms(&values[REPLY_TIME]) - (int64_t) middle_ms;
        if (!demand.is_replica)
            visit_replicas(v, info);
        if (v->request.reply_count == REPLY_COUNT_OF_CLUSTER)
            take_map(v, &values[REPLY_SLOTS]);
    }
    visit_over(v);
}

static void look_at_patience(struct server *s, uint64_t down_after_ms)
{
    if (down_after_ms <= DOWN_AFTER_MOST_MS)
        return;
    AUTO_FREE char *text = mem_format(
        "has down-after-milliseconds %llu: set it to %d or less (SENTINEL SET, on each Sentinel)",
        (unsigned long long) down_after_ms, DOWN_AFTER_MOST_MS);
    find(&s->findings, AUDIT_ADVICE, text, "so long new mail waits before a lost primary is replaced");
}

static void on_sentinel_visited(struct redis_request *request, enum redis_result result,
                                const struct redis_value *values)
{
    struct visit *v = CONTAINER_OF(request, struct visit, request);
    const struct redis_value *quorum = &values[SENTINEL_QUORUM];

    if (is_answered(v, result) && values[SENTINEL_PRIMARY].type != REDIS_ARRAY) {
        AUTO_FREE char *text = mem_format(
            "watches no %s: set store.master to the name of its sentinel monitor line",
            conf_get()->store.master);
        find(&v->server->findings, AUDIT_UNFIT, text, "");
    } else if (v->server->has_answered && quorum->type == REDIS_ERROR_REPLY) {
        AUTO_FREE char *text = mem_format(
            "could not fail over now (%.*s): start the Sentinels that are missing", SPAN_ARG(quorum->text));
        find(&v->server->findings, AUDIT_WEAK, text, "");
    } else if (v->server->has_answered) {
        look_at_patience(v->server,
                         sentinel_number_read(&values[SENTINEL_MASTER], "down-after-milliseconds"));
    }
    visit_over(v);
}

static void ask_sentinel(struct redis_request *request)
{
    static const char *const words[SENTINEL_COUNT] = {"GET-MASTER-ADDR-BY-NAME", "CKQUORUM", "MASTER"};

    for (size_t i = 0; i < SENTINEL_COUNT; i++) {
        resp_command(&request->bytes, 3);
        resp_arg_text(&request->bytes, "SENTINEL");
        resp_arg_text(&request->bytes, words[i]);
        resp_arg_text(&request->bytes, conf_get()->store.master);
    }
    request->reply_count = SENTINEL_COUNT;
    request->on_done = on_sentinel_visited;
}

static void ask_server(struct redis_request *request, bool has_slots)
{
    audit_ask(&request->bytes);
    resp_command(&request->bytes, 1);
    resp_arg_text(&request->bytes, "TIME");
    request->reply_count = REPLY_COUNT;
    if (has_slots) {
        resp_command(&request->bytes, 2);
        resp_arg_text(&request->bytes, "CLUSTER");
        resp_arg_text(&request->bytes, "SLOTS");
        request->reply_count = REPLY_COUNT_OF_CLUSTER;
    }
    request->on_done = on_visited;
}

static void visit_free(struct visit *v)
{
    redis_request_done(&v->request);
    if (v->map)
        slot_map_done(v->map);
    mem_free(v->map);
    mem_free(v->refusal);
    mem_free(v);
}

static void visit_start(struct tour *t, struct server *s, const char *role)
{
    struct visit *v = NEW(struct visit);
    struct redis_settings settings = {
        .address = s->address,
        .connections = 1,
        .window = 1,
        .timeout_ms = REPLY_TIME_MS,
        .on_refused = on_refused,
        .owner = v,
    };
    bool is_sentinel = strcmp(role, "sentinel") == 0;

    *v = (struct visit){.tour = t, .server = s};
    if (is_sentinel)
        access_fill_sentinel(t->access, &settings);
    else
        access_fill(t->access, &settings);
    if (redis_open(ask_loop(t->ask), &settings, &v->redis) < 0) {
        find(&s->findings, AUDIT_UNFIT, "has no address that can be used", "");
        visit_free(v);
        return;
    }
    if (is_sentinel)
        ask_sentinel(&v->request);
    else
        ask_server(&v->request, !s->primary && shards_kind(ask_shards(t->ask)) == STORE_CLUSTER);
    v->request.give_up_ms = clock_ms() + VISIT_TIME_MS;
    list_append(&t->visits, &v->link);
    t->open++;
    redis_submit(v->redis, &v->request);
}

/* ---- all of them */

static void visit_sentinels(struct tour *t)
{
    const struct conf_list *addresses = &conf_get()->store.address;

    for (size_t i = 0; i < addresses->count; i++)
        visit_start(t, server_add(t->inspection, addresses->items[i], "sentinel", NULL), "sentinel");
    if (addresses->count < SENTINELS_LEAST)
        find(&t->inspection->findings, AUDIT_ADVICE,
             "store.address names fewer than three Sentinels: run three, on machines of their own",
             "with two, losing one ends all failovers");
}

static void look_at_clocks(struct inspection *n)
{
    const struct server *first = NULL, *last = NULL;

    for (size_t i = 0; i < n->count; i++) {
        const struct server *s = n->servers[i];
        if (!s->has_answered || strcmp(s->role, "sentinel") == 0)
            continue;
        first = !first || s->clock_ms < first->clock_ms ? s : first;
        last = !last || s->clock_ms > last->clock_ms ? s : last;
    }
    if (!first || last->clock_ms - first->clock_ms <= CLOCKS_APART_MS)
        return;
    AUTO_FREE char *text = mem_format("the clock of %s is %.1f s ahead of that of %s: keep all clocks by NTP",
                                      last->address, (double) (last->clock_ms - first->clock_ms) / 1000,
                                      first->address);
    find(&n->findings, AUDIT_WEAK, text, "due times and the ages of messages are counted by them");
}

static void look_at_memory(struct server *s)
{
    uint64_t percent = s->memory.most_bytes ? s->memory.used_bytes * 100 / s->memory.most_bytes : 0;

    if (percent < conf_get()->store.soft_watermark)
        return;
    AUTO_FREE char *text = mem_format(
        "is %u%% full: give it more maxmemory, add shards, or see baridctl queue list", (unsigned) percent);
    find(&s->findings, AUDIT_WEAK, text, "new mail is answered 452");
}

static const char *owner_of(const struct slot_map *m, unsigned slot)
{
    return m->owner[slot] == SLOT_NOBODY ? "nobody" : m->addresses[m->owner[slot]];
}

/* Of two whom one asks about a slot, each may send to the other for ever: a move that ended half way, told to one of them only. */
static void compare_maps(struct inspection *n, const struct visit *one, const struct visit *other)
{
    unsigned count = 0, first = 0;

    for (unsigned slot = SLOT_COUNT; slot-- > 0;) {
        if (strcmp(owner_of(one->map, slot), owner_of(other->map, slot)) == 0)
            continue;
        count++;
        first = slot;
    }
    if (count == 0)
        return;
    AUTO_FREE char *text = mem_format(
        "primaries disagree about %u slot%s (who has slot %u? %s says %s, %s says %s): if it stays so, run redis-cli --cluster fix %s",
        count, count == 1 ? "" : "s", first, one->server->address, owner_of(one->map, first),
        other->server->address, owner_of(other->map, first), one->server->address);
    find(&n->findings, AUDIT_WEAK, text, "mail of such a slot waits, and new mail for it is answered 451");
}

static void look_at_slots(struct tour *t)
{
    const struct visit *first = NULL;

    LIST_EACH(&t->visits, at, next) {
        const struct visit *v = LIST_ENTRY(at, struct visit, link);
        if (!v->map)
            continue;
        if (first)
            compare_maps(t->inspection, first, v);
        else
            first = v;
    }
}

static void sum_up(struct tour *t)
{
    struct inspection *n = t->inspection;
    const char *trouble = shards_trouble(ask_shards(t->ask));

    if (*trouble)
        find(&n->findings, AUDIT_UNFIT, trouble, "");
    look_at_clocks(n);
    look_at_slots(t);
    for (size_t i = 0; i < n->count; i++) {
        look_at_memory(n->servers[i]);
        n->worst = n->servers[i]->findings.worst > n->worst ? n->servers[i]->findings.worst : n->worst;
    }
    n->worst = n->findings.worst > n->worst ? n->findings.worst : n->worst;
}

static void tour_end(struct tour *t)
{
    while (!list_is_empty(&t->visits)) {
        struct visit *v = LIST_FIRST(&t->visits, struct visit, link);
        list_remove(&v->link);
        v->redis = redis_close(v->redis);
        visit_free(v);
    }
    t->access = access_free(t->access);
}

int inspect(struct ask *k, struct inspection *ret_inspection)
{
    struct tour t = {.ask = k, .inspection = ret_inspection};
    const struct list *shards = shards_list(ask_shards(k));
    AUTO_FREE char *error = NULL;

    *ret_inspection = (struct inspection){.servers = NULL};
    list_init(&t.visits);
    if (access_new(&t.access, &error) < 0)
        return say_failed("%s", error);
    if (shards_kind(ask_shards(k)) == STORE_SENTINEL)
        visit_sentinels(&t);
    for (struct list *it = shards->next; it != shards; it = it->next) {
        const struct shard *shard = LIST_ENTRY(it, struct shard, link);
        if (shard->slot_count > 0)
            visit_start(&t, server_add(t.inspection, shard->address, "primary", NULL), "primary");
    }
    if (t.open > 0)
        loop_run(ask_loop(k));
    sum_up(&t);
    tour_end(&t);
    return EXIT_OK;
}

static void findings_done(struct findings *f)
{
    for (size_t i = 0; i < f->count; i++)
        mem_free(f->all[i].text);
    mem_free(f->all);
}

void inspection_done(struct inspection *n)
{
    for (size_t i = 0; i < n->count; i++) {
        struct server *s = n->servers[i];
        findings_done(&s->findings);
        mem_free(s->address);
        mem_free(s->role);
        mem_free(s->primary);
        mem_free(s->version);
        mem_free(s);
    }
    mem_free(n->servers);
    findings_done(&n->findings);
}
