/*
 * Does: says to every dispatcher, ourselves too, what we use and want of sites, and takes the loans that come back.
 * Does not: decide (site.h, lender.h).
 * Owns: a link to each other dispatcher, while some site has limits.
 * Fails: never; what is lost is said again within a second.
 */
#pragma once

#include "cluster/keyring.h"
#include "dispatcher/lender.h"
#include "dispatcher/schedule.h"
#include "io/bus.h"

struct peers {
    struct loop *loop;
    struct schedule *schedule;
    struct lender *lender;
    struct map links; /* incarnation -> struct peer */
    uint64_t me;      /* incarnation; 0: not joined */
    uint64_t count;   /* of our hellos */
    const struct keyring *keyring;
    void (*on_loan)(void); /* grants may follow */
};

/* The nodes as seen now: links to new dispatchers, none to gone ones; none at all while no site has limits. */
void peers_view(struct peers *p, const struct node_view *view);
/* What is to be said of sites now. */
void peers_borrow(struct peers *p, uint64_t now_ms);
void peers_done(struct peers *p);
