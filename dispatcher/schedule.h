/*
 * Does: knows which queues have work and which courier may work them: rings, due queues and reports in, grants out.
 * Does not: look for work (look.h), send frames (grant.h), touch mail.
 * Owns: one struct work per such queue, at most `most`; what finds no room stays in Redis, where `due` finds it again.
 * Fails: never. Time is an argument, so that tests can let it pass.
 * See: DESIGN.md section 5. One courier works a queue at a time; its grant ends 5 s after the hello it answered was sent, so
 *      5 s after it came by our clock nothing of it is in force.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "dispatcher/couriers.h"
#include "dispatcher/limits.h"
#include "dispatcher/partition.h"

enum {
    GRANT_MS = 5000,
    WORK_SILENT_MS = 1500, /* no report for so long: granted again, the frame may have been lost */
    WORK_WAIT_MS = 100,    /* what could not be granted is looked at again */
    WORK_RENEW_MS = 400,   /* a report of work under way is answered, but not more often */
    WORK_KEEP_MS = 900,    /* the same when the queue is empty and only claimed jobs are left */
    WORK_STAY_MS = 5000,   /* a queue does not move to another courier before */
};

struct work {
    struct list link; /* ready, waiting or held */
    struct list out;  /* its grant is to be sent to the holder */
    struct courier *holder;
    uint64_t until_ms;   /* nothing granted to the holder is in force after */
    uint64_t granted_ms; /* when we last granted it */
    uint64_t since_ms;   /* the holder has it since */
    uint64_t look_ms;    /* waiting, held: when to look at it again */
    uint64_t epoch;      /* of the couriers when the holder was chosen */
    uint64_t reserved_until_ms;
    uint32_t reserved; /* connections that a former holder still uses */
    struct bucket bucket;
    unsigned partition;
    bool wants;        /* there may be work that nobody has found to be gone */
    bool is_rung;      /* a ring came after the last grant */
    bool is_returning; /* asked for back, or given back but in use */
    size_t key_len;
    char key[]; /* partition, then the queue's name */
};

struct schedule {
    struct partitions *partitions;
    struct couriers *couriers;
    const struct limits *limits;
    size_t most;
    struct map works;
    struct list ready, waiting, held;
    size_t wanting, granted; /* gauges */
    bool has_output;         /* some courier's outgoing list is not empty */
};

void schedule_init(struct schedule *s, struct partitions *partitions, struct couriers *couriers);
void schedule_done(struct schedule *s);
struct span work_queue(const struct work *w);

/* There is work in this queue: a ring, or found by due. */
void schedule_ring(struct schedule *s, unsigned partition, struct span queue, uint64_t now_ms);
void schedule_report(struct schedule *s, struct courier *from, const struct report *r, uint64_t now_ms);
/* Grants what can be granted. */
void schedule_run(struct schedule *s, uint64_t now_ms);
/* Looks at what waits, was not reported or is over; to be called every some 25 ms. */
void schedule_check(struct schedule *s, uint64_t now_ms);
void schedule_courier_gone(struct schedule *s, const struct courier *gone, uint64_t now_ms);
/* What the courier is told now; also notes until when it holds. */
struct grant schedule_grant(struct schedule *s, struct work *w, uint64_t now_ms);
