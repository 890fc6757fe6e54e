/* What couriers report of the queues they hold: each says who holds what, also to a dispatcher that is new to the partition. */
#include "dispatcher/schedule_private.h"

/* Foreign grants are known so far: the rest of the table is for our own partitions. */
static size_t most_for(const struct schedule *s, bool is_ours)
{
    return is_ours ? s->most : s->most / 2;
}

static bool is_idle(const struct report *r)
{
    return !r->claimed && !r->connections;
}

/* Given back. What is still in use there is kept off the limit for as long as a grant lasts. */
static void on_returned(struct schedule *s, struct work *w, const struct report *r, bool is_ours,
                        uint64_t now_ms)
{
    work_set_holder(s, w, NULL);
    w->reserved = r->connections;
    w->reserved_until_ms = r->connections ? now_ms + GRANT_MS : 0;
    work_set_wants(s, w, is_ours && (w->wants || !r->is_empty));
    if (w->wants)
        work_wait(s, w, now_ms); /* not at once: it may come back again and again */
    else
        work_place(s, w, now_ms);
}

/* Another courier is better placed since couriers came or went: ask for it back first. */
static bool has_to_move(struct schedule *s, struct work *w, uint64_t now_ms)
{
    if (w->epoch == s->couriers->epoch || now_ms < w->since_ms + WORK_STAY_MS)
        return false;
    const struct courier *chosen = couriers_choose(s->couriers, w->partition, work_queue(w), false, now_ms);
    if (!chosen || chosen == w->holder) {
        w->epoch = s->couriers->epoch;
        return false;
    }
    return true;
}

static void answer(struct schedule *s, struct work *w, const struct report *r, uint64_t now_ms)
{
    const struct partition *p = work_partition(s, w);
    uint64_t age_ms = now_ms - w->granted_ms;

    if (w->is_returning) {
        if (age_ms >= WORK_RENEW_MS)
            (void) work_grant(s, w, now_ms); /* says again that it is taken back */
        return;
    }
    if (r->wait_ms) {
        work_set_wants(s, w, false); /* paused: due brings it when that is over */
        return;
    }
    if (r->token != p->token && w->wants) {
        (void) work_grant(s, w, now_ms); /* from the owner before us: it goes on under our token */
        return;
    }
    if (!r->is_empty) {
        work_set_wants(s, w, true);
        if (age_ms < WORK_RENEW_MS)
            return;
        w->is_returning = has_to_move(s, w, now_ms);
        (void) work_grant(s, w, now_ms); /* when it cannot be: the next report comes in a second */
        return;
    }
    if (w->wants || r->finished)
        work_partition(s, w)->was_emptied = true;
    if (w->is_rung) {
        (void) work_grant(s, w, now_ms); /* work came after the claim that found nothing, maybe */
        return;
    }
    work_set_wants(s, w, false);
    if (!is_idle(r) && age_ms >= WORK_KEEP_MS)
        (void) work_grant(s, w, now_ms); /* what it has claimed it may finish */
}

void schedule_report(struct schedule *s, struct courier *from, const struct report *r, uint64_t now_ms)
{
    const struct partition *p = &s->partitions->of[r->partition];
    struct work *w = work_find(s, r->partition, r->queue);

    partitions_see_token(s->partitions, r->partition, r->token,
                         s->couriers->view ? s->couriers->view->last : 0);
    if (!w && r->is_returned)
        return;
    if (!w)
        w = work_new(s, r->partition, r->queue, most_for(s, p->is_held), now_ms);
    if (!w)
        return;
    if (r->finished)
        bucket_take(&w->bucket, limits_of(s->limits, r->queue).rate_micro, r->finished, now_ms);
    if (w->holder != from && (r->is_returned || (w->holder && now_ms < w->until_ms)))
        return; /* not, or not any more, the one we count on: what it had ends by itself */
    if (w->holder != from) {
        work_set_holder(s, w, from);
        w->since_ms = now_ms;
        w->until_ms = 0;
        w->is_rung = w->wants; /* it was not granted for this work */
    }
    if (r->is_returned) {
        on_returned(s, w, r, p->is_held, now_ms);
        return;
    }
    bool is_own = p->is_held && r->token == p->token;
    if (!is_own || now_ms >= w->until_ms)
        w->until_ms = now_ms + GRANT_MS; /* granted by somebody else, at the latest just now */
    if (p->is_held)
        answer(s, w, r, now_ms);
    else
        work_set_wants(s, w, false);
    work_place(s, w, now_ms);
}
