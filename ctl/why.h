/*
 * Does: the two halves of the verb why: of a message or job, of a queue.
 * Does not: tell a story (verb_trace.c).
 * Owns: nothing. Fails: exit status, said.
 */
#pragma once

#include "base/id.h"
#include "ctl/verb.h"

/* only_job: an index, or ANY_JOB (story.h). */
int why_message(const struct arguments *a, const struct id *id, int64_t only_job);
int why_queue(const struct arguments *a, const char *queue);
