/* The view of the nodes: read from their hash, and rendezvous over it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/node_private.h"
#include "cluster/wire.h"
#include "io/hash.h"

/* Dispatchers bury after SILENT_MS without a beat. */
enum { INCARNATION_MAX_BITS = 53, SILENT_MS = 4500 };

const char *role_name(enum role role)
{
    static const char *const names[] = {
        [ROLE_INGRESS] = "ingress", [ROLE_DISPATCHER] = "dispatcher", [ROLE_COURIER] = "courier"};

    return role < ARRAY_LEN(names) ? names[role] : "unknown";
}

static void peer_read(struct node_peer *peer, uint64_t incarnation, struct span value)
{
    struct span stats = value, digits = span_cut(&stats, ' ');

    peer->incarnation = incarnation;
    if (span_number(digits, UINT64_MAX - 1, &peer->count) < 0)
        peer->count = NODE_NO_COUNT;
    if (stats.len && wire_get_stats(stats, &peer->stats) == 0)
        return;
    /* Before its first beat, or of a version that we do not understand: it lives all the same. */
    peer->stats = (struct node_stats){
        .role = ROLE_COUNT,
        .name = mem_string(""),
        .version = mem_string(""),
        .http = mem_string(""),
        .bus = mem_string(""),
        .pools = mem_string(""),
        .bus_key = mem_string(""),
        .settings = mem_string(""),
    };
}

static int peer_compare(const void *left, const void *right)
{
    const struct node_peer *a = left, *b = right;

    return (a->incarnation > b->incarnation) - (a->incarnation < b->incarnation);
}

int view_read(const struct redis_value *value, struct node_view *ret_view)
{
    struct node_view v = {.peers = NULL};

    if (value->type != REDIS_ARRAY || value->count % 2)
        return -EBADMSG;
    if (value->count)
        v.peers = mem_array(value->count / 2, sizeof *v.peers);
    for (size_t i = 0; i < value->count; i += 2) {
        struct span name = redis_text(&value->items[i]), text = redis_text(&value->items[i + 1]);
        uint64_t incarnation;
        if (redis_is_text(&value->items[i], "last"))
            (void) span_number(text, UINT64_C(1) << INCARNATION_MAX_BITS,
                               &v.last); /* no number: 0, nobody is dead */
        else if (span_number(name, UINT64_C(1) << INCARNATION_MAX_BITS, &incarnation) == 0)
            peer_read(&v.peers[v.count++], incarnation, text);
    }
    if (v.count)
        qsort(v.peers, v.count, sizeof *v.peers, peer_compare);
    *ret_view = v;
    return 0;
}

void view_done(struct node_view *v)
{
    for (size_t i = 0; i < v->count; i++)
        node_stats_done(&v->peers[i].stats);
    mem_free(v->peers);
    node_orders_done(&v->orders);
    *v = (struct node_view){.peers = NULL};
}

bool node_is_beating(const struct node_peer *p, uint64_t now_ms)
{
    return p->stats.role != ROLE_COUNT && now_ms < p->stats.beat_ms + SILENT_MS;
}

bool node_has_pool(const struct node_stats *s, const char *pool)
{
    struct span rest = span_of(s->pools ? s->pools : "");

    while (rest.len > 0)
        if (span_equal(span_cut(&rest, ','), span_of(pool)))
            return true;
    return false;
}

/* With u even in (0, 1) and weight w, -w / ln(u) makes each peer's share of the keys its share of the weights. */
double node_rank(const struct node_peer *peer, struct span key)
{
    uint64_t weight = peer->stats.role == ROLE_COURIER && peer->stats.capacity ? peer->stats.capacity : 1;
    uint64_t hash = hash64_seeded(key, peer->incarnation);
    double even = ((double) (hash >> 11) + 0.5) / 9007199254740992.0;

    return (double) weight / -log(even);
}

const struct node_peer *node_choose(const struct node_view *v, enum role role, struct span key)
{
    const struct node_peer *best = NULL;
    double best_score = 0;

    for (size_t i = 0; i < v->count; i++) {
        const struct node_peer *peer = &v->peers[i];
        if (peer->stats.role != role || peer->stats.is_draining)
            continue;
        double score = node_rank(peer, key);
        if (!best || score > best_score) {
            best = peer;
            best_score = score;
        }
    }
    return best;
}

const struct node_peer *node_for_partition(const struct node_view *v, unsigned partition)
{
    return node_choose(v, ROLE_DISPATCHER, span_of(partition_tag(partition)));
}
