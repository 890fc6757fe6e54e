/*
 * Does: takes frames from the bus: rings of ingress, hellos and reports of couriers, what other dispatchers borrow.
 * Does not: answer (grant.h).
 * Owns: nothing.
 * Fails: -EBADMSG: not a frame, or not one that a node sends here; -EPERM: a node speaks for another, or as one of another role; nothing of it was used.
 */
#pragma once

#include "dispatcher/lender.h"
#include "dispatcher/schedule.h"

/* lender: NULL where no site has limits. from: the connection; node: the incarnation whose key it has. */
int ring_take_frame(struct schedule *s, struct lender *lender, struct span from, uint64_t node,
                    struct span bytes, uint64_t now_ms);
