/* What couriers report of the queues they hold: each says who holds what, also to a dispatcher that is new to the partition. */
#include "base/metric.h"
#include "dispatcher/schedule_private.h"

enum { OVERSHOOT_TELL_MS = 10000 };

/* Foreign grants are known so far: the rest of the table is for our own partitions. */
static size_t most_for(const struct schedule *s, bool is_ours)
{
    return is_ours ? s->most : s->most / 2;
}

static bool is_idle(const struct report *r)
{
    return !r->claimed && !r->connections;
}

/* Another courier is better placed since couriers came or went: ask for it back first. */
static bool has_to_move(struct schedule *s, struct holder *h, uint64_t now_ms)
{
    const struct work *w = h->work;

    if (h->epoch != s->couriers->epoch && !couriers_can_bind(s->couriers, h->courier, work_queue(w)))
        return true; /* its address has gone */
    if (w->spread > 1 || h->epoch == s->couriers->epoch || now_ms < h->since_ms + WORK_STAY_MS)
        return false;
    const struct courier *chosen = couriers_choose(s->couriers, w->partition, work_queue(w), NULL, NULL,
                                                   now_ms);
    if (chosen && chosen != h->courier && chosen->incarnation != w->left_out)
        return true;
    h->epoch = s->couriers->epoch;
    return false;
}

/* ---- what is in force there ---- */

/* Granted by an owner before us, or by another one: several of them have shared its rate evenly. */
static void adopt(struct schedule *s, struct holder *h, const struct report *r, uint64_t now_ms)
{
    struct work *w = h->work;
    struct limit limit = limits_of(s->limits, r->queue);
    uint32_t granted = r->is_returned ? 0 : r->serial ? r->granted : limit.connections, count;

    h->token = 0;
    holder_count(s, h, 0);
    share_adopt(&h->share, granted, r->connections, limit.rate_micro, r->serial, now_ms);
    if (w->serial < r->serial)
        w->serial = r->serial;
    work_active(w, now_ms, &count);
    if (w->spread < count)
        w->spread = count;
    granted = shares_connections(&w->shares, NULL, now_ms);
    if (w->pace.connections < granted) /* what it had learnt of the destination */
        pace_start(&w->pace, granted);
    for (struct list *it = w->shares.next; count && it != &w->shares; it = it->next) {
        struct holder *each = LIST_ENTRY(it, struct holder, share.link);
        if (!each->token && limit.rate_micro) {
            each->share.rate_micro = limit.rate_micro / count;
            each->share.most_rate = each->share.rate_micro;
        }
    }
}

/* Returns true when there may be more for others now. */
static bool hear(struct schedule *s, struct holder *h, const struct report *r, uint64_t now_ms)
{
    struct share *share = &h->share;
    uint32_t before = share_connections(share, now_ms);
    bool knows = r->token == h->token && r->serial == share->serial;

    if (!h->token || r->token > h->token) {
        adopt(s, h, r, now_ms);
        return false;
    }
    if (!r->serial ||
        h->courier->is_draining) /* an older courier cannot tell; a draining one takes nothing more */
        knows = knows || r->is_returned;
    if (knows && r->is_returned) {
        share_return(share, r->connections, now_ms);
        holder_count(s, h, 0);
    } else {
        share_hear(share, knows, r->connections, now_ms);
    }
    return share_connections(share, now_ms) < before;
}

/* ---- limits: what was handed out cannot be more; what is used can, while a limit has just been lowered, or after a mistake of ours */

static void note(uint32_t *worst, enum metric m, uint32_t used, uint32_t limit)
{
    if (used <= limit || used - limit <= *worst)
        return;
    *worst = used - limit;
    if (*worst > metric_get(m))
        metric_set(m, *worst);
}

void overshoot_tell(struct overshoot *o, uint64_t now_ms)
{
    if (now_ms < o->tell_ms)
        return;
    metric_set(METRIC_LIMIT_OVERSHOOT_CONNECTIONS, o->queue);
    metric_set(METRIC_SITE_OVERSHOOT_CONNECTIONS, o->site);
    *o = (struct overshoot){.tell_ms = now_ms + OVERSHOOT_TELL_MS};
}

static uint32_t used_by(const struct work *w)
{
    uint32_t used = 0;

    for (const struct list *it = w->shares.next; it != &w->shares; it = it->next)
        used += LIST_ENTRY((struct list *) (uintptr_t) it, struct holder, share.link)->used;
    return used;
}

static void watch_site(struct schedule *s, const struct site *site, uint64_t now_ms)
{
    uint32_t used = 0;

    if (!site->lent.connections || now_ms >= site->lent_until_ms)
        return; /* what is lent is not known */
    for (const struct list *it = site->works.next; it != &site->works; it = it->next)
        used += used_by(LIST_ENTRY((struct list *) (uintptr_t) it, struct work, site_link));
    note(&s->overshoot.site, METRIC_SITE_OVERSHOOT_CONNECTIONS, used, site->lent.connections);
}

static void watch_limit(struct schedule *s, const struct work *w, uint64_t now_ms)
{
    uint32_t limit = w->is_fanout ? 0 : limits_of(s->limits, work_queue(w)).connections;
    uint32_t used = limit ? used_by(w) : 0;

    if (used > limit)
        metric_add(METRIC_LIMIT_OVERSHOOT_TOTAL, 1);
    note(&s->overshoot.queue, METRIC_LIMIT_OVERSHOOT_CONNECTIONS, used, limit);
    if (w->site)
        watch_site(s, w->site, now_ms);
}

/* ---- what follows ---- */

/* It may have more than it has, or has been granted more than it may have. */
static bool has_new_pace(const struct schedule *s, const struct work *w, uint64_t now_ms)
{
    uint32_t target = work_target(s, w), granted = 0;

    for (const struct list *it = w->shares.next; it != &w->shares; it = it->next)
        granted += LIST_ENTRY((struct list *) (uintptr_t) it, struct holder, share.link)->share.connections;
    return shares_connections(&w->shares, NULL, now_ms) < target || granted > target;
}

static void on_busy(struct schedule *s, struct holder *h, const struct report *r, uint64_t now_ms)
{
    struct work *w = h->work;
    bool is_full = r->connections >= h->share.connections || !h->courier->free;

    h->is_empty = false;
    work_set_wants(s, w, true);
    if (!is_full)
        w->busy_ms = 0;
    else if (!w->busy_ms)
        w->busy_ms = now_ms;
    if (now_ms < h->granted_ms + WORK_RENEW_MS && !has_new_pace(s, w, now_ms))
        return;
    if (has_to_move(s, h, now_ms)) {
        (void) holder_grant(s, h, 0, 0, now_ms); /* when it cannot be told: with its next report */
        return;
    }
    work_share_out(s, w, now_ms);
    if (h->granted_ms != now_ms)
        (void) holder_renew(s, h, now_ms); /* when it cannot be, as above */
}

static void on_empty(struct schedule *s, struct holder *h, const struct report *r, uint64_t now_ms)
{
    struct work *w = h->work;
    uint32_t count;

    h->is_empty = true;
    w->busy_ms = 0;
    if (w->wants || r->finished)
        work_partition(s, w)->was_emptied = true;
    if (has_to_move(s, h, now_ms)) { /* new couriers get their part of what is no burden to anybody, too */
        work_set_wants(s, w, w->wants || r->claimed);
        (void) holder_grant(s, h, 0, 0, now_ms); /* as for a busy one */
        return;
    }
    if (w->is_rung) {
        (void) holder_renew(s, h, now_ms); /* work came after the claim that found nothing, maybe */
        return;
    }
    work_set_wants(s, w, false);
    if (!r->claimed)
        holder_count(s, h, 0); /* idle connections are closed when others need room */
    if (!r->claimed && w->site && site_is_short(w->site, now_ms)) {
        /* Others wait for it. When it cannot be told, it ends by itself. */
        (void) holder_grant(s, h, 0, 0, now_ms);
        return;
    }
    if (!is_idle(r)) {
        if (now_ms >= h->granted_ms + WORK_KEEP_MS)
            (void) holder_renew(s, h, now_ms); /* what it has claimed it may finish */
        return;
    }
    work_active(w, now_ms, &count);
    w->spread = count > 1 && holder_grant(s, h, 0, 0, now_ms) ? count - 1 : count; /* the others are enough */
}

static void answer(struct schedule *s, struct holder *h, const struct report *r, uint64_t now_ms)
{
    struct work *w = h->work;

    if (w->is_suspended) {
        work_rest(s, h, now_ms);
    } else if (r->is_returned) {
        work_set_wants(s, w, w->wants || (!r->is_empty && now_ms >= w->paused_ms));
    } else if (!h->share.connections) { /* taken back: said again */
        if (!h->share.is_known && now_ms >= h->granted_ms + WORK_RENEW_MS)
            (void) holder_grant(s, h, 0, 0, now_ms); /* or with its next report */
    } else if (r->trouble.len) {
        work_trouble(s, h, r->trouble, now_ms);
    } else if (r->wait_ms) { /* paused: due brings it when that is over */
        w->paused_ms = now_ms + r->wait_ms;
        work_set_wants(s, w, false);
    } else if (!h->token && w->wants) {
        (void) holder_renew(s, h, now_ms); /* from the owner before us: it goes on under our token */
    } else if (r->is_empty) {
        on_empty(s, h, r, now_ms);
    } else {
        on_busy(s, h, r, now_ms);
    }
}

void schedule_report(struct schedule *s, struct courier *from, const struct report *r, uint64_t now_ms)
{
    const struct partition *p = &s->partitions->of[r->partition];
    struct work *w = work_find(s, r->partition, r->queue);

    partitions_see_token(s->partitions, r->partition, r->token,
                         s->couriers->view ? s->couriers->view->last : 0);
    if (!w && r->is_returned && !r->connections)
        return;
    if (!w)
        w = work_new(s, r->partition, r->queue, most_for(s, p->is_held), now_ms);
    if (!w)
        return;
    work_hear(s, w, r, now_ms);
    struct holder *h = holder_find(w, from);
    bool is_new = !h;
    if (is_new)
        h = holder_new(w, from, now_ms);
    bool is_more = hear(s, h, r, now_ms);
    h->used = r->connections;
    if (!p->is_held) {
        if (r->token > p->token)
            site_forget(w); /* another owner has granted it, and counts it */
        work_set_wants(s, w, false);
        work_place(s, w, now_ms);
        return;
    }
    watch_limit(s, w, now_ms);
    if (is_new)
        w->is_rung = w->wants; /* it was not granted for this work */
    if (site_hear(&s->sites, w, r->site) && !r->is_returned)
        work_move_to_site(s, h, now_ms);
    else
        answer(s, h, r, now_ms);
    if (w->wants && r->is_returned && !work_active(w, now_ms, NULL)) {
        work_wait(s, w, now_ms); /* not at once: it may come back again and again */
        return;
    }
    if (is_more && w->wants)
        work_share_out(s, w, now_ms);
    work_place(s, w, now_ms);
}
