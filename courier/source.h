/*
 * Does: the source addresses of a queue's pool: which of them this courier can bind, and the next to use, in turn.
 * Does not: choose by the destination's address family: it gives one of each.
 * Owns: the list of pools that can be bound, tried at the start, after SIGHUP and every minute; each beat tells it to the cluster.
 * Fails: never; a pool none of whose addresses can be bound is not told to the dispatchers.
 */
#pragma once

#include "courier/courier.h"
#include "mail/addr.h"

struct source {
    const char *pool;      /* borrowed from the settings in force, as helo_name */
    struct ip v4, v6;      /* to bind to, with port 0 */
    bool has_v4, has_v6;   /* a destination of a family that is not there is passed over */
    const char *helo_name; /* NULL: as courier.helo_name says */
};

/* The next addresses of the queue's pool that can be bound, one of each family. False: it has no pool, and the kernel chooses. */
bool source_of(struct courier *c, const char *queue, struct source *ret_source);
/* Can an address of the queue's pool be bound, or has it none? No turn is taken. ret_pool: its pool or NULL, borrowed as above. */
bool source_is_here(const struct courier *c, const char *queue, const char **ret_pool);

struct sources;
/* Tries the addresses of all pools, now and every minute. */
struct sources *sources_new(struct courier *c);
struct sources *sources_free(struct sources *s); /* always NULL */
/* The settings have changed: tries anew. */
void sources_reload(struct sources *s);
/* Names of the pools of which at least one address can be bound, separated by commas; borrowed until they are tried again. */
const char *sources_pools(const struct sources *s);
