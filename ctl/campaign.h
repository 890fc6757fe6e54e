/*
 * Does: one order to many jobs: counts whom it concerns (dry run), asks a person, gives it, and tells honestly what came of it.
 * Does not: find the jobs: a campaign_go does, and meets each.
 * Owns: its counts and its sample.
 * Fails: exit status, said; SIGINT ends it between two pages, and what was done is told.
 */
#pragma once

#include "ctl/order.h"
#include "ctl/print.h"

struct campaign {
    enum order order;
    const char *subject; /* queue, message or job */
    struct ask *ask;
    struct orders *orders; /* NULL: it only counts */
    struct tally tally;
    bool would_resume, is_interrupted;
    bool is_again; /* not the first pass: what it left alone then is counted */
    struct json *sample;
    struct grid table; /* the sample */
    uint64_t started_ms, told_ms;
    uint64_t first_page_ms; /* Redis' clock when the first jobs were met */
};

/* Looks through all jobs, once or more often, and lets the campaign meet each. */
typedef int campaign_go(struct campaign *c, const void *context);
/* The whole verb: consent, count and question unless --yes, the order, the words. */
int campaign_run(const struct arguments *a, enum order order, campaign_go *go, const void *context);
/* The same without a question: the verb says it all. why: of a hold, see orders_because(). */
int campaign_run_unasked(const struct arguments *a, enum order order, const char *why, campaign_go *go,
                         const void *context);

/* One job as it was found: counted, or given the order (answered after orders_wait()). score: as in struct selected. */
void campaign_meet(struct campaign *c, const char *job, unsigned partition, enum place place, uint64_t score,
                   const struct record *r, uint64_t now_ms);
/* After retry and bounce: what is due would wait for the end of its queue's pause. */
int campaign_resume(struct campaign *c, unsigned partition, const char *queue);
void campaign_tell_progress(struct campaign *c); /* on a terminal, each second */
