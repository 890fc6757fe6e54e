/*
 * Does: what limit.c (questions), limit_slice.c (what is held here) and limit_call.c (asking Redis) share.
 * Does not: concern anybody else: limit.h is the contract.
 * Owns: see limit.h. Fails: never.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "cluster/limit.h"
#include "io/loop.h"

enum {
    SWEEP_MS = 500,        /* a window: what was not used in one goes back */
    REFUSED_MOST_MS = 200, /* a refusal is repeated here for so long: others may give back meanwhile */
    REFUSED_LEAST_MS = 5,
    LOOK_MS = 200,   /* and a look that found plenty */
    PLENTY = 16,     /* tokens; as limit.lua's: below, no slice is more than what is asked for */
    SLOT_MS = 12000, /* a node's slots, unless it renews them */
    SLOT_RENEW_MS = 4000,
    SLICES_MAX = 200000,
    BATCH_MAX = 64 /* keys of one script call */
};

/* One bucket, or the slots of one key, as far as they are held or asked for here. */
struct slice {
    struct limiter *limiter;
    struct list link;    /* in limiter.asking */
    struct list waiters; /* struct waiter, first come, first served */
    struct limit_rule rule;
    unsigned partition;
    bool is_slots;
    bool is_under_way;    /* a call for it */
    size_t calls;         /* questions that know it, told or not */
    uint64_t held;        /* tokens held here and not given out; slots: what Redis grants us */
    uint64_t used;        /* tokens given out in this window; slots: in use now */
    uint64_t pace;        /* tokens a second, as of late; slots: most in use in this window */
    uint64_t left;        /* in Redis at seen_ms */
    uint64_t seen_ms;     /* last answer; clock_ms() */
    uint64_t refused_min; /* so many or more are refused until then */
    uint64_t refused_until_ms;
    size_t key_len;
    char key[];
};

/* One want of a call that waits. */
struct waiter {
    struct list link; /* in slice.waiters; in no list: taken */
    struct limit_call *call;
    struct slice *slice;
    uint64_t count;
    const char *label;
    bool is_asked; /* a call under way counts it in */
};

struct limit_call {
    struct limiter *limiter;
    struct list link; /* in limiter.waiting or limiter.settled */
    struct timer time;
    limit_on_answer *on_answer;
    void *context;
    struct limit_result result; /* once settled */
    size_t missing;             /* waiters in a list */
    size_t count;
    struct waiter waiters[];
};

struct limiter {
    struct store *store;
    struct loop *loop;
    struct map slices[2]; /* tokens, slots */
    struct list asking;   /* slices that the next flush asks Redis about */
    size_t asking_count;
    struct list waiting, settled; /* limit_call: without and with an answer that is to be told */
    struct list batches;          /* under way */
    struct tail flush, tell;
    struct timer sweep;
    bool is_silent; /* the last call got no answer: nobody waits for the next */
    char node[33];  /* whose slots */
};

/* ---- limit_slice.c */
struct slice *slice_of(struct limiter *l, const struct limit_want *want); /* NULL: there are too many */
bool slice_refuses(const struct slice *s, uint64_t count, uint64_t now);
bool slice_take(struct slice *s, uint64_t count, uint64_t now); /* true: it was here */
void slice_give(struct slice *s, uint64_t count);               /* what is here for sure */
void slice_put_back(struct slice *s, uint64_t count);

/* ---- limit_call.c */
void slice_ask(struct slice *s); /* at the end of this round, once */
uint64_t slice_wish(const struct slice *s);
void batches_forget(struct limiter *l); /* their answers find nobody */

/* ---- limit.c: what Redis says. ok false: nothing. */
void slice_answer(struct slice *s, bool ok, uint64_t granted, uint64_t left, uint64_t wait_ms);
