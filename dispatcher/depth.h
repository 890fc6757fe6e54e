/*
 * Does: knows how much mail the partitions held have, by state, how old it is and how late: looks at one after the other, slowly, with commands
 *       that cost Redis the same however long a queue is; the metrics tell it, so that who reads them costs Redis nothing.
 * Does not: look for work (look.h).
 * Owns: one row per partition.
 * Fails: never; what is not answered is asked again with the next round.
 * See: metric.def "Queue".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cluster/queue_depth.h"
#include "dispatcher/partition.h"

enum {
    DEPTH_EVERY_MS = 10000, /* each partition */
    DEPTH_STEP_MS = 20,     /* no more than a page of queues in so long */
    DEPTH_FIRST_MS = 200,   /* a partition that is new to us is looked at so soon, after others that are */
    DEPTH_PUBLISH_MS = 500
};

enum depth_state { DEPTH_WAITING, DEPTH_DUE, DEPTH_CLAIMED, DEPTH_HELD, DEPTH_STATES };

struct depth {
    uint64_t jobs[DEPTH_STATES], oldest_ms[DEPTH_STATES]; /* ages, as it was looked at */
    uint64_t tardy_ms, queues;
    uint64_t seen_ms; /* clock_ms() then, or when it became ours; 0: it is not */
};

struct rules;
struct depths {
    struct partitions *partitions;
    const struct rules *rules;              /* of the operator, in force; NULL: none */
    struct depth of[PARTITION_COUNT], next; /* next: of `place`, as far as it was read */
    uint64_t look_ms[PARTITION_COUNT];      /* 0: not held */
    uint64_t cursor, step_ms, publish_ms;
    unsigned place;
    bool is_asking;
};

void depths_init(struct depths *all, struct partitions *partitions);
/* One step, if it is time; to be called often. */
void depths_work(struct depths *all, uint64_t now_ms);
/* Pure: adds what a page says. */
void depth_add(struct depth *d, const struct queue_page *page, const struct rules *rules);
