/*
 * Does: finds out what the memory of each Redis behind the queue goes to, with bounded work: of the keys that grow with the mail it weighs a
 *       sample (SCAN, MEMORY USAGE) and scales it, the rest it weighs one by one.
 * Does not: judge whether that is much.
 * Owns: what it found, until weights_done().
 * Fails: EXIT_ASKED_FAILED and said.
 * See: weigh.def.
 */
#pragma once

#include "cluster/audit.h"
#include "ctl/ask.h"

enum weight {
#define WEIGHT(NAME, name, keys, help) WEIGHT_##NAME,
#include "ctl/weigh.def"
#undef WEIGHT
    WEIGHT_COUNT
};
const char *weight_name(enum weight w);
const char *weight_help(enum weight w);
enum weight weight_of(struct span key);

struct weighed {
    uint64_t keys, bytes;   /* of all, by what was weighed */
    uint64_t sampled;       /* keys weighed */
    uint64_t sampled_bytes; /* what they take */
};
struct weighed_shard {
    struct weights *weights;
    char *address;
    struct audit_memory memory;
    uint64_t keys, scanned; /* in it; names that the sample saw */
    struct weighed of[WEIGHT_COUNT];
};
struct weights {
    struct ask *ask;
    struct weighed_shard *shards;
    size_t count;
    uint64_t sample; /* names to see in each shard */
    uint64_t queues, queues_weighed;
};
int weights_take(struct ask *k, uint64_t sample, struct weights *ret_weights);
void weights_done(struct weights *w);
