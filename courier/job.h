/*
 * Does: a claimed job in memory: envelope, state, first chunk of content, and the transaction under way.
 * Does not: decide verdicts' fate (settle.h) or hosts (attempt.h).
 * Owns: all of it; job_free() only when no connection, read or settle holds it.
 * Fails: job_new() with -EBADMSG when the records cannot be read: the caller holds the job (invariant 8); -EPROTONOSUPPORT: a newer version's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "cluster/queue.h"
#include "courier/courier.h"
#include "mail/envelope.h"

struct work;

/* How the way to a host was protected, for the story. */
struct job_tls {
    char session[80];  /* version and cipher; "": not at all */
    const char *proof; /* how the host has shown to be the right one: dane, sts, name, fingerprint, no */
};

struct job {
    struct list link; /* in work.ready, or in no list */
    struct work *work;
    char name[JOB_TEXT_MAX + 1];
    char token[48];
    uint64_t incarnation; /* of the claim */
    struct envelope envelope;
    struct job_state state;
    uint32_t own_chunks; /* chunks that end with this job; 0 when it reads its parent's */
    enum fate fate;
    uint32_t crashes;
    uint64_t exact_ms;
    struct buf chunk; /* content's first chunk, kept until the job is settled */
    unsigned stale_returns;
    uint32_t route_number;  /* of work.route_number: whose targets these are */
    uint64_t tried;         /* targets of the route, by index, that failed in this attempt */
    uint64_t tried_relaxed; /* likewise, by connections that obey no TLS policy */
    struct job_tls tls;     /* of the connection that carried it last */
    struct verdict fault;   /* of the last target that failed */
    bool is_attempted;      /* the attempt counts: something of it reached a host, or none could be */
    bool is_suspect;
    size_t booked_bytes;         /* of content (content.c) */
    const char *content_trouble; /* why it cannot be sent whole: held */
    bool is_dropped;             /* the claim is not ours any more: nothing is settled */
    /* the transaction under way */
    struct client_message message;
    uint32_t *indexes; /* into the envelope's recipients */
    struct verdict *verdicts;
    size_t transaction_max;
    uint32_t notes; /* tokens used by note */
};

int job_new(struct work *w, const struct queue_claimed *claimed, const char *token, struct job **ret_job);
struct job *job_free(struct job *j); /* always NULL */
/* A recipient that still needs an answer in this attempt. */
bool job_is_undecided(const struct job *j, size_t recipient);
size_t job_undecided_count(const struct job *j);
/* Fills j->message with the next at most `max` undecided recipients; false: none left. */
bool job_next_transaction(struct job *j, size_t max);
/* Takes the transaction's verdicts over into the state; logs and counts each. */
void job_take_verdicts(struct job *j);
/* Every recipient still undecided gets this verdict. */
void job_decide(struct job *j, const struct verdict *v);
/* Deferred, and its time is over: told and counted as failed. */
void job_give_up(const struct job *j, size_t recipient, const struct verdict *ended);
/* Since arrival, or since its release when that was asked for (RFC 4865), by the wall clock; 0 when that lies ahead. */
uint64_t job_age_ms(const struct job *j);
/* What is left of the time its sender set (RFC 2852), in seconds, downwards; with its by_mode only. */
int64_t job_by_left_s(const struct job *j);
/* That time has passed. */
bool job_is_late(const struct job *j);
/* Its sender says that trouble with TLS is no reason to keep it (RFC 8689 section 5), and asks for no protection either. */
bool job_is_relaxable(const struct job *j);
