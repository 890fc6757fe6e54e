/*
 * Does: what the files of the store share. Included by store*.c only.
 */
#pragma once

#include "cluster/store.h"

struct store {
    struct loop *loop;
    struct store_events events;
    struct redis *redis;
    char *address;
    bool must_be_durable; /* level fsync */
    /* Ready: connected, and the last audit was good. A reply that comes while it is not ready confirms nothing. */
    bool is_ready, is_closing, is_full;
    char *trouble; /* "" when ready */
    unsigned memory_percent;
    int64_t clock_offset_ms; /* Redis TIME less clock_ms(): a wall clock that jumps changes nothing */
    struct redis_request probe, load;
    bool is_probing, is_loading, is_loaded;
    struct timer probe_timer;
    uint64_t probe_sent_ms;
    struct list parked; /* calls that wait until it is ready */
    struct list paused; /* calls that wait before a repeat */
    uint64_t jitter;
    struct zstd *zstd; /* made when it is first asked for */
};

/* An error reply that passes by itself. */
bool store_is_temporary(const struct redis_value *v);
/* SCRIPT LOAD of all, once at a time. */
void store_load(struct store *s);
/* Ready again: sends what was parked. */
void store_unpark(struct store *s);
/* Closing: ends what is parked or paused. */
void store_end_calls(struct store *s);

/* What the process says about its stores, one per reactor: a change is logged once, not once per reactor. Thread-safe. */
void report_opened(void);
void report_closed(bool was_ready);
void report_ready(const char *address);
void report_lost(const char *address,
                 const char *reason); /* it was ready; NULL: the reason is told already */
void report_refused(const char *sentence);
void report_unsafe(const char *sentence);
void report_memory(bool is_full, unsigned percent);
void report_failed(struct span error); /* at most once in ten seconds */
