/*
 * Does: takes frames from the bus: rings of ingress, hellos and reports of couriers.
 * Does not: answer (grant.h).
 * Owns: nothing.
 * Fails: -EBADMSG: not a frame, or not one that a node sends here; nothing of it was used.
 */
#pragma once

#include "dispatcher/schedule.h"

int ring_take_frame(struct schedule *s, struct span from, struct span bytes, uint64_t now_ms);
