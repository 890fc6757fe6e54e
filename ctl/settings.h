/*
 * Does: reads the settings that a verb works with, as the other programs do: file, environment, defaults.
 * Does not: reload. Owns: nothing.
 * Fails: EXIT_ASKED_FAILED and said on stderr, with file, line and what was expected.
 */
#pragma once

#include "base/conf.h"
#include "ctl/verb.h"

/* In force from then on: conf_get(). */
int settings_use(const struct arguments *a);
