/*
 * Does: the nodes as the operator sees them: what each does, what it was ordered, what it has still to give back; orders that no node bears.
 * Does not: give orders (verb_node.c).
 * Owns: what it read, until members_done().
 * Fails: as ask_wait() does.
 */
#pragma once

#include "ctl/health.h"

enum member_state {
    MEMBER_JOINING,       /* no beat yet */
    MEMBER_SILENT,        /* no beat lately: paused, cut off or dead; dispatchers bury it */
    MEMBER_WITHOUT_STORE, /* it beats, and may not use the store */
    MEMBER_WORKING,
    MEMBER_ORDERED,  /* to drain, and has not told yet that it does */
    MEMBER_DRAINING, /* by order; it has work left */
    MEMBER_DRAINED,  /* by order; nothing is left */
    MEMBER_ENDING,   /* SIGTERM */
    MEMBER_STATE_COUNT
};
const char *member_state_name(enum member_state state); /* "without store" */

struct member {
    const struct node_peer *peer;
    const struct node_order *order; /* to drain; NULL: none */
    uint64_t claims;                /* courier: in Redis, or as it says, whichever is more */
    enum member_state state;
};
struct members {
    struct health health;
    struct member *all; /* by role, then by name */
    size_t count;
};
/* Asks and waits for all of it: EXIT_OK, or EXIT_ASKED_FAILED and said. */
int members_read(struct ask *k, struct members *ret_members);
void members_done(struct members *m);

bool member_has_name(const struct member *m, const char *name);
size_t members_named(const struct members *m, const char *name); /* how many lives have it */
/* What it has still to give back while it drains: claims, sessions or partitions. */
uint64_t member_left(const struct member *m);
