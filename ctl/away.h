/*
 * Does: remembers which shards of a Redis Cluster did not answer, and what was missed for it: says so on standard error, in JSON, and as exit status.
 * Does not: find that out (ask.h does), or ask again.
 * Owns: what it remembers, until the program ends; one set for the program.
 * Fails: never.
 */
#pragma once

#include "cluster/shard.h"
#include "io/json.h"

/* shard NULL: slots that nobody has. why: what is known of it, "". */
void away_note(const struct shards *shards, const struct shard *shard, const char *why);
/* It answers again: what was missed stays missed. */
void away_back(const struct shard *shard);
bool away_is(
    const struct shard *shard); /* it has not answered since; NULL: there are slots that nobody has */
/* Was something missed: of anything, of this partition, of the common keys (nodes, rules, users, tables)? */
bool away_any(void);
bool away_has_partition(unsigned partition);
bool away_has_common(void);
unsigned away_partitions(void); /* how many */
/* "Redis at A did not answer (WHY): away with it are partitions 0-84 (85 of 256), and the common keys: ..."; of those that are away now. */
void away_add(struct buf *out);
void away_put(
    struct json *json); /* as "away": [address, ...] and "away_partitions": [...], if something was missed */
/* At the end: says it, and returns EXIT_PARTLY instead of EXIT_OK; EXIT_ASKED_FAILED when nothing has answered. */
int away_tell(int status);
void away_add_partitions(struct buf *out, const struct shards *shards,
                         const struct shard *shard); /* "0-84 (85 of 256)" */
void away_forget(void);                              /* for tests */
