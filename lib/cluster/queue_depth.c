/* How much is in a partition, a page of its queues at a time: first their names, then what is in each. */
#include "cluster/queue_depth.h"

#include "cluster/queue_call.h"

enum { DEPTH_TIME_MS = 5000, PAGE_QUEUES = 100, QUEUES_MOST = 2000, SAMPLE = 8 };

/* Replies of the first call, in order; those behind the first only with the first page. */
enum { REPLY_QUEUES, REPLY_CLAIMED, REPLY_SOME_CLAIMED, REPLY_HELD, REPLY_FIRST_HELD };
/* And of the second, for each queue. */
enum { REPLY_ALL, REPLY_DUE, REPLY_FIRST, REPLY_LAST, REPLY_PAUSED, REPLY_ERROR, REPLIES_EACH };

struct depth_call {
    struct queue_call base;
    queue_on_depth *on_answer;
    struct queue_page page;
    struct queue_depth *queues; /* the names are ours */
};

static void depth_tell(struct depth_call *call, bool ok)
{
    call->page.queues = call->queues;
    call->on_answer(call->base.context, call->base.partition, ok, &call->page);
    for (size_t i = 0; i < call->page.count; i++)
        mem_free((char *) call->queues[i].queue.at);
    mem_free(call->queues);
    queue_call_free(&call->base);
}

/* What is no number, as an error of a server that denies us the command, is 0. */
static uint64_t number_of(const struct redis_value *v)
{
    int64_t n = 0;

    return redis_number(v, &n) == 0 && n > 0 ? (uint64_t) n : 0;
}

static bool is_list(const struct redis_value *v, size_t least)
{
    return v->type == REDIS_ARRAY && v->count >= least;
}

/* A score of milliseconds; a fraction does not matter here. */
static uint64_t score_of(const struct redis_value *v)
{
    struct span text = redis_text(v);
    uint64_t score = 0;

    (void) span_number(span_cut(&text, '.'), INT64_MAX, &score); /* what is none is 0 */
    return score;
}

static uint64_t job_ms(const struct redis_value *job)
{
    struct id id;
    uint32_t index;

    return job_parse(redis_text(job), &id, &index) == 0 ? id_time_ms(&id) : 0;
}

/* ---- the queues of the page ---- */

static void take_depth(struct queue_depth *d, const struct redis_value *replies)
{
    const struct redis_value *first = &replies[REPLY_FIRST], *last = &replies[REPLY_LAST];

    d->jobs = number_of(&replies[REPLY_ALL]);
    d->due = number_of(&replies[REPLY_DUE]);
    if (is_list(first, 2)) {
        d->first_made_ms = job_ms(&first->items[0]);
        d->first_due_ms = score_of(&first->items[1]);
    }
    if (is_list(last, 1))
        d->last_made_ms = job_ms(&last->items[0]);
    d->paused_until_ms = number_of(&replies[REPLY_PAUSED]);
    if (replies[REPLY_ERROR].type == REDIS_STRING)
        d->error = replies[REPLY_ERROR].text; /* as long as the replies, which outlive on_answer */
}

static void on_depths(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct depth_call *call = CONTAINER_OF(c, struct depth_call, base.call);

    for (size_t i = 0; result == STORE_OK && i < call->page.count; i++)
        take_depth(&call->queues[i], &values[i * REPLIES_EACH]);
    depth_tell(call, result == STORE_OK);
}

static void ask_ends(struct queue_call *q, struct span queue, const char *at, bool with_score)
{
    call_begin(&q->call, with_score ? 5 : 4);
    resp_arg_text(&q->call.request.bytes, "ZRANGE");
    queue_key_of(q, KEY_OF_QUEUE, queue);
    resp_arg_text(&q->call.request.bytes, at);
    resp_arg_text(&q->call.request.bytes, at);
    if (with_score)
        resp_arg_text(&q->call.request.bytes, "WITHSCORES");
}

static void ask_depth(struct queue_call *q, struct span queue, uint64_t now_ms)
{
    struct buf *b = &q->call.request.bytes;

    call_begin(&q->call, 2);
    resp_arg_text(b, "ZCARD");
    queue_key_of(q, KEY_OF_QUEUE, queue);
    call_begin(&q->call, 4);
    resp_arg_text(b, "ZCOUNT");
    queue_key_of(q, KEY_OF_QUEUE, queue);
    resp_arg_text(b, "-inf");
    resp_arg_number(b, (int64_t) now_ms);
    ask_ends(q, queue, "0", true);
    ask_ends(q, queue, "-1", false);
    static const char *const fields[] = {"until", "error"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        call_begin(&q->call, 3);
        resp_arg_text(b, "HGET");
        queue_key_of(q, KEY_OF_STATE, queue);
        resp_arg_text(b, fields[i]);
    }
}

/* ---- their names ---- */

static void take_names(struct depth_call *call, const struct redis_value *names)
{
    call->queues = mem_array(names->count / 2 + 1, sizeof *call->queues);
    for (size_t i = 0; i + 1 < names->count && call->page.count < QUEUES_MOST; i += 2) {
        struct span name = redis_text(&names->items[i]);
        if (queue_is_name(name))
            call->queues[call->page.count++].queue = (struct span){.at = mem_text(name.at, name.len),
                                                                   .len = name.len};
    }
}

static void take_others(struct queue_page *page, const struct redis_value *values)
{
    const struct redis_value *some = &values[REPLY_SOME_CLAIMED], *held = &values[REPLY_FIRST_HELD];

    page->claimed = number_of(&values[REPLY_CLAIMED]);
    page->held = number_of(&values[REPLY_HELD]);
    for (size_t i = 0; is_list(some, 1) && i < some->count; i++) {
        uint64_t made_ms = job_ms(&some->items[i]);
        if (made_ms && (!page->claimed_made_ms || made_ms < page->claimed_made_ms))
            page->claimed_made_ms = made_ms;
    }
    if (is_list(held, 2))
        page->held_since_ms = score_of(&held->items[1]);
}

static void on_names(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct depth_call *call = CONTAINER_OF(c, struct depth_call, base.call);
    const struct redis_value *scan = values;
    struct store *s = c->store;

    if (result != STORE_OK || !is_list(scan, 2) || scan->items[1].type != REDIS_ARRAY ||
        span_number(redis_text(&scan->items[0]), UINT64_MAX, &call->page.cursor) < 0) {
        depth_tell(call, false);
        return;
    }
    if (c->request.reply_count > 1)
        take_others(&call->page, values);
    take_names(call, &scan->items[1]);
    call->page.now_ms = store_partition_ms(s, call->base.partition);
    if (call->page.count == 0) {
        depth_tell(call, true);
        return;
    }
    buf_clear(&c->request.bytes);
    c->request.reply_count = 0;
    for (size_t i = 0; i < call->page.count; i++)
        ask_depth(&call->base, call->queues[i].queue, call->page.now_ms);
    c->on_done = on_depths;
    store_send(s, c);
}

static void ask_size(struct queue_call *q, enum key key, int64_t sample, bool with_scores)
{
    struct buf *b = &q->call.request.bytes;

    call_begin(&q->call, 2);
    resp_arg_text(b, "ZCARD");
    queue_key(q, key);
    call_begin(&q->call, with_scores ? 5 : 4);
    resp_arg_text(b, "ZRANGE");
    queue_key(q, key);
    resp_arg_number(b, 0);
    resp_arg_number(b, sample - 1);
    if (with_scores)
        resp_arg_text(b, "WITHSCORES");
}

void queue_depths(struct store *s, unsigned partition, uint64_t cursor, queue_on_depth *on_answer,
                  void *context)
{
    struct depth_call *call = queue_call_new(sizeof *call, partition, DEPTH_TIME_MS, context, on_names);
    struct queue_call *q = &call->base;
    struct buf *b = &q->call.request.bytes;
    AUTO_FREE char *from = mem_format("%llu", (unsigned long long) cursor);

    call->on_answer = on_answer;
    q->call.is_unheld = q->call.accepts_errors = true; /* figures for the eye */
    call_begin(&q->call, 5);
    resp_arg_text(b, "ZSCAN");
    queue_key(q, KEY_OF_DUE);
    resp_arg_text(b, from);
    resp_arg_text(b, "COUNT");
    resp_arg_number(b, PAGE_QUEUES);
    if (cursor == 0) {
        ask_size(q, KEY_OF_CLAIMED, SAMPLE, false);
        ask_size(q, KEY_OF_HELD, 1, true);
    }
    store_send(s, &q->call);
}
