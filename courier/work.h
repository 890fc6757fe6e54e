/*
 * Does: works a granted queue: claims jobs, gives them to connections, within the grant's connections, rate and time.
 * Does not: speak SMTP (connection.h) or to dispatchers (grant.h).
 * Owns: its jobs that are ready, its route.
 * Fails: never; what cannot be done is released or deferred.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cluster/keys.h"
#include "courier/courier.h"
#include "courier/job.h"
#include "courier/route.h"

struct work {
    struct courier *courier;
    unsigned partition;
    char *queue;
    char *domain;
    bool is_fanout;
    /* the grant */
    uint64_t token, until_ms;
    uint32_t connections_max;         /* granted; 0: none */
    uint64_t rate_micro;              /* messages per second, in millionths; 0: no limit */
    uint64_t credit_micro, credit_us; /* the rate's bucket and when it was filled */
    /* claiming */
    bool is_claiming;
    bool is_empty; /* the last claim found nothing due */
    bool is_rung;  /* a grant came while a claim was under way */
    uint64_t wait_until_ms;
    struct list ready; /* jobs whose content is at hand */
    size_t ready_count;
    size_t loading_count; /* claimed, their first chunk on its way */
    size_t job_count;     /* claimed and not settled, ready ones included */
    /* connections */
    struct list connections;
    size_t connection_count, connecting;
    /* route */
    struct route *route;
    struct route_search *search;
    uint64_t route_until_ms;
    struct timer timer;     /* rate, or the end of the grant */
    struct tail tail;       /* work_pump() at the end of the round */
    struct list short_link; /* in courier.short_works */
    uint32_t finished;      /* since the last report */
    bool is_report_due;
};

/* A grant came: a new one, a renewal or a wake-up. connections 0 takes it back. */
void work_grant(struct courier *c, unsigned partition, struct span queue, uint64_t token,
                uint32_t connections, uint64_t rate_micro, uint64_t until_ms);
struct work *work_find(struct courier *c, unsigned partition, struct span queue);
bool work_is_granted(const struct work *w);
/* Something changed: claim, connect, send as far as possible; runs at the end of the round. */
void work_wake(struct work *w);
/* A connection or a job's room has come free: the work that waits longest for one has its turn. */
void work_wake_short(struct courier *c);
/* Room for more jobs, of any queue. */
bool work_has_job_room(const struct courier *c);
/* It has its turn when there is room. */
void work_wait_for_room(struct work *w);
/* The next job a connection at this target may send, or NULL. It leaves the ready list. */
struct job *work_take(struct work *w, size_t target);
/* Which target of the route is this address, or SIZE_MAX. */
size_t work_target_of(const struct work *w, const struct ip *ip, uint16_t port);
/* A job comes back to be tried again at once: another transaction, or another host. */
void work_return(struct work *w, struct job *j);
/* A target could not be used; after the last one all ready jobs are decided. */
void work_target_failed(struct work *w, size_t target, const struct verdict *why);
/* Before the resolver is closed. */
void work_drop_search(struct work *w);
/* The next attempt looks for its hosts afresh: the settings have changed. */
void work_forget_route(struct work *w);
/* A job is settled or dropped: freed here. */
void work_job_over(struct work *w, struct job *j);
/* Frees it when nothing is left in it; returns true then. */
bool work_check_over(struct work *w);
/* Releases all that has not been started (drain, end of the grant). */
void work_release(struct work *w);
