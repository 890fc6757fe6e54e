/* Couriers as heard. */
#include "dispatcher/couriers.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/keys.h"
#include "io/hash.h"

enum { POOL_TELL_MS = 60000 };

struct courier *couriers_find(const struct couriers *c, uint64_t incarnation)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->all[i]->incarnation == incarnation)
            return c->all[i];
    return NULL;
}

bool courier_is_heard(const struct courier *c, uint64_t now_ms)
{
    return now_ms <= c->heard_ms + COURIER_HEARD_MS;
}

static const struct node_peer *peer_of(const struct node_view *view, uint64_t incarnation)
{
    for (size_t i = 0; view && i < view->count; i++)
        if (view->peers[i].incarnation == incarnation)
            return &view->peers[i];
    return NULL;
}

static bool is_courier(const struct node_peer *peer)
{
    return peer && peer->stats.role == ROLE_COURIER;
}

struct courier *couriers_hello(struct couriers *c, struct span from, const struct hello *h, uint64_t now_ms)
{
    struct courier *courier = couriers_find(c, h->incarnation);

    if (from.len > BUS_NAME_MAX)
        return NULL;
    if (courier && h->count && h->count <= courier->count) { /* overtaken, or said again by who recorded it */
        metric_add(METRIC_FRAMES_LATE_TOTAL, 1);
        return NULL;
    }
    if (!courier) {
        if (c->count == COURIERS_MAX)
            return NULL;
        courier = NEW(struct courier);
        courier->incarnation = h->incarnation;
        courier->first_ms = now_ms;
        courier->is_in_view = is_courier(peer_of(c->view, h->incarnation));
        list_init(&courier->outgoing);
        c->all = mem_resize(c->all, (c->count + 1) * sizeof(struct courier *));
        c->all[c->count++] = courier;
        c->is_stale = true;
    } else if (!courier_is_heard(courier, now_ms)) {
        courier->first_ms = now_ms; /* what it was granted while silent is unknown until it has reported */
        c->is_stale = true;
    }
    memcpy(courier->name, from.at, from.len);
    courier->name_len = from.len;
    courier->heard_ms = now_ms;
    courier->count = h->count;
    if (h->clock_ms > courier->clock_ms)
        courier->clock_ms = h->clock_ms;
    c->is_stale |= courier->is_draining != h->is_draining;
    courier->is_draining = h->is_draining;
    courier->room = h->free_jobs;
    courier->free = h->free_connections;
    return courier;
}

static void courier_free(struct courier *c)
{
    while (!list_is_empty(&c->outgoing))
        list_remove(c->outgoing.next);
    mem_free(c);
}

void couriers_view(struct couriers *c, const struct node_view *view, uint64_t now_ms,
                   void (*on_gone)(void *context, struct courier *gone), void *context)
{
    size_t kept = 0;

    c->view = view;
    c->is_stale = true;
    for (size_t i = 0; i < c->count; i++) {
        struct courier *courier = c->all[i];
        bool was_in_view = courier->is_in_view;
        courier->is_in_view = is_courier(peer_of(view, courier->incarnation));
        bool is_over = !courier->is_in_view &&
                       (was_in_view || now_ms > courier->heard_ms + COURIER_FORGET_MS);
        if (!is_over) {
            c->all[kept++] = courier;
            continue;
        }
        on_gone(context, courier);
        courier_free(courier);
    }
    c->count = kept;
}

/* A digest of who is in the set, and what they can bind: it changes when the set does. */
static uint64_t digest(const struct couriers *c)
{
    uint64_t sum = c->usable_count;

    for (size_t i = 0; i < c->usable_count; i++)
        sum += hash64_seeded(span_of(c->usable[i].peer.stats.pools), c->usable[i].peer.incarnation);
    return sum;
}

void couriers_refresh(struct couriers *c, uint64_t now_ms)
{
    uint64_t before = c->digest;

    c->is_stale = false;
    c->usable_count = 0;
    c->usable = mem_resize(c->usable, (c->count + 1) * sizeof(*c->usable));
    for (size_t i = 0; i < c->count; i++) {
        struct courier *courier = c->all[i];
        const struct node_peer *peer = peer_of(c->view, courier->incarnation);
        if (is_courier(peer) && !courier->is_draining && !peer->stats.is_draining &&
            courier_is_heard(courier, now_ms))
            c->usable[c->usable_count++] = (struct courier_choice){.peer = *peer, .courier = courier};
    }
    c->digest = digest(c);
    c->epoch += c->digest != before;
}

static const char *pool_of(const struct couriers *c, struct span queue)
{
    return c->pool_of ? c->pool_of(queue) : NULL;
}

bool couriers_can_bind(const struct couriers *c, const struct courier *courier, struct span queue)
{
    const char *pool = pool_of(c, queue);
    const struct node_peer *peer = pool ? peer_of(c->view, courier->incarnation) : NULL;

    return !pool || (peer && node_has_pool(&peer->stats, pool));
}

/* A queue that nobody may work waits, and others go on. */
static void tell_pool_away(struct couriers *c, const char *pool, struct span queue, uint64_t now_ms)
{
    if (c->usable_count == 0 || now_ms < c->pool_told_ms)
        return;
    c->pool_told_ms = now_ms + POOL_TELL_MS;
    log_event(LOG_POOL_AWAY, F("pool", pool), FS("queue", queue));
}

/* pool: NULL: those without it, too. */
static struct courier *choose(struct couriers *c, const char *pool, unsigned partition, struct span queue,
                              courier_may *may, const void *context, uint64_t now_ms)
{
    char key[QUEUE_TEXT_MAX + 8];
    struct courier *best = NULL;
    double best_rank = 0;
    size_t able = 0;

    if (c->is_stale)
        couriers_refresh(c, now_ms);
    must(queue.len <= QUEUE_TEXT_MAX);
    memcpy(key, queue.at, queue.len);
    size_t len = queue.len;
    if (span_equal(queue, SPAN(QUEUE_FANOUT))) /* each partition has one: they are spread */
        len += (size_t) snprintf(key + len, sizeof(key) - len, ":%u", partition);
    for (size_t i = 0; i < c->usable_count; i++) {
        const struct courier_choice *choice = &c->usable[i];
        if (pool && !node_has_pool(&choice->peer.stats, pool))
            continue;
        able++;
        if (may && !may(context, choice->courier))
            continue;
        double rank = c->usable_count > 1 ? node_rank(&choice->peer, (struct span){.at = key, .len = len})
                                          : 1;
        if (!best || rank > best_rank) {
            best = choice->courier;
            best_rank = rank;
        }
    }
    if (able == 0 && pool)
        tell_pool_away(c, pool, queue, now_ms);
    return best;
}

struct courier *couriers_choose(struct couriers *c, unsigned partition, struct span queue, courier_may *may,
                                const void *context, uint64_t now_ms)
{
    return choose(c, pool_of(c, queue), partition, queue, may, context, now_ms);
}

struct courier *couriers_choose_unable(struct couriers *c, unsigned partition, struct span queue,
                                       courier_may *may, const void *context, uint64_t now_ms)
{
    return choose(c, NULL, partition, queue, may, context, now_ms);
}

bool couriers_have_other(struct couriers *c, uint64_t incarnation, struct span queue, uint64_t now_ms)
{
    const char *pool = pool_of(c, queue);

    if (c->is_stale)
        couriers_refresh(c, now_ms);
    for (size_t i = 0; i < c->usable_count; i++)
        if (c->usable[i].peer.incarnation != incarnation &&
            (!pool || node_has_pool(&c->usable[i].peer.stats, pool)))
            return true;
    return false;
}

bool courier_has_room(const struct courier *c)
{
    return c->room && c->free;
}

bool couriers_have_room(struct couriers *c, uint64_t now_ms)
{
    if (c->is_stale)
        couriers_refresh(c, now_ms);
    for (size_t i = 0; i < c->usable_count; i++)
        if (courier_has_room(c->usable[i].courier))
            return true;
    return false;
}

void courier_take_room(struct courier *c, uint32_t connections)
{
    c->room -= c->room > 0;
    if (c->free != UINT32_MAX) /* not told */
        c->free -= c->free < connections ? c->free : connections;
}

bool couriers_all_known(const struct couriers *c, uint64_t now_ms, uint64_t *ret_first_ms)
{
    uint64_t first_ms = UINT64_MAX;

    for (size_t i = 0; c->view && i < c->view->count; i++) {
        if (!is_courier(&c->view->peers[i]))
            continue;
        const struct courier *courier = couriers_find(c, c->view->peers[i].incarnation);
        if (!courier || !courier_is_heard(courier, now_ms) || now_ms < courier->first_ms + COURIER_SETTLE_MS)
            return false;
        if (courier->first_ms < first_ms)
            first_ms = courier->first_ms;
    }
    *ret_first_ms = first_ms;
    return true;
}

void couriers_done(struct couriers *c)
{
    for (size_t i = 0; i < c->count; i++)
        courier_free(c->all[i]);
    mem_free(c->all);
    mem_free(c->usable);
    *c = (struct couriers){0};
}
