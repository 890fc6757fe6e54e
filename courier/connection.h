/*
 * Does: one outgoing SMTP connection: stream and engine together, its deadlines, its idle time.
 * Does not: choose hosts or jobs (work.h).
 * Owns: stream, engine, the job in flight (and the next, behind its dot).
 * Fails: to its work: attempt_failed() for the jobs under way, work_target_failed() when the host was of no use.
 */
#pragma once

#include <stdbool.h>

#include "courier/courier.h"
#include "courier/job.h"
#include "courier/route.h"
#include "io/stream.h"

struct connection {
    struct list link;      /* in work.connections */
    struct list idle_link; /* in courier.idle (pool.c) */
    struct courier *courier;
    struct work *work;
    struct target target; /* a copy: the route may change */
    char *remote;         /* "host [address]:port" */
    struct stream *stream;
    struct smtp_client *client;
    uint64_t content_bytes; /* of the content under way, written so far */
    uint32_t next_chunk;    /* of the content under way */
    struct content_read *read;
    struct timer total; /* a transaction's longest time (BEHAVIOURS H24) */
    bool is_connected, was_ready, is_closing;
    bool
        has_progress; /* something whole was heard or sent since the deadline was set: octets alone extend none (H24) */
    uint64_t idle_since_ms;
};

/* Opens one for work at a target. */
void connection_open(struct work *w, const struct target *t);
/* A job may have come for an idle connection, or a chunk: asks the engine and does what it wants. */
void connection_drive(struct connection *k);
/* Ends an idle one politely. */
void connection_quit(struct connection *k);
/* There are too many: an idle one quits, one that is not greeted yet ends; one with a message goes on, and rests no more. */
void connection_let_go(struct connection *k);
/* Aborts unless the dot is out (told dead). */
void connection_abort_before_dot(struct connection *k);
