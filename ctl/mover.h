/*
 * Does: says which moves are under way in a store: a move's connection has a name, which is gone when the connection is.
 * Does not: move.
 * Owns: nothing; the name belongs to the connections of struct ask.
 * Fails: EXIT_ASKED_FAILED and said. Without the right to CLIENT LIST nothing is moved.
 * See: shipment.h, intake.h.
 */
#pragma once

#include "ctl/ask.h"

enum { MOVER_NAME_MAX = 40 };

/* Another name for each move. */
void mover_name(char ret_name[static MOVER_NAME_MAX + 1]);
/*
 * The name is ours from now on; again after a while, because a new connection has none. Refused when a move is under way there: a job that one
 * has put aside would be taken on by the other. Two that begin in the same moment see each other, and both are refused.
 */
int mover_begin(struct ask *k, const char *name);
/* Does the move of that name take jobs out of the very store that is asked? */
int mover_is_here(struct ask *k, struct span name, bool *ret_is_here);
