/* What follows a transaction or a fault, for one job. */
#include "courier/attempt.h"

#include <string.h>

#include "courier/connection.h"
#include "courier/detour.h"
#include "courier/settle.h"
#include "courier/work.h"

enum {
    STALE_RETURNS_MAX = 2,
    RELEASE_EARLY_MS = 1000, /* so far this node's idea of the time in Redis may be off */
};

void attempt_end(struct job *j, const struct verdict *why)
{
    must(why->class != VERDICT_NONE);
    j->tls = (struct job_tls){.proof = NULL}; /* no host's word */
    if (j->is_dropped) {                      /* not ours to decide any more */
        settle_release(j);
        return;
    }
    job_decide(j, why);
    settle_attempt(j);
}

static void end_by(struct job *j, enum status status, const char *detail)
{
    struct verdict v = {0};

    verdict_set(&v, status, detail);
    attempt_end(j, &v);
    verdict_done(&v);
}

/* Not for good. */
static void put_off(struct verdict *v)
{
    if (v->class != VERDICT_FAILED)
        return;
    v->class = VERDICT_DEFERRED;
    v->status[0] = '4';
}

void attempt_end_without_host(struct job *j)
{
    const struct route *route = j->work->route;

    /* A host that could not be asked may offer what the others do not. */
    if (route && j->tried != (UINT64_C(1) << route->count) - 1)
        put_off(&j->fault);
    attempt_end(j, &j->fault);
}

/* What its sender asked for stands in the way, and no host is asked; true: the job is settled. */
static bool is_ended_by_its_sender(struct job *j)
{
    uint64_t now = store_redis_ms(j->work->courier->store);

    if (j->envelope.release_ms > now + RELEASE_EARLY_MS) { /* an operator's retry does not bring it forward */
        settle_postpone(j, j->envelope.release_ms - now, "held until the time its sender set");
        return true;
    }
    if (j->envelope.by_mode != BY_RETURN || !job_is_late(j))
        return false;
    end_by(j, STATUS_TOO_LATE, NULL);
    return true;
}

void attempt_begin(struct job *j)
{
    struct work *w = j->work;

    switch (j->fate) {
    case FATE_HOLD: settle_hold(j, "held by the operator"); return;
    case FATE_DELETE: settle_end(j, "deleted", "by the operator"); return;
    case FATE_BOUNCE: settle_bounce(j); return;
    case FATE_NONE: break;
    }
    if (job_undecided_count(j) ==
        0) { /* an earlier courier recorded the last of it and died before it settled */
        settle_attempt(j);
        return;
    }
    if (detour_take(j))
        return;
    if (w->pause_error && settle_is_expired(j)) { /* the queue was tried for it, again and again */
        end_by(j, STATUS_PAUSED, j->work->pause_error);
        return;
    }
    if (is_ended_by_its_sender(j))
        return;
    if (!work_is_granted(w) || w->courier->is_draining) {
        settle_release(j);
        return;
    }
    list_append(&w->ready, &j->link);
    w->ready_count++;
}

static void on_noted(struct job *j)
{
    work_return(j->work, j);
}

static bool has_decided(const struct job *j)
{
    for (size_t i = 0; i < j->state.recipient_count; i++) {
        if (j->state.recipients[i].is_fresh)
            return true;
    }
    return false;
}

static bool has_delivered(const struct job *j)
{
    for (size_t i = 0; i < j->state.recipient_count; i++) {
        if (j->state.recipients[i].is_fresh && j->state.recipients[i].last.class == VERDICT_DELIVERED)
            return true;
    }
    return false;
}

/* To another host; a mail store's yes to some is on record before anything can make us give the job back. */
static void try_another(struct job *j)
{
    if (has_delivered(j))
        settle_note(j, on_noted);
    else
        work_return(j->work, j);
}

/* The connection failed under the job: another host, if there is one, else the attempt ends in work.c with j->fault. */
static void on_fault(struct job *j, const struct connection *k, size_t target)
{
    const struct client_message *m = &j->message;

    if (m->fault == FAULT_ABORTED && !has_decided(j)) {
        settle_release(j);
        return;
    }
    if (m->fault == FAULT_ABORTED) {
        attempt_end(j, &m->fault_verdict);
        return;
    }
    /* A reused connection that had gone stale is nobody's failure (H15). */
    if (!m->is_first && !m->was_answered && m->fault != FAULT_TIMEOUT && m->fault != FAULT_UNFIT &&
        j->stale_returns < STALE_RETURNS_MAX) {
        j->stale_returns++;
        work_return(j->work, j);
        return;
    }
    if (j->fault.class != VERDICT_DEFERRED || m->fault != FAULT_UNFIT) /* another day the other host may do */
        verdict_copy(&j->fault, &m->fault_verdict);
    if (m->fault == FAULT_UNFIT && j->envelope.requires_tls && k->target.is_plain && k->policy->is_authentic)
        put_off(&j->fault); /* its handshake broke a moment ago: what it can do is not known */
    if (target >= ROUTE_TARGETS_MAX) {
        attempt_end(j, &j->fault);
        return;
    }
    work_forget_tried(j->work, j);
    if (k->is_relaxed)
        j->tried_relaxed |= 1ull << target;
    else
        j->tried |= 1ull << target;
    try_another(j);
}

void attempt_on_result(struct job *j, const struct connection *k, size_t target)
{
    const struct client_message *m = &j->message;

    j->tls = k->tls;
    job_take_verdicts(j);
    if (j->is_dropped && !m->dot_sent) {
        work_job_over(j->work, j);
    } else if (j->content_trouble) {
        settle_hold(j, j->content_trouble);
    } else if (job_undecided_count(j) == 0 || j->is_dropped) {
        settle_attempt(j);
    } else if (m->fault != FAULT_NONE) {
        on_fault(j, k, target);
    } else {
        settle_note(j, on_noted);
    }
}
