/*
 * Does: walks the jobs of a queue, wherever they are, page by page, and keeps those that the filters let pass. Memory: one page.
 * Does not: stop the queue: a job that moves meanwhile may be missed, or met in its next place; whoever needs all of them walks again.
 * Owns: the jobs of a page, until its callback returns.
 * Fails: selection_walk() with EXIT_ASKED_FAILED and said; also when the callback says so, or after SIGINT (is_interrupted()).
 */
#pragma once

#include "cluster/rule.h"
#include "ctl/record.h"
#include "ctl/verb.h"

/* What a job must have to be meant; NULL, 0: anything. */
struct filter {
    const char *sender;    /* an address, @domain, or <> for the null sender */
    const char *recipient; /* an open one: an address, or @domain */
    const char *error;     /* part of the last error, in any case */
    enum bounce bounce;    /* class of the last error; BOUNCE_NONE: any */
    const char *user;      /* who submitted it */
    const char *tenant;    /* whose user that was */
    const char *client;    /* the address it came from, or the name that was said with it */
    const char *because;   /* held, or to be held, for exactly this reason */
    const char *ruled;     /* moved by the rule of this id (order_is_of()), or held for `because` */
    uint64_t older_ms;     /* accepted so long ago, by the id */
};
/* From --sender, --recipient, --error, --class, --user, --tenant, --client, --older: EXIT_OK, or EXIT_BAD_USAGE and said. */
int filter_parse(const struct arguments *a, struct filter *ret_filter);
/* The same as a rule has it; texts are borrowed. */
struct rule_filter filter_as_rule(const struct filter *f);
bool filter_needs_texts(const struct filter *f);
bool filter_is_any(const struct filter *f); /* lets all pass */
/* r was read with texts if the filter needs them; one that cannot be read passes no filter by texts. */
bool filter_passes(const struct filter *f, const char *job, const struct record *r, uint64_t now_ms);

struct selected {
    char *job;
    unsigned partition;
    enum place place;
    uint64_t score; /* waiting: due ms; claimed: incarnation; held: since ms */
    struct record record;
};
/* A page; now_ms: Redis' clock just before it was read. It may take a job's name and record, and leave zeroes. EXIT_OK: go on. */
typedef int selection_on_page(void *context, struct selected *jobs, size_t count, uint64_t now_ms);

struct selection {
    const char *queue; /* or a pattern of queues; NULL: held jobs of all queues, also those without record */
    struct filter filter;
    bool waiting, claimed, held; /* places to look in */
    bool with_texts;
    bool
        with_apart; /* of one queue: also what a rule sends another way, in queues of its own (lane.h); a pattern means these in any case */
};
int selection_walk(struct ask *k, const struct selection *s, selection_on_page *on_page, void *context);

/* From the first call on SIGINT no longer ends the program, but is_interrupted(). */
void interrupt_watch(void);
bool is_interrupted(void);

/* The partitions of a queue: one, or all for #fanout. */
void queue_partitions(const char *queue, unsigned *ret_first, unsigned *ret_last);
/* "*", ".example.com", "*" with a lane: as in courier.routes. */
bool is_queue_pattern(const char *queue);
/* A queue and where mail of it travels apart; of a pattern each that it means and that has waiting jobs or a pause, #fanout once. EXIT_OK: go on. */
typedef int selection_on_queue(void *context, unsigned partition, const char *queue);
int selection_each_queue(struct ask *k, const char *queue, selection_on_queue *on_queue, void *context);
/* EXIT_OK, or EXIT_BAD_USAGE and said: it cannot be a queue's name. */
int queue_name_check(const char *queue);
