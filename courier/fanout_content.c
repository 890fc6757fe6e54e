/* Content that a parent keeps: it stays while a child may read it; deleted by the operator, no more children come. */
#include "base/fault.h"
#include "courier/fanout_private.h"
#include "courier/settle.h"
#include "courier/work.h"
#include "mail/children.h"

enum { WAIT_DOUBLINGS = 11, WAIT_LONGEST_MS = 3600000 };

static uint64_t wait_ms(const struct job *j)
{
    return j->state.rounds < WAIT_DOUBLINGS ? (uint64_t) FANOUT_WAIT_MS << j->state.rounds : WAIT_LONGEST_MS;
}

/* The state as it is; again when partitions may answer. */
static void wait_for_partitions(struct expansion *x)
{
    uint64_t delay_ms = expansion_retry_ms(x);

    settle_wait(expansion_end(x), delay_ms, "a partition did not answer");
}

/* ---- waiting for readers of the content ---- */

static void on_exist(void *context, bool ok, const bool *exist, size_t count)
{
    struct expansion *x = context;
    struct job *j = x->job;
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        left += exist[i];
    FAULT_POINT(readers_counted);
    if (j->is_dropped) {
        work_job_over(j->work, expansion_end(x));
    } else if (!ok) { /* nobody can say: what may still be read stays */
        wait_for_partitions(x);
    } else if (left == 0) {
        settle_end(expansion_end(x), "expanded", "its content has no reader left");
    } else {
        j->state.rounds++;
        settle_wait(expansion_end(x), wait_ms(j), "its content has readers");
    }
}

static void ask_for_children(struct expansion *x, queue_on_exist *on_answer)
{
    const struct job *j = x->job;
    size_t count = j->envelope.queue_count;

    for (size_t i = 0; i < count; i++) {
        if (!fanout_is_there(x, i)) { /* so much is known without asking */
            wait_for_partitions(x);
            return;
        }
    }
    struct queue_place *places = mem_array(count, sizeof(*places));
    char(*names)[JOB_TEXT_MAX + 1] = mem_array(count, sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        job_format(&j->envelope.id, (uint32_t) i + 1, names[i]);
        places[i] = (struct queue_place){partition_of(span_of(j->envelope.queues[i])), names[i], false};
    }
    queue_exist(expansion_courier(x)->store, places, count, on_answer, x);
    mem_free(names);
    mem_free(places);
}

/* ---- deleted by the operator while children may read its content ---- */

static void all_revoked(struct expansion *x)
{
    struct job *j = x->job;

    if (j->is_dropped) {
        work_job_over(j->work, expansion_end(x));
    } else if (x->is_unknown) {
        wait_for_partitions(x);
    } else {
        children_mark_all(&j->state, j->envelope.queue_count);
        j->state.is_waiting = true;
        settle_wait(expansion_end(x), 0, "deleted by the operator: no more are made");
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
        queue_delete(expansion_courier(x)->store, partition_of(span_of(queue)), job, queue, true,
                     FANOUT_ASK_MS, on_revoked, x);
    }
    if (--x->open == 0)
        all_revoked(x);
}

void fanout_await_readers(struct expansion *x)
{
    ask_for_children(x, on_exist);
}

void fanout_revoke(struct expansion *x)
{
    ask_for_children(x, on_asked);
}
