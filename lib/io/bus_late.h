/*
 * Does: loses or delays frames in a test build, as base/fault.h was told.
 * Does not: exist for a normal build, which never calls it.
 * Owns: copies of the frames that are still to be sent.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "io/loop.h"

typedef void late_send(void *owner, struct span to, struct span frame);
/* Whether the frame meets a fault: it is lost, or send() comes for it later. late: the owner's list of those. */
bool late_take(struct list *late, struct loop *l, struct span to, struct span frame, late_send *send,
               void *owner);
void late_drop(struct list *late);
