/*
 * Does: takes jobs out of the store into an outlet. A copy leaves them as they are. A move puts each aside first (held, with a reason that
 *       remembers when it was due), and deletes it once the other end has confirmed it: a crash at any moment leaves it here, there, or held
 *       here and there, and the same move again goes on from that.
 * Does not: find jobs (selection.h), or write files (outlet.h).
 * Owns: its connections to the store, what it remembers of jobs.
 * Fails: EXIT_ASKED_FAILED and said.
 */
#pragma once

#include "ctl/job_set.h"
#include "ctl/outlet.h"
#include "ctl/selection.h"

#define SHIPMENT_REASON "being moved to another store, due at " /* and the time, ms */

struct shipment_counts {
    uint64_t jobs, chunks, bytes; /* put out */
    uint64_t moved;               /* and taken out of the store */
    uint64_t again;               /* of these: they were there before */
    uint64_t claimed;             /* copies of jobs that a courier had */
    uint64_t left_claimed;        /* a courier had them all the time: left here */
    uint64_t left_expanding;      /* messages whose jobs are being made: left here */
    uint64_t left_newer;          /* only a newer version can read where their content is */
    uint64_t refused;             /* the other end did not take them: held here */
    uint64_t ending;              /* were being deleted: not put out */
    uint64_t no_record;           /* names without a record: nothing to put out */
    uint64_t parents;             /* moved messages that end here by themselves when no job reads them */
    uint64_t in_doubt;            /* somebody released them here while they were moved: maybe twice */
};

struct shipment;
/* outlet: borrowed; NULL: it only counts. */
int shipment_open(struct ask *k, struct outlet *outlet, const struct selection *what, bool is_move,
                  uint64_t wait_ms, struct shipment **ret_shipment);
struct shipment *shipment_close(struct shipment *s); /* always NULL */
/* A move's name (ctl/mover.h), "" of a copy. */
const char *shipment_mover(const struct shipment *s);
/* All that the selection means, until nothing new is found. */
int shipment_run(struct shipment *s);
/* Instead: these jobs of one message, and those that read the content of one of them; a copy only. */
int shipment_run_jobs(struct shipment *s, struct selected *jobs, size_t count, uint64_t now_ms);
const struct shipment_counts *shipment_counts(const struct shipment *s);
