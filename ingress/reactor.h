/*
 * Does: one thread of the ingress: its loop, store, listeners, sessions, submissions and rings.
 * Does not: share any of these; what the process shares is in client.c, ring.c and reactor_shared.
 * Owns: all of them. The first reactor runs on the daemon's main loop, the others each in a thread.
 * Fails: reactor_new() with -EINVAL and a sentence.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "cluster/limit.h"
#include "cluster/store.h"
#include "cluster/transcript.h"
#include "ingress/domain_check.h"
#include "ingress/quota.h"
#include "ingress/ring.h"
#include "ingress/tables.h"
#include "io/loop.h"
#include "io/stream.h"

struct admission;
struct auth;
struct reactor;
struct service;
/* What all reactors see; set up before they run. */
struct reactor_shared {
    const char *name;          /* ours, in greeting and Received */
    _Atomic unsigned settings; /* grows with each reload */
    _Atomic unsigned drain;    /* enum drain */
    _Atomic unsigned hurries;  /* grows when stress begins */
    _Atomic bool has_orders;   /* the operator's orders were read */
    void (*on_drained)(
        struct reactor *r); /* in the reactor's thread, at each wake-up once it has nothing left */
};
/* Ordered by the operator: the node stays, sessions end between transactions and new ones are turned away. The others: SIGTERM. */
enum drain { DRAIN_NO, DRAIN_ORDERED, DRAIN_POLITELY, DRAIN_AT_ONCE };
extern struct reactor_shared reactor_shared;

struct reactor {
    unsigned index;
    struct loop *loop;
    struct store *store;
    struct limiter *limiter;
    struct auth *auth;
    struct quota *quota;
    struct tables *tables;
    struct domain_check *domain_check;
    struct ringer *ringer;
    struct transcripts *transcripts;
    unsigned tracing;          /* number of the rules that it has (tracing.h) */
    bool is_traced;            /* some of them ask for dialogues */
    unsigned settings;         /* those that the services were made of */
    struct service **services; /* one for each listener */
    size_t service_count;
    struct listener **listeners; /* those of the first service first */
    size_t listener_count;
    struct list arrivals, sessions, submissions;
    uint64_t session_count, submission_count;
    struct admission *spare_admission; /* NULL: it is in use */
    uint64_t session_number;           /* of the last one */
    struct timer room;                 /* submissions wait for memory */
    struct timer fault;                /* tells of exhausted descriptors once a second */
    _Atomic bool is_ready;             /* the store takes mail */
    unsigned hurries;                  /* those that the sessions were told of */
    bool has_begun;                    /* takes who connects */
    bool is_drained;
    pthread_t thread;
};

/* count: of all reactors, which share a node's limits; l: to run on; NULL: one of its own. */
int reactor_new(unsigned index, unsigned count, struct loop *l, struct reactor **ret_reactor,
                char **ret_error);
void reactor_end(struct reactor *r);             /* closes its store and links, in its thread */
struct reactor *reactor_free(struct reactor *r); /* not while it runs; its loop stays; always NULL */
/* After reactor_shared was changed, or rings were published; from any thread. */
void reactor_wake(struct reactor *r);
/* Brings the services up to date with the settings in force. */
void reactor_refresh(struct reactor *r);
/* A session or submission has gone: perhaps the last one that draining waits for. */
void reactor_check_drained(struct reactor *r);
