/*
 * Does: shows mail addresses in a text as log.redact says: as they are, or as "b~5f3c1a@example.com": first byte and hash of the local part.
 * Does not: touch anything else; a domain is shown. The same address is shown the same on all nodes, so a story can be followed without names.
 * Owns: whether it is on; process-wide.
 * Fails: never. Who has a list of likely addresses can still find which of them a hash may stand for: it is no encryption.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

void redact_set(bool is_on);
bool redact_is_on(void);
/* Appends text; while it is on, with each local part in it replaced, wherever an '@' stands behind one. */
void redact_add(struct buf *out, struct span text);
