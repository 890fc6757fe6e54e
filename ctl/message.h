/*
 * Does: one message in the queue as verbs of baridctl take it: found with its jobs, its envelope as JSON, its content written out.
 * Does not: change it.
 * Owns: nothing; a story is its caller's.
 * Fails: EXIT_ASKED_FAILED and said.
 */
#pragma once

#include <stdio.h>

#include "ctl/story.h"

struct content { /* what is stored of it */
    uint64_t stored_bytes;
    uint32_t chunks, missing;
};

/* The message, with at least one job that lives; *ret_job: the one asked for, or ANY_JOB. k stays open. */
int message_read(struct ask *k, const char *subject, struct story *ret_story, int64_t *ret_job);
/* Job 0, or the one asked for, or any other: its envelope names the content. NULL: none lives that can be read. */
const struct story_job *message_readable_job(const struct story *s, int64_t only_job);
bool message_is_shown(const struct story_job *job, int64_t only_job); /* it lives, and is meant */
struct json *message_json(const struct story *s, int64_t only_job, const struct content *content);
int content_look(struct ask *k, const struct envelope *e, struct content *ret_content);
/* Byte for byte as it will be sent; `to` has a part of it when that fails. */
int content_write(struct ask *k, const struct envelope *e, FILE *to);
