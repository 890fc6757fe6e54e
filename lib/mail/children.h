/*
 * Does: which jobs of a many-queue message exist, in its parent's state: exactly, and as short as what is missing.
 * Does not: make them (courier/fanout.h).
 * Owns: state.left and state.unknown, which ascend and have no child in common.
 * Fails: never.
 */
#pragma once

#include <stddef.h>

#include "mail/envelope.h"

enum child_state {
    CHILD_MADE,   /* or never to be: revoked, or its recipients were told */
    CHILD_LEFT,   /* does not exist */
    CHILD_UNKNOWN /* was asked for, and nobody answered */
};

/* Child queue + 1, which works envelope.queues[queue]; of those below state.reached. */
enum child_state children_find(const struct job_state *s, size_t queue);
/* Below state.reached, or the next one, which moves that on. */
void children_mark(struct job_state *s, size_t queue, enum child_state what);
/* Nothing is missing any more. */
void children_mark_all(struct job_state *s, size_t count);
/*
 * Who made children died before he told: those left, and the next `most` behind state.reached, may exist all the same. Not those with a recipient
 * who was told of: nobody has asked for them since.
 */
void children_doubt(struct job_state *s, const struct envelope *e, size_t most);
/* Its recipients were told of, or some of them were: it is never made. */
bool children_are_told(const struct job_state *s, const struct envelope *e, size_t queue);
/* Nobody can tell, and somebody decided: those unknown do not exist. */
void children_give_up(struct job_state *s);
