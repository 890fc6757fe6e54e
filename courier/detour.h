/*
 * Does: what rules and settings in force say of a claimed job before any host is looked for: a rule catches it, it belongs to another lane, or its route holds or discards it.
 * Does not: find hosts (route.h).
 * Owns: nothing; a job that is settled is settle.h's.
 * Fails: never.
 */
#pragma once

#include "courier/job.h"

/* True: a rule has the job put aside, returned or dropped, or it belongs to another lane; it is settled, and needed no content for that. */
bool detour_begin(struct job *j);
/* The same, or its route holds or discards it. Only what no operator has ordered otherwise. */
bool detour_take(struct job *j);
/* Its open recipients get nothing any more, and nobody is told. True: something of others is still to be reported. */
bool detour_drop(struct job *j);
