/*
 * Does: the leases of partitions: takes those that rendezvous names us for, keeps them each second, yields the rest.
 * Does not: look for work in them (look.h) or hand out limits (schedule.h).
 * Owns: one row per partition.
 * Fails: never; what is not answered is tried again. A lease that could not be kept in time is not used.
 * See: PROTOCOL.md "Partition leases and looking for work".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cluster/keys.h"
#include "cluster/queue.h"
#include "dispatcher/nodes.h"

enum {
    LEASE_KEEP_MS = 1000,
    LEASE_USE_MS = 2000,    /* used so long after the last confirmed keep was sent */
    LEASE_SETTLE_MS = 1200, /* after a predecessor that lived: couriers have reported what it granted last */
    LEASE_EXPIRED_MS =
        200, /* the same when its lease ran out: it granted nothing in the last second of that */
    LEASE_ALONE_MS =
        5000, /* after the reply of acquire: nothing a predecessor granted before it yielded is in force */
};

struct partition {
    uint64_t token;
    uint64_t floor;       /* the highest token a courier reported */
    uint64_t sent_ms;     /* of the last confirmed acquire or keep */
    uint64_t keep_ms;     /* when the next keep is due */
    uint64_t acquired_ms; /* reply of acquire */
    uint64_t settled_ms;  /* from then on the couriers' reports tell all that was granted before */
    uint64_t caller;      /* incarnation of the call under way; 0: none */
    bool is_held;
    bool is_named;
    bool is_orphan;   /* the one who should have it is silent */
    bool was_taken;   /* the last acquire met somebody else's lease */
    bool was_emptied; /* a queue of it has nothing due now; what it has later is not known */
};

enum partition_step { STEP_NONE, STEP_ACQUIRE, STEP_KEEP, STEP_YIELD };

struct partitions {
    struct partition of[PARTITION_COUNT];
    struct store *store;
    uint64_t me; /* incarnation; 0: not joined */
    unsigned held;
    unsigned lost; /* held, then somebody else's; not yet told */
    bool is_draining;
    void (*on_change)(void *owner, unsigned partition, bool is_held);
    void *owner;
};

/* What a partition needs now. Pure. */
enum partition_step partition_step(const struct partition *p, uint64_t now_ms);
/* May its limits be handed out? Pure. */
bool partition_is_usable(const struct partition *p, uint64_t now_ms);

/* Whom the view names for each partition, among those who may own; also judges who takes too few. Pure but for the rows. */
void partitions_name(struct partitions *all, struct nodes *nodes, const struct node_view *view,
                     uint64_t now_ms);
/* Sends what is due; to be called some times a second. */
void partitions_work(struct partitions *all, uint64_t now_ms);
/* A courier knows this token; far above last_incarnation (the clock of Redis when somebody last joined) it is nobody's. */
void partitions_see_token(struct partitions *all, unsigned partition, uint64_t token,
                          uint64_t last_incarnation);
/* This life is over: whatever was held is given up. */
void partitions_drop(struct partitions *all);
/* Yields all; true when nothing is held or under way any more. */
bool partitions_drain(struct partitions *all);
