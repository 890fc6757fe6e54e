/*
 * Does: tells the dispatchers that a queue has jobs that this courier made: an expansion's children, notifications.
 * Does not: promise anything; a dispatcher's own look finds what a lost ring would have told.
 * Owns: the rings of this round.
 * Fails: never.
 */
#pragma once

#include "courier/courier.h"

/* Sent with the others at the end of the round. */
void ring_queue(struct courier *c, unsigned partition, struct span queue);
