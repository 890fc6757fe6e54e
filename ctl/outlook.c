/* One queue: what it waits for. */
#include "ctl/outlook.h"

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/lane.h"
#include "ctl/print.h"

enum { ERROR_WORDS_MAX = 300, SAMPLE = 16 };
/* Replies, in order. */
enum look { LOOK_TIME, LOOK_ALL, LOOK_FIRST, LOOK_LAST, LOOK_STATE, LOOK_LEASE };

struct outlook_question {
    struct ask *ask;
    struct outlook *outlook;
};

static void on_due(void *context, const struct redis_value *values)
{
    struct outlook *o = context;
    uint64_t due = answer_count(&values[0]);

    o->due = due < o->waiting ? due : o->waiting;
}

/* Of a list of jobs with their scores. */
static void note_oldest(struct outlook *o, const struct redis_value *jobs)
{
    for (size_t i = 0; jobs->type == REDIS_ARRAY && i < jobs->count; i += 2) {
        struct id id;
        uint32_t index;
        if (job_parse(redis_text(&jobs->items[i]), &id, &index) < 0 ||
            (o->has_oldest && memcmp(id.bytes, o->oldest.bytes, sizeof(id.bytes)) >= 0))
            continue;
        o->oldest = id;
        o->has_oldest = true;
    }
}

static void ask_jobs(struct ask *k, const struct outlook *o, int64_t from, int64_t to)
{
    struct buf *b = ask_key(k, "ZRANGE", 5, KEY_OF_QUEUE, o->partition, span_of(o->queue));

    resp_arg_number(b, from);
    resp_arg_number(b, to);
    resp_arg_text(b, "WITHSCORES");
}

static void on_outlook(void *context, const struct redis_value *values)
{
    const struct outlook_question *q = context;
    struct outlook *o = q->outlook;
    const struct redis_value *first = &values[LOOK_FIRST], *state = &values[LOOK_STATE],
                             *lease = &values[LOOK_LEASE];

    o->now_ms = answer_time_ms(&values[LOOK_TIME]);
    o->waiting = answer_count(&values[LOOK_ALL]);
    if (first->type == REDIS_ARRAY && first->count >= 2)
        o->next_ms = answer_score(&first->items[1]);
    note_oldest(o, first);
    note_oldest(o, &values[LOOK_LAST]);
    if (state->type == REDIS_ARRAY && state->count == 3) {
        o->paused_until_ms = answer_count(&state->items[0]);
        o->pause_ms = answer_count(&state->items[1]);
        mem_free(o->error);
        o->error = answer_text(&state->items[2]);
    }
    if (lease->type == REDIS_ARRAY && lease->count == 2) {
        o->owner = answer_count(&lease->items[0]);
        o->owned_until_ms = answer_count(&lease->items[1]);
    }
    struct buf *b = ask_key(q->ask, "ZCOUNT", 4, KEY_OF_QUEUE, o->partition, span_of(o->queue));
    resp_arg_text(b, "-inf");
    resp_arg_number(b, (int64_t) o->now_ms); /* known now */
    ask_send(q->ask, on_due, o);
}

void outlook_ask(struct ask *k, struct outlook *o, const struct ruling *ruling, const char *queue,
                 unsigned partition)
{
    struct outlook_question *q = NEW(struct outlook_question);

    *q = (struct outlook_question){k, o};
    *o = (struct outlook){
        .queue = mem_string(queue), .partition = partition, .error = mem_string(""), .ruling = ruling};
    resp_arg_text(ask_command(k, 1), "TIME");
    (void) ask_key(k, "ZCARD", 2, KEY_OF_QUEUE, partition, span_of(queue)); /* no more arguments */
    ask_jobs(k, o, 0, SAMPLE - 1);
    ask_jobs(k, o, -SAMPLE, -1);
    struct buf *b = ask_key(k, "HMGET", 5, KEY_OF_STATE, partition, span_of(queue));
    resp_arg_text(b, "until");
    resp_arg_text(b, "ms");
    resp_arg_text(b, "error");
    b = ask_key(k, "HMGET", 4, KEY_OF_OWNER, partition, span_of(""));
    resp_arg_text(b, "owner");
    resp_arg_text(b, "until");
    ask_send_with(k, on_outlook, q);
}

void outlook_done(struct outlook *o)
{
    mem_free(o->queue);
    mem_free(o->error);
    *o = (struct outlook){.queue = NULL};
}

bool is_owned(const struct outlook *o)
{
    return o->owner != 0 && o->owned_until_ms > o->now_ms;
}

bool is_suspended(const struct outlook *o)
{
    return ruling_suspends(o->ruling, o->queue) != NULL;
}

uint64_t paused_for_ms(const struct outlook *o)
{
    return later_by(o->paused_until_ms, o->now_ms);
}

uint64_t outlook_next_ms(const struct outlook *o, uint64_t due_ms)
{
    uint64_t next_ms = due_ms > o->now_ms ? due_ms : o->now_ms;

    return o->paused_until_ms > next_ms ? o->paused_until_ms : next_ms;
}

/* By the settings that baridctl reads. */
static void add_pool_cause(struct buf *out, const struct outlook *o, const struct health *h)
{
    const struct conf_pool *pool = pool_of(conf_get(), span_of(o->queue));
    size_t able = 0;

    for (size_t i = 0; pool && i < h->view.count; i++) {
        const struct node_peer *peer = &h->view.peers[i];
        able += peer->stats.role == ROLE_COURIER && is_beating(h, peer) &&
                node_has_pool(&peer->stats, pool->name);
    }
    if (pool && able == 0)
        add_cause(out, "no courier can bind an address of pool %s, which its mail must leave from",
                  pool->name);
}

void add_queue_causes(struct buf *out, const struct outlook *o, const struct health *h)
{
    add_ruling(out, o->ruling, o->queue);
    if (paused_for_ms(o) > 0) {
        add_cause(out, "the queue is paused for another ");
        add_duration(out, paused_for_ms(o));
        buf_add_text(out, *o->error ? ": " : "");
        buf_add_printable(out, span_of(o->error), ERROR_WORDS_MAX);
        buf_add_text(out, " (`baridctl queue retry` resumes it)");
    }
    if (!is_owned(o))
        add_cause(out, "no dispatcher owns partition %u now", o->partition);
    add_pool_cause(out, o, h);
    add_cluster_causes(out, h);
}

/* ---- limits */

static bool is_row_of(const char *name, struct span queue, struct span domain)
{
    struct span row = span_of(name);

    if (span_equal(row, queue) || span_equal(row, domain))
        return true;
    if (row.len > 2 && row.at[0] == '*' && queue.len > domain.len) /* any domain's, of that lane */
        return span_equal((struct span){.at = row.at + 1, .len = row.len - 1},
                          (struct span){.at = queue.at + domain.len, .len = queue.len - domain.len});
    return row.len > 0 && *row.at == '.' && domain.len > row.len &&
           span_equal(row, (struct span){.at = domain.at + domain.len - row.len, .len = row.len});
}

/* The most particular one: the queue, its domain, the nearest parent, the lane. */
static size_t particular(const char *name)
{
    return name[0] == '*' ? 0 : strlen(name);
}

static size_t row_of(const struct conf_map *limits, const char *queue)
{
    struct span rest = span_of(queue), domain = span_cut(&rest, '/');
    size_t best = limits->count;

    for (size_t i = 0; i < limits->count; i++)
        if (is_row_of(limits->keys[i], span_of(queue), domain) &&
            (best == limits->count || particular(limits->keys[i]) > particular(limits->keys[best])))
            best = i;
    return best;
}

void add_limits(struct buf *out, const char *queue)
{
    const struct conf *c = conf_get();
    const struct conf_map *limits = &c->dispatcher.limits;
    size_t row = row_of(limits, queue);

    if (strcmp(queue, QUEUE_FANOUT) == 0) {
        buf_add_text(out, "none");
        return;
    }
    buf_printf(out, "%llu connections", (unsigned long long) c->dispatcher.queue_connections);
    if (c->dispatcher.queue_rate)
        buf_printf(out, ", %llu messages a minute", (unsigned long long) c->dispatcher.queue_rate);
    if (row < limits->count) {
        buf_add_text(out, ", but ");
        buf_add_printable(out, span_of(limits->values[row]), ERROR_WORDS_MAX);
        buf_add_text(out, " for ");
        buf_add_printable(out, span_of(limits->keys[row]), ERROR_WORDS_MAX);
    }
    if (c->dispatcher.site_limits.count)
        buf_add_text(out, ", and those of its site (dispatcher.site_limits)");
}

void put_outlook(struct json *json, const struct outlook *o, const struct health *h)
{
    AUTO_BUF struct buf limits = {.data = NULL};
    const struct node_peer *owner = is_owned(o) ? peer_of(h, o->owner) : NULL;

    add_limits(&limits, o->queue);
    json_put_text(json, "queue", span_of(o->queue));
    json_put_number(json, "partition", o->partition);
    json_put_number(json, "waiting", (int64_t) o->waiting);
    json_put_number(json, "due", (int64_t) o->due);
    if (o->next_ms)
        json_put_number(json, "next_due_in_ms", (int64_t) later_by(o->next_ms, o->now_ms));
    else
        json_put_null(json, "next_due_in_ms");
    if (o->has_oldest) {
        char oldest[ID_TEXT_LEN + 1];
        id_format(&o->oldest, oldest);
        json_put_text(json, "oldest", span_of(oldest));
        json_put_number(json, "oldest_age_ms", (int64_t) later_by(o->now_ms, id_time_ms(&o->oldest)));
    }
    json_put_number(json, "paused_for_ms", (int64_t) paused_for_ms(o));
    json_put_text(json, "paused_because", span_of(o->error));
    put_ruling(json, o->ruling, o->queue);
    json_put_flag(json, "owned", is_owned(o));
    json_put_text(json, "owner", span_of(owner ? owner->stats.name : ""));
    json_put_text(json, "limits", buf_span(&limits));
}
