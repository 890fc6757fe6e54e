/*
 * Does: remembers which jobs were met: 20 bytes for each, twice to four times that in memory.
 * Does not: forget. Owns: its memory. A zeroed one is valid and empty.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>

#include "base/id.h"

struct job_set {
    struct job_key *keys;
    size_t count, room; /* room: a power of two */
};
/* False: it was there. What is no job's name is never there. */
bool job_set_add(struct job_set *s, struct span job);
bool job_set_has(const struct job_set *s, struct span job);
void job_set_done(struct job_set *s);
