/*
 * Does: the only place that decides what verdicts do (done, later, or returned), and writes it: settle calls, gathered per partition; DSNs.
 * Does not: attempt anything.
 * Owns: jobs from the call on; a verdict is kept and repeated until it is confirmed.
 * Fails: never: an unknown outcome is repeated; a first answer of "stale" or "gone" is logged as in doubt.
 */
#pragma once

#include "courier/job.h"

struct settler;
struct settler *settler_new(struct courier *c);
/* Settles not yet confirmed, over all partitions. */
size_t settler_pending_count(const struct settler *s);
size_t settler_pending_in(const struct settler *s, unsigned partition);
/* Verdicts wait too long to be recorded in the shard that has this partition: it gets no further claims, so that memory stays bounded. */
bool settler_is_late(const struct settler *s, unsigned partition);

/* It has waited longer than mail of its queue may (retry). Never while the clocks of this node and of Redis are apart. */
bool settle_is_expired(const struct job *j);
/* The attempt is over: ends, defers, or returns the job by its recipients' verdicts; with a DSN when one is due. */
void settle_attempt(struct job *j);
/* More transactions to come: records what is decided; then on_noted gives the job back with its new token. */
void settle_note(struct job *j, void (*on_noted)(struct job *j));
/* Not attempted: back as it was. */
void settle_release(struct job *j);
/* Not attempted: back as it was, until then. */
void settle_postpone(struct job *j, uint64_t delay_ms, const char *why);
/* Not attempted: back as it was, but to another queue of its domain. */
void settle_move(struct job *j, const char *queue, uint64_t delay_ms);
/* Put aside for the operator. */
void settle_hold(struct job *j, const char *why);
/* Ends without a report: operator's delete, expanded parent. */
void settle_end(struct job *j, const char *event, const char *detail);
/* Returned by the operator: all undecided recipients fail, with a DSN. */
void settle_bounce(struct job *j);
/* A parent that waits: back with its state. */
void settle_wait(struct job *j, uint64_t delay_ms, const char *detail);
/* The same while children are left (mail/children.h): those of their recipients whose time is over are returned, those who are late are told. */
void settle_left(struct job *j, uint64_t delay_ms, const char *detail);
/* It will make a report, which quotes the job's chunk. */
bool settle_left_tells(const struct job *j);
/* Claims that never became jobs: records that cannot be read are held, those of a newer version and a claim that came late are released. */
struct stray {
    unsigned partition;
    struct span job, queue, token;
    uint32_t chunk_count;
    uint64_t delay_ms; /* of a release */
};
void settle_stray(struct courier *c, const struct stray *stray, enum outcome outcome, const char *why);
