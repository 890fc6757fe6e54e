/*
 * Does: how many connections a destination bears, learnt from its replies: one more for each cohort it took, one less for each it put off.
 * Does not: know limits other than the one given.
 * Owns: nothing.
 * Fails: never. Pure.
 * See: BEHAVIOURS H16, H17. A cohort is as many messages as there are connections.
 */
#pragma once

#include <stdint.h>

struct pace {
    uint32_t connections; /* 1 or more */
    uint32_t successes;   /* towards the next one */
};

void pace_start(struct pace *p, uint32_t connections);
/* Replies since the last call; most: the queue's limit. */
void pace_hear(struct pace *p, uint32_t succeeded, uint32_t throttled, uint32_t most);
