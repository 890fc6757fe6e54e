/*
 * Does: watches the counts of all nodes' beats: who is silent, who is dead and to be buried, which dispatchers may own partitions.
 * Does not: read or bury (main.c, node.h).
 * Owns: one row for each node seen in the last view.
 * Fails: never. Pure: time is an argument, so that tests can let it pass.
 * See: PROTOCOL.md "Nodes".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/node.h"

enum {
    NODES_DEAD_MS = 4500,       /* unchanged for so long: buried */
    NODES_CUT_OFF_MS = 60000,   /* the same for a courier that is still heard over ZeroMQ */
    NODES_GAP_MS = 1000,        /* between two replies, at most; else the watch starts again */
    NODES_SUSPECT_MS = 2200,    /* unchanged for so long: owns no partitions in our eyes */
    NODES_SHORT_MS = 8000,      /* holds fewer partitions than it should for so long: out of the choice */
    NODES_SHORT_BAN_MS = 30000, /* for so long */
};

struct node_seen {
    uint64_t incarnation, count;
    uint64_t since_ms;                        /* reply of the first read that showed this count */
    uint64_t short_since_ms, banned_until_ms; /* 0: not */
    enum role role;
    bool is_burying;
    bool is_here; /* in the view just read */
    bool is_told; /* its role is known */
};

struct nodes {
    struct node_seen *seen;
    size_t count;
    uint64_t read_ms; /* reply of the last read; 0: none, or the watch starts again */
};

/* on_change: is_new true for a node whose role was not known before, false for one that is gone; may be NULL. Returns how many are gone. */
typedef void nodes_on_change(void *context, const struct node_seen *seen, bool is_new);
size_t nodes_see(struct nodes *n, const struct node_view *v, nodes_on_change *on_change, void *context);
/* A read failed or was not confirmed. */
void nodes_lose_sight(struct nodes *n);
void nodes_done(struct nodes *n);

struct node_seen *nodes_find(const struct nodes *n, uint64_t incarnation);
/* How long its count is known to be unchanged. */
uint64_t nodes_silent_ms(const struct nodes *n, uint64_t incarnation, uint64_t now_ms);
/* Is it to be buried now? */
bool nodes_is_dead(const struct nodes *n, uint64_t incarnation, bool is_heard, uint64_t now_ms);
/* A dispatcher that lives, does not drain and takes what it is named for. Ourselves: always alive. */
bool nodes_may_own(const struct nodes *n, const struct node_peer *peer, uint64_t self, uint64_t now_ms);
/* Compares what a dispatcher says it holds with what it is named for. */
void nodes_judge_share(struct nodes *n, uint64_t incarnation, unsigned named, uint64_t holds,
                       uint64_t now_ms);
