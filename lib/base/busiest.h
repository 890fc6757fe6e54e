/*
 * Does: counts by the names of an open set, such as hosts, and shows the busiest of them: BUSIEST_SHOWN at most, all others together as "other".
 * Does not: move counts: what was counted as "other" stays there, and a name that is shown anew begins at 0, so that no count falls but to 0.
 * Owns: a row per name it knows, BUSIEST_KNOWN at most. A zeroed one is a valid empty one. Thread-safe.
 * Fails: never.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/map.h"

enum { BUSIEST_SHOWN = 32, BUSIEST_KNOWN = 1024, BUSIEST_WORDS = 4, BUSIEST_ELECT_MS = 60000 };

struct busiest {
    pthread_mutex_t lock;
    struct map names;
    size_t shown;
    uint64_t elect_ms; /* who is shown is looked at next */
    int64_t other[BUSIEST_WORDS];
};

/* word: below BUSIEST_WORDS: which of the counts of this name. */
void busiest_add(struct busiest *b, struct span name, size_t word, int64_t n, uint64_t now_ms);
/* Each that is shown, and "other"; under the lock. */
typedef void busiest_on_name(void *context, struct span name, const int64_t counts[static BUSIEST_WORDS]);
void busiest_each(struct busiest *b, busiest_on_name *on_name, void *context);
void busiest_done(struct busiest *b);
