/* What the janitor sends: SCAN of a shard, tidy of keys of one partition. */
#include "cluster/queue_call.h"

enum { TIDY_TIME_MS = 10000, TENANT_JOBS_MOST = 2000, FOUND_MOST = 512 };

struct scan_call {
    struct queue_call base;
    queue_on_scan *on_answer;
};

struct tidy_call {
    struct queue_call base;
    queue_on_tidy *on_answer;
};

/* ---- scan ---- */

enum { REPLY_EXISTS, REPLY_SCAN };

static void on_scanned(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct scan_call *call = CONTAINER_OF(c, struct scan_call, base.call);
    static const struct redis_value none = {.type = REDIS_ARRAY};
    const struct redis_value *reply = result == STORE_OK ? &values[REPLY_SCAN] : NULL;
    uint64_t cursor = 0;
    bool ok = reply && reply->type == REDIS_ARRAY && reply->count == 2 &&
              reply->items[1].type == REDIS_ARRAY &&
              span_number(redis_text(&reply->items[0]), UINT64_MAX, &cursor) == 0;

    call->on_answer(call->base.context, ok, cursor, ok ? &reply->items[1] : &none);
    queue_call_free(&call->base);
}

/* SCAN has no key: the command before it says which shard is meant. */
void queue_scan(struct store *s, unsigned partition, uint64_t cursor, uint32_t count,
                queue_on_scan *on_answer, void *context)
{
    struct scan_call *call = queue_call_new(sizeof *call, partition, TIDY_TIME_MS, context, on_scanned);
    struct queue_call *q = &call->base;
    struct buf *b = &q->call.request.bytes;
    AUTO_FREE char *from = mem_format("%llu", (unsigned long long) cursor);

    call->on_answer = on_answer;
    q->call.is_unheld = true; /* what it finds is looked at again */
    call_begin(&q->call, 2);
    resp_arg(b, SPAN("EXISTS"));
    queue_key(q, KEY_OF_NEVER);
    call_begin(&q->call, 4);
    resp_arg(b, SPAN("SCAN"));
    resp_arg_text(b, from);
    resp_arg(b, SPAN("COUNT"));
    resp_arg_number(b, count);
    store_send(s, &q->call);
}

/* ---- tidy ---- */

static void on_tidied(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct tidy_call *call = CONTAINER_OF(c, struct tidy_call, base.call);
    struct queue_call *q = &call->base;
    struct queue_found found[FOUND_MOST];
    size_t count = 0;
    bool ok = result == STORE_OK && values[0].type == REDIS_ARRAY;

    for (size_t i = 1; ok && i < values[0].count && count < FOUND_MOST; i += 2)
        found[count++] = (struct queue_found){.what = redis_text(&values[0].items[i - 1]),
                                              .key = redis_text(&values[0].items[i])};
    call->on_answer(q->context, q->partition, ok, found, count);
    queue_call_free(q);
}

void queue_tidy(struct store *s, unsigned partition, const struct queue_tidy_key *keys, size_t count,
                uint64_t keep_ms, queue_on_tidy *on_answer, void *context)
{
    struct tidy_call *call = queue_call_new(sizeof *call, partition, TIDY_TIME_MS, context, on_tidied);
    struct queue_call *q = &call->base;
    struct buf *b = &q->call.request.bytes;

    must(count <= FOUND_MOST);
    call->on_answer = on_answer;
    script_begin(&q->call, SCRIPT_tidy, 5 + count, 3 + count);
    queue_key(q, KEY_OF_CLAIMED);
    queue_key(q, KEY_OF_DUE);
    queue_key(q, KEY_OF_HELD);
    queue_key(q, KEY_OF_EVENTS);
    queue_key(q, KEY_OF_NEVER);
    for (size_t i = 0; i < count; i++)
        resp_arg(b, keys[i].key);
    queue_tag(q);
    resp_arg_number(b, (int64_t) keep_ms);
    resp_arg_number(b, TENANT_JOBS_MOST);
    for (size_t i = 0; i < count; i++)
        queue_flag(q, keys[i].is_alone);
    store_send(s, &q->call);
}
