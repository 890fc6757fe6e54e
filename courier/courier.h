/*
 * Does: says what one courier is: what its parts share.
 * Does not: hold mail; see work.h (a granted queue) and job.h (a claimed job).
 * Owns: the parts, for the life of the process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "cluster/dsn_settings.h"
#include "cluster/keyring.h"
#include "cluster/node.h"
#include "cluster/store.h"
#include "courier/smtp_client.h"
#include "io/dns.h"

struct rule_watch;
struct rules;
struct settler;
struct dead_hosts;
struct login_keys;
struct sources;
struct sts;
struct tls_client;
struct tlsrpt;
struct transcripts;

struct courier {
    struct loop *loop;
    struct store *store;
    struct node *node;
    struct dns *dns;
    struct settler *settler;
    struct sources *sources;
    struct sts *sts;       /* MTA-STS policies */
    struct tlsrpt *tlsrpt; /* counts and reports about TLS */
    struct tls_client *tls;
    struct login_keys *login_keys;
    struct dead_hosts *dead_hosts;
    struct rule_watch *rule_watch;
    const struct rules *rules; /* of the operator, in force; the watch's. NULL: none */
    struct transcripts *transcripts;
    bool is_traced;       /* some rules ask for dialogues (cluster/transcript.h) */
    bool awaits_rules;    /* they are not known yet: nothing is claimed */
    uint64_t incarnation; /* 0: not joined */
    uint64_t claim_seq;
    uint64_t frame_count; /* sent on the bus */
    struct keyring keyring;
    struct map works;        /* partition and queue -> struct work */
    struct map dispatchers;  /* incarnation -> struct dispatcher (grant.c) */
    struct map jobs;         /* job -> struct job: what we know to have claimed */
    struct list open_claims; /* claims without an answer yet (claim.c) */
    struct list idle;        /* connections without a message, longest idle first (pool.c) */
    size_t idle_count;
    struct list short_of_jobs, short_of_connections; /* works in line for room (room.c) */
    size_t job_count;                                /* claimed and not yet settled */
    size_t content_bytes;                            /* held in memory, or booked for it (content.c) */
    struct list content_waiting;                     /* claimed jobs, until there is room for their content */
    struct tail content_tail;
    size_t connection_count;
    size_t user_count; /* works that have jobs */
    size_t expanding;  /* many-queue messages being expanded */
    unsigned suspects; /* suspect jobs in hand or asked for: 0 or 1 */
    bool is_draining;  /* takes no new work: the operator's order, or the end */
    bool is_ending;    /* SIGTERM: leaves when nothing is left */
    bool is_leaving;
    bool is_cut_off; /* a shard with claims of ours is away for good: it ends without them */
    struct client_settings client;
    struct dsn_settings dsn;
    struct limiter *limiter; /* of notifications; NULL until one is asked for */
    struct timer report_timer, compare_timer, away_timer;
    struct tail report_tail;
    bool is_hello_due;
};

/* Told by node: buried. Drops what is before its dot, keeps what is behind one. */
void courier_dead(struct courier *c);
/* A shard with claims of ours was away for too long: takes no more work, settles the rest, ends. */
void courier_give_up(struct courier *c);
/* After a job, connection or settle is over: ends the process when it is ending and nothing is left. */
void courier_check_drained(struct courier *c);
