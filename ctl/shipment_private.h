/*
 * Does: what shipment*.c share: a job on its way out, in the order of the steps it takes.
 * Does not: concern anybody else. Owns: cargo, until cargo_done().
 * Fails: EXIT_ASKED_FAILED and said.
 * See: shipment.h.
 */
#pragma once

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/queue.h"
#include "cluster/wire.h"
#include "ctl/intake.h"
#include "ctl/mover.h"
#include "ctl/shipment.h"

enum { SHIPMENT_TIME_MS = 10000, CARGO_MAX = 256 };

struct late { /* ordered to be put aside when its courier gives it back */
    unsigned partition;
    char *job, *queue;
};

struct shipment {
    struct ask *ask;
    struct store *store; /* of a move */
    struct outlet *outlet;
    char mover[MOVER_NAME_MAX + 1]; /* of a move */
    struct selection what;
    bool is_move, is_again; /* is_again: not the first walk */
    uint64_t wait_ms, started_ms, told_ms;
    struct job_set met;
    struct late *late;
    size_t late_count, late_room;
    size_t open;          /* calls of the store under way */
    bool is_unknown;      /* one had no answer */
    uint64_t news;        /* jobs put out in this walk */
    uint64_t claimed_now; /* jobs that a courier had in this walk */
    uint64_t now_ms;      /* Redis' clock at the page */
    struct shipment_counts counts;
};

enum cargo_state {
    CARGO_WANTED,
    CARGO_LEFT,  /* not now, or not at all: counted */
    CARGO_READY, /* read, and put aside if it is a move */
    CARGO_OUT,   /* put out */
    CARGO_THERE, /* confirmed at the other end */
};

struct cargo { /* a job on its way out */
    struct shipment *shipment;
    enum cargo_state state;
    char *job, *queue;
    unsigned partition;
    bool is_held, is_waiting, is_ours; /* is_ours: put aside by us */
    uint64_t due_ms, mark_ms, exact_ms;
    char *reason, *tenant;
    enum fate fate;
    struct buf envelope_text, state_text;
    bool is_readable, is_newer, keeps_content;
    struct envelope envelope; /* of a readable one */
    struct job_state job_state;
    uint32_t chunk_count;
    bool reads_other;          /* content of another job */
    struct buf small;          /* content of one small chunk, read before */
    bool has_small, has_ended; /* has_ended: while it was copied */
    bool goes_on;              /* put aside by us, and left: to be given back */
};

/* shipment_aside.c: orders to the source, for all of them that are ready; each is answered. */
int cargo_put_aside(struct shipment *s, struct cargo *cargo, size_t count);
int cargo_delete(struct shipment *s, struct cargo *cargo, size_t count);
int cargo_give_back(struct shipment *s, struct cargo *cargo, size_t count); /* those that were left */
bool shipment_is_ours(const char *reason); /* of a held job: a move put it aside */
void late_add(struct shipment *s, unsigned partition, const char *job, const char *queue);
int late_give_back(struct shipment *s);

/* shipment_read.c */
void cargo_done(struct cargo *c);
int cargo_look(struct shipment *s, struct cargo *cargo, size_t count); /* where they are */
int cargo_read(struct shipment *s, struct cargo *cargo,
               size_t count); /* records; READY, or LEFT and counted */

/* shipment_out.c: entries and content. content_of: whose content they share, NULL: each brings its own. */
int cargo_put_out(struct shipment *s, struct cargo *cargo, size_t count, const char *content_of);
int cargo_put_place(struct shipment *s, const struct cargo *c);
int cargo_confirm(struct shipment *s, struct cargo *cargo, size_t count);
