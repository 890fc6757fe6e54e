/*
 * Does: one outgoing SMTP or LMTP connection: stream and engine together, TLS and login, its deadlines, its idle time.
 * Does not: choose hosts or jobs (work.h), nor what TLS must prove (tls_policy.h).
 * Owns: stream, engine, the job in flight (and the next, behind its dot).
 * Fails: to its work: attempt_on_result() for the jobs under way, work_target_failed() when the host was of no use.
 */
#pragma once

#include <stdbool.h>

#include "courier/courier.h"
#include "courier/job.h"
#include "courier/route.h"
#include "courier/source.h"
#include "io/stream.h"

struct login {
    char *user, *password; /* NULL: no login */
    struct conf_list mechanisms;
};

struct connection {
    struct list link;      /* in work.connections */
    struct list idle_link; /* in courier.idle (pool.c) */
    struct courier *courier;
    struct work *work;
    struct target target;      /* a copy: the route may change */
    struct tls_policy *policy; /* held: the target's, or on a relaxed one that of no demand */
    struct conf *conf;         /* held: the settings it was opened under; under others it takes no message */
    uint64_t redirect;         /* the operator's rule it was opened by, 0: none; likewise */
    const char *pool;          /* of conf; NULL: none */
    struct ip source;          /* of the pool */
    struct login login;
    struct client_terms terms;
    char *remote; /* "host [address]:port" */
    struct stream *stream;
    struct smtp_client *client;
    struct transcript *transcript; /* NULL: nobody has watched it */
    uint64_t content_bytes;        /* of the content under way, written so far */
    uint32_t next_chunk;           /* of the content under way */
    struct content_read *read;
    struct login_ask *key;
    struct timer total; /* a transaction's longest time (BEHAVIOURS H24) */
    bool is_connected, was_ready, is_closing;
    bool is_relaxed, is_shaking;
    bool
        has_progress; /* something whole was heard or sent since the deadline was set: octets alone extend none (H24) */
    bool is_counted; /* for reports about TLS (tlsrpt.h), or not to be */
    bool has_local;
    struct ip local; /* our address, until it is counted */
    uint64_t idle_since_ms;
    struct job_tls tls;
};

/* Opens one for work. first: the job it is opened for; others may go by it too. */
void connection_open(struct work *w, const struct way *way, const struct job *first);
/*
 * May mail of this work that would go this way use it (BEHAVIOURS H15)? Only if nothing differs: host and address, protocol, TLS policy, pool
 * of source addresses, login, and the settings themselves.
 */
bool connection_is_for(const struct connection *k, const struct work *w, const struct way *way);
/* May the connection, which works for this queue, still do so by the route in force? target: as work_target_of() has it. */
bool connection_is_in_route(const struct connection *k, size_t target);
/* May this job go over it? */
bool connection_suits(const struct connection *k, size_t target, const struct job *j);
/* A job may have come for an idle connection, or a chunk: asks the engine and does what it wants. */
void connection_drive(struct connection *k);
/* Ends an idle one politely. */
void connection_quit(struct connection *k);
/* There are too many: an idle one quits, one that is not greeted yet ends; one with a message goes on, and rests no more. */
void connection_let_go(struct connection *k);
/* Aborts unless the dot is out (told dead). */
void connection_abort_before_dot(struct connection *k);
