/*
 * Does: lists the jobs that are put aside for the operator, and why.
 * Does not: release them (verb_order.c).
 * Owns: nothing. Fails: exit status, said.
 */
#pragma once

#include "ctl/verb.h"

int held_list(const struct arguments *a, size_t limit); /* limit 0: all */
