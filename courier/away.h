/*
 * Does: watches for shards of the store that cannot be reached while this courier has claims in them. After courier.away_time it takes no more work, settles
 *       what can be settled, and ends the process (PROTOCOL.md "Nodes"): whoever is still connected to that shard gets the claims back.
 * Does not: decide whether a shard is there (cluster/store.h).
 * Owns: since when each partition has been away.
 * Fails: never.
 */
#pragma once

#include "courier/courier.h"

void away_start(struct courier *c);
/* Of the jobs and verdicts in hand, those that cannot be settled now: their shard is away. */
size_t away_jobs(const struct courier *c);
size_t away_verdicts(const struct courier *c);
