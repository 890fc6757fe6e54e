/* Claims of one queue, one at a time; each job's first chunk is fetched at once, so that a connection never waits for it. */
#include "courier/claim.h"

#include <errno.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "courier/content.h"
#include "courier/detour.h"
#include "courier/fanout.h"
#include "courier/grant.h"
#include "courier/room.h"
#include "courier/settle.h"

enum {
    CLAIM_MAX = 64,
    CLAIM_RECORD_BYTES = 4 << 20,
    FANOUT_AT_ONCE = 16,
    NEWER_WAIT_MS = 60000,
};

/* As many as its connections can start soon: never so many that it keeps what others could work. */
static size_t claim_size(struct work *w)
{
    size_t most = WORK_AHEAD * (size_t) w->connections_max, at_hand = w->ready_count + w->loading_count,
           a_second = 1 + (size_t) (w->rate.micro / 1000000), room;

    if (w->rate.micro && most > a_second)
        most = a_second;
    if (w->is_expiring) /* those need no connection */
        most = CLAIM_MAX;
    if (w->is_fanout) {
        most = FANOUT_AT_ONCE;
        /* The reserve above the watermark holds one expansion at a time. */
        if (store_partition_is_full(w->courier->store, w->partition))
            most = w->courier->expanding == 0 && w->job_count == 0;
        at_hand = w->job_count;
    }
    if (at_hand >= most || (!w->is_fanout && at_hand > most - most / 4))
        return 0;
    most = most - at_hand < CLAIM_MAX ? most - at_hand : CLAIM_MAX;
    room = room_for_jobs(w);
    return most < room ? most : room;
}

/* A newer version's record is for a newer courier: during an upgrade there is one. Any other is put aside. */
static void refuse_job(struct work *w, const struct queue_claimed *claimed, const char *token, bool is_newer)
{
    AUTO_FREE char *name = mem_text(claimed->job.at, claimed->job.len);
    struct stray stray = {
        .partition = w->partition,
        .job = claimed->job,
        .queue = span_of(w->queue),
        .token = span_of(token),
        .chunk_count = claimed->chunk_count,
        .delay_ms = is_newer ? NEWER_WAIT_MS : 0,
    };

    log_event(is_newer ? LOG_RECORD_NEWER : LOG_RECORD_REFUSED, F("job", name), F("queue", w->queue));
    if (is_newer)
        settle_stray(w->courier, &stray, OUTCOME_BACK, "a newer version wrote its record");
    else
        settle_stray(w->courier, &stray, OUTCOME_HOLD, "the record cannot be read");
}

static void take_job(struct work *w, const struct queue_claimed *claimed, const char *token)
{
    struct job *j = NULL;

    if (claimed->held_because.len > 0) {
        metric_add(METRIC_HELD_TOTAL, 1);
        log_event(LOG_HELD, FS("job", claimed->job), F("queue", w->queue), FS("why", claimed->held_because));
        return;
    }
    int r = job_new(w, claimed, token, &j);
    if (r < 0) {
        refuse_job(w, claimed, token, r == -EPROTONOSUPPORT);
        return;
    }
    j->is_suspect = j->crashes >= 2;
    work_job_came(w, j);
    metric_add(METRIC_CLAIMED_TOTAL, 1);
    if (w->is_fanout) {
        fanout_begin(j);
        return;
    }
    w->is_expiring |= w->pause_error && settle_is_expired(j);
    if (j->fate != FATE_NONE || !detour_begin(j))
        content_load(j);
}

struct claim_context {
    struct list link; /* in courier.open_claims */
    uint64_t seq;
    struct work *work;
    uint64_t incarnation;
    bool took_suspect_slot;
};

bool claim_is_open(const struct courier *c, uint64_t seq)
{
    for (const struct list *it = c->open_claims.next; it != &c->open_claims; it = it->next) {
        if (LIST_ENTRY((struct list *) (uintptr_t) it, struct claim_context, link)->seq == seq)
            return true;
    }
    return false;
}

bool claim_is_awaited(const struct courier *c)
{
    for (const struct list *it = c->open_claims.next; it != &c->open_claims; it = it->next) {
        const struct claim_context *cc = LIST_ENTRY((struct list *) (uintptr_t) it, struct claim_context,
                                                    link);
        if (store_partition_is_ready(c->store, cc->work->partition))
            return true;
    }
    return false;
}

/* A pause that is over stays on record until mail goes through again. */
static void take_error(struct work *w, struct span error)
{
    w->pause_error = mem_free(w->pause_error);
    if (error.len > 0)
        w->pause_error = mem_text(error.at, error.len);
}

static void on_claim(void *context, enum claim_answer answer, const char *token,
                     const struct queue_claimed *jobs, size_t count, struct span error, uint64_t wait_ms)
{
    struct claim_context *cc = context;
    struct work *w = cc->work;
    struct courier *c = w->courier;
    bool is_stale = cc->incarnation != c->incarnation; /* buried meanwhile: the jobs will be reaped */

    c->suspects -= cc->took_suspect_slot;
    list_remove(&cc->link);
    mem_free(cc);
    w->is_claiming = false;
    w->wait_until_ms = answer == CLAIM_WAIT ? clock_ms() + wait_ms : 0;
    if (count > 0)
        FAULT_POINT(claim_received);
    w->is_expiring = false;
    if (answer == CLAIM_JOBS)
        take_error(w, error);
    if (answer == CLAIM_JOBS && !is_stale) {
        for (size_t i = 0; i < count; i++)
            take_job(w, &jobs[i], token);
    }
    w->is_empty = answer == CLAIM_WAIT ||
                  count == 0; /* fewer than asked is not empty: more may have come meanwhile */
    if (w->is_empty && !w->is_rung)
        grant_report(w);
    work_wake(w);
    courier_check_drained(c);
}

void claim_more(struct work *w)
{
    struct courier *c = w->courier;
    struct claim_context *cc;
    size_t count;

    if (w->is_claiming || w->trouble.class != VERDICT_NONE || (w->is_empty && !w->is_rung))
        return;
    if (!c->incarnation || c->is_draining || c->awaits_rules ||
        !store_partition_is_ready(c->store, w->partition) || settler_is_late(c->settler, w->partition) ||
        !node_may_send_dot(c->node, c->incarnation) || (count = claim_size(w)) == 0)
        return;
    w->is_empty = w->is_rung = false;
    w->wait_until_ms = 0;
    w->is_claiming = true;
    cc = NEW(struct claim_context);
    *cc = (struct claim_context){
        .work = w, .incarnation = c->incarnation, .took_suspect_slot = c->suspects == 0};
    c->suspects += cc->took_suspect_slot;
    cc->seq = ++c->claim_seq;
    list_append(&c->open_claims, &cc->link);
    queue_claim(c->store,
                &(struct queue_claim){
                    .partition = w->partition,
                    .queue = w->queue,
                    .count = (uint32_t) count,
                    .record_bytes = CLAIM_RECORD_BYTES,
                    .incarnation = c->incarnation,
                    .seq = cc->seq,
                    .suspects = cc->took_suspect_slot,
                },
                on_claim, cc);
    FAULT_SENT(claim_sent);
}
