/*
 * Does: a short text that says whether two programs have the same settings, section by section: nodes tell it with their beat, baridctl doctor
 *       compares. What each node or role may have of its own (addresses, names, users of Redis, the log) is left out.
 * Does not: tell secrets: of those only whether they are set.
 * Owns: nothing. Fails: never.
 */
#pragma once

#include "base/conf.h"

/* "bus=1f2e3d4c courier=0a1b2c3d ...", in the order of conf.def. */
void settings_digest(const struct conf *c, struct buf *out);
