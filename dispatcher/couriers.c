/* Couriers as heard. */
#include "dispatcher/couriers.h"

#include <string.h>

#include "base/mem.h"
#include "cluster/keys.h"

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
    if (h->clock_ms > courier->clock_ms)
        courier->clock_ms = h->clock_ms;
    c->is_stale |= courier->is_draining != h->is_draining || !courier->room != !h->free_jobs;
    courier->is_draining = h->is_draining;
    courier->room = h->free_jobs;
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

/* A digest of who is in the set: it changes when the set does. */
static uint64_t digest(const struct node_peer *peers, size_t count)
{
    uint64_t sum = count;

    for (size_t i = 0; i < count; i++)
        sum += peers[i].incarnation * UINT64_C(0x9e3779b97f4a7c15);
    return sum;
}

void couriers_refresh(struct couriers *c, uint64_t now_ms)
{
    uint64_t before = digest(c->usable, c->usable_count);

    c->is_stale = false;
    c->usable_count = c->roomy_count = 0;
    c->usable = mem_resize(c->usable, (c->count + 1) * sizeof(*c->usable));
    c->roomy = mem_resize(c->roomy, (c->count + 1) * sizeof(*c->roomy));
    for (size_t i = 0; i < c->count; i++) {
        const struct courier *courier = c->all[i];
        const struct node_peer *peer = peer_of(c->view, courier->incarnation);
        if (!is_courier(peer) || courier->is_draining || peer->stats.is_draining ||
            !courier_is_heard(courier, now_ms))
            continue;
        c->usable[c->usable_count++] = *peer;
        if (courier->room)
            c->roomy[c->roomy_count++] = *peer;
    }
    c->epoch += digest(c->usable, c->usable_count) != before;
}

struct courier *couriers_choose(struct couriers *c, unsigned partition, struct span queue, bool needs_room,
                                uint64_t now_ms)
{
    char key[QUEUE_TEXT_MAX + 8];

    if (c->is_stale)
        couriers_refresh(c, now_ms);
    struct node_view set = {.peers = needs_room ? c->roomy : c->usable,
                            .count = needs_room ? c->roomy_count : c->usable_count};
    if (!set.count)
        return NULL;
    must(queue.len <= QUEUE_TEXT_MAX);
    memcpy(key, queue.at, queue.len);
    size_t len = queue.len;
    if (span_equal(queue, SPAN(QUEUE_FANOUT))) /* each partition has one: they are spread */
        len += (size_t) snprintf(key + len, sizeof(key) - len, ":%u", partition);
    const struct node_peer *chosen = node_choose(&set, ROLE_COURIER, (struct span){.at = key, .len = len});
    return chosen ? couriers_find(c, chosen->incarnation) : NULL;
}

void courier_take_room(struct couriers *c, struct courier *chosen)
{
    if (chosen->room && !--chosen->room)
        c->is_stale = true;
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
    mem_free(c->roomy);
    *c = (struct couriers){0};
}
