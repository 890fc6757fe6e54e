/* Expands a many-queue message, BATCH children at a time. A crash repeats the last batch only, and repeats are answered "again". */
#include "courier/fanout.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/queue.h"
#include "cluster/spool.h"
#include "cluster/wire.h"
#include "courier/ring.h"
#include "courier/settle.h"
#include "courier/work.h"

enum {
    BATCH = 100,
    CARRY_MS = 10000,
    RETRY_MS = 5000,
    WAIT_FIRST_MS = 60000,
    WAIT_LONGEST_MS = 3600000,
};
#define MARK_MS (24ull * 3600 * 1000)
#define INEXACT_MAX_MS (20ull * 3600 * 1000) /* less than the mark: a repeat can still be told */

struct expansion {
    struct job *job;
    size_t first, count, open; /* the batch: queue indexes from first on */
    bool is_confirmed[BATCH];
    bool is_unknown; /* whether a child was revoked */
};

struct carry {
    struct expansion *expansion;
    size_t place;
};

static void next_batch(struct expansion *x);

static struct courier *courier_of(const struct expansion *x)
{
    return x->job->work->courier;
}

/* The job goes on to its settle; the expansion is over. */
static struct job *expansion_end(struct expansion *x)
{
    struct job *j = x->job;

    courier_of(x)->expanding--;
    mem_free(x);
    return j;
}

static uint64_t wait_ms(const struct job *j)
{
    uint64_t ms = j->state.rounds < 6 ? (uint64_t) WAIT_FIRST_MS << j->state.rounds : WAIT_LONGEST_MS;

    return ms < WAIT_LONGEST_MS ? ms : WAIT_LONGEST_MS;
}

/* All children are there. Copied content ends with the parent; kept content stays until its last reader is gone. */
static void all_carried(struct expansion *x)
{
    struct job *j = expansion_end(x);
    char detail[64], message[ID_TEXT_LEN + 1];

    snprintf(detail, sizeof(detail), "into %zu queues", j->envelope.queue_count);
    id_format(&j->envelope.id, message);
    log_event(LOG_EXPANDED, F("msg", message), F("job", j->name), FN("queues", j->envelope.queue_count),
              FN("recipients", j->envelope.recipient_count));
    if (!j->envelope.keeps_content) {
        settle_end(j, "expanded", detail);
        return;
    }
    j->state.is_waiting = true;
    settle_wait(j, wait_ms(j), true, detail);
}

static void after_note(struct job *j)
{
    fanout_begin(j);
}

static void batch_over(struct expansion *x)
{
    struct job *j = x->job;
    size_t confirmed = 0;

    if (j->is_dropped) {
        work_job_over(j->work, expansion_end(x));
        return;
    }
    while (confirmed < x->count && x->is_confirmed[confirmed])
        confirmed++;
    j->state.cursor = (uint32_t) (x->first + confirmed);
    if (confirmed <
        x->count) { /* some may exist and some may not: the same ones are carried again, and told by their marks */
        settle_wait(expansion_end(x), RETRY_MS, false, "a partition did not answer");
    } else if (j->state.cursor == j->envelope.queue_count) {
        all_carried(x);
    } else {
        settle_note(expansion_end(x), after_note);
    }
}

static void on_carried(void *context, enum commit_answer answer)
{
    struct carry *carry = context;
    struct expansion *x = carry->expansion;

    /* Revoked: the operator deleted the parent before this child was made, and it never will be. */
    if (answer == COMMIT_NEW) {
        struct span queue = span_of(x->job->envelope.queues[x->first + carry->place]);

        ring_queue(courier_of(x), partition_of(queue), queue);
    }
    x->is_confirmed[carry->place] = answer == COMMIT_NEW || answer == COMMIT_AGAIN ||
                                    answer == COMMIT_REVOKED;
    mem_free(carry);
    if (--x->open == 0)
        batch_over(x);
}

static void carry_child(struct expansion *x, size_t place)
{
    const struct job *j = x->job;
    size_t queue = x->first + place;
    const char *name = j->envelope.queues[queue];
    struct carry *carry = NEW(struct carry);
    struct span chunk = buf_span(&j->chunk);
    AUTO_BUF struct buf envelope = {0}, state = {0};
    AUTO_FREE char *detail = mem_format("from %s", j->name);
    char job[JOB_TEXT_MAX + 1];
    unsigned partition = partition_of(span_of(name));
    bool is_copied = !j->envelope.keeps_content;
    struct envelope e;
    struct job_state s;

    *carry = (struct carry){x, place};
    job_format(&j->envelope.id, (uint32_t) queue + 1, job);
    envelope_child(&j->envelope, queue, &e);
    if (is_copied) {
        mem_free(e.content_job);
        e.content_job = mem_string(job);
        e.content_partition = partition;
    }
    job_state_init(&s, &e);
    wire_put_envelope(&e, &envelope);
    wire_put_state(&s, &state);
    queue_commit(courier_of(x)->store,
                 &(struct queue_job){
                     .partition = partition,
                     .job = job,
                     .queue = name,
                     .envelope = buf_span(&envelope),
                     .state = buf_span(&state),
                     .mark_ms = MARK_MS,
                     .chunk_count = is_copied ? 1 : 0,
                     .size_bytes = is_copied ? chunk.len : 0,
                     .chunks = is_copied ? &chunk : NULL,
                     .detail = detail,
                 },
                 true, CARRY_MS, on_carried, carry);
    job_state_done(&s);
    envelope_done(&e);
}

static void next_batch(struct expansion *x)
{
    struct job *j = x->job;

    x->first = j->state.cursor;
    x->count = j->envelope.queue_count - x->first;
    if (x->count > BATCH)
        x->count = BATCH;
    if (x->count == 0) {
        all_carried(x);
        return;
    }
    /* As before a dot: the claim may not be ours any more. Another courier goes on where a draining one ends. */
    if (courier_of(x)->is_draining || !node_may_send_dot(courier_of(x)->node, j->incarnation)) {
        settle_release(expansion_end(x));
        return;
    }
    x->open = x->count;
    for (size_t i = 0; i < x->count; i++)
        carry_child(x, i);
}

/* ---- waiting for readers of the content ---- */

static void on_exist(void *context, bool ok, const bool *exist, size_t count)
{
    struct expansion *x = context;
    struct job *j = expansion_end(x);
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        left += exist[i];
    if (j->is_dropped) {
        work_job_over(j->work, j);
    } else if (!ok) { /* nobody can say: what may still be read stays */
        settle_wait(j, RETRY_MS, true, "a partition did not answer");
    } else if (left == 0) {
        settle_end(j, "expanded", "its content has no reader left");
    } else {
        j->state.rounds++;
        settle_wait(j, wait_ms(j), true, "its content has readers");
    }
}

static void ask_for_children(struct expansion *x, queue_on_exist *on_answer)
{
    const struct job *j = x->job;
    size_t count = j->envelope.queue_count;
    struct queue_place *places = mem_array(count, sizeof(*places));
    char(*names)[JOB_TEXT_MAX + 1] = mem_array(count, sizeof(*names));

    for (size_t i = 0; i < count; i++) {
        job_format(&j->envelope.id, (uint32_t) i + 1, names[i]);
        places[i] = (struct queue_place){partition_of(span_of(j->envelope.queues[i])), names[i]};
    }
    queue_exist(courier_of(x)->store, places, count, on_answer, x);
    mem_free(names);
    mem_free(places);
}

/* ---- deleted by the operator while children may read its content ---- */

static void all_revoked(struct expansion *x)
{
    bool is_unknown = x->is_unknown;
    struct job *j = expansion_end(x);

    if (j->is_dropped) {
        work_job_over(j->work, j);
    } else if (is_unknown) {
        settle_wait(j, RETRY_MS, false, "a partition did not answer");
    } else {
        j->state.cursor = (uint32_t) j->envelope.queue_count;
        j->state.is_waiting = true;
        settle_wait(j, 0, true, "deleted by the operator: no more are made");
    }
}

static void on_revoked(void *context, enum delete_answer answer)
{
    struct expansion *x = context;

    x->is_unknown |= answer == DELETE_UNKNOWN;
    if (--x->open == 0)
        all_revoked(x);
}

/* Those that are not there may still be on their way from a courier that died: they are never to come. */
static void on_asked(void *context, bool ok, const bool *exist, size_t count)
{
    struct expansion *x = context;
    const struct job *j = x->job;

    x->is_unknown = !ok;
    x->open = 1;
    for (size_t i = 0; i < count && !j->is_dropped; i++) {
        const char *queue = j->envelope.queues[i];
        char job[JOB_TEXT_MAX + 1];

        if (exist[i])
            continue;
        x->open++;
        job_format(&j->envelope.id, (uint32_t) i + 1, job);
        queue_delete(courier_of(x)->store, partition_of(span_of(queue)), job, queue, true, CARRY_MS,
                     on_revoked, x);
    }
    if (--x->open == 0)
        all_revoked(x);
}

/* ---- beginning ---- */

static void on_content(void *context, enum spool_result result, struct span bytes)
{
    struct expansion *x = context;
    struct job *j = x->job;

    if (result == SPOOL_UNKNOWN || j->is_dropped) {
        work_job_over(j->work, expansion_end(x));
    } else if (result == SPOOL_MISSING || bytes.len != j->envelope.size_bytes) {
        settle_hold(expansion_end(x), "content is missing");
    } else {
        buf_add_span(&j->chunk, bytes);
        courier_of(x)->content_bytes += bytes.len;
        next_batch(x);
    }
}

void fanout_begin(struct job *j)
{
    struct expansion *x;
    uint64_t now = clock_wall_ms();

    if (j->fate == FATE_HOLD || !j->envelope.is_parent) {
        settle_hold(j, j->fate == FATE_HOLD ? "held by the operator" : "it is no many-queue message");
        return;
    }
    if (j->fate == FATE_DELETE && !j->envelope.keeps_content) {
        settle_end(j, "deleted", "by the operator");
        return;
    }
    if (!j->state.is_waiting && j->fate != FATE_DELETE && j->exact_ms && now > j->exact_ms &&
        now - j->exact_ms > INEXACT_MAX_MS) {
        settle_hold(j, "too old to tell which of its jobs exist");
        return;
    }
    x = NEW(struct expansion);
    x->job = j;
    courier_of(x)->expanding++;
    if (j->state.is_waiting)
        ask_for_children(x, on_exist);
    else if (j->fate == FATE_DELETE)
        ask_for_children(x, on_asked);
    else if (j->envelope.keeps_content || j->chunk.len > 0)
        next_batch(x);
    else
        spool_read(courier_of(x)->store, j->envelope.content_partition, j->envelope.content_job, 0,
                   on_content, x);
}
