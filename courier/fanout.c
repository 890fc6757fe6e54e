/* Expands a many-queue message, BATCH children at a time. A crash repeats the last batch only, and repeats are answered "again". */
#include "courier/fanout.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "cluster/queue.h"
#include "cluster/wire.h"
#include "courier/content.h"
#include "courier/ring.h"
#include "courier/settle.h"
#include "courier/work.h"

enum {
    BATCH = 100,
    CARRY_MS = 10000,
    RETRY_MS = 5000,
    WAIT_FIRST_MS = 2000,
    WAIT_DOUBLINGS = 11,
    WAIT_LONGEST_MS = 3600000,
};
#define MARK_MS (24ull * 3600 * 1000)
#define INEXACT_MAX_MS (20ull * 3600 * 1000) /* less than the mark: a repeat can still be told */

struct expansion {
    struct job *job;
    size_t first, count, open; /* the batch: queue indexes from first on */
    bool is_confirmed[BATCH];
    void (*on_batch)(struct expansion *x); /* all of it is answered */
    bool is_unknown;                       /* whether a child was revoked */
};

struct child { /* one of the batch, asked for */
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
    return j->state.rounds < WAIT_DOUBLINGS ? (uint64_t) WAIT_FIRST_MS << j->state.rounds : WAIT_LONGEST_MS;
}

/* All children are there. Copied content ends with the parent; kept content stays until its last reader is gone. */
static void all_carried(struct expansion *x)
{
    FAULT_POINT(all_carried);
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

static struct expansion *expansion_new(struct job *j)
{
    struct expansion *x = NEW(struct expansion);

    x->job = j;
    courier_of(x)->expanding++;
    return x;
}

static void expansion_go_on(struct expansion *x);

static void after_note(struct job *j)
{
    expansion_go_on(expansion_new(j));
}

static struct child *child_new(struct expansion *x, size_t place, char *ret_name)
{
    struct child *child = NEW(struct child);

    *child = (struct child){x, place};
    job_format(&x->job->envelope.id, (uint32_t) (x->first + place) + 1, ret_name);
    return child;
}

static void child_over(struct child *child, bool is_confirmed)
{
    struct expansion *x = child->expansion;

    x->is_confirmed[child->place] = is_confirmed;
    mem_free(child);
    if (--x->open == 0)
        x->on_batch(x);
}

static size_t confirmed_count(const struct expansion *x)
{
    size_t count = 0;

    while (count < x->count && x->is_confirmed[count])
        count++;
    return count;
}

/*
 * Begins the children from `first` to before `end`, a batch at most. False: the expansion is over. As before a dot, the claim may not be ours
 * any more; and another courier goes on where a draining one ends.
 */
static bool batch_begin(struct expansion *x, size_t first, size_t end, void (*on_batch)(struct expansion *x))
{
    if (courier_of(x)->is_draining || !node_may_send_dot(courier_of(x)->node, x->job->incarnation)) {
        settle_release(expansion_end(x));
        return false;
    }
    x->first = first;
    x->count = end - first < BATCH ? end - first : BATCH;
    x->open = x->count;
    x->on_batch = on_batch;
    return true;
}

static void ring_child(const struct child *child)
{
    const struct expansion *x = child->expansion;
    struct span queue = span_of(x->job->envelope.queues[x->first + child->place]);

    ring_queue(courier_of(x), partition_of(queue), queue);
}

/* ---- returned by the operator: each child is, as soon as it is there ---- */

static void on_bounced(void *context, enum rule_answer answer)
{
    if (answer == RULE_OK)
        ring_child(context);
    child_over(context, answer != RULE_UNKNOWN); /* later, gone: a delivery that was faster wins */
}

static void bounce_child(struct expansion *x, size_t place)
{
    const char *queue = x->job->envelope.queues[x->first + place];
    char name[JOB_TEXT_MAX + 1];
    struct child *child = child_new(x, place, name);

    queue_rule(courier_of(x)->store, RULE_BOUNCE, partition_of(span_of(queue)), name, queue, NULL, CARRY_MS,
               on_bounced, child);
}

static void bounce_carried(struct expansion *x, size_t from);

static void carried_bounced(struct expansion *x)
{
    struct job *j = x->job;

    if (j->is_dropped)
        work_job_over(j->work, expansion_end(x));
    else if (confirmed_count(x) < x->count)
        settle_wait(expansion_end(x), RETRY_MS, j->state.is_waiting, "a partition did not answer");
    else
        bounce_carried(x, x->first + x->count);
}

/* Those that were carried before the order came, or by another courier; then it goes on as always. */
static void bounce_carried(struct expansion *x, size_t from)
{
    if (from == x->job->state.cursor) {
        expansion_go_on(x);
        return;
    }
    if (!batch_begin(x, from, x->job->state.cursor, carried_bounced))
        return;
    for (size_t i = 0, count = x->count; i < count; i++)
        bounce_child(x, i);
}

/* ---- carried ---- */

static void batch_over(struct expansion *x)
{
    struct job *j = x->job;
    size_t confirmed = confirmed_count(x);

    if (j->is_dropped) {
        work_job_over(j->work, expansion_end(x));
        return;
    }
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
    struct child *child = context;
    struct expansion *x = child->expansion;
    bool is_there = answer == COMMIT_NEW || answer == COMMIT_AGAIN;

    if (is_there && x->job->fate == FATE_BOUNCE) {
        bounce_child(x, child->place);
        mem_free(child);
        return;
    }
    if (answer == COMMIT_NEW)
        ring_child(child);
    FAULT_POINT(carried);
    /* Revoked: the operator deleted the parent before this child was made, and it never will be. */
    child_over(child, is_there || answer == COMMIT_REVOKED);
}

/* The parent came due at its release; one that an operator brought forward makes children that wait (RFC 4865). */
static uint64_t delay_of(const struct expansion *x)
{
    uint64_t now = store_redis_ms(courier_of(x)->store), release = x->job->envelope.release_ms;

    return release > now ? release - now : 0;
}

static void carry_child(struct expansion *x, size_t place)
{
    const struct job *j = x->job;
    size_t queue = x->first + place;
    const char *name = j->envelope.queues[queue];
    struct span chunk = buf_span(&j->chunk);
    AUTO_BUF struct buf envelope = {0}, state = {0};
    AUTO_FREE char *detail = mem_format("from %s", j->name);
    char job[JOB_TEXT_MAX + 1];
    unsigned partition = partition_of(span_of(name));
    bool is_copied = !j->envelope.keeps_content;
    struct child *child = child_new(x, place, job);
    struct envelope e;
    struct job_state s;

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
                     .tenant = e.tenant,
                     .delay_ms = delay_of(x),
                 },
                 true, CARRY_MS, on_carried, child);
    job_state_done(&s);
    envelope_done(&e);
}

static void next_batch(struct expansion *x)
{
    const struct job *j = x->job;

    if (j->state.cursor == j->envelope.queue_count) {
        all_carried(x);
        return;
    }
    if (!batch_begin(x, j->state.cursor, j->envelope.queue_count, batch_over))
        return;
    for (size_t i = 0, count = x->count; i < count; i++)
        carry_child(x, i);
    FAULT_SENT(carry_sent);
}

/* ---- waiting for readers of the content ---- */

static void on_exist(void *context, bool ok, const bool *exist, size_t count)
{
    struct expansion *x = context;
    struct job *j = expansion_end(x);
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        left += exist[i];
    FAULT_POINT(readers_counted);
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
    } else if (result == SPOOL_MISSING || bytes.len != envelope_stored_bytes(&j->envelope)) {
        settle_hold(expansion_end(x), "content is missing");
    } else {
        buf_add_span(&j->chunk, bytes);
        content_book(j, bytes.len);
        next_batch(x);
    }
}

static void expansion_go_on(struct expansion *x)
{
    struct job *j = x->job;

    if (j->state.is_waiting)
        ask_for_children(x, on_exist);
    else if (j->fate == FATE_DELETE)
        ask_for_children(x, on_asked);
    else if (j->envelope.keeps_content || j->chunk.len > 0)
        next_batch(x);
    else
        spool_read_stored(courier_of(x)->store, &j->envelope, 0, on_content, x);
}

void fanout_begin(struct job *j)
{
    uint64_t now = store_redis_ms(j->work->courier->store);

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
    if (j->fate == FATE_BOUNCE)
        bounce_carried(expansion_new(j), 0);
    else
        expansion_go_on(expansion_new(j));
}
