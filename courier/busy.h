/*
 * Does: what this courier tells of itself with its beat: the queues it works with most connections, and what became of recipients by class.
 * Does not: decide anything.
 * Owns: nothing; what it fills in is the beat's.
 * Fails: never. See: cluster/node.h.
 */
#pragma once

#include "courier/courier.h"

void busy_tell(const struct courier *c, struct node_stats *s);
