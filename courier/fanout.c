/*
 * Expands a many-queue message, a window of children at a time. What cannot be made now, because its part of the store is away, is left for
 * later, and stops nothing else; the parent's state knows of each child (mail/children.h). A crash repeats little, and repeats are answered "again".
 */
#include "courier/fanout.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "courier/content.h"
#include "courier/fanout_private.h"
#include "courier/obey.h"
#include "courier/settle.h"
#include "courier/work.h"
#include "mail/children.h"

enum {
    RETRY_MS = 5000,
    RETRY_DOUBLINGS = 5,
    RETRY_LONGEST_MS = 120000,
};
#define INEXACT_MAX_MS (20ull * 3600 * 1000) /* less than the mark of a child: a repeat can still be told */

struct courier *expansion_courier(const struct expansion *x)
{
    return x->job->work->courier;
}

/* The job goes on to its settle; the expansion is over. */
struct job *expansion_end(struct expansion *x)
{
    struct job *j = x->job;

    expansion_courier(x)->expanding--;
    mem_free(x->traced);
    mem_free(x);
    return j;
}

static struct expansion *expansion_new(struct job *j)
{
    struct expansion *x = NEW(struct expansion);

    x->job = j;
    expansion_courier(x)->expanding++;
    return x;
}

/* A part of the store is away: soon, but of ten thousand parents that wait for it not all at every moment. */
uint64_t expansion_retry_ms(struct expansion *x)
{
    uint32_t rounds = x->job->state.rounds++;

    return rounds < RETRY_DOUBLINGS ? (uint64_t) RETRY_MS << rounds : RETRY_LONGEST_MS;
}

/* ---- the end of a pass over all children ---- */

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
    j->state.rounds = 0;
    settle_wait(j, FANOUT_WAIT_MS, detail);
}

static void leave(struct expansion *x)
{
    uint64_t delay_ms = expansion_retry_ms(x);
    struct job *j = expansion_end(x);
    size_t count = j->state.left_count + j->state.unknown_count;
    char detail[96], message[ID_TEXT_LEN + 1];

    id_format(&j->envelope.id, message);
    log_event(LOG_EXPANSION_WAITS, F("msg", message), F("job", j->name),
              FN("queues", j->envelope.queue_count), FN("left", j->state.left_count),
              FN("unknown", j->state.unknown_count));
    snprintf(detail, sizeof(detail), "but for %zu of %zu queues, whose part of Redis is away", count,
             j->envelope.queue_count);
    settle_left(j, delay_ms, detail);
}

static void on_quote(void *context, enum spool_result result UNUSED, struct span bytes)
{
    struct expansion *x = context;

    if (x->job->is_dropped) {
        work_job_over(x->job->work, expansion_end(x));
        return;
    }
    buf_add_span(&x->job->chunk, bytes); /* a report without it says all the rest */
    content_book(x->job, bytes.len);
    leave(x);
}

/* The others are made. What their senders must hear meanwhile quotes the content as it would be sent. */
static void wait_for_shards(struct expansion *x)
{
    struct job *j = x->job;

    buf_clear(&j->chunk);
    if (settle_left_tells(j))
        spool_read(expansion_courier(x)->store, &j->envelope, 0, UINT64_MAX, on_quote, x);
    else
        leave(x);
}

/* ---- children nobody knows of for so long that their marks may be gone ---- */

static bool is_too_old(const struct job *j)
{
    uint64_t now = store_redis_ms(j->work->courier->store);

    return j->state.unknown_count > 0 && j->exact_ms && now > j->exact_ms &&
           now - j->exact_ms > INEXACT_MAX_MS;
}

static void on_traces(void *context, bool ok, const bool *exist, size_t count)
{
    struct expansion *x = context;
    struct job *j = x->job;
    size_t lost = 0;

    if (j->is_dropped) {
        work_job_over(j->work, expansion_end(x));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (exist[i])
            children_mark(&j->state, x->traced[i], CHILD_MADE);
        lost += !exist[i];
    }
    if (ok && lost < count) {
        settle_wait(expansion_end(x), 0, "more of its jobs are known to be there");
    } else if (ok && j->state.left_count == 0 && j->state.unknown_count == lost) {
        children_give_up(&j->state); /* released, it makes them */
        settle_hold(expansion_end(x), "too old to tell which of its jobs exist");
    } else {
        wait_for_shards(x);
    }
}

/* A job that is there, or has left its mark, was made. Where there is neither it may have been, and the mark is gone. False: nobody can be asked. */
static bool ask_for_traces(struct expansion *x)
{
    const struct job *j = x->job;
    size_t count = 0;
    struct queue_place *places = mem_array(j->state.unknown_count, sizeof(*places));
    char(*names)[JOB_TEXT_MAX + 1] = mem_array(j->state.unknown_count, sizeof(*names));

    x->traced = mem_array(j->state.unknown_count, sizeof(*x->traced));
    for (size_t i = 0; i < j->state.unknown_count; i++) {
        size_t queue = j->state.unknown[i] - 1;

        if (!fanout_is_there(x, queue))
            continue;
        job_format(&j->envelope.id, (uint32_t) queue + 1, names[count]);
        places[count] = (struct queue_place){partition_of(span_of(j->envelope.queues[queue])), names[count],
                                             .or_its_mark = true};
        x->traced[count++] = queue;
    }
    if (count > 0)
        queue_exist(expansion_courier(x)->store, places, count, on_traces, x);
    mem_free(names);
    mem_free(places);
    return count > 0;
}

/* ---- passes over children ---- */

/* As before a dot, the claim may not be ours any more; and another courier goes on where a draining one ends. True: the expansion is over. */
static bool expansion_stops(struct expansion *x)
{
    struct courier *c = expansion_courier(x);
    bool has_news = x->is_unrecorded;

    if (!x->job->is_dropped && !c->is_draining && node_may_send_dot(c->node, x->job->incarnation))
        return false;
    struct job *j = expansion_end(x);
    if (has_news && !j->is_dropped)
        settle_wait(j, 0, "another courier goes on");
    else
        settle_release(j);
    return true;
}

/* The next batch of a pass from x->next to x->end. False: nothing is left of it. */
static bool pass_next(struct expansion *x, bool (*is_wanted)(const struct expansion *x, size_t queue))
{
    for (x->count = 0; x->next < x->end && x->count < FANOUT_BATCH; x->next++)
        if (is_wanted(x, x->next))
            x->queues[x->count++] = x->next;
    return x->count > 0;
}

static void pass_begin(struct expansion *x, void (*pass)(struct expansion *x))
{
    x->next = 0;
    x->end = x->job->state.reached;
    x->on_batch = pass;
    pass(x);
}

static bool is_to_be_bounced(const struct expansion *x, size_t queue)
{
    return children_find(&x->job->state, queue) == CHILD_MADE && !fanout_is_given_up(x, queue);
}

static void all_asked(struct expansion *x)
{
    struct job *j = x->job;

    if (x->is_unknown && j->state.cursor == j->envelope.queue_count) {
        uint64_t delay_ms = expansion_retry_ms(x);
        settle_wait(expansion_end(x), delay_ms, "a partition did not answer");
    } else if (j->state.is_waiting) {
        fanout_await_readers(x);
    } else if (j->state.cursor == j->envelope.queue_count) {
        all_carried(x);
    } else if (!is_too_old(j) || !ask_for_traces(x)) {
        wait_for_shards(x);
    }
}

/* All that are made, again and again until each partition has answered: a bounce of what was bounced, or delivered, changes nothing. */
static void bounce_made(struct expansion *x)
{
    struct job *j = x->job;

    if (j->is_dropped) {
        work_job_over(j->work, expansion_end(x));
        return;
    }
    while (pass_next(x, is_to_be_bounced)) {
        size_t there = 0;

        if (expansion_stops(x))
            return;
        for (size_t i = 0; i < x->count; i++)
            if (fanout_is_there(x, x->queues[i]))
                x->queues[there++] = x->queues[i];
        x->is_unknown |= there < x->count;
        x->count = there;
        if (there > 0) {
            fanout_bounce(x);
            return;
        }
    }
    all_asked(x);
}

static void finish(struct expansion *x)
{
    if (x->job->fate == FATE_BOUNCE)
        pass_begin(x, bounce_made);
    else
        all_asked(x);
}

static void walk(struct expansion *x);

static void after_note(struct job *j)
{
    walk(expansion_new(j));
}

static void window_over(struct expansion *x)
{
    struct job *j = x->job;

    if (j->is_dropped)
        work_job_over(j->work, expansion_end(x));
    else if (j->state.reached == j->envelope.queue_count)
        finish(x);
    else
        settle_note(expansion_end(x), after_note);
}

/* The next window of children nobody has asked for: what is there is asked, the rest is left. */
static void walk(struct expansion *x)
{
    struct job *j = x->job;
    size_t end = j->envelope.queue_count - j->state.reached > FANOUT_BATCH ? j->state.reached + FANOUT_BATCH
                                                                           : j->envelope.queue_count;

    if (j->state.reached == j->envelope.queue_count) {
        finish(x);
        return;
    }
    if (expansion_stops(x))
        return;
    x->count = 0;
    for (size_t queue = j->state.reached; queue < end; queue++) {
        children_mark(&j->state, queue, CHILD_LEFT); /* until it is asked for */
        if (fanout_is_there(x, queue))
            x->queues[x->count++] = queue;
    }
    x->on_batch = window_over;
    if (x->count > 0)
        fanout_carry(x);
    else
        window_over(x);
}

static bool is_missing(const struct expansion *x, size_t queue)
{
    const struct job *j = x->job;

    switch (children_find(&j->state, queue)) {
    case CHILD_MADE: return false;
    case CHILD_LEFT: return fanout_is_there(x, queue) && !fanout_is_given_up(x, queue);
    case CHILD_UNKNOWN: return fanout_is_there(x, queue) && !is_too_old(j);
    }
    return false;
}

/* On to those behind. Recorded first: a crash leaves doubt about no more than one window behind what is stored (children_doubt()). */
static void all_revisited(struct expansion *x)
{
    struct job *j = x->job;

    if (j->state.reached < j->envelope.queue_count && (x->is_unrecorded || j->crashes > 0))
        settle_note(expansion_end(x), after_note);
    else
        walk(x);
}

/* Those that were left before, where they can be made now. */
static void revisit(struct expansion *x)
{
    struct job *j = x->job;

    if (j->is_dropped)
        work_job_over(j->work, expansion_end(x));
    else if (!pass_next(x, is_missing))
        all_revisited(x);
    else if (!expansion_stops(x))
        fanout_carry(x);
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
        pass_begin(x, revisit);
    }
}

static void expansion_begin(struct expansion *x)
{
    struct job *j = x->job;

    if (j->state.is_waiting)
        finish(x);
    else if (j->fate == FATE_DELETE)
        fanout_revoke(x);
    else if (j->envelope.keeps_content)
        pass_begin(x, revisit);
    else
        spool_read_stored(expansion_courier(x)->store, &j->envelope, 0, on_content, x);
}

void fanout_begin(struct job *j)
{
    if (j->crashes > 0 && !j->state.is_waiting)
        children_doubt(&j->state, &j->envelope, FANOUT_BATCH);
    if (j->fate == FATE_HOLD || !j->envelope.is_parent) {
        settle_hold(j, j->fate == FATE_HOLD ? "held by the operator" : "it is no many-queue message");
        return;
    }
    if (j->fate == FATE_NONE && j->work->courier->rules && obey_take_parent(j))
        return;
    if (j->fate == FATE_DELETE && !j->envelope.keeps_content) {
        settle_end(j, "deleted", "by the operator");
        return;
    }
    expansion_begin(expansion_new(j));
}
