/* Reads: what a courier holds according to the store, and which jobs still exist. */
#include <string.h>

#include "cluster/queue_call.h"

enum { PAGE_JOBS = 500, READ_TIME_MS = 10000, CHUNKS_MAX = 4096 };

/* ---- compare: page by page, first the jobs in c, then the record of each ---- */

struct compare_call {
    struct queue_call base;
    uint64_t incarnation;
    struct queue_held_claim *claims; /* the texts are ours */
    size_t count, room;
    size_t described; /* claims whose record was read */
};

static void compare_free(struct compare_call *compare)
{
    for (size_t i = 0; i < compare->count; i++) {
        mem_free((char *) compare->claims[i].job.at);
        mem_free((char *) compare->claims[i].token.at);
        mem_free((char *) compare->claims[i].queue.at);
    }
    mem_free(compare->claims);
    queue_call_free(&compare->base);
}

static void compare_tell(struct compare_call *compare, bool ok)
{
    struct queue_call *q = &compare->base;

    q->on.compare(q->context, q->partition, ok, compare->claims, ok ? compare->count : 0);
    compare_free(compare);
}

static struct span copy_of(struct span s)
{
    return (struct span){.at = mem_text(s.at ? s.at : "", s.len), .len = s.len};
}

static void compare_add(struct compare_call *compare, struct span job)
{
    if (compare->count == compare->room) {
        compare->room = compare->room ? compare->room * 2 : PAGE_JOBS;
        compare->claims = mem_resize(compare->claims, compare->room * sizeof *compare->claims);
    }
    compare->claims[compare->count++] = (struct queue_held_claim){.job = copy_of(job)};
}

static void on_page(struct store_call *c, enum store_result result, const struct redis_value *values);

static void compare_begin(struct compare_call *compare)
{
    buf_clear(&compare->base.call.request.bytes);
    compare->base.call.request.reply_count = 0;
}

static void compare_ask_page(struct compare_call *compare, struct store *s)
{
    struct queue_call *q = &compare->base;
    struct buf *b = &q->call.request.bytes;

    compare_begin(compare);
    call_begin(&q->call, 7);
    resp_arg(b, SPAN("ZRANGEBYSCORE"));
    queue_key(q, KEY_OF_CLAIMED);
    resp_arg_number(b, (int64_t) compare->incarnation);
    resp_arg_number(b, (int64_t) compare->incarnation);
    resp_arg(b, SPAN("LIMIT"));
    resp_arg_number(b, (int64_t) compare->count);
    resp_arg_number(b, PAGE_JOBS);
    q->call.on_done = on_page;
    store_send(s, &q->call);
}

static void on_records(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct compare_call *compare = CONTAINER_OF(c, struct compare_call, base.call);

    if (result != STORE_OK) {
        compare_tell(compare, false);
        return;
    }
    for (size_t i = 0; compare->described < compare->count; i++) {
        struct queue_held_claim *claim = &compare->claims[compare->described++];
        int64_t chunks = 0;
        if (values[i].type != REDIS_ARRAY || values[i].count != 3) { /* a key of another type: no record */
            claim->token = copy_of(SPAN(""));
            claim->queue = copy_of(SPAN(""));
            continue;
        }
        claim->token = copy_of(redis_text(&values[i].items[0]));
        claim->queue = copy_of(redis_text(&values[i].items[1]));
        if (redis_number(&values[i].items[2], &chunks) == 0 && chunks > 0 && chunks <= CHUNKS_MAX)
            claim->chunk_count = (uint32_t) chunks;
    }
    if (compare->count % PAGE_JOBS)
        compare_tell(compare, true);
    else
        compare_ask_page(compare, c->store);
}

static void on_page(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct compare_call *compare = CONTAINER_OF(c, struct compare_call, base.call);
    struct buf *b = &c->request.bytes;

    if (result != STORE_OK || values[0].type != REDIS_ARRAY || values[0].count == 0) {
        compare_tell(compare, result == STORE_OK && values[0].type == REDIS_ARRAY);
        return;
    }
    compare_begin(compare);
    for (size_t i = 0; i < values[0].count; i++) {
        struct span job = redis_text(&values[0].items[i]);
        compare_add(compare, job);
        call_begin(c, 5);
        resp_arg(b, SPAN("HMGET"));
        queue_key_of(&compare->base, KEY_OF_JOB, job);
        resp_arg(b, SPAN("k"));
        resp_arg(b, SPAN("q"));
        resp_arg(b, SPAN("n"));
    }
    c->accepts_errors = true;
    c->on_done = on_records;
    store_send(c->store, c);
}

void queue_compare(struct store *s, unsigned partition, uint64_t incarnation, queue_on_compare *on_answer,
                   void *context)
{
    struct compare_call *compare = queue_call_new(sizeof *compare, partition, READ_TIME_MS, context, on_page);

    compare->base.on.compare = on_answer;
    compare->incarnation = incarnation;
    compare_ask_page(compare, s);
}

/* ---- exist: one call, or in a Redis Cluster one for each partition ---- */

struct exist {
    queue_on_exist *on_answer;
    void *context;
    size_t pending; /* calls, and queue_exist() itself until it has sent all */
    bool is_unknown;
    size_t count;
    bool answers[];
};

struct exist_call {
    struct queue_call base;
    struct exist *exist;
    size_t count;
    size_t places[]; /* which of the answers its replies are */
};

static void exist_end(struct exist *exist)
{
    if (--exist->pending)
        return;
    bool ok = !exist->is_unknown;
    exist->on_answer(exist->context, ok, ok ? exist->answers : NULL, ok ? exist->count : 0);
    mem_free(exist);
}

static void on_existing(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct exist_call *call = CONTAINER_OF(c, struct exist_call, base.call);
    struct exist *exist = call->exist;

    exist->is_unknown |= result != STORE_OK;
    for (size_t i = 0; result == STORE_OK && i < call->count; i++)
        exist->answers[call->places[i]] = values[i].type == REDIS_INTEGER && values[i].integer != 0;
    queue_call_free(&call->base);
    exist_end(exist);
}

static void exist_ask(struct exist *exist, struct store *s, unsigned partition,
                      const struct queue_place *places, const size_t *which, size_t count)
{
    struct exist_call *call = queue_call_new(sizeof *call + count * sizeof call->places[0], partition,
                                             READ_TIME_MS, NULL, on_existing);
    struct queue_call *q = &call->base;

    call->exist = exist;
    call->count = count;
    exist->pending++;
    for (size_t i = 0; i < count; i++) {
        const struct queue_place *place = &places[which[i]];
        call->places[i] = which[i];
        call_begin(&q->call, place->or_its_mark ? 3 : 2);
        resp_arg(&q->call.request.bytes, SPAN("EXISTS"));
        key_arg(&q->call.request.bytes, KEY_OF_JOB, place->partition, span_of(place->job), 0);
        if (place->or_its_mark)
            key_arg(&q->call.request.bytes, KEY_OF_SEEN, place->partition, span_of(place->job), 0);
    }
    if (!count) { /* something to be answered later, as always */
        call_begin(&q->call, 2);
        resp_arg(&q->call.request.bytes, SPAN("EXISTS"));
        queue_key(q, KEY_OF_NEVER);
    }
    store_send(s, &q->call);
}

void queue_exist(struct store *s, const struct queue_place *places, size_t count, queue_on_exist *on_answer,
                 void *context)
{
    struct exist *exist = mem_alloc(sizeof *exist + (count + 1) * sizeof exist->answers[0]);
    size_t *which = mem_array(count + 1, sizeof *which), at[PARTITION_COUNT + 1] = {0};

    *exist = (struct exist){.on_answer = on_answer, .context = context, .pending = 1, .count = count};
    /* Sorted by partition, by counting: at[p] is where those of p begin. */
    for (size_t i = 0; i < count; i++)
        at[places[i].partition + 1]++;
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++)
        at[partition + 1] += at[partition];
    size_t next[PARTITION_COUNT];
    memcpy(next, at, sizeof next);
    for (size_t i = 0; i < count; i++)
        which[next[places[i].partition]++] = i;
    if (store_has_slots(s) && count) {
        for (unsigned partition = 0; partition < PARTITION_COUNT; partition++)
            if (at[partition + 1] > at[partition])
                exist_ask(exist, s, partition, places, which + at[partition],
                          at[partition + 1] - at[partition]);
    } else {
        exist_ask(exist, s, count ? places[0].partition : 0, places, which, count);
    }
    mem_free(which);
    exist_end(exist);
}
