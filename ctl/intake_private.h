/*
 * Does: what intake*.c share: a job on its way in, the message whose content others read.
 * Does not: concern anybody else. Owns: an arrival, until arrival_done().
 * Fails: intake_fail() keeps the first reason.
 * See: intake.h.
 */
#pragma once

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/queue.h"
#include "cluster/spool.h"
#include "cluster/wire.h"
#include "ctl/intake.h"

enum { INTAKE_TIME_MS = 10000 };

/* A message whose content others read: not due before all of those that come with it are there. */
struct family {
    char *job; /* NULL: none */
    unsigned partition;
    uint32_t chunk_count, chunks_come;
    bool is_known, is_parked; /* is_parked: it waits for its place; else it went on before, or has ended */
};

struct intake {
    struct ask *ask;
    struct store *store;
    bool replaces_rows, is_waiting, has_answered;
    bool is_move; /* what was moved away from here may come back */
    size_t open;  /* calls and jobs under way */
    size_t bytes_open;
    struct arrival *now; /* whose chunks come */
    struct family family;
    struct buf answers;
    struct intake_counts counts;
    uint32_t partitions; /* of the layout it comes from */
    char *error;         /* NULL: none */
};

struct arrival { /* a job on its way into the store */
    struct intake *intake;
    char *job, *queue, *tenant, *reason;
    struct buf envelope, state;
    struct buf chunk; /* the only one */
    unsigned partition;
    uint32_t chunk_count;
    uint64_t size, mark_ms, due_ms;
    size_t writing; /* chunks under way */
    bool is_given;  /* all of it came */
    bool is_cut;    /* or no more will come */
    bool has_ended; /* where it came from: it is not made */
    bool is_held, is_bounced, keeps_content, is_again;
    uint32_t copied; /* chunks of another job, copied so far */
    size_t number;   /* of its letter */
};

void intake_fail(struct intake *in, char *error);
void intake_over(struct intake *in, size_t bytes); /* something under way is answered */

/* Every chunk that there is was given, or there are none. */
void arrival_go(struct arrival *a);
/* The content of the family's first job becomes its own, unless it is there. */
void arrival_go_with_copy(struct arrival *a);
void arrival_done(struct arrival *a, enum arrival_answer answer);
/* A parked job is given its place. on_done: ACT_UNKNOWN: no answer. */
void place_give(struct intake *in, unsigned partition, const char *job, const char *queue,
                const struct parcel_place *place, queue_on_act *on_done, void *context);
