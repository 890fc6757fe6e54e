/*
 * Does: brings the first chunk of claimed jobs into memory, within courier.max_content: what a job will hold at once is booked before.
 * Does not: read the chunks that follow (connection.h).
 * Owns: the jobs that wait for room.
 * Fails: never; content that is not all there has its job held.
 */
#pragma once

#include "cluster/spool.h"
#include "courier/job.h"

/* Goes on in attempt_begin(), now or when there is room. */
void content_load(struct job *j);
/* Counts bytes that a job holds. content_over() takes them back: the job goes. */
void content_book(struct job *j, size_t bytes);
void content_over(struct job *j);
/* What waits may be no longer wanted: a grant has ended, or the courier drains. */
void content_wake(struct courier *c);
/* Why chunk i, behind `before` bytes of content, cannot be sent; NULL when it can. Ingress writes short ones too; the last one ends the content. */
const char *content_trouble(const struct job *j, enum spool_result result, uint32_t i, uint64_t before,
                            size_t size_bytes);
