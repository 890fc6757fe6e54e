/*
 * Does: asks Sentinels who is primary, or nodes of a Redis Cluster who has which slot: one after another until one answers, and that one again
 *       from time to time, sooner while something is amiss.
 * Does not: keep what it is told (shard.c does).
 * Owns: the connection to whom it asks.
 * Fails: never for good: finder_trouble() says why nobody has answered.
 */
#pragma once

#include "cluster/access.h"
#include "cluster/shard.h"
#include "cluster/topology.h"

struct finder;
struct finder_settings {
    enum store_kind kind; /* not STORE_STANDALONE */
    const struct access *access;
    uint64_t timeout_ms;
    void (*on_primary)(void *owner, const char *address, unsigned successors); /* under Sentinels */
    void (*on_map)(void *owner, const struct slot_map *map);
    bool (*is_well)(void *owner); /* all slots have somebody who is connected */
    void *owner;
};

/* Asks those of store.address. -EINVAL with a sentence: one of them is no address. */
int finder_open(struct loop *l, const struct finder_settings *settings, struct finder **ret_finder,
                char **ret_error);
struct finder *finder_close(struct finder *f); /* always NULL */
/* Asks soon: at most four times a second. */
void finder_look(struct finder *f);
/* access has other certificates now. */
void finder_renew(struct finder *f);
const char *finder_trouble(const struct finder *f); /* "": the last who was asked has answered */
