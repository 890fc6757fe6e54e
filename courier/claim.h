/*
 * Does: claims jobs of a granted queue, as many as can be worked soon, and fetches the first chunk of each.
 * Does not: decide what becomes of them (attempt.h, fanout.h).
 * Owns: claims without an answer yet.
 * Fails: never; a record that cannot be read is held for the operator.
 */
#pragma once

#include "courier/work.h"

/* Claims if there may be jobs and there is room for them. */
void claim_more(struct work *w);
/* The answer to this claim of ours has not come yet. */
bool claim_is_open(const struct courier *c, uint64_t seq);
bool claim_is_awaited(const struct courier *c); /* one that may be answered soon: its shard is there */
