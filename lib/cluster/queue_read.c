/* Reads: what a courier holds according to the store, and which jobs still exist. */
#include <string.h>

#include "cluster/queue_call.h"

enum { PAGE_JOBS = 500, READ_TIME_MS = 10000, PROBE_TTL_S = 60, CHUNKS_MAX = 4096 };

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
    if (c->request.reply_count < PAGE_JOBS)
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

/* ---- exist ---- */

struct exist_call {
    struct queue_call base;
    size_t count;
};

static void on_existing(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct exist_call *exist = CONTAINER_OF(c, struct exist_call, base.call);
    struct queue_call *q = &exist->base;
    bool *answers = NULL;

    if (result == STORE_OK) {
        answers = mem_array(exist->count + 1, sizeof *answers);
        for (size_t i = 0; i < exist->count; i++)
            answers[i] = values[i].type == REDIS_INTEGER && values[i].integer != 0;
    }
    q->on.exist(q->context, result == STORE_OK, answers, answers ? exist->count : 0);
    mem_free(answers);
    queue_call_free(q);
}

/*
 * A read is confirmed when a later write on its connection is. The write must be one that Redis passes on whatever its state: EXPIRE or DEL
 * of a missing key is none, SET is refused when memory is short. So a key of our own is made, by a script that is not refused, and removed:
 * whoever else uses the same key, of two UNLINKs one removes it. One Redis at level fsync would not need it: its reply to a read leaves
 * after the fsync of all that the read saw.
 */
static void put_probe(struct queue_call *q, struct span subject)
{
    struct buf *b = &q->call.request.bytes;

    script_begin(&q->call, SCRIPT_chunk, 2, 2);
    queue_key_of(q, KEY_OF_PROBE, subject);
    queue_key(q, KEY_OF_NEVER);
    resp_arg(b, SPAN("1"));
    resp_arg_number(b, PROBE_TTL_S);
    call_begin(&q->call, 2);
    resp_arg(b, SPAN("UNLINK"));
    queue_key_of(q, KEY_OF_PROBE, subject);
}

void queue_exist(struct store *s, const struct queue_place *places, size_t count, queue_on_exist *on_answer,
                 void *context)
{
    unsigned first = count ? places[0].partition : 0;
    struct exist_call *exist = queue_call_new(sizeof *exist, first, READ_TIME_MS, context, on_existing);
    struct queue_call *q = &exist->base;

    q->on.exist = on_answer;
    exist->count = count;
    for (size_t i = 0; i < count; i++) {
        call_begin(&q->call, 2);
        resp_arg(&q->call.request.bytes, SPAN("EXISTS"));
        key_arg(&q->call.request.bytes, KEY_OF_JOB, places[i].partition, span_of(places[i].job), 0);
    }
    put_probe(q, count ? span_of(places[0].job) : SPAN("none"));
    store_send(s, &q->call);
}
