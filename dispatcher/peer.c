/* Links to the other dispatchers, for what sites are lent. */
#include "dispatcher/peer.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"

struct peer {
    struct peers *all;
    struct link *link;
};

static struct span key_of(const uint64_t *incarnation)
{
    return (struct span){.at = (const char *) incarnation, .len = sizeof(*incarnation)};
}

static void on_frame(void *owner, struct span bytes)
{
    struct peers *p = ((struct peer *) owner)->all;
    uint64_t now = clock_ms();
    struct frame f;

    if (wire_get_frame(bytes, &f) < 0) {
        metric_add(METRIC_FRAMES_REFUSED_TOTAL, 1);
        return;
    }
    for (size_t i = 0; i < f.loan_count; i++)
        sites_lend(p->schedule, &f.loans[i], now);
    frame_done(&f);
    p->on_loan();
}

static void close_peer(struct peers *p, struct span key, struct peer *peer)
{
    map_remove(&p->links, key);
    link_close(peer->link);
    mem_free(peer);
}

static bool is_wanted(const struct peers *p, const struct node_peer *node)
{
    return p->schedule->sites.limits && p->me && node->incarnation != p->me &&
           node->stats.role == ROLE_DISPATCHER && node->stats.bus && *node->stats.bus;
}

void peers_view(struct peers *p, const struct node_view *view)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    for (size_t i = 0; i < view->count; i++) {
        const struct node_peer *node = &view->peers[i];
        char name[BUS_NAME_MAX];
        if (!is_wanted(p, node))
            continue;
        struct peer *peer = map_get(&p->links, key_of(&node->incarnation));
        if (peer) {
            (void) link_use(peer->link, &p->keyring->keys,
                            node->stats.bus_key); /* no key: the former stays */
            continue;
        }
        peer = NEW(struct peer);
        peer->all = p;
        snprintf(name, sizeof(name), "%llu.0", (unsigned long long) p->me);
        if (link_open(p->loop, node->stats.bus, name, &p->keyring->keys, node->stats.bus_key, on_frame, peer,
                      &peer->link) < 0)
            mem_free(peer); /* tried again with the next view */
        else
            map_set(&p->links, key_of(&node->incarnation), peer);
    }
    while (map_next(&p->links, &cursor, &key, &value)) {
        bool is_there = false;
        for (size_t i = 0; i < view->count; i++)
            is_there |= span_equal(key, key_of(&view->peers[i].incarnation)) && is_wanted(p, &view->peers[i]);
        if (!is_there)
            close_peer(p, key, value);
    }
}

void peers_borrow(struct peers *p, uint64_t now_ms)
{
    struct borrow borrows[FRAME_ENTRIES];
    size_t cursor = 0, count = p->me ? sites_borrow(&p->schedule->sites, borrows, now_ms) : 0;
    const struct hello hello = {.incarnation = p->me, .clock_ms = now_ms, .count = ++p->count};
    const struct frame f = {.has_hello = true, .hello = hello, .borrows = borrows, .borrow_count = count};
    AUTO_BUF struct buf bytes = {0};
    struct span key;
    void *value;

    if (!count)
        return;
    for (size_t i = 0; i < count; i++) {
        struct loan loan;
        if (lender_hear(p->lender, &hello, &borrows[i], now_ms, &loan))
            sites_lend(p->schedule, &loan, now_ms);
    }
    wire_put_frame(&f, &bytes);
    while (map_next(&p->links, &cursor, &key, &value))
        if (link_send(((struct peer *) value)->link, buf_span(&bytes)) < 0)
            metric_add(METRIC_FRAMES_DROPPED_TOTAL, 1);
    p->on_loan();
}

void peers_done(struct peers *p)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    while (map_next(&p->links, &cursor, &key, &value))
        close_peer(p, key, value);
    map_done(&p->links);
}
