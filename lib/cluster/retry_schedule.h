/*
 * Does: by which schedule a queue's mail is tried again: section retry, its rows for queues, its rows for classes of deferrals.
 * Does not: compute times (mail/retry.h).
 * Owns: nothing.
 * Fails: retry_schedules_check() with -EINVAL and a sentence; retry_find() never.
 */
#pragma once

#include "base/conf.h"
#include "mail/bounce.h"
#include "mail/retry.h"

/* why: the class of the last deferral; BOUNCE_NONE: of none. What a class's row says goes before what the queue's says. */
void retry_find(const struct conf *conf, const char *queue, enum bounce why, struct retry *ret_retry);
/* retry.schedules and retry.classes. ret_error: the caller's. */
int retry_schedules_check(const struct conf *conf, char **ret_error);
