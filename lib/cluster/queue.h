/*
 * Does: the queue's scripts as typed calls: one function per script, one answer each (PROTOCOL.md).
 * Does not: decide anything.
 * Owns: each call until its answer; arguments are copied or encoded before the function returns.
 * Fails: every answer has an UNKNOWN (not confirmed in time); callbacks come exactly once, never inside the call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "cluster/keys.h"
#include "cluster/store.h"

/* ---- accepting ---- */
struct queue_job { /* a job to be made */
    unsigned partition;
    const char *job; /* "<message>.<index>" */
    const char *queue;
    struct span envelope, state; /* records */
    uint64_t mark_ms;
    bool keeps_content; /* w */
    uint32_t chunk_count;
    uint64_t size_bytes; /* sum of its own chunks; 0 for a child that names its parent's */
    /* All chunks of the job when they travel with the commit (chunk_count of them), else NULL: spooled before. */
    const struct span *chunks;
    const char *detail; /* of the accepted event */
    const char *tenant; /* whom it counts for in the queue, until it ends; NULL: nobody */
    uint64_t delay_ms;  /* until it is first due */
    bool comes_back;    /* the mark of a move away from here does not count: by the operator's move only */
};
/* clang-format off */
enum commit_answer { COMMIT_NEW, COMMIT_AGAIN, COMMIT_CLASH, COMMIT_REVOKED, COMMIT_INCOMPLETE, COMMIT_FULL, COMMIT_UNDONE, COMMIT_UNKNOWN };
/* clang-format on */
typedef void queue_on_commit(void *context, enum commit_answer answer);
/*
 * carry: what couriers send (allow-oom). Repeated for time_ms at most. COMMIT_FULL: not committed, Redis is full. COMMIT_INCOMPLETE: not
 * committed, a chunk is missing, or Redis refused the call with an error that no repeat mends (it is logged). COMMIT_UNDONE: time is over, and
 * it is certain that nothing happened.
 */
void queue_commit(struct store *s, const struct queue_job *job, bool carry, uint64_t time_ms,
                  queue_on_commit *on_answer, void *context);

enum delete_answer { DELETE_DELETED, DELETE_GONE, DELETE_LATER, DELETE_CLAIMED, DELETE_UNKNOWN };
typedef void queue_on_delete(void *context, enum delete_answer answer);
void queue_delete(struct store *s, unsigned partition, const char *job, const char *queue, bool revoke,
                  uint64_t time_ms, queue_on_delete *on_answer, void *context);

/* Deletes a job that is durable in another store, by the operator's move. Only so may it come back (comes_back) within the time of its mark. */
void queue_delete_moved(struct store *s, unsigned partition, const char *job, const char *queue,
                        uint64_t time_ms, queue_on_delete *on_answer, void *context);
#define QUEUE_MOVED "moved " /* before the digest, in its mark and in what is left of it */

/* ---- working ---- */
enum fate { FATE_NONE, FATE_HOLD, FATE_DELETE, FATE_BOUNCE };
struct queue_claimed { /* one job as claimed; spans valid during the callback */
    struct span job, envelope, state;
    uint32_t chunk_count;
    enum fate fate;
    uint32_t crashes;
    uint64_t exact_ms; /* y, 0: never */
    bool keeps_content;
    struct span ruled;        /* which of the operator's rules moved it last, see rule_released() */
    struct span held_because; /* not empty: put aside for the operator, not claimed; no more is told */
};
enum claim_answer { CLAIM_JOBS, CLAIM_WAIT, CLAIM_UNKNOWN };
/*
 * token: what every later change of these jobs carries. error: why the queue was paused, while a pause that is over is on record, else empty.
 * wait_ms: from now, for CLAIM_WAIT: the queue is paused, or Redis refused the call.
 */
typedef void queue_on_claim(void *context, enum claim_answer answer, const char *token,
                            const struct queue_claimed *jobs, size_t count, struct span error,
                            uint64_t wait_ms);
struct queue_claim {
    unsigned partition;
    const char *queue;
    uint32_t count, suspects;
    uint64_t record_bytes;     /* of envelopes and states, at most; one job always */
    uint64_t incarnation, seq; /* seq: new for every claim */
};
/* Repeated until confirmed, without end: only a claim's own outcome tells what we hold. CLAIM_UNKNOWN only when the store is closed. */
void queue_claim(struct store *s, const struct queue_claim *claim, queue_on_claim *on_answer, void *context);

enum outcome { OUTCOME_END, OUTCOME_BACK, OUTCOME_HOLD, OUTCOME_KEEP };
struct queue_dsn {   /* made in the same write as the verdict it reports */
    const char *job; /* "<its own id>.0" */
    struct span envelope, state;
    struct span content; /* at most 64 KiB: one chunk */
};
struct queue_settle { /* of one job */
    const char *job, *queue, *token;
    enum outcome outcome;
    bool is_moved;     /* BACK: queue is another one of its domain than it was claimed from */
    uint64_t delay_ms; /* BACK */
    const char *next;  /* KEEP: the new token */
    struct span state; /* at NULL: none */
    bool is_exact;
    uint32_t chunk_count; /* its own chunks, removed by END */
    const char *event, *detail;
    const struct queue_dsn *dsn; /* NULL: none */
};
enum settle_answer { SETTLE_OK, SETTLE_GONE, SETTLE_AGAIN, SETTLE_STALE, SETTLE_INCOMPLETE, SETTLE_UNKNOWN };
/* answers in the order given. repeated: an earlier send of the call may have been executed, so GONE and STALE may be our own doing. */
typedef void queue_on_settle(void *context, const enum settle_answer *answers, size_t count, bool repeated);
/* At most 64 jobs of one partition. Repeated without end; SETTLE_UNKNOWN only when the store is closed. */
void queue_settle(struct store *s, unsigned partition, const struct queue_settle *jobs, size_t count,
                  queue_on_settle *on_answer, void *context);

/* ---- operator; LATER: when its courier gives it back. LEFT: of an undo: the job is not as that rule left it, and stays as it is. */
enum act_answer { ACT_OK, ACT_LATER, ACT_GONE, ACT_LEFT, ACT_UNKNOWN };
typedef void queue_on_act(void *context, enum act_answer answer);
enum act { ACT_HOLD, ACT_UNHOLD, ACT_RETRY, ACT_BOUNCE, ACT_UNDO };
struct queue_act {
    enum act act;
    unsigned partition;
    const char *job, *queue;
    const char *why, *rule; /* of a hold, NULL: "by operator"; id of its rule, NULL: none undoes it */
};
void queue_act(struct store *s, const struct queue_act *a, uint64_t time_ms, queue_on_act *on_answer,
               void *context);
/* pause_ms: of a first pause, 0 resumes; a further one is twice as long as the one on record, up to longest_ms. ACT_OK or ACT_UNKNOWN. */
struct queue_pause {
    unsigned partition;
    const char *queue, *error; /* error NULL: none */
    uint64_t pause_ms, longest_ms;
};
void queue_pause(struct store *s, const struct queue_pause *pause, uint64_t time_ms, queue_on_act *on_answer,
                 void *context);

/* ---- dispatcher ---- */
enum lease_answer { LEASE_OK, LEASE_TAKEN, LEASE_LOST, LEASE_UNKNOWN };
/* sent_ms: clock_ms() when the request that was confirmed was sent: a lease is used until 2 s after it. */
typedef void queue_on_lease(void *context, unsigned partition, enum lease_answer answer, uint64_t token,
                            uint64_t sent_ms);
void queue_acquire(struct store *s, unsigned partition, uint64_t incarnation, uint64_t floor,
                   queue_on_lease *on_answer, void *context);
void queue_keep(struct store *s, unsigned partition, uint64_t incarnation, uint64_t token,
                queue_on_lease *on_answer, void *context);
void queue_yield(struct store *s, unsigned partition, uint64_t incarnation, uint64_t token,
                 queue_on_lease *on_answer, void *context);

struct queue_due {
    struct span queue;
    uint64_t waiting, ready;
    bool was_paused; /* a pause that is over is on record */
};
/* next_ms: wall clock of Redis of the lowest score left, 0: nothing left; in_ms: the same from now. ok false: unknown, ask again with horizon = park. */
typedef void queue_on_due(void *context, unsigned partition, bool ok, const struct queue_due *queues,
                          size_t count, uint64_t in_ms, bool is_empty);
void queue_due(struct store *s, unsigned partition, uint32_t count, uint64_t horizon_ms, uint64_t park_ms,
               queue_on_due *on_answer, void *context);

struct queue_put_aside { /* for the operator, instead of given back */
    struct span job, why;
};
typedef void queue_on_reap(void *context, unsigned partition, bool ok, uint32_t reaped,
                           const struct queue_put_aside *held, size_t held_count);
/* last, live: from one confirmed read of the nodes. */
void queue_reap(struct store *s, unsigned partition, uint64_t last, const uint64_t *live, size_t live_count,
                queue_on_reap *on_answer, void *context);

/* ---- janitor ---- */
/* One step of SCAN through the shard that has the partition; cursor 0 begins, and ends. keys: valid during the call. */
typedef void queue_on_scan(void *context, bool ok, uint64_t cursor, const struct redis_value *keys);
void queue_scan(struct store *s, unsigned partition, uint64_t cursor, uint32_t count,
                queue_on_scan *on_answer, void *context);
struct queue_tidy_key {
    struct span key;
    bool is_alone; /* content: no job of its message is to be found in any partition, for long */
};
struct queue_found {
    struct span what, key; /* a word of dispatcher/janitor.def */
};
typedef void queue_on_tidy(void *context, unsigned partition, bool ok, const struct queue_found *found,
                           size_t count);
/* keys: of the partition, 512 at most. keep_ms: the time limit that content without a job gets. */
void queue_tidy(struct store *s, unsigned partition, const struct queue_tidy_key *keys, size_t count,
                uint64_t keep_ms, queue_on_tidy *on_answer, void *context);

/* ---- reading ---- */
/* The jobs in c of this incarnation, with the token in each record ("" without record). What is claimed or settled meanwhile may be listed or
 * missing: judge only what was in nobody's hand from before the call until its answer. */
struct queue_held_claim {
    struct span job, token, queue;
    uint32_t chunk_count;
};
typedef void queue_on_compare(void *context, unsigned partition, bool ok,
                              const struct queue_held_claim *claims, size_t count);
void queue_compare(struct store *s, unsigned partition, uint64_t incarnation, queue_on_compare *on_answer,
                   void *context);
/* Which of these jobs exist, confirmed. */
typedef void queue_on_exist(void *context, bool ok, const bool *exist, size_t count);
struct queue_place {
    unsigned partition;
    const char *job;
    bool or_its_mark; /* one that has ended, and is still known, counts too */
};
void queue_exist(struct store *s, const struct queue_place *places, size_t count, queue_on_exist *on_answer,
                 void *context);
