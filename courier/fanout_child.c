/* What is asked of the partitions of children. An answer that does not come leaves the child unknown, and its part of the store alone for a while. */
#include "base/clock.h"
#include "base/fault.h"
#include "cluster/wire.h"
#include "courier/fanout_private.h"
#include "courier/ring.h"
#include "courier/work.h"
#include "mail/children.h"

enum { LEFT_ALONE_MS = 5000 };
#define MARK_MS (24ull * 3600 * 1000)

static uint64_t silent_until[PARTITION_COUNT]; /* clock_ms() */

struct child { /* one of the batch, asked for */
    struct expansion *expansion;
    size_t queue;
    bool is_doubted; /* an earlier request had no answer: it may be there, whatever becomes of this */
};

static unsigned partition_at(const struct expansion *x, size_t queue)
{
    return partition_of(span_of(x->job->envelope.queues[queue]));
}

bool fanout_is_there(const struct expansion *x, size_t queue)
{
    unsigned partition = partition_at(x, queue);

    return store_partition_is_ready(expansion_courier(x)->store, partition) &&
           clock_ms() >= silent_until[partition];
}

/* All partitions of its shard: one that answers nobody is waited for once, not by each expansion. */
static void leave_alone(const struct child *child)
{
    const struct store *s = expansion_courier(child->expansion)->store;
    unsigned partition = partition_at(child->expansion, child->queue);

    for (unsigned p = 0; p < PARTITION_COUNT; p++)
        if (store_partitions_share(s, p, partition))
            silent_until[p] = clock_ms() + LEFT_ALONE_MS;
}

bool fanout_is_given_up(const struct expansion *x, size_t queue)
{
    return children_are_told(&x->job->state, &x->job->envelope, queue);
}

static struct child *child_new(struct expansion *x, size_t queue, char *ret_name)
{
    struct child *child = NEW(struct child);

    *child = (struct child){.expansion = x, .queue = queue};
    job_format(&x->job->envelope.id, (uint32_t) queue + 1, ret_name);
    return child;
}

static void child_over(struct child *child, enum child_state what)
{
    struct expansion *x = child->expansion;

    children_mark(&x->job->state, child->queue, what);
    mem_free(child);
    if (--x->open == 0)
        x->on_batch(x);
}

static void ring_child(const struct child *child)
{
    const struct expansion *x = child->expansion;

    ring_queue(expansion_courier(x), partition_at(x, child->queue),
               span_of(x->job->envelope.queues[child->queue]));
}

/* ---- returned by the operator: each child is, as soon as it is there ---- */

static void on_bounced(void *context, enum act_answer answer)
{
    struct child *child = context;

    if (answer == ACT_OK) {
        ring_child(child);
    } else if (answer == ACT_UNKNOWN) { /* later, gone: a delivery that was faster wins */
        child->expansion->is_unknown = true;
        leave_alone(child);
    }
    child_over(child, CHILD_MADE);
}

static void bounce_child(struct expansion *x, size_t queue)
{
    char name[JOB_TEXT_MAX + 1];
    struct child *child = child_new(x, queue, name);
    struct queue_act act = {.act = ACT_BOUNCE,
                            .partition = partition_at(x, queue),
                            .job = name,
                            .queue = x->job->envelope.queues[queue]};

    queue_act(expansion_courier(x)->store, &act, FANOUT_ASK_MS, on_bounced, child);
}

void fanout_bounce(struct expansion *x)
{
    x->open = x->count;
    for (size_t i = 0, count = x->count; i < count; i++)
        bounce_child(x, x->queues[i]);
}

/* ---- carried ---- */

static void on_carried(void *context, enum commit_answer answer)
{
    struct child *child = context;
    struct expansion *x = child->expansion;
    enum child_state what = child->is_doubted ? CHILD_UNKNOWN : CHILD_LEFT; /* refused, for sure */

    switch (answer) {
    case COMMIT_NEW:
    case COMMIT_AGAIN:
        if (x->job->fate == FATE_BOUNCE) {
            bounce_child(x, child->queue);
            mem_free(child);
            return;
        }
        if (answer == COMMIT_NEW)
            ring_child(child);
        what = CHILD_MADE;
        break;
    case COMMIT_REVOKED: /* the operator deleted the parent before this child was made, and it never will be */
        what = CHILD_MADE;
        break;
    case COMMIT_UNKNOWN: leave_alone(child); /* fall through */
    case COMMIT_CLASH: what = CHILD_UNKNOWN; break;
    case COMMIT_INCOMPLETE:
    case COMMIT_FULL:
    case COMMIT_UNDONE: break;
    }
    FAULT_POINT(carried);
    child_over(child, what);
}

/* The parent came due at its release; one that an operator brought forward makes children that wait (RFC 4865). */
static uint64_t delay_of(const struct expansion *x)
{
    uint64_t now = store_redis_ms(expansion_courier(x)->store), release = x->job->envelope.release_ms;

    return release > now ? release - now : 0;
}

static void carry_child(struct expansion *x, size_t queue, bool is_doubted)
{
    const struct job *j = x->job;
    struct span chunk = buf_span(&j->chunk);
    AUTO_BUF struct buf envelope = {0}, state = {0};
    AUTO_FREE char *detail = mem_format("from %s", j->name);
    char job[JOB_TEXT_MAX + 1];
    unsigned partition = partition_at(x, queue);
    bool is_copied = !j->envelope.keeps_content;
    struct child *child = child_new(x, queue, job);
    struct envelope e;
    struct job_state s;

    child->is_doubted = is_doubted;
    envelope_child(&j->envelope, queue, &e);
    if (is_copied) {
        mem_free(e.content_job);
        e.content_job = mem_string(job);
        e.content_partition = partition;
    }
    job_state_init(&s, &e);
    s.past_rule = j->state.past_rule; /* what was released as a whole is not held again job by job */
    wire_put_envelope(&e, &envelope);
    wire_put_state(&s, &state);
    queue_commit(expansion_courier(x)->store,
                 &(struct queue_job){
                     .partition = partition,
                     .job = job,
                     .queue = j->envelope.queues[queue],
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
                 true, FANOUT_ASK_MS, on_carried, child);
    job_state_done(&s);
    envelope_done(&e);
}

void fanout_carry(struct expansion *x)
{
    x->is_unrecorded = true;
    x->open = x->count;
    for (size_t i = 0, count = x->count; i < count; i++) {
        bool is_doubted = children_find(&x->job->state, x->queues[i]) == CHILD_UNKNOWN;

        children_mark(&x->job->state, x->queues[i], CHILD_UNKNOWN);
        carry_child(x, x->queues[i], is_doubted);
    }
    FAULT_SENT(carry_sent);
}
