/*
 * Does: divides the limits of sites whose partitions we own among the dispatchers whose queues go there.
 * Does not: know their queues (site.h), send frames (peer.h).
 * Owns: one struct lending per site that somebody borrows from, also of partitions of others: so a new owner knows what is lent.
 * Fails: never. Time is an argument.
 * See: share.h; PROTOCOL.md "Partition leases": a loan ends 5 s after the hello it answers, as a grant does.
 */
#pragma once

#include "base/map.h"
#include "cluster/wire.h"
#include "dispatcher/limits.h"
#include "dispatcher/partition.h"

enum { LENDINGS_MAX = 10000, BORROWERS_MAX = 256 };

struct lender {
    const struct limits *limits; /* of sites; NULL: none has any */
    struct partitions *partitions;
    struct map sites; /* name -> struct lending */
    void (*on_loans)(struct span to,
                     const struct frame *loans); /* to the other dispatcher's name on the bus */
};

/* A dispatcher (we too) says what it uses and could use. true: *ret_loan is for it; its site is the borrow's. */
bool lender_hear(struct lender *l, const struct hello *from, const struct borrow *b, uint64_t now_ms,
                 struct loan *ret_loan);
/* Forgets who has borrowed nothing for long. */
void lender_check(struct lender *l, uint64_t now_ms);
void lender_done(struct lender *l);
