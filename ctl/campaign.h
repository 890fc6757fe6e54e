/*
 * Does: one order to many jobs: counts whom it concerns (dry run), asks a person, gives it, and tells honestly what came of it.
 * Does not: find the jobs: a campaign_go does, and meets each.
 * Owns: its counts and its sample.
 * Fails: exit status, said; SIGINT ends it between two pages, and what was done is told.
 */
#pragma once

#include "cluster/rule.h"
#include "ctl/order.h"
#include "ctl/print.h"
#include "ctl/ruling.h"

struct campaign {
    enum order order;
    const char *subject; /* queue, message or job */
    struct ask *ask;
    struct orders *orders; /* NULL: it only counts */
    struct rule rule;      /* that it leaves behind, or undoes; number 0: none, or not written yet */
    char *rule_id;         /* NULL: none */
    struct tally tally;
    struct ruling ruling; /* rules as they were when it began */
    uint64_t resting;     /* of those that move: in a suspended queue */
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
struct campaign_plan {
    enum order order;
    const char *subject;
    struct rule rule;   /* what it leaves behind; of ORDER_UNDO the one that is undone. Texts are borrowed */
    uint64_t for_ms;    /* how long that is in force; 0: until it is undone */
    bool goes_on_empty; /* it does something even if it concerns no job that is there now */
    const char *beforehand; /* said before it is asked about; NULL: nothing */
    bool is_of_partition;   /* all it concerns is in this one: it fails if that is away */
    unsigned partition;
    campaign_go *go;
    const void *context;
};
int campaign_run(const struct arguments *a, const struct campaign_plan *p);
/* The same without a question and without a rule: the verb says it all, and has its own undo. why: of a hold, see orders_because(). */
int campaign_run_unasked(const struct arguments *a, enum order order, const char *why, campaign_go *go,
                         const void *context);

/* One job as it was found: counted, or given the order (answered after orders_wait()). score: as in struct selected. */
void campaign_meet(struct campaign *c, const char *job, unsigned partition, enum place place, uint64_t score,
                   const struct record *r, uint64_t now_ms);
/* After retry and bounce: what is due would wait for the end of its queue's pause. */
int campaign_resume(struct campaign *c, unsigned partition, const char *queue);
void campaign_tell_progress(struct campaign *c); /* on a terminal, each second */
