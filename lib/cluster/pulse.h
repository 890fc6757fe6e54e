/*
 * Does: how fast nodes work, from what they count and tell with their beats: differences between beats that were seen, over some seconds.
 * Does not: ask (health.h).
 * Owns: a few beats of each node, until pulses_done().
 * Fails: never: a node of which one beat was seen has no rate yet, 0.
 */
#pragma once

#include "cluster/node.h"

enum pulse { PULSE_ACCEPTED, PULSE_DELIVERED, PULSE_DEFERRED, PULSE_FAILED, PULSE_IN_DOUBT, PULSE_COUNT };
enum { PULSE_BEATS = 4 };

struct pulse_beat {
    uint64_t ms; /* Redis' clock */
    uint64_t counts[PULSE_COUNT], deferred_as[BOUNCE_COUNT], failed_as[BOUNCE_COUNT];
};
struct pulse_node {
    uint64_t incarnation;
    struct pulse_beat beats[PULSE_BEATS]; /* oldest first */
    size_t count;
};
struct pulses {
    struct pulse_node *nodes;
    size_t count;
};
/* Notes beats that are new, and forgets nodes that are gone. */
void pulses_note(struct pulses *p, const struct node_view *view);
void pulses_done(struct pulses *p);
double pulse_rate(const struct pulses *p, uint64_t incarnation, enum pulse what); /* a second */
/* Of all nodes together; recipients that were put off or failed, by class. */
double pulse_rate_of_all(const struct pulses *p, enum pulse what);
double pulse_rate_of_class(const struct pulses *p, enum bounce bounce, bool is_failed);
/* Of every node whose beat was seen two were seen: rates are known. */
bool pulses_are_known(const struct pulses *p);
