/*
 * Does: what the queues of a site may use together: what its owner has lent this dispatcher, and what of it is in force.
 * Does not: lend (lender.h), send frames (peer.h).
 * Owns: one struct site for each that some queue here goes to.
 * Fails: never. Time is an argument.
 * See: README.md "Sites". A site is the best MX host of several domains; dispatcher.site_limits names those that have limits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "cluster/wire.h"
#include "dispatcher/limits.h"

enum {
    SITE_BORROW_MS = 1000, /* what is used and wanted is said so often */
    SITE_SOONER_MS = 20,   /* and sooner when it has changed, but not more often */
    SITE_SUM_MS = 100,     /* what is in force is added up anew */
};

struct site {
    struct list works; /* work.site_link */
    struct limit lent; /* connections 0: nothing */
    uint64_t lent_until_ms;
    uint64_t token;          /* of the lease that lent it */
    uint32_t serial;         /* of that loan */
    uint32_t used;           /* in force, never less than it is */
    uint32_t wanted, active; /* could be used; works that hold some */
    uint32_t finished;       /* since it was last said */
    uint64_t said_ms, short_ms;
    bool is_changed;
    size_t name_len;
    char name[];
};

struct sites {
    const struct limits *limits; /* of sites; NULL: no site has any */
    struct map all;
    uint64_t sum_ms;
};

struct work;
struct schedule;
struct span site_name(const struct site *site);
/* A courier tells where the mail of this queue goes; empty: not known, or no limits. true: another site than before. */
bool site_hear(struct sites *all, struct work *w, struct span name);
void site_forget(struct work *w);
/* No more than this of what was lent; has: what the asking one has of it. */
void site_cut(const struct site *site, struct limit *part, uint32_t has, uint64_t now_ms);
/* A queue could not be granted what it wants for lack of a loan. */
void site_short(struct site *site, uint64_t now_ms);
bool site_is_short(const struct site *site, uint64_t now_ms);
/* Adds up what is in force and wanted; forgets sites that nobody goes to. To be called with each tick. */
void sites_sum(struct schedule *s, uint64_t now_ms);
/* What is to be said to the owners now, at most FRAME_ENTRIES; names are borrowed. all: also what has not changed. */
size_t sites_borrow(struct sites *all, struct borrow *borrows, uint64_t now_ms);
/* A loan that answers a hello of ours sent at answers_ms. */
void sites_lend(struct schedule *s, const struct loan *loan, uint64_t now_ms);
void sites_done(struct sites *all);
