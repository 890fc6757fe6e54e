/*
 * Does: chunk keys written in a call: plainly, or through the script when memory is short (PROTOCOL.md ground rules 6 and 7).
 * Does not: send. Owns: nothing. Fails: never.
 */
#pragma once

#include "cluster/keys.h"
#include "cluster/store.h"

/* Appends SET NX EX of one chunk. */
void chunk_put(struct store_call *c, unsigned partition, struct span job, uint32_t index, struct span bytes);
/* About how many bytes that takes: to reserve. */
size_t chunk_put_size(struct span bytes);
/* The call begins with `count` chunk_put() of that partition: each becomes a call of the script `chunk`, the rest stays as it is. */
void chunk_put_by_script(struct store_call *c, unsigned partition, size_t count);
