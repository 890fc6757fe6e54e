/* One queue's shares: who is granted how much of what the queue may use. */
#include "base/mem.h"
#include "dispatcher/schedule_private.h"

enum { MESSAGE = 1000000, RATE_PER_COURIER = 10 * MESSAGE, CONNECTIONS_PER_COURIER = 2, TRIAL_PART = 16 };

static struct holder *holder_of(struct list *link)
{
    return LIST_ENTRY(link, struct holder, share.link);
}

struct holder *holder_find(const struct work *w, const struct courier *c)
{
    for (struct list *it = w->shares.next; it != &w->shares; it = it->next)
        if (holder_of(it)->courier == c)
            return holder_of(it);
    return NULL;
}

struct holder *holder_new(struct work *w, struct courier *c, uint64_t now_ms)
{
    struct holder *h = NEW(struct holder);

    h->work = w;
    h->courier = c;
    h->since_ms = now_ms;
    list_append(&w->shares, &h->share.link);
    return h;
}

void holder_free(struct schedule *s, struct holder *h)
{
    holder_count(s, h, 0);
    list_remove(&h->share.link);
    list_remove(&h->out);
    mem_free(h);
}

bool holder_is_active(const struct holder *h, uint64_t now_ms)
{
    return h->share.connections && share_connections(&h->share, now_ms);
}

struct holder *work_active(const struct work *w, uint64_t now_ms, uint32_t *ret_count)
{
    struct holder *first = NULL;
    uint32_t count = 0;

    for (struct list *it = w->shares.next; it != &w->shares; it = it->next) {
        if (!holder_is_active(holder_of(it), now_ms))
            continue;
        if (!first)
            first = holder_of(it);
        count++;
    }
    if (ret_count)
        *ret_count = count;
    return first;
}

void holder_count(struct schedule *s, struct holder *h, uint32_t connections)
{
    if (h->work->is_fanout)
        return; /* it opens none: those on trial have them all */
    s->granted = s->granted + (connections > 0) - (h->counted > 0);
    s->connections = s->connections + connections - h->counted;
    if (!h->work->proven_ms)
        h->courier->trial += connections - h->counted;
    h->counted = connections;
}

void work_set_proven(struct work *w, uint64_t proven_ms)
{
    bool is_change = !w->proven_ms != !proven_ms;

    w->proven_ms = proven_ms;
    w->is_suspect = w->is_suspect && !proven_ms;
    for (struct list *it = w->shares.next; is_change && it != &w->shares; it = it->next) {
        struct holder *h = holder_of(it);
        h->courier->trial = proven_ms ? h->courier->trial - h->counted : h->courier->trial + h->counted;
    }
}

/* ---- how much ---- */

bool work_is_settled(struct schedule *s, const struct work *w, uint64_t now_ms)
{
    const struct partition *p = work_partition(s, w);
    uint64_t first_ms = 0;

    if (w->is_fanout || now_ms >= p->acquired_ms + LEASE_ALONE_MS)
        return true;
    return couriers_all_known(s->couriers, now_ms, &first_ms) &&
           (now_ms >= p->settled_ms || first_ms >= p->acquired_ms);
}

uint32_t work_target(const struct schedule *s, const struct work *w)
{
    uint32_t target = limits_of(s->limits, work_queue(w)).connections;

    if (w->is_fanout)
        return target;
    if (target > w->pace.connections)
        target = w->pace.connections;
    if (w->squeezed && target > w->squeezed)
        target = w->squeezed;
    return target;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What one of its couriers gets, beside what the others may still be using. mine: what it has, NULL for another one; 0 connections: nothing. */
static struct limit part_of(struct schedule *s, const struct work *w, const struct share *mine,
                            uint64_t now_ms)
{
    struct limit limit = limits_of(s->limits, work_queue(w));
    uint32_t target = work_target(s, w), others = shares_connections(&w->shares, mine, now_ms);
    uint32_t count = w->spread ? w->spread : 1;
    struct limit part = {
        .connections = least(target / count + (target % count != 0), target > others ? target - others : 0)};

    if (!part.connections && mine && limit.connections > others)
        part.connections = 1; /* the others will have less, but have not yet told so */
    if (limit.rate_micro) {
        uint64_t rate = shares_rate(&w->shares, mine, now_ms);
        uint64_t left = limit.rate_micro > rate ? limit.rate_micro - rate : 0;
        part.rate_micro = left < limit.rate_micro / count ? left : limit.rate_micro / count;
        if (!part.rate_micro)
            part.connections = 0;
    }
    if (mine && mine->connections && (!w->proven_ms || !work_is_settled(s, w, now_ms)))
        part.connections = least(part.connections, mine->connections); /* no more than it has */
    if (w->site)
        site_cut(w->site, &part, mine ? share_connections(mine, now_ms) : 0, now_ms);
    return part;
}

/* ---- granting ---- */

bool holder_grant(struct schedule *s, struct holder *h, uint32_t connections, uint64_t rate_micro,
                  uint64_t now_ms)
{
    struct work *w = h->work;
    const struct partition *p = work_partition(s, w);

    if (!partition_is_usable(p, now_ms) || !courier_is_heard(h->courier, now_ms) ||
        (connections && (w->is_suspended || s->awaits_rules)))
        return false;
    if (connections)
        w->is_rung = false;
    holder_count(s, h, connections);
    uint32_t before = share_connections(&h->share, now_ms);
    share_grant(&h->share, connections, rate_micro, ++w->serial, h->courier->heard_ms, now_ms);
    if (w->site && share_connections(&h->share, now_ms) > before)
        w->site->used += share_connections(&h->share, now_ms) - before;
    h->token = p->token;
    h->granted_ms = now_ms;
    h->answers_ms = h->courier->clock_ms;
    if (!list_is_linked(&h->out))
        list_append(&h->courier->outgoing, &h->out);
    s->has_output = true;
    return true;
}

bool holder_renew(struct schedule *s, struct holder *h, uint64_t now_ms)
{
    struct limit part = part_of(s, h->work, &h->share, now_ms);

    if (part.rate_micro && !work_is_settled(s, h->work, now_ms))
        return false; /* reports do not tell what rate it has */
    return holder_grant(s, h, part.connections, part.rate_micro, now_ms);
}

void work_move_to_site(struct schedule *s, struct holder *h, uint64_t now_ms)
{
    struct work *w = h->work;

    w->site->used += shares_connections(&w->shares, NULL, now_ms);
    for (struct list *it = w->shares.next; it != &w->shares; it = it->next)
        if (holder_is_active(holder_of(it), now_ms))
            (void) holder_renew(s, holder_of(it), now_ms); /* else the courier waits, and it ends by itself */
}

void work_take_back(struct schedule *s, struct work *w, uint64_t now_ms)
{
    for (struct list *it = w->shares.next; it != &w->shares; it = it->next)
        if (holder_is_active(holder_of(it), now_ms))
            (void) holder_grant(s, holder_of(it), 0, 0,
                                now_ms); /* when it cannot be told, it ends by itself */
}

/* ---- which couriers ---- */

/*
 * So many connections a queue on trial may still be granted there. All those together leave free as much as they have; those that were dead
 * before leave half of that to the new ones.
 */
static uint32_t trial_room(const struct work *w, const struct courier *c)
{
    uint32_t most = w->is_suspect ? c->free - c->free / 2 : c->free;

    return most > c->trial ? most - c->trial : 0;
}

struct asking {
    const struct work *work;
    uint64_t now_ms;
};

static bool may_take(const void *context, const struct courier *c)
{
    const struct asking *a = context;
    const struct work *w = a->work;
    const struct holder *h = holder_find(w, c);

    if (h && holder_is_active(h, a->now_ms))
        return false;
    if (w->is_fanout)
        return c->room > 0; /* it opens no connections */
    if (w->left_out == c->incarnation && a->now_ms < w->left_out_until_ms)
        return false;
    return courier_has_room(c) && (w->proven_ms || trial_room(w, c));
}

/*
 * Mail whose pool nobody can bind waits for who can, not for ever: after a while it goes to somebody who cannot, is deferred with that reason, and
 * ends when its lifetime does.
 */
static struct courier *choose(struct schedule *s, struct work *w, uint64_t now_ms)
{
    const struct asking asking = {w, now_ms};
    struct courier *chosen = couriers_choose(s->couriers, w->partition, work_queue(w), may_take, &asking,
                                             now_ms);

    if (chosen || !s->couriers->usable_count || couriers_have_other(s->couriers, 0, work_queue(w), now_ms)) {
        w->unable_ms = 0;
        return chosen;
    }
    if (!w->unable_ms)
        w->unable_ms = now_ms;
    if (now_ms < w->unable_ms + s->pool_wait_ms)
        return NULL;
    return couriers_choose_unable(s->couriers, w->partition, work_queue(w), may_take, &asking, now_ms);
}

bool work_add_holder(struct schedule *s, struct work *w, uint64_t now_ms)
{
    struct limit part = part_of(s, w, NULL, now_ms);

    if (w->left_out && !couriers_have_other(s->couriers, w->left_out, work_queue(w), now_ms))
        w->left_out = 0; /* the only one tries again */
    if (!part.connections && w->site)
        site_short(w->site, now_ms);
    if (!part.connections || !work_is_settled(s, w, now_ms))
        return false;
    struct courier *chosen = choose(s, w, now_ms);
    if (!chosen) {
        (void) work_active(w, now_ms, &w->spread); /* those that have it may have all of it */
        return false;
    }
    if (!w->proven_ms && !w->is_fanout) /* fewer when many are on trial */
        part.connections = least(part.connections, 1 + trial_room(w, chosen) / TRIAL_PART);
    struct holder *h = holder_find(w, chosen);
    if (!h)
        h = holder_new(w, chosen, now_ms);
    h->since_ms = now_ms;
    h->epoch = s->couriers->epoch;
    h->is_empty = false;
    courier_take_room(chosen, w->is_fanout ? 0 : w->proven_ms ? 1 : part.connections);
    return holder_grant(s, h, part.connections, part.rate_micro, now_ms);
}

/* So many couriers are worth their while. */
static uint32_t spread_most(struct schedule *s, const struct work *w)
{
    struct limit limit = limits_of(s->limits, work_queue(w));
    uint64_t most = work_target(s, w) / CONNECTIONS_PER_COURIER;

    if (limit.rate_micro && most > limit.rate_micro / RATE_PER_COURIER)
        most = limit.rate_micro /
               RATE_PER_COURIER; /* a bucket is one message at least: many of them overshoot */
    if (most > s->couriers->usable_count)
        most = s->couriers->usable_count;
    return most > 1 ? (uint32_t) most : 1;
}

void work_share_out(struct schedule *s, struct work *w, uint64_t now_ms)
{
    uint32_t count, seen = 0;

    work_active(w, now_ms, &count);
    if (w->busy_ms && now_ms >= w->busy_ms + WORK_BUSY_MS && w->spread <= count) {
        w->spread = count + 1;
        w->busy_ms = now_ms;
    }
    if (w->spread > spread_most(s, w))
        w->spread = spread_most(s, w);
    for (struct list *it = w->shares.next; it != &w->shares; it = it->next) {
        struct holder *h = holder_of(it);
        if (!holder_is_active(h, now_ms))
            continue;
        struct limit part = part_of(s, w, &h->share, now_ms);
        bool is_more = part.connections > h->share.connections;
        if (seen++ >= w->spread) {
            (void) holder_grant(s, h, 0, 0, now_ms); /* when it cannot be told, it ends by itself */
        } else if ((part.connections != h->share.connections || part.rate_micro != h->share.rate_micro) &&
                   !(is_more && h->is_empty)) {
            /* When it cannot be told: with a later report. */
            (void) holder_grant(s, h, part.connections, part.rate_micro, now_ms);
        }
    }
    if (count < w->spread)
        (void) work_add_holder(s, w, now_ms); /* else when the others have told that they have less */
}
