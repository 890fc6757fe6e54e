/*
 * Does: a hash table from byte strings to pointers, keyed with a random seed (SipHash), so that peers cannot choose collisions.
 * Does not: own the values.
 * Owns: copies of the keys.
 * Fails: never. A zeroed struct map is a valid empty one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct map_entry;
struct map {
    struct map_entry **buckets;
    size_t bucket_count;
    size_t count;
};

void *map_get(const struct map *m, struct span key); /* NULL: not there */
/* Stores value (not NULL); returns the value it replaced, or NULL. */
void *map_set(struct map *m, struct span key, void *value);
void *map_remove(struct map *m, struct span key); /* the value, or NULL */
/* Walks all entries in no order: start with *cursor = 0; false at the end. During a walk only the entry just returned may be removed. */
bool map_next(const struct map *m, size_t *cursor, struct span *ret_key, void **ret_value);
void map_done(struct map *m);
