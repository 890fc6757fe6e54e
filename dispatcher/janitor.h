/*
 * Does: looks at every key of the queue, a few at a time and slowly, and has mended what damage may leave behind (lua/tidy.lua). The
 *       dispatcher that holds the first partition does so for all: only who sees all can tell that nobody reads what has no job.
 * Does not: remove what mail may still need: content without a job gets a time limit of days, jobs without a place are held.
 * Owns: where it is; messages whose content nobody seems to own.
 * Fails: never; what is not answered is asked again, and a pass that could not see all proves nothing.
 * See: docs/flow.md "What is left behind", janitor.def.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/partition.h"

struct janitor_batch; /* keys of one partition, not yet looked at */
struct janitor_stray; /* a message whose content has no job */

struct janitor {
    struct store *store;
    struct partitions *partitions;
    enum janitor_stage { JANITOR_RESTS, JANITOR_SCANS, JANITOR_ENDS } stage;
    bool is_ours; /* the first partition */
    bool is_asking;
    uint64_t next_ms;
    unsigned place; /* the partition whose shard is read */
    uint64_t cursor;
    uint8_t shards[PARTITION_COUNT]; /* of each partition the first on its shard, as the pass began */
    struct janitor_batch *batches;   /* PARTITION_COUNT of them during a pass */
    struct janitor_stray *strays;
    size_t stray_count;
    uint64_t began_ms, keys, found;
};

void janitor_init(struct janitor *j, struct store *s, struct partitions *partitions);
/* One step, if it is time; to be called often. */
void janitor_work(struct janitor *j, uint64_t now_ms);
/* After store_close(): nothing is under way any more. */
void janitor_done(struct janitor *j);
