/*
 * Does: puts grants into frames, one or more per courier and round, and sends them.
 * Does not: decide who gets what (schedule.h).
 * Owns: nothing.
 * Fails: a frame that cannot be sent is counted and lost; what is not reported is granted again.
 */
#pragma once

#include "dispatcher/schedule.h"

/* to: a courier's name on the bus; 0 or -errno. */
typedef int grant_send(void *owner, struct span to, struct span frame);
/* All that couriers' outgoing lists hold. */
void grants_flush(struct schedule *s, grant_send *send, void *owner);
