/*
 * Does: what fanout.c (the order of things) and fanout_child.c (what is asked of one child's partition) share: a many-queue message under work.
 * Does not: concern anybody else.
 * Owns: an expansion from expansion_new() to expansion_end(), which gives its job on to a settle.
 * Fails: never.
 */
#pragma once

#include "cluster/queue.h"
#include "courier/job.h"

enum { FANOUT_BATCH = 100, FANOUT_ASK_MS = 10000, FANOUT_WAIT_MS = 2000 /* for readers, at first */ };

struct expansion {
    struct job *job;
    size_t queues[FANOUT_BATCH]; /* the batch: of which envelope.queues */
    size_t count, open;
    size_t next, end;                      /* the pass: what comes behind the batch */
    void (*on_batch)(struct expansion *x); /* all of it is answered */
    bool is_unrecorded;                    /* it has asked for children since the state was written */
    bool is_unknown;                       /* whether a child was revoked, or bounced */
    size_t *traced;                        /* whose traces are asked for */
    size_t traced_count;
};

struct courier *expansion_courier(const struct expansion *x);
struct job *expansion_end(struct expansion *x);
/* A partition did not answer: how long until the parent is claimed again; longer each time. */
uint64_t expansion_retry_ms(struct expansion *x);

/* The partition where the child waits: it is there, as far as is known. Once it has not answered, it is left alone for some seconds. */
bool fanout_is_there(const struct expansion *x, size_t queue);
/* Its recipients were told that their time is over, or some of them were: it is never made. */
bool fanout_is_given_up(const struct expansion *x, size_t queue);
/* x->queues are made, unless they are; x->job's state knows them as unknown until it knows better. A bounced parent's are bounced as well. */
void fanout_carry(struct expansion *x);
/* x->queues, which are made, are bounced. */
void fanout_bounce(struct expansion *x);
/* All are made: the parent waits for those that may read its content, or ends. */
void fanout_await_readers(struct expansion *x);
/* Deleted by the operator: those that do not exist never will. */
void fanout_revoke(struct expansion *x);
