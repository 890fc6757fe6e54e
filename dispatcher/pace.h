/*
 * Does: how many connections a destination bears, learnt from its replies: one more for each cohort it took, one less for each it put off. Of a
 * mixture each reply that puts off undoes a cohort: a few are no reason for less, many are no reason to wait for a whole cohort of them.
 * Does not: know limits other than the one given.
 * Owns: nothing.
 * Fails: never. Pure.
 * See: BEHAVIOURS H16, H17. A cohort is as many messages as there are connections.
 */
#pragma once

#include <stdint.h>

struct pace {
    uint32_t connections; /* 1 or more */
    int64_t
        score; /* towards the next one: each success 1, each refusal as many below 0 as there are connections */
};

void pace_start(struct pace *p, uint32_t connections);
/* Replies since the last call; most: the queue's limit. */
void pace_hear(struct pace *p, uint32_t succeeded, uint32_t throttled, uint32_t most);
