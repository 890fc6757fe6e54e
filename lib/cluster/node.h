/*
 * Does: this process' life in the cluster (join, beat each second, leave) and its view of the other nodes.
 * Does not: decide who is dead (dispatcher), except for itself when told so.
 * Owns: incarnation, the last confirmed beat, the view.
 * Fails: told "dead": on_dead, then joins anew by itself and on_joined comes again.
 * See: PROTOCOL.md "Nodes".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cluster/orders.h"
#include "cluster/store.h"
#include "mail/bounce.h"

enum role { ROLE_INGRESS, ROLE_DISPATCHER, ROLE_COURIER, ROLE_COUNT };
const char *role_name(enum role role);

enum { NODE_BUSY_MAX = 16 };
struct node_busy { /* what a courier does for one queue */
    char *queue;
    char *site; /* the best host; "": not found yet */
    uint32_t connections, granted;
    uint64_t rate; /* messages a minute it may send; 0: no limit */
    uint64_t jobs; /* claimed */
};
struct node_stats { /* published with each beat */
    enum role role;
    char *name, *version;
    char *http;          /* host:port */
    char *bus;           /* dispatcher: host:port to connect to */
    char *pools;         /* courier: those it can bind, separated by commas */
    char *bus_key;       /* public key on the bus (keyring.h); empty: a former version has none */
    uint64_t bus_key_ms; /* when it was made; Redis' clock */
    uint64_t started_ms; /* wall clock */
    uint64_t
        beat_ms; /* of this beat: store_redis_ms(), set by node.c; for display only, nobody is declared dead by it */
    int64_t clock_ahead_ms; /* its wall clock at that moment, ahead of Redis'; set by node.c */
    bool store_audit_ok, is_draining;
    uint64_t sessions, accepted, delivered, deferred, failed, in_doubt, claimed, capacity, partitions,
        queues_active;
    uint64_t deferred_as[BOUNCE_COUNT], failed_as[BOUNCE_COUNT]; /* courier: the same by class */
    char *settings;         /* digests by section (settings_digest.h), set by node.c */
    struct node_busy *busy; /* courier: the queues it works with most connections */
    size_t busy_count;
};

struct node_peer {
    uint64_t incarnation, count; /* count: NODE_NO_COUNT when what is stored begins with no number */
    struct node_stats
        stats; /* empty strings and ROLE_COUNT until its first beat, and when they are unreadable */
};
#define NODE_NO_COUNT UINT64_MAX

struct node_view {
    uint64_t last;           /* the highest incarnation ever */
    struct node_peer *peers; /* by incarnation, ascending; ourselves too */
    size_t count;
    struct node_orders orders; /* those of the read before, while the key is no hash */
    uint64_t sent_ms, read_ms; /* clock_ms() of the confirmed read's sending and reply */
};

struct node;
struct node_events {
    void (*on_joined)(void *owner, uint64_t incarnation);
    void (*on_dead)(void *owner); /* buried: abort what is before its dot */
    /* After every read; NULL: the read failed (watches start again). */
    void (*on_view)(void *owner, const struct node_view *view);
    /*
     * The operator orders this node to drain (node_is_ordered_to_drain()), or no longer: it stays, and takes no new work meanwhile. Before the
     * on_view of the read that shows it. Orders are read before the first life begins, so that a node started under one takes no work at all.
     */
    void (*on_drain)(void *owner, bool is_ordered);
    /* Fill in numbers, pools and bus_key, before a beat; the other strings are kept from node_open. */
    void (*on_stats)(void *owner, struct node_stats *stats);
    void *owner;
};

struct node *node_open(struct store *s, const struct node_stats *stats, uint64_t view_every_ms,
                       const struct node_events *events);
/* leave(), then on_left; the node is gone after it. Ends after 2 s at most. Before store_close(), which ends the wait at once. */
void node_leave(struct node *n, void (*on_left)(void *owner), void *owner);
uint64_t node_incarnation(const struct node *n); /* 0: not joined */
bool node_is_ordered_to_drain(const struct node *n);
/* The check before a final dot (invariant 4): the last confirmed beat of this incarnation was sent less than 3 s ago. */
bool node_may_send_dot(const struct node *n, uint64_t incarnation);
uint64_t node_beat_age_ms(const struct node *n);
/* A view, or a beat, comes soon, not only when its time is: but not at once, who asks may ask often. */
void node_look_soon(struct node *n);
void node_beat_soon(struct node *n);
const struct node_view *node_view(const struct node *n); /* the last one; never NULL, maybe empty */

/* From HGETALL of KEY_NODES, also for those who only look; orders, sent_ms and read_ms are left to the caller. -EBADMSG: not a list of pairs. */
int view_read(const struct redis_value *value, struct node_view *ret_view);
void view_done(struct node_view *v);

/* It has beaten lately enough not to be buried. now_ms: clock of Redis. For the eye: nobody is declared dead by it. */
bool node_is_beating(const struct node_peer *p, uint64_t now_ms);

/* Can this courier bind an address of the pool? */
bool node_has_pool(const struct node_stats *s, const char *pool);

/*
 * Weighted rendezvous: the peer of that role, not draining, that owns key; NULL when there is none. Couriers weigh by stats.capacity (0 as 1).
 * Same answer on every node with the same view.
 */
double node_rank(const struct node_peer *peer, struct span key); /* the highest one is chosen */
const struct node_peer *node_choose(const struct node_view *v, enum role role, struct span key);
const struct node_peer *node_for_partition(const struct node_view *v,
                                           unsigned partition); /* among dispatchers not draining */

/* PROTOCOL.md bury(); answer dead true: gone, whoever did it. */
typedef void node_on_bury(void *context, uint64_t incarnation, bool ok, bool is_dead);
void node_bury(struct store *s, uint64_t incarnation, uint64_t count, node_on_bury *on_answer, void *context);
