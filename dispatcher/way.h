/*
 * Does: what settings say of the way a queue's mail takes, as far as it decides who may work it and when.
 * Does not: look for hosts (that is the couriers').
 * Owns: nothing; a pool's name is the settings'.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/conf.h"

/* The pool of source addresses its mail leaves from, by the settings in force; NULL: none. */
const char *way_pool(struct span queue);
/* Does its mail take another way than by the settings `before`? */
bool way_has_changed(const void *before, struct span queue);
