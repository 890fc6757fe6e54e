/*
 * Does: reads what a Redis Cluster and Sentinels say about who has what: CLUSTER SLOTS and INFO, MOVED and ASK, a Sentinel's primary.
 * Does not: ask, or believe (shard.h does).
 * Owns: nothing but the map it gives.
 * Fails: -EBADMSG: not what any Redis says, in whole or in part; nothing of it is to be used. -ENOENT: the Sentinel knows no such master.
 * See: PROTOCOL.md ground rules 2 and 4.
 */
#pragma once

#include "cluster/keys.h"
#include "io/redis.h"

enum { SLOT_NOBODY = UINT16_MAX, SLOT_MAP_PRIMARIES_MAX = 1000, SHARD_ADDRESS_MAX = DOMAIN_MAX + 16 };

/* Who has which slot. */
struct slot_map {
    char (*addresses)[SHARD_ADDRESS_MAX]; /* of primaries, "host:port" */
    unsigned *successors;                 /* of each: how many replicas it names */
    size_t count;
    uint16_t owner[SLOT_COUNT]; /* which of them; SLOT_NOBODY */
};
/* asked: "host:port" that was asked: what an entry without a host means. */
int slot_map_read(const struct redis_value *slots, const char *asked, struct slot_map *ret_map);
void slot_map_done(struct slot_map *m);

/* Of CLUSTER INFO: does the node asked think that the cluster works, and in which epoch. */
struct cluster_state {
    bool is_ok;
    uint64_t epoch;
};
int cluster_state_read(const struct redis_value *info, struct cluster_state *ret_state);

struct redirection {
    bool is_ask; /* else MOVED */
    unsigned slot;
    char address[SHARD_ADDRESS_MAX];
};
/* False: the error is no redirection; nonsense after the word is none either. */
bool redirection_read(struct span error, const char *asked, struct redirection *ret_redirection);

/* A number of SENTINEL MASTER: config-epoch says how new what it knows is; 0: it does not say. */
uint64_t sentinel_number_read(const struct redis_value *answer, const char *name);
/* Of SENTINEL get-master-addr-by-name. */
int sentinel_primary_read(const struct redis_value *answer, char ret_address[static SHARD_ADDRESS_MAX]);
/* Of SENTINEL REPLICAS: how many it would promote if the primary were lost now. One whose link to its primary is down for longer is none. */
unsigned sentinel_successors_read(const struct redis_value *answer, uint64_t link_down_most_ms);
