/*
 * Does: makes the notification about what became of a job's recipients: content, envelope and state, ready for the settle that records the failures.
 * Does not: decide whether one is due.
 * Owns: its buffers until dsn_job_done().
 * Fails: dsn_job_make() with -EINVAL when `to` has no domain mail can be sent to.
 */
#pragma once

#include "courier/job.h"
#include "mail/dsn.h"

struct dsn_job {
    char name[JOB_TEXT_MAX + 1];
    struct buf content, envelope, state;
};

/* to: the sender, or who is told of mail of the null sender. Returns how many of the recipients it reports: all, unless their names alone would fill it; the rest needs another. */
int dsn_job_make(const struct job *j, const char *to, const struct dsn_recipient *told, size_t count,
                 struct dsn_job *ret_dsn);
void dsn_job_done(struct dsn_job *d);
