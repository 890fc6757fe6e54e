/*
 * Does: keeps connections without a message for a while, for any queue whose mail goes to the same host.
 * Does not: end them: their deadline does (connection.h), or who needs their room.
 * Owns: courier.idle, longest idle first.
 * Fails: never.
 */
#pragma once

#include "courier/connection.h"

bool pool_has(const struct connection *k);
void pool_add(struct connection *k);
/* Nothing when it is not there. */
void pool_remove(struct connection *k);
/* One of another queue that goes the same way in every respect, taken out; NULL: none. */
struct connection *pool_take(const struct work *w, const struct way *way);
/* Ends the one that was idle longest, if any. */
void pool_make_room(struct courier *c);
