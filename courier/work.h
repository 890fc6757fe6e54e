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
#include "courier/feedback.h"
#include "courier/job.h"
#include "courier/rate.h"
#include "courier/route.h"

struct connection;
struct grant;

enum {
    WORK_AHEAD = 6
}; /* jobs at hand for each connection: what it sends while a claim and its content are on their way */

struct work {
    struct courier *courier;
    unsigned partition;
    char *queue;
    char *domain;
    bool is_fanout;
    /* the grant */
    uint64_t token, until_ms;
    uint32_t serial;
    uint32_t connections_max; /* granted; 0: none */
    uint64_t rate_micro;      /* granted; 0: no limit */
    struct rate rate;         /* no more than that */
    char *site;               /* whose limits the connections were lent from; "": none */
    uint64_t site_told_ms;    /* the owner was first told where the mail goes; 0: not yet */
    bool is_shrunk;           /* the last one gave fewer connections than the one before */
    /* claiming */
    bool is_claiming;
    bool is_empty; /* the last claim found nothing due */
    bool is_rung;  /* a grant came while a claim was under way */
    bool
        is_expiring; /* the last claim brought jobs that expire unattempted: more may follow, before a host is tried */
    char *pause_error; /* why the queue was paused, as long as that is on record; NULL: it was not */
    uint64_t wait_until_ms;
    struct list ready; /* jobs whose content is at hand */
    size_t ready_count;
    size_t loading_count; /* claimed, their first chunk on its way */
    size_t content_bytes; /* its part of what the courier holds */
    size_t job_count;     /* claimed and not settled, ready ones included */
    /* connections */
    struct list connections;
    size_t connection_count;   /* leaving ones included */
    size_t connecting;         /* not greeted yet */
    size_t leaving;            /* being closed: they take no message any more */
    uint64_t connect_at_ms;    /* the host has just turned one away although others are up */
    uint32_t told_connections; /* in the last report */
    /* what the operator's rules say of it (obey.c) */
    bool is_apart;     /* of mail that a rule sends another way than the rest of its queue (lane.h) */
    bool is_suspended; /* nothing is claimed, what has not been started is given back */
    uint64_t redirect; /* number of the rule that sends its mail another way; 0: none */
    char *redirect_to; /* where; as a row of courier.routes says it */
    /* route */
    enum transport_kind kind; /* by the settings and rules in force */
    struct route *route;
    uint32_t route_number; /* counts them */
    struct route_search *search;
    uint64_t route_until_ms;
    char *best_host; /* of the last route found; NULL: none yet */
    struct verdict
        trouble; /* no host can be used, and why: nothing is claimed before a new grant. VERDICT_NONE: fine */
    struct timer timer;                      /* rate, or the end of the grant */
    struct tail tail;                        /* work_pump() at the end of the round */
    struct list jobs_link, connections_link; /* in line for room (room.c) */
    struct feedback feedback;                /* since the last report */
    bool is_report_due;
    bool has_told_answer; /* the owner knows that its destination answers */
    uint32_t cohort_told; /* connections_max when a cohort was told at once */
    uint32_t put_off;     /* messages in a row that the host put off: it took nothing since */
};

/*
 * A grant came: a new one, a renewal or a wake-up. connections 0 takes it back. Late ones are ignored: of a former owner (a lower token), or
 * with the same token and a lower serial.
 */
void work_grant(struct courier *c, const struct grant *g, uint64_t until_ms);
bool work_is_granted(const struct work *w);
/* What became of a message: for the next report, which comes soon when it may change what the owner grants. */
void work_hear(struct work *w, const struct client_message *m);
/* Something changed: claim, connect, send as far as possible; runs at the end of the round. */
void work_wake(struct work *w);
/* The next job that this connection may send, or NULL. It leaves the ready list. target: as work_target_of() has it, here and below. */
struct job *work_take(struct work *w, const struct connection *k, size_t target);
/* A job at hand may not go over this connection, and no more may be opened: if it rests, it stands in that job's way. */
bool work_waits_for_another(const struct work *w, const struct connection *k, size_t target);
/* A job comes back to be tried again at once: another transaction, or another host. */
void work_return(struct work *w, struct job *j);
/* A job was claimed; a job is settled or dropped: freed here. */
void work_job_came(struct work *w, struct job *j);
void work_job_over(struct work *w, struct job *j);
/* It has more connections than it is granted, or than its part: one that is done with its message goes. */
bool work_has_too_many(const struct work *w);
/* One was opened for it, or comes from another queue; one is gone, or goes to another queue. */
void work_connection_came(struct work *w, struct connection *k);
void work_connection_over(struct work *w, struct connection *k);
/* Frees it when nothing is left in it; returns true then. */
bool work_check_over(struct work *w);
/* Releases all that has not been started (drain, end of the grant). */
void work_release(struct work *w);
/* It is granted nothing any more: what has not been started goes back, what has is finished. */
void work_give_up_grant(struct work *w);

/* ---- its route: work_route.c ---- */

/* Is there a route to use? A search is begun when not; its answer wakes the work. */
bool work_has_route(struct work *w);
/* Can an address of its pool be bound, if it has one? False: the dispatchers are told, and nothing is claimed. */
bool work_has_source(struct work *w);
/* Where its mail goes, when that is limited (dispatcher.site_limits); else "". */
const char *work_site(const struct work *w);
/*
 * The way for a job: to the best target that is not bad now, nor barred, nor tried by it, among equals at random, dead hosts last. When there is
 * none, and its sender does not insist on TLS: relaxed, to one whose policy stands in the way. source: NULL, or what targets must be reached from.
 */
struct way work_choose_way(const struct work *w, const struct job *j, const struct source *source);
/* Which target of the route is this one, or SIZE_MAX. */
size_t work_target_of(const struct work *w, const struct target *t);
/* A connection there was greeted; one was not. After the last target the jobs at hand are decided, and the work is in trouble. */
void work_target_worked(struct work *w, const struct connection *k, size_t target);
void work_target_failed(struct work *w, const struct connection *k, size_t target, const struct verdict *why);
/* Policies keep all of it from mail that obeys them: connections tell nothing new, those that rest are for other mail. */
bool work_is_barred(const struct work *w);
/* All of them may be tried again. False: none can be used all the same, and the work is in trouble. */
bool work_forgive_targets(struct work *w, const struct source *source);
/* Jobs at hand get the verdict: no host can be used. Those that have a way all the same, a relaxed one, stay. */
void work_decide_ready(struct work *w, const struct verdict *why);
/* What the job tried of another route than this one it has not tried. */
void work_forget_tried(const struct work *w, struct job *j);
/* How its mail is handed on, by the rules and settings in force: w->kind, and all of it. */
void work_find_kind(struct work *w);
void work_transport(const struct work *w, struct transport *ret_transport);
/* Before the resolver is closed. */
void work_drop_search(struct work *w);
/* The next attempt looks for its hosts afresh: the settings have changed, or the rules. */
void work_forget_route(struct work *w);
/* The jobs at hand: those that settings or rules send to no host are settled. */
void work_detour_ready(struct work *w);
