/* The watch of nodes: only counts are compared, and only spans of our own clock are measured. */
#include "dispatcher/nodes.h"

#include "base/mem.h"

struct node_seen *nodes_find(const struct nodes *n, uint64_t incarnation)
{
    for (size_t i = 0; i < n->count; i++)
        if (n->seen[i].incarnation == incarnation)
            return &n->seen[i];
    return NULL;
}

static size_t drop_gone(struct nodes *n, nodes_on_change *on_change, void *context)
{
    size_t kept = 0, gone = 0;

    for (size_t i = 0; i < n->count; i++) {
        if (n->seen[i].is_here) {
            n->seen[kept++] = n->seen[i];
            continue;
        }
        gone++;
        if (on_change)
            on_change(context, &n->seen[i], false);
    }
    n->count = kept;
    return gone;
}

size_t nodes_see(struct nodes *n, const struct node_view *v, nodes_on_change *on_change, void *context)
{
    bool is_broken = !n->read_ms || v->read_ms > n->read_ms + NODES_GAP_MS;

    n->read_ms = v->read_ms;
    for (size_t i = 0; i < n->count; i++)
        n->seen[i].is_here = false;
    n->seen = mem_resize(n->seen, (n->count + v->count + 1) * sizeof(*n->seen));
    for (size_t i = 0; i < v->count; i++) {
        const struct node_peer *peer = &v->peers[i];
        struct node_seen *seen = nodes_find(n, peer->incarnation);
        if (!seen) {
            seen = &n->seen[n->count++];
            *seen = (struct node_seen){.incarnation = peer->incarnation, .since_ms = v->read_ms};
        }
        if (is_broken || seen->count != peer->count)
            seen->since_ms = v->read_ms;
        seen->count = peer->count;
        seen->role = peer->stats.role;
        seen->is_here = true;
        if (seen->is_told || seen->role == ROLE_COUNT)
            continue; /* before its first beat nobody knows what it is */
        seen->is_told = true;
        if (on_change)
            on_change(context, seen, true);
    }
    return drop_gone(n, on_change, context);
}

void nodes_lose_sight(struct nodes *n)
{
    n->read_ms = 0;
}

void nodes_done(struct nodes *n)
{
    mem_free(n->seen);
    *n = (struct nodes){0};
}

uint64_t nodes_silent_ms(const struct nodes *n, uint64_t incarnation, uint64_t now_ms)
{
    const struct node_seen *seen = nodes_find(n, incarnation);

    if (!seen || !n->read_ms || now_ms > n->read_ms + NODES_GAP_MS || now_ms <= seen->since_ms)
        return 0;
    return now_ms - seen->since_ms;
}

bool nodes_is_dead(const struct nodes *n, uint64_t incarnation, bool is_heard, uint64_t now_ms)
{
    return nodes_silent_ms(n, incarnation, now_ms) >= (is_heard ? NODES_CUT_OFF_MS : NODES_DEAD_MS);
}

bool nodes_may_own(const struct nodes *n, const struct node_peer *peer, uint64_t self, uint64_t now_ms)
{
    if (peer->stats.role != ROLE_DISPATCHER || peer->stats.is_draining)
        return false;
    if (peer->incarnation == self)
        return true;
    const struct node_seen *seen = nodes_find(n, peer->incarnation);
    return seen && now_ms >= seen->banned_until_ms &&
           nodes_silent_ms(n, peer->incarnation, now_ms) < NODES_SUSPECT_MS;
}

void nodes_judge_share(struct nodes *n, uint64_t incarnation, unsigned named, uint64_t holds, uint64_t now_ms)
{
    struct node_seen *seen = nodes_find(n, incarnation);

    if (!seen)
        return;
    if (holds >= named) {
        seen->short_since_ms = 0;
    } else if (!seen->short_since_ms) {
        seen->short_since_ms = now_ms;
    } else if (now_ms >= seen->short_since_ms + NODES_SHORT_MS) {
        seen->short_since_ms = 0;
        seen->banned_until_ms = now_ms + NODES_SHORT_BAN_MS;
    }
}
