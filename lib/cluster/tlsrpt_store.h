/*
 * Does: what the couriers have in Redis for TLS reports (RFC 8460), as typed calls: counts of a policy domain's day, added by all; reports that are
 *       due, each taken by one.
 * Does not: know what rows mean (courier/tlsrpt_row.h), nor send anything.
 * Owns: each call until its answer; arguments are copied before the function returns.
 * Fails: TLSRPT_UNKNOWN: not confirmed in time. Callbacks come exactly once, never inside the call.
 * See: lua/tlsrpt_*.lua.
 */
#pragma once

#include "cluster/store.h"

enum { TLSRPT_NAME_MAX = 320, TLSRPT_TOKEN_MAX = 48, TLSRPT_DUE_MAX = 16 };
/* What nobody takes, and that a report was done: so long it stays. */
static const uint64_t tlsrpt_keep_ms = 7ull * 24 * 3600 * 1000;

struct tlsrpt_row {
    struct span field, value; /* a field P...: a text; every other: a number */
};
struct tlsrpt_part {  /* of one report */
    const char *name; /* "2026-11-22 example.com" */
    uint64_t due_ms;  /* clock of Redis */
    const struct tlsrpt_row *rows;
    size_t count;
};
struct tlsrpt_limits {
    uint64_t reports, rows; /* in Redis: at most so many, each of so many rows */
};
enum tlsrpt_answer { TLSRPT_OK, TLSRPT_GONE, TLSRPT_LATER, TLSRPT_STALE, TLSRPT_UNKNOWN };

/* dropped: so many sessions were not counted. */
typedef void tlsrpt_on_count(void *context, enum tlsrpt_answer answer, uint64_t dropped);
/* Adds once, however often it is repeated: seq grows with each call of this incarnation, one at a time. */
void tlsrpt_store_count(struct store *s, uint64_t incarnation, uint64_t seq, const struct tlsrpt_part *parts,
                        size_t count, const struct tlsrpt_limits *limits, uint64_t time_ms,
                        tlsrpt_on_count *on_count, void *context);

/* Reports that are due, earliest first, at most TLSRPT_DUE_MAX; valid during the call. */
typedef void tlsrpt_on_due(void *context, const struct span *names, size_t count);
void tlsrpt_store_due(struct store *s, uint64_t time_ms, tlsrpt_on_due *on_due, void *context);

/* OK: rows are all that was counted, and ours with a dot in front; valid during the call. GONE, LATER: nothing to do, or another has it. */
typedef void tlsrpt_on_take(void *context, enum tlsrpt_answer answer, const struct tlsrpt_row *rows,
                            size_t count);
void tlsrpt_store_take(struct store *s, const char *name, const char *token, uint64_t hold_ms,
                       uint64_t time_ms, tlsrpt_on_take *on_take, void *context);

/* SENT: notes where it was sent to. BACK: another try after delay_ms. OK, STALE (it is another's now, or done), UNKNOWN. */
enum tlsrpt_outcome { TLSRPT_DONE, TLSRPT_BACK, TLSRPT_SENT };
typedef void tlsrpt_on_end(void *context, enum tlsrpt_answer answer);
void tlsrpt_store_end(struct store *s, const char *name, const char *token, enum tlsrpt_outcome outcome,
                      uint64_t delay_ms, const char *sent, uint64_t time_ms, tlsrpt_on_end *on_end,
                      void *context);

/* ---- the operator */
struct tlsrpt_waiting {
    struct span name;
    uint64_t due_ms; /* clock of Redis */
};
/* ok false: no answer. The first `most` reports that are still to be sent, earliest due first; total: of all. Valid during the call. */
typedef void tlsrpt_on_list(void *context, bool ok, const struct tlsrpt_waiting *waiting, size_t count,
                            uint64_t total);
void tlsrpt_store_list(struct store *s, size_t most, uint64_t time_ms, tlsrpt_on_list *on_list,
                       void *context);
/* These are due now. found: how many there are. */
typedef void tlsrpt_on_hurry(void *context, bool ok, size_t found);
void tlsrpt_store_hurry(struct store *s, const char *const *names, size_t count, uint64_t time_ms,
                        tlsrpt_on_hurry *on_hurry, void *context);
