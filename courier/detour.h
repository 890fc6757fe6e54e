/*
 * Does: what the settings in force say of a claimed job before any host is looked for: it belongs to another lane, or its route holds or discards it.
 * Does not: find hosts (route.h).
 * Owns: nothing; a job that is settled is settle.h's.
 * Fails: never.
 */
#pragma once

#include "courier/job.h"

/* True: the job belongs to another lane, and is settled. It needs no content for that. */
bool detour_move(struct job *j);
/* True: the job is settled. Only what no operator has ordered otherwise. */
bool detour_take(struct job *j);
