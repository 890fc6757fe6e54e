/*
 * Does: tells the owning dispatcher that a queue has new mail: one link per live dispatcher and reactor, rings gathered and merged.
 * Does not: promise anything; the dispatchers' safety poll finds what a lost ring would have told.
 * Owns: a reactor's links and what waits to be sent; and, for the process, the last view of the dispatchers.
 * Fails: never; a ring without a dispatcher is forgotten.
 */
#pragma once

#include "cluster/keyring.h"
#include "io/loop.h"

/* Main thread: what all reactors ring by from now on. True: it is news, wake them. incarnation: ours, 0 while not joined; keys: ours, too. */
bool ring_publish(const struct node_view *view, uint64_t incarnation, const struct bus_keys *keys);
/* At the end, when no reactor rings any more. */
void ring_forget(void);

struct ringer;
struct ringer *ringer_new(struct loop *l, unsigned reactor);
struct ringer *ringer_free(struct ringer *r); /* sends what waits; always NULL */
/* Takes over what was published last. Cheap when nothing has changed. */
void ringer_update(struct ringer *r);
void ringer_ring(struct ringer *r, unsigned partition, const char *queue);
