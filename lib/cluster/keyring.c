/* Keys of the bus: when they change, and whose they are. */
#include "cluster/keyring.h"

#include <string.h>

#include "base/mem.h"
#include "io/hash.h"

struct known {
    uint64_t incarnation;
    uint64_t until_ms; /* 0: its node tells it now */
    uint64_t round;    /* in which it was last seen */
};

/* ---- our own ---- */

static const struct bus_keys *newest(const struct keyring *k)
{
    return *k->next.public_key ? &k->next : &k->keys;
}

void keyring_begin(struct keyring *k, uint64_t now_ms)
{
    bus_keys_wipe(&k->next);
    bus_keys_make(&k->keys);
    k->made_ms = now_ms;
    k->told_ms = 0;
}

/* When it was made, by Redis' clock. */
static uint64_t made_redis_ms(const struct keyring *k, uint64_t redis_ms, uint64_t now_ms)
{
    uint64_t age = now_ms - k->made_ms;

    return redis_ms > age ? redis_ms - age : 0;
}

/* An order is obeyed once: its time and ours are of two clocks, or of one that jumps. */
static bool is_ordered(const struct node_order *o, uint64_t made_ms, uint64_t *obeyed_ms)
{
    if (!o || o->since_ms < made_ms || o->since_ms == *obeyed_ms)
        return false;
    *obeyed_ms = o->since_ms;
    return true;
}

static bool is_due(struct keyring *k, const struct node_view *view, const struct node_peer *me,
                   uint64_t redis_ms, uint64_t age_ms, uint64_t now_ms)
{
    const struct node_orders *orders = &view->orders;
    struct span key = span_of(newest(k)->public_key);
    uint64_t made_ms = made_redis_ms(k, redis_ms, now_ms);

    if (now_ms >= k->made_ms + age_ms - hash64(key) % (age_ms / 8 + 1)) /* not all nodes at once */
        return true;
    return is_ordered(node_orders_find(orders, NODE_ORDER_REKEY, SPAN("")), made_ms, &k->obeyed_ms[0]) ||
           is_ordered(node_orders_find(orders, NODE_ORDER_REKEY, span_of(me->stats.name)), made_ms,
                      &k->obeyed_ms[1]);
}

bool keyring_look(struct keyring *k, const struct node_view *view, uint64_t me, uint64_t redis_ms,
                  uint64_t age_ms, uint64_t now_ms)
{
    const struct node_peer *self = NULL;

    for (size_t i = 0; i < view->count; i++)
        if (me && view->peers[i].incarnation == me)
            self = &view->peers[i];
    if (!self || !self->stats.bus_key)
        return false;
    if (node_orders_find(&view->orders, NODE_ORDER_BAR, span_of(newest(k)->public_key))) {
        keyring_begin(k, now_ms); /* nobody hears us as it is */
        return true;
    }
    if (*k->next.public_key) {
        if (!k->told_ms && strcmp(self->stats.bus_key, k->next.public_key) == 0)
            k->told_ms = now_ms;
        if (!k->told_ms || now_ms < k->told_ms + KEYRING_KNOWN_MS)
            return false;
        k->keys = k->next;
        bus_keys_wipe(&k->next);
        return true;
    }
    if (is_due(k, view, self, redis_ms, age_ms, now_ms)) {
        bus_keys_make(&k->next);
        k->made_ms = now_ms;
        k->told_ms = 0;
    }
    return false;
}

void keyring_tell(const struct keyring *k, struct node_stats *s, uint64_t redis_ms, uint64_t now_ms)
{
    mem_free(s->bus_key);
    s->bus_key = mem_string(newest(k)->public_key);
    s->bus_key_ms = made_redis_ms(k, redis_ms, now_ms);
}

/* ---- those of others ---- */

static void learn_one(struct keyring *k, const struct node_view *view, const struct node_peer *peer)
{
    struct span key = span_of(peer->stats.bus_key);
    struct known *known = map_get(&k->known, key);

    if (!bus_is_key(key) || node_orders_find(&view->orders, NODE_ORDER_BAR, key))
        return;
    if (!known) {
        known = NEW(struct known);
        (void) map_set(&k->known, key, known); /* there was none */
    } else if (known->round == k->round) {
        return; /* it is that of another node, whose life began before */
    }
    *known = (struct known){.incarnation = peer->incarnation, .round = k->round};
}

static bool is_here(const struct node_view *view, uint64_t incarnation)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->peers[i].incarnation == incarnation)
            return true;
    return false;
}

void keyring_learn(struct keyring *k, const struct node_view *view, uint64_t now_ms)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    k->round++;
    for (size_t i = 0; i < view->count; i++)
        learn_one(k, view, &view->peers[i]);
    while (map_next(&k->known, &cursor, &key, &value)) {
        struct known *known = value;
        if (known->round == k->round)
            continue;
        if (!known->until_ms)
            known->until_ms = now_ms + KEYRING_FORMER_MS;
        if (now_ms < known->until_ms && is_here(view, known->incarnation) &&
            !node_orders_find(&view->orders, NODE_ORDER_BAR, key))
            continue;
        map_remove(&k->known, key);
        mem_free(known);
    }
}

uint64_t keyring_node_of(const struct keyring *k, struct span key, uint64_t now_ms)
{
    const struct known *known = map_get(&k->known, key);

    return known && (!known->until_ms || now_ms < known->until_ms) ? known->incarnation : 0;
}

void keyring_done(struct keyring *k)
{
    size_t cursor = 0;
    struct span key;
    void *known;

    while (map_next(&k->known, &cursor, &key, &known)) {
        map_remove(&k->known, key);
        mem_free(known);
    }
    map_done(&k->known);
    bus_keys_wipe(&k->keys);
    bus_keys_wipe(&k->next);
}
