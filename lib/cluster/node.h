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

#include "cluster/store.h"

enum role { ROLE_INGRESS, ROLE_DISPATCHER, ROLE_COURIER, ROLE_COUNT };
const char *role_name(enum role role);

struct node_stats { /* published with each beat */
    enum role role;
    char *name, *version;
    char *http;          /* host:port */
    char *bus;           /* dispatcher: host:port to connect to */
    char *pools;         /* courier: those it can bind, separated by commas */
    uint64_t started_ms; /* wall clock */
    uint64_t
        beat_ms; /* of this beat: store_redis_ms(), set by node.c; for display only, nobody is declared dead by it */
    bool store_audit_ok, is_draining;
    uint64_t sessions, accepted, delivered, deferred, failed, in_doubt, claimed, capacity, partitions,
        queues_active;
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
    uint64_t sent_ms, read_ms; /* clock_ms() of the confirmed read's sending and reply */
};

struct node;
struct node_events {
    void (*on_joined)(void *owner, uint64_t incarnation);
    void (*on_dead)(void *owner); /* buried: abort what is before its dot */
    /* After every read; NULL: the read failed (watches start again). */
    void (*on_view)(void *owner, const struct node_view *view);
    /* Fill in numbers, and pools, before a beat; the other strings are kept from node_open. */
    void (*on_stats)(void *owner, struct node_stats *stats);
    void *owner;
};

struct node *node_open(struct store *s, const struct node_stats *stats, uint64_t view_every_ms,
                       const struct node_events *events);
/* leave(), then on_left; the node is gone after it. Ends after 2 s at most. Before store_close(), which ends the wait at once. */
void node_leave(struct node *n, void (*on_left)(void *owner), void *owner);
uint64_t node_incarnation(const struct node *n); /* 0: not joined */
/* The check before a final dot (invariant 4): the last confirmed beat of this incarnation was sent less than 3 s ago. */
bool node_may_send_dot(const struct node *n, uint64_t incarnation);
uint64_t node_beat_age_ms(const struct node *n);
const struct node_view *node_view(const struct node *n); /* the last one; never NULL, maybe empty */

/* From HGETALL of KEY_NODES, also for those who only look; sent_ms and read_ms are left to the caller. -EBADMSG: not a list of pairs. */
int view_read(const struct redis_value *value, struct node_view *ret_view);
void view_done(struct node_view *v);

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
