/*
 * Does: what decides when jobs of one queue can move: pause, owner of its partition, limits, how many wait before.
 * Does not: look at single jobs.
 * Owns: what it read, until outlook_done().
 * Fails: never by itself: questions end as ask.h says.
 */
#pragma once

#include "base/id.h"
#include "ctl/health.h"
#include "ctl/ruling.h"
#include "io/json.h"

struct outlook {
    char *queue;
    unsigned partition;
    uint64_t now_ms, waiting, due, next_ms; /* next_ms: when its first job is due, 0: none waits */
    struct id oldest;                       /* of its jobs first and last due */
    bool has_oldest;
    uint64_t paused_until_ms, pause_ms; /* 0: not paused, unknown */
    char *error;                        /* why it is or was paused, "" */
    uint64_t owner, owned_until_ms;     /* the dispatcher's incarnation, 0: none */
    const struct ruling *ruling;        /* the operator's rules, borrowed */
};
/* Asks; o must stay where it is until ask_wait(). ruling: what the rules say is told too. */
void outlook_ask(struct ask *k, struct outlook *o, const struct ruling *ruling, const char *queue,
                 unsigned partition);
void outlook_done(struct outlook *o);

bool is_owned(const struct outlook *o);
bool is_suspended(const struct outlook *o); /* nothing of it moves until the operator says so */
uint64_t paused_for_ms(const struct outlook *o);
/* Of a job due then: when something can happen to it at the earliest, as far as the queue is concerned. */
uint64_t outlook_next_ms(const struct outlook *o, uint64_t due_ms);
/* Appends what keeps jobs of the queue that are due from moving, "" when nothing does; separated by "; ". */
void add_queue_causes(struct buf *out, const struct outlook *o, const struct health *h);
/* "20 connections, 100 messages a minute (dispatcher.limits: example.com)", by the settings baridctl reads. */
void add_limits(struct buf *out, const char *queue);
void put_outlook(struct json *json, const struct outlook *o, const struct health *h);
