/* What dispatchers send: leases of partitions, the look for due queues, the reaping of the dead. */
#include <string.h>

#include "cluster/queue_call.h"

enum { LEASE_TIME_MS = 2000, DUE_TIME_MS = 3000, REAP_TIME_MS = 5000, REAP_MAX = 500, QUEUES_INLINE = 64 };

/* ---- leases ---- */

static void lease_tell(struct queue_call *q, enum lease_answer answer, uint64_t token)
{
    q->on.lease(q->context, q->partition, answer, token, q->call.sent_ms);
    queue_call_free(q);
}

static void on_acquired(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct queue_call *q = queue_call_of(c);
    uint64_t token = 0;

    if (result != STORE_OK) {
        lease_tell(q, LEASE_UNKNOWN, 0);
    } else if (redis_is_text(&values[0], "taken")) {
        lease_tell(q, LEASE_TAKEN, 0);
    } else {
        must(span_number(redis_text(&values[0]), INT64_MAX, &token) == 0);
        lease_tell(q, LEASE_OK, token);
    }
}

static void on_kept(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    static const char *const words[] = {"ok", "lost"};
    enum lease_answer answer = LEASE_UNKNOWN;

    if (result == STORE_OK)
        answer = queue_answer(&values[0], words, ARRAY_LEN(words)) ? LEASE_LOST : LEASE_OK;
    lease_tell(queue_call_of(c), answer, 0);
}

static void lease_send(struct store *s, enum script script, unsigned partition, uint64_t incarnation,
                       uint64_t number, queue_on_lease *on_answer, void *context)
{
    struct queue_call *q = queue_call_new(sizeof *q, partition, LEASE_TIME_MS, context,
                                          script == SCRIPT_acquire ? on_acquired : on_kept);

    q->on.lease = on_answer;
    script_begin(&q->call, script, 2, 2);
    queue_key(q, KEY_OF_OWNER);
    queue_key(q, KEY_OF_NEVER);
    resp_arg_number(&q->call.request.bytes, (int64_t) incarnation);
    resp_arg_number(&q->call.request.bytes, (int64_t) number);
    store_send(s, &q->call);
}

void queue_acquire(struct store *s, unsigned partition, uint64_t incarnation, uint64_t floor,
                   queue_on_lease *on_answer, void *context)
{
    lease_send(s, SCRIPT_acquire, partition, incarnation, floor, on_answer, context);
}

void queue_keep(struct store *s, unsigned partition, uint64_t incarnation, uint64_t token,
                queue_on_lease *on_answer, void *context)
{
    lease_send(s, SCRIPT_keep, partition, incarnation, token, on_answer, context);
}

void queue_yield(struct store *s, unsigned partition, uint64_t incarnation, uint64_t token,
                 queue_on_lease *on_answer, void *context)
{
    lease_send(s, SCRIPT_yield, partition, incarnation, token, on_answer, context);
}

/* ---- due ---- */

static uint64_t count_of(const struct redis_value *v)
{
    int64_t n = 0;

    return redis_number(v, &n) == 0 && n > 0 ? (uint64_t) n : 0;
}

/*
 * A zset's score as text, without a fraction. What is no number reads as 0: to look early is harmless; what is too large to be written out is
 * never.
 */
static uint64_t score_of(const struct redis_value *v)
{
    struct span text = redis_text(v);
    uint64_t score = 0;

    if (span_equal(text, SPAN("inf")) ||
        (text.len && text.at[0] != '-' && memmem(text.at, text.len, "e+", 2)))
        return INT64_MAX;
    (void) span_number(span_cut(&text, '.'), INT64_MAX, &score); /* stays 0 */
    return score;
}

static void due_tell(struct queue_call *q, const struct redis_value *value)
{
    struct queue_due few[QUEUES_INLINE], *queues = few;
    AUTO_FREE void *many = NULL;

    must(value->type == REDIS_ARRAY && value->count == 2);
    const struct redis_value *list = &value->items[0], *lowest = &value->items[1];
    if (list->count > QUEUES_INLINE)
        queues = many = mem_array(list->count, sizeof *queues);
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        must(list->items[i].count == 4);
        const struct redis_value *fields = list->items[i].items;
        struct span queue = redis_text(&fields[0]);
        if (!queue_is_name(queue)) /* not of our making: nobody is granted it */
            continue;
        queues[count++] = (struct queue_due){.queue = queue,
                                             .waiting = count_of(&fields[1]),
                                             .ready = count_of(&fields[2]),
                                             .was_paused = count_of(&fields[3]) > 0};
    }
    bool is_empty = redis_text(lowest).len == 0;
    uint64_t at_ms = score_of(lowest), now_ms = store_partition_ms(q->call.store, q->partition);
    uint64_t in_ms = !is_empty && at_ms > now_ms ? at_ms - now_ms : 0;
    q->on.due(q->context, q->partition, true, queues, count, in_ms, is_empty);
}

static void on_due(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct queue_call *q = queue_call_of(c);

    if (result == STORE_OK)
        due_tell(q, &values[0]);
    else
        q->on.due(q->context, q->partition, false, NULL, 0, 0, false);
    queue_call_free(q);
}

void queue_due(struct store *s, unsigned partition, uint32_t count, uint64_t horizon_ms, uint64_t park_ms,
               queue_on_due *on_answer, void *context)
{
    struct queue_call *q = queue_call_new(sizeof *q, partition, DUE_TIME_MS, context, on_due);
    struct buf *b = &q->call.request.bytes;

    q->on.due = on_answer;
    script_begin(&q->call, SCRIPT_due, 2, 4);
    queue_key(q, KEY_OF_DUE);
    queue_key(q, KEY_OF_NEVER);
    resp_arg_number(b, count);
    resp_arg_number(b, (int64_t) horizon_ms);
    resp_arg_number(b, (int64_t) park_ms);
    queue_tag(q);
    store_send(s, &q->call);
}

/* ---- reap ---- */

static void on_reaped(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct queue_call *q = queue_call_of(c);
    bool ok = result == STORE_OK, has_held = ok && values[0].type == REDIS_ARRAY && values[0].count == 2;
    const struct redis_value *count = has_held ? &values[0].items[0] : &values[0];
    struct queue_put_aside held[REAP_MAX];
    size_t held_count = has_held ? queue_held_lines(&values[0].items[1], held, REAP_MAX) : 0;

    q->on.reap(q->context, q->partition, ok, ok ? (uint32_t) count_of(count) : 0, held, held_count);
    queue_call_free(q);
}

void queue_reap(struct store *s, unsigned partition, uint64_t last, const uint64_t *live, size_t live_count,
                queue_on_reap *on_answer, void *context)
{
    struct queue_call *q = queue_call_new(sizeof *q, partition, REAP_TIME_MS, context, on_reaped);
    struct buf *b = &q->call.request.bytes;

    q->on.reap = on_answer;
    script_begin(&q->call, SCRIPT_reap, 5, 2 + live_count);
    queue_key(q, KEY_OF_CLAIMED);
    queue_key(q, KEY_OF_DUE);
    queue_key(q, KEY_OF_HELD);
    queue_key(q, KEY_OF_EVENTS);
    queue_key(q, KEY_OF_NEVER);
    queue_tag(q);
    resp_arg_number(b, (int64_t) last);
    for (size_t i = 0; i < live_count; i++)
        resp_arg_number(b, (int64_t) live[i]);
    store_send(s, &q->call);
}
