/*
 * Does: the operator's orders to jobs: which ones one concerns, sent through the audited store, answered, counted, confirmed by a person.
 * Does not: find jobs (selection.h, story.h).
 * Owns: the connection it writes with, orders under way.
 * Fails: orders_open() with EXIT_ASKED_FAILED and said; an order without an answer is counted as unknown.
 * See: PROTOCOL.md "Operator".
 */
#pragma once

#include "ctl/record.h"

enum order { ORDER_RETRY, ORDER_HOLD, ORDER_RELEASE, ORDER_DELETE, ORDER_BOUNCE, ORDER_UNDO };
const char *order_name(enum order order);

/* What an order does, or did, to a job. */
enum effect {
    EFFECT_NONE,       /* it does not concern this job, or was given before */
    EFFECT_DONE,       /* at once */
    EFFECT_LATER,      /* obeyed when its courier gives it back; a delivery that is faster wins */
    EFFECT_GONE,       /* it had ended before */
    EFFECT_UNREADABLE, /* it stays where it is: nobody could read its record */
    EFFECT_UNKNOWN,    /* no answer: it may have happened */
    EFFECT_COUNT
};
/* due_ms: of a waiting job. */
enum effect order_foresee(enum order order, enum place place, uint64_t due_ms, uint64_t now_ms,
                          const struct record *r);
bool order_needs_texts(enum order order);

struct tally {
    uint64_t count[EFFECT_COUNT];
    bool has_resumed; /* a paused queue */
};
uint64_t tally_sum(const struct tally *t); /* of jobs that the order concerned */

struct orders;
int orders_open(struct ask *k, struct orders **ret_orders);
struct orders *orders_close(struct orders *o); /* always NULL */
struct store *orders_store(struct orders *o);
/*
 * Of the orders given from now on. why: what is told of holds; NULL: "by operator". rule: the id of the rule they are of, or that they undo;
 * NULL: none. Borrowed.
 */
void orders_because(struct orders *o, const char *why, const char *rule, bool is_undo);
/* Did the rule of this id move the job where it is, or would (ORDER_UNDO takes that back)? */
bool order_is_of(const struct record *r, const char *rule);
/* queue: of the job's record, "" without one. */
/* So few are under way at once that Redis is never long away from others: it waits until there is room. */
void orders_give(struct orders *o, enum order order, unsigned partition, const char *job, const char *queue,
                 struct tally *tally);
void orders_resume(struct orders *o, unsigned partition, const char *queue, struct tally *tally);
void orders_wait(struct orders *o); /* until all are answered */

/* Asks on the terminal. EXIT_OK: yes; EXIT_ASKED_FAILED: no, said. */
int order_confirm(const char *question);
/* EXIT_OK: --yes, --dry-run, or there is a terminal to ask on; else EXIT_BAD_USAGE and said. */
int order_check_consent(const struct arguments *a);
