/*
 * Does: this node's keys on the bus: when a pair is made anew, and since when all others know it; and, in dispatchers, whose keys are let in.
 * Does not: use them (io/bus.h), or read orders and nodes (node.h).
 * Owns: the pairs, in memory only; wiped by keyring_done().
 * Fails: never.
 *
 * A pair lives as long as a life of the node, bus.key_age at most, or until the operator orders another one (orders.h: all, those of a node, or
 * by barring the key). The new public key is told with the beats first; KEYRING_KNOWN_MS after the view showed it, it is in force: so links and
 * hubs change their keys when those they talk to know it, and nobody has to wait. Only in place of a barred key another one is in force at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "cluster/node.h"
#include "io/bus.h"

enum {
    KEYRING_KNOWN_MS = 1500,   /* every node reads the nodes each second */
    KEYRING_FORMER_MS = 10000, /* a key is let in for so long after its node told another one */
};

struct keyring {
    struct bus_keys keys;  /* in force */
    struct bus_keys next;  /* told, but not in force yet; public_key "": none */
    uint64_t made_ms;      /* the newest pair; our clock */
    uint64_t told_ms;      /* since when the view shows next; 0: not yet */
    uint64_t obeyed_ms[2]; /* the order to all that was obeyed last, and that to us; Redis' clock */
    struct map known;      /* public key -> struct known */
    uint64_t round;        /* of keyring_learn() */
};

/* A new life begins: a new pair, in force at once. */
void keyring_begin(struct keyring *k, uint64_t now_ms);
/*
 * After each read: makes a pair when it is time, and says whether another one is in force from now on (then a beat should come soon). me: our incarnation; redis_ms: Redis TIME;
 * age_ms: bus.key_age.
 */
bool keyring_look(struct keyring *k, const struct node_view *view, uint64_t me, uint64_t redis_ms,
                  uint64_t age_ms, uint64_t now_ms);
/* For the beat: the newest public key, and when it was made. */
void keyring_tell(const struct keyring *k, struct node_stats *s, uint64_t redis_ms, uint64_t now_ms);
/* Dispatchers, after each read: whose keys are let in from now on. */
void keyring_learn(struct keyring *k, const struct node_view *view, uint64_t now_ms);
/* The incarnation whose key it is; 0: nobody's, or it is barred. */
uint64_t keyring_node_of(const struct keyring *k, struct span key, uint64_t now_ms);
void keyring_done(struct keyring *k);
