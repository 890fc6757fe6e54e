/*
 * Does: tells how much is in a partition: its queues page by page, and what is claimed and held. Each command costs the same however much that is.
 * Does not: stop the world: figures of one partition are of slightly different moments, and a queue may be told twice.
 * Owns: nothing.
 * Fails: on_answer with ok false: not answered within 5 s.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/store.h"

/* Times by the clock of Redis, 0: there is none. */
struct queue_depth {
    struct span queue;
    uint64_t jobs, due;                   /* all that wait; of these, whose time has come */
    uint64_t first_due_ms, first_made_ms; /* of the job that is due first: its message's time */
    uint64_t last_made_ms;                /* of that which is due last */
    uint64_t paused_until_ms;
    struct span error; /* why it was paused last */
};

struct queue_page {
    const struct queue_depth *queues;
    size_t count;
    uint64_t cursor, now_ms; /* cursor 0: it was the last page */
    /* with the first page */
    uint64_t claimed, held, claimed_made_ms, held_since_ms;
};

/* cursor 0: the first page. The page is valid during the call. */
typedef void queue_on_depth(void *context, unsigned partition, bool ok, const struct queue_page *page);
void queue_depths(struct store *s, unsigned partition, uint64_t cursor, queue_on_depth *on_answer,
                  void *context);
