/* commit (and carry, its twin for couriers) and delete. */
#include "base/id.h"
#include "cluster/chunk.h"
#include "cluster/queue_call.h"
#include "io/hash.h"

enum { COMMIT_KEYS = 6, COMMIT_ARGS = 9, COMMIT_OVERHEAD = 1024, CHUNK_KEY_SIZE = 64 };

static const char *const commit_words[] = {
    [COMMIT_NEW] = "new",         [COMMIT_AGAIN] = "again",           [COMMIT_CLASH] = "clash",
    [COMMIT_REVOKED] = "revoked", [COMMIT_INCOMPLETE] = "incomplete",
};
static const char *const delete_words[] = {
    [DELETE_DELETED] = "deleted",
    [DELETE_GONE] = "gone",
    [DELETE_LATER] = "later",
    [DELETE_CLAIMED] = "claimed",
};

struct commit_call {
    struct queue_call base;
    size_t chunk_count; /* that travel with it */
};

static void on_committed(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct queue_call *q = queue_call_of(c);
    enum commit_answer answer = COMMIT_UNKNOWN;

    if (result == STORE_OK)
        answer = queue_answer(&values[c->request.reply_count - 1], commit_words, ARRAY_LEN(commit_words));
    else if (result == STORE_REFUSED) /* nothing happened: for memory, or for a reason no repeat mends */
        answer = c->was_full ? COMMIT_FULL : COMMIT_INCOMPLETE;
    else if (!c->is_unsure) /* no send of it can have been executed */
        answer = COMMIT_UNDONE;
    q->on.commit(q->context, answer);
    queue_call_free(q);
}

/* A full Redis refuses a plain SET, but must let couriers expand and bounce. */
static void on_carry_repeat(struct store_call *c)
{
    struct commit_call *commit = CONTAINER_OF(c, struct commit_call, base.call);

    if (!c->was_full || !commit->chunk_count)
        return;
    chunk_put_by_script(c, commit->base.partition, commit->chunk_count);
    commit->chunk_count = 0;
}

/*
 * By what a repeat is told from a clash: the envelope; of a child its name alone. Couriers of two versions may make the same child in turn,
 * each with an envelope of its own words, and whose name it is was settled when its parent came.
 */
static void identity_digest(const struct queue_job *job, char *ret_hex)
{
    struct span name = span_of(job->job);
    uint32_t index = 0;
    struct id id;
    bool is_child = job_parse(name, &id, &index) == 0 && index > 0;

    hash_digest(is_child ? name : job->envelope, ret_hex);
}

static void commit_put(struct queue_call *q, const struct queue_job *job, bool carry)
{
    struct buf *b = &q->call.request.bytes;
    struct span name = span_of(job->job), queue = span_of(job->queue);
    char digest[33];

    size_t wishes = job->comes_back ? 3 : job->tenant || job->delay_ms > 0 ? 2 : 0; /* each argument costs */
    script_begin(&q->call, carry ? SCRIPT_carry : SCRIPT_commit, COMMIT_KEYS + job->chunk_count,
                 COMMIT_ARGS + wishes);
    queue_key_of(q, KEY_OF_JOB, name);
    queue_key_of(q, KEY_OF_SEEN, name);
    queue_key_of(q, KEY_OF_QUEUE, queue);
    queue_key(q, KEY_OF_DUE);
    queue_key(q, KEY_OF_EVENTS);
    queue_key(q, KEY_OF_NEVER);
    for (uint32_t i = 0; i < job->chunk_count; i++)
        key_arg(b, KEY_OF_CHUNK, q->partition, name, i);
    identity_digest(job, digest);
    resp_arg(b, name);
    resp_arg(b, queue);
    resp_arg_text(b, digest);
    resp_arg(b, job->envelope);
    resp_arg(b, job->state);
    resp_arg_number(b, (int64_t) job->size_bytes);
    resp_arg_number(b, (int64_t) job->mark_ms);
    queue_flag(q, job->keeps_content);
    queue_detail(q, job->detail);
    if (wishes > 0) {
        resp_arg_text(b, job->tenant ? job->tenant : "");
        resp_arg_number(b, (int64_t) job->delay_ms);
    }
    if (wishes > 2)
        queue_flag(q, true); /* it comes back */
}

void queue_commit(struct store *s, const struct queue_job *job, bool carry, uint64_t time_ms,
                  queue_on_commit *on_answer, void *context)
{
    struct commit_call *commit = queue_call_new(sizeof *commit, job->partition, time_ms, context,
                                                on_committed);
    struct queue_call *q = &commit->base;
    size_t size = COMMIT_OVERHEAD + job->envelope.len + job->state.len +
                  job->chunk_count * (size_t) CHUNK_KEY_SIZE;

    q->on.commit = on_answer;
    if (carry)
        q->call.on_repeat = on_carry_repeat;
    else
        q->call.is_repeat_harmful_oom = true;
    if (job->chunks) {
        commit->chunk_count = job->chunk_count;
        for (uint32_t i = 0; i < job->chunk_count; i++)
            size += chunk_put_size(job->chunks[i]);
    }
    (void) buf_reserve(&q->call.request.bytes, size); /* the whole call in one allocation */
    for (uint32_t i = 0; i < commit->chunk_count; i++)
        chunk_put(&q->call, q->partition, span_of(job->job), i, job->chunks[i]);
    commit_put(q, job, carry);
    store_send(s, &q->call);
}

static void on_deleted(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct queue_call *q = queue_call_of(c);
    enum delete_answer answer = DELETE_UNKNOWN;

    if (result == STORE_OK)
        answer = queue_answer(&values[0], delete_words, ARRAY_LEN(delete_words));
    q->on.remove(q->context, answer);
    queue_call_free(q);
}

static void delete_send(struct store *s, unsigned partition, const char *job, const char *queue,
                        struct span how, uint64_t time_ms, queue_on_delete *on_answer, void *context)
{
    struct queue_call *q = queue_call_new(sizeof *q, partition, time_ms, context, on_deleted);
    struct span name = span_of(job);

    q->on.remove = on_answer;
    script_begin(&q->call, SCRIPT_delete, 8, 3);
    queue_key_of(q, KEY_OF_JOB, name);
    queue_key_of(q, KEY_OF_SEEN, name);
    queue_key_of(q, KEY_OF_QUEUE, span_of(queue));
    queue_key(q, KEY_OF_CLAIMED);
    queue_key(q, KEY_OF_HELD);
    queue_key(q, KEY_OF_DUE);
    queue_key(q, KEY_OF_EVENTS);
    queue_key(q, KEY_OF_NEVER);
    resp_arg(&q->call.request.bytes, name);
    resp_arg(&q->call.request.bytes, how);
    queue_tag(q);
    store_send(s, &q->call);
}

void queue_delete(struct store *s, unsigned partition, const char *job, const char *queue, bool revoke,
                  uint64_t time_ms, queue_on_delete *on_answer, void *context)
{
    delete_send(s, partition, job, queue, revoke ? SPAN("1") : SPAN("0"), time_ms, on_answer, context);
}

void queue_delete_moved(struct store *s, unsigned partition, const char *job, const char *queue,
                        uint64_t time_ms, queue_on_delete *on_answer, void *context)
{
    delete_send(s, partition, job, queue, SPAN("moved"), time_ms, on_answer, context);
}
