/*
 * Does: stored records and bus frames: encode, decode, check.
 * Does not: send or store them.
 * Owns: nothing; decoded values are the caller's.
 * Fails: -EBADMSG: not ours, cut, checksum wrong, a number out of range; -EPROTONOSUPPORT: a newer version. Nothing is half decoded.
 * Calls: protobuf-c, named in wire*.c only. See: proto/README.md.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "cluster/keys.h"
#include "cluster/node.h"
#include "cluster/sts_record.h"
#include "cluster/tenant.h"
#include "cluster/user.h"
#include "mail/envelope.h"

/*
 * Records: version, checksum, protobuf. An envelope has 1 to ENVELOPE_RECIPIENTS_MAX recipients and queues (must()).
 * job_state.left and .unknown hold indexes of children, 1 to envelope.queue_count.
 */
enum { ENVELOPE_RECIPIENTS_MAX = 50000 };
void wire_put_envelope(const struct envelope *e, struct buf *out);
int wire_get_envelope(struct span in, struct envelope *ret_envelope);
/*
 * The same record with its content at another place; byte for byte the same if it is there already. What this version does not know of it
 * stays. -EPROTONOSUPPORT: it is of a newer version, and only that one may change it.
 */
int wire_move_envelope(struct span in, unsigned content_partition, const char *content_job, struct buf *out);
void wire_put_state(const struct job_state *s, struct buf *out);
/* e tells how many recipients there must be. */
int wire_get_state(struct span in, const struct envelope *e, struct job_state *ret_state);
/* *ret_user has one holder. */
void wire_put_user(const struct user *u, struct buf *out);
int wire_get_user(struct span in, struct user **ret_user);
void wire_put_tenant(const struct tenant *t, struct buf *out);
int wire_get_tenant(struct span in, struct tenant **ret_tenant);
struct rule;
void wire_put_rule(const struct rule *r, struct buf *out);
int wire_get_rule(struct span in, struct rule *ret_rule); /* ended by rule_done() */
void wire_put_sts(const struct sts_record *r, struct buf *out);
int wire_get_sts(struct span in, struct sts_record *ret_record); /* ended by sts_record_done() */
void wire_put_stats(const struct node_stats *s, struct buf *out);
int wire_get_stats(struct span in, struct node_stats *ret_stats);
void node_stats_done(struct node_stats *s);
void node_stats_drop_busy(struct node_stats *s); /* only those */

/*
 * Bus frames: up to FRAME_ENTRIES of one kind (must(); so many fit BUS_FRAME_MAX, whatever their names). Names of a frame that was read
 * are valid until frame_done().
 */
enum { FRAME_ENTRIES = 256 };
struct ring {
    unsigned partition;
    struct span queue;
    uint32_t count;
};
struct grant { /* dispatcher -> courier. connections 0 takes it back. */
    unsigned partition;
    struct span queue;
    uint64_t token; /* of the partition's lease; a lower one than seen before is refused */
    uint32_t connections;
    uint64_t rate_micro; /* messages per second, in millionths; 0: no limit */
    uint64_t answers_ms; /* the courier's own clock in the report this answers; valid until 5 s after it */
    uint32_t serial;  /* grows with each change of connections or rate; a report echoes the last one taken */
    struct span site; /* whose limits were asked for it; empty: none */
};
enum { TROUBLE_MAX = 160 };
struct report { /* courier -> dispatcher, of one granted queue */
    unsigned partition;
    struct span queue;
    uint64_t token;
    uint32_t connections; /* in use */
    uint32_t claimed;     /* jobs in hand */
    bool is_empty;        /* the last claim found no more due work */
    uint64_t wait_ms;     /* the queue is paused that long */
    bool is_returned;     /* the grant is given back */
    uint32_t finished;    /* messages sent since the last report: for rates */
    uint32_t serial;      /* of the last grant taken, under this token */
    uint32_t granted;     /* its connections */
    uint32_t succeeded;   /* of finished: the host took them */
    uint32_t throttled;   /* the host said to slow down: messages, and connections it turned away */
    struct span trouble;  /* no host of the destination can be used: why, at most TROUBLE_MAX; empty: fine */
    bool was_paused;      /* the queue has a pause on record: it is to be cleared when something succeeds */
    struct span site;     /* where its mail goes; empty: not known, or without limits */
};
/*
 * courier -> dispatcher, in each frame it sends, at least each second; with the first to a dispatcher and then each second go reports of all
 * grants it holds, whoever gave them: so a dispatcher that takes a partition over knows who works its queues.
 * Dispatchers say hello to each other with what they borrow; of them only incarnation, clock and count matter.
 */
struct hello {
    uint64_t incarnation;
    uint64_t clock_ms;         /* the sender's clock_ms() at sending; grants and loans answer it */
    uint32_t free_jobs;        /* how many more it could claim */
    uint32_t free_connections; /* how many more it could open; UINT32_MAX: not told */
    uint64_t count;            /* grows with each frame of this life: an older one is late; 0: not told */
    bool is_draining;
};
struct borrow { /* dispatcher -> the owner of the site's partition */
    struct span site;
    uint64_t token;       /* of the lease that lent last; 0: none */
    uint32_t connections; /* in force now, over all its queues of the site */
    uint32_t wanted;      /* could be used */
    uint32_t finished;    /* messages since the last: for rates */
    uint32_t serial;      /* of the last loan taken */
};
struct loan { /* the site's owner -> that dispatcher */
    struct span site;
    uint64_t token;
    uint32_t connections;
    uint64_t rate_micro;
    uint64_t answers_ms; /* the borrower's own clock; valid until 5 s after it */
    uint32_t serial;
};
struct frame {
    struct hello hello;
    bool has_hello;
    struct ring *rings;
    size_t ring_count;
    struct grant *grants;
    size_t grant_count;
    struct report *reports;
    size_t report_count;
    struct borrow *borrows;
    size_t borrow_count;
    struct loan *loans;
    size_t loan_count;
    char *names; /* of a frame that was read: behind the spans */
};
void wire_put_frame(const struct frame *f, struct buf *out);
int wire_get_frame(struct span in, struct frame *ret_frame);
void frame_done(struct frame *f); /* frees arrays and names */
