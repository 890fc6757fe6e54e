/*
 * Does: looks for work in the partitions held: `due` at every known due time and at least every 500 ms, `reap` each second.
 * Does not: decide what follows; queues found go to on_queue.
 * Owns: one row per partition; the list of the living for reap.
 * Fails: never; after an unknown outcome the same is looked for again.
 * See: PROTOCOL.md "Partition leases and looking for work", reap.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/partition.h"

enum {
    LOOK_EVERY_MS = 500,
    LOOK_PARK_MS = 30000,
    LOOK_COUNT = 100,
    LOOK_COUNT_DEEP = 500,
    REAP_EVERY_MS = 1000,
    REAP_BATCH = 500
};

struct look {
    uint64_t look_ms, reap_ms;
    uint64_t
        deep_ms; /* since when the horizon is LOOK_PARK_MS: after acquire, unknown outcomes and an emptied queue; 0: it is now */
    bool is_looking, is_reaping;
    bool is_deep;        /* the look under way is */
    bool is_reap_urgent; /* a node is gone */
};

struct looks {
    struct look of[PARTITION_COUNT];
    struct partitions *partitions;
    uint64_t last, *live; /* of the last confirmed read of nodes; last 0: none */
    size_t live_count;
    void (*on_queue)(void *owner, unsigned partition, const struct queue_due *due);
    void *owner;
};

/* A partition was acquired: first looks are spread over a moment. */
void looks_begin(struct looks *l, unsigned partition, uint64_t now_ms);
/* Queues that nobody was to look at may have work by now: all of them are looked at soon, those that were put off too. */
void looks_deepen(struct looks *l, uint64_t now_ms);
/* is_vanished: a node is gone, its claims are given back at once. */
void looks_view(struct looks *l, const struct node_view *view, bool is_vanished);
/* Sends what is due; to be called every some 25 ms. */
void looks_work(struct looks *l, uint64_t now_ms);
void looks_done(struct looks *l);
