/*
 * Does: takes frames from the bus: rings of ingress, hellos and reports of couriers, what other dispatchers borrow.
 * Does not: answer (grant.h).
 * Owns: nothing.
 * Fails: -EBADMSG: not a frame, or not one that a node sends here; nothing of it was used.
 */
#pragma once

#include "dispatcher/lender.h"
#include "dispatcher/schedule.h"

/* lender: NULL where no site has limits. */
int ring_take_frame(struct schedule *s, struct lender *lender, struct span from, struct span bytes,
                    uint64_t now_ms);
