/* settle: verdicts of many jobs of one partition in one call, with the reports that some of them make. */
#include "cluster/chunk.h"
#include "cluster/queue_call.h"
#include "io/hash.h"

enum {
    SETTLE_JOBS = 64,
    SETTLE_KEYS = 5,
    JOB_KEYS = 2, /* the record and its mark */
    JOB_ARGS = 7,
    STAY_KEYS = 1, /* of a job that goes back to its queue, or may: back and hold */
    STAY_ARGS = 2,
    DSN_KEYS = 3,
    DSN_ARGS = 5,
    JOB_SIZE = 640, /* about what a job's names, keys and numbers take */
    CHUNK_KEY_SIZE = 64,
};

static const char *const settle_words[] = {
    [SETTLE_OK] = "ok",
    [SETTLE_GONE] = "gone",
    [SETTLE_AGAIN] = "again",
    [SETTLE_STALE] = "stale",
    [SETTLE_INCOMPLETE] = "incomplete",
};
static const char *const outcome_words[] = {
    [OUTCOME_END] = "end",
    [OUTCOME_BACK] = "back",
    [OUTCOME_HOLD] = "hold",
    [OUTCOME_KEEP] = "keep",
};

struct settle_call {
    struct queue_call base;
    size_t count, dsn_count;
};

static void on_settled(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct settle_call *settle = CONTAINER_OF(c, struct settle_call, base.call);
    struct queue_call *q = &settle->base;
    enum settle_answer answers[SETTLE_JOBS];

    for (size_t i = 0; i < settle->count; i++)
        answers[i] = SETTLE_UNKNOWN;
    if (result == STORE_OK) {
        const struct redis_value *last = &values[c->request.reply_count - 1];
        must(last->type == REDIS_ARRAY && last->count == settle->count);
        for (size_t i = 0; i < settle->count; i++)
            answers[i] = queue_answer(&last->items[i], settle_words, ARRAY_LEN(settle_words));
    }
    q->on.settle(q->context, answers, settle->count, c->is_unsure);
    queue_call_free(q);
}

/* A full Redis refuses a plain SET, but must let couriers bounce. */
static void on_settle_repeat(struct store_call *c)
{
    struct settle_call *settle = CONTAINER_OF(c, struct settle_call, base.call);

    if (!c->was_full || !settle->dsn_count)
        return;
    chunk_put_by_script(c, settle->base.partition, settle->dsn_count);
    settle->dsn_count = 0;
}

static bool stays(const struct queue_settle *job)
{
    return job->outcome == OUTCOME_BACK || job->outcome == OUTCOME_HOLD;
}

static bool has_state(const struct queue_settle *job)
{
    return job->state.at != NULL;
}

static size_t key_count(const struct queue_settle *job)
{
    size_t own = job->outcome == OUTCOME_KEEP ? 1 : JOB_KEYS + job->chunk_count;

    return own + (stays(job) ? STAY_KEYS : 0) + (job->dsn ? DSN_KEYS : 0);
}

static size_t arg_count(const struct queue_settle *job)
{
    size_t count = JOB_ARGS;

    if (stays(job))
        count += STAY_ARGS;
    if (job->outcome == OUTCOME_KEEP)
        count++;
    if (has_state(job))
        count++;
    return job->dsn ? count + DSN_ARGS : count;
}

static void put_keys(struct queue_call *q, const struct queue_settle *job)
{
    struct span name = span_of(job->job);

    queue_key_of(q, KEY_OF_JOB, name);
    if (job->outcome != OUTCOME_KEEP) {
        queue_key_of(q, KEY_OF_SEEN, name);
        for (uint32_t i = 0; i < job->chunk_count; i++)
            key_arg(&q->call.request.bytes, KEY_OF_CHUNK, q->partition, name, i);
    }
    if (stays(job))
        queue_key_of(q, KEY_OF_QUEUE, span_of(job->queue));
    if (!job->dsn)
        return;
    queue_key_of(q, KEY_OF_JOB, span_of(job->dsn->job));
    key_arg(&q->call.request.bytes, KEY_OF_CHUNK, q->partition, span_of(job->dsn->job), 0);
    queue_key_of(q, KEY_OF_QUEUE, SPAN(QUEUE_FANOUT));
}

/* Which arguments follow, in this order; see settle.lua. */
static void put_letters(struct buf *b, const struct queue_settle *job)
{
    char letters[6];
    size_t count = 0;

    if (stays(job))
        letters[count++] = 'q';
    if (job->outcome == OUTCOME_KEEP)
        letters[count++] = 'k';
    if (has_state(job))
        letters[count++] = 's';
    if (has_state(job) && job->is_exact)
        letters[count++] = 'x';
    if (job->dsn)
        letters[count++] = 'd';
    if (job->is_moved)
        letters[count++] = 'm';
    resp_arg(b, (struct span){.at = letters, .len = count});
}

static void put_args(struct queue_call *q, const struct queue_settle *job)
{
    struct buf *b = &q->call.request.bytes;

    must(job->outcome < ARRAY_LEN(outcome_words));
    resp_arg_text(b, job->job);
    resp_arg_text(b, job->token);
    resp_arg_text(b, outcome_words[job->outcome]);
    resp_arg_text(b, job->event ? job->event : "");
    queue_detail(q, job->detail);
    resp_arg_number(b, job->outcome == OUTCOME_KEEP ? 0 : job->chunk_count);
    put_letters(b, job);
    if (stays(job)) {
        resp_arg_text(b, job->queue);
        resp_arg_number(b, job->outcome == OUTCOME_BACK ? (int64_t) job->delay_ms : 0);
    }
    if (job->outcome == OUTCOME_KEEP)
        resp_arg_text(b, job->next);
    if (has_state(job))
        resp_arg(b, job->state);
    if (!job->dsn)
        return;
    char digest[33];
    hash_digest(job->dsn->envelope, digest);
    resp_arg_text(b, job->dsn->job);
    resp_arg_text(b, digest);
    resp_arg(b, job->dsn->envelope);
    resp_arg(b, job->dsn->state);
    resp_arg_number(b, (int64_t) job->dsn->content.len);
}

void queue_settle(struct store *s, unsigned partition, const struct queue_settle *jobs, size_t count,
                  queue_on_settle *on_answer, void *context)
{
    struct settle_call *settle = queue_call_new(sizeof *settle, partition, UINT64_MAX, context, on_settled);
    struct queue_call *q = &settle->base;
    size_t keys = SETTLE_KEYS, args = 1, size = JOB_SIZE;

    must(count > 0 && count <= SETTLE_JOBS);
    q->on.settle = on_answer;
    q->call.on_repeat = on_settle_repeat;
    q->call.is_never_refused = true;
    settle->count = count;
    for (size_t i = 0; i < count; i++) {
        const struct queue_settle *job = &jobs[i];
        keys += key_count(job);
        args += arg_count(job);
        size += JOB_SIZE + job->state.len + (job->detail ? span_of(job->detail).len : 0) +
                job->chunk_count * (size_t) CHUNK_KEY_SIZE;
        if (!job->dsn)
            continue;
        size += JOB_SIZE + job->dsn->envelope.len + job->dsn->state.len + chunk_put_size(job->dsn->content);
        settle->dsn_count++;
    }
    (void) buf_reserve(&q->call.request.bytes, size); /* the whole call in one allocation */
    for (size_t i = 0; i < count; i++)
        if (jobs[i].dsn)
            chunk_put(&q->call, partition, span_of(jobs[i].dsn->job), 0, jobs[i].dsn->content);
    script_begin(&q->call, SCRIPT_settle, keys, args);
    queue_key(q, KEY_OF_CLAIMED);
    queue_key(q, KEY_OF_DUE);
    queue_key(q, KEY_OF_HELD);
    queue_key(q, KEY_OF_EVENTS);
    queue_key(q, KEY_OF_NEVER);
    for (size_t i = 0; i < count; i++)
        put_keys(q, &jobs[i]);
    resp_arg_number(&q->call.request.bytes, (int64_t) count);
    for (size_t i = 0; i < count; i++)
        put_args(q, &jobs[i]);
    store_send(s, &q->call);
}
