/*
 * Does: what the files of the store share. Included by store*.c only.
 */
#pragma once

#include "cluster/shard.h"
#include "cluster/store.h"

/* What is known of a shard (struct shard's data). */
struct store_shard {
    struct store *store;
    struct shard *shard;
    /* Ready: connected, the last audit was good, and with replicas a write was confirmed. A reply that comes while it is not ready confirms nothing. */
    bool is_ready, is_full;
    char *trouble; /* "" when ready */
    unsigned memory_percent;
    int64_t clock_offset_ms; /* Redis TIME less clock_ms(): a wall clock that jumps changes nothing */
    struct redis_request probe, load;
    bool is_probing, is_loading, is_loaded;
    unsigned unanswered; /* probes in a row */
    struct timer probe_timer;
    uint64_t probe_sent_ms;
    unsigned followers;    /* replicas that follow, or did a moment ago: store_probe.c */
    uint64_t followers_ms; /* when it was so last */
    char history[41];      /* its replication id: another one is a stream that was begun anew */
    uint64_t gathers_ms;   /* since when its successors gather: its stream began anew; 0: all have followed */
    unsigned held_by;      /* replicas that must hold what counts: all that follow, store.replicas at least */
    uint64_t short_ms;     /* when replicas fell short: only a probe sent later shows that they are back */
    unsigned fence;        /* the partition that fences write to; PARTITION_COUNT: to the common keys */
    uint64_t fence_ms;     /* when one was refused last */
    struct list parked;    /* calls that wait until it is ready */
};

struct store {
    struct loop *loop;
    struct store_events events;
    struct shards *shards;
    unsigned replicas; /* that must hold what counts, at least */
    bool fails_over;   /* by itself: a replica may be made primary any moment */
    bool asks_followers_only;
    bool must_be_durable; /* level fsync */
    bool has_slots;       /* a Redis Cluster: calls look for theirs */
    bool is_closing;
    struct list homeless; /* calls whose slot has nobody, as far as is known */
    struct list paused;   /* calls that wait before a repeat */
    uint64_t jitter;
    uint16_t common, partitions[PARTITION_COUNT]; /* slots */
    int64_t clock_offset_ms;                      /* of a shard that nobody knows: our own wall clock's */
    struct zstd *zstd;                            /* made when it is first asked for */
};

/* ---- store_call.c */
/* An error reply that passes by itself. */
bool store_is_temporary(const struct redis_value *v);
bool store_is_code(const struct redis_value *v, const char *code); /* an error reply of that first word */
/* What waits in the list is sent, or waits elsewhere. */
void store_resume(struct store *s, struct list *waiting);
/* Closing: ends what waits. */
void store_end_calls(struct store *s);

/* ---- store_shard.c */
struct store_shard *store_shard_at(const struct store *s, unsigned slot); /* NULL: nobody has it */
void store_shard_open(void *owner, struct shard *shard);
void store_shard_greet(void *owner, struct shard *shard, struct redis_request *greeting);
int store_shard_greeted(void *owner, struct shard *shard, const struct redis_value *values, unsigned count);
void store_shard_up(void *owner, struct shard *shard);
void store_shard_down(void *owner, struct shard *shard, const char *reason);
void store_shard_refused(void *owner, struct shard *shard, const char *reason);
void store_shard_close(void *owner, struct shard *shard);
void store_shard_closed(void *owner, void *data);
void store_shard_ready(struct store_shard *ss);
/* is_told: the log has the reason already. */
void store_shard_lost(struct store_shard *ss, const char *sentence, bool is_told);
void store_shard_see_time(struct store_shard *ss, const struct redis_value *time, uint64_t sent_ms);
void store_shard_see_memory(struct store_shard *ss, const struct redis_value *info);
/* Is this Redis one to keep the queue in, by what it answered to audit_ask()? 0, or -EAGAIN, or -EPERM with the trouble set. */
int store_shard_judge(struct store_shard *ss, const struct redis_value *answers);
/* SCRIPT LOAD of all, once at a time. */
void store_shard_load(struct store_shard *ss);

/* ---- store_probe.c */
void store_shard_probe(struct store_shard *ss); /* now, unless one is under way */
void store_shard_probe_later(struct store_shard *ss);
/* A reply says that it may not be what it was: it is looked at now, and so is who else is primary. */
void store_shard_suspect(struct store_shard *ss);
/* Do as many replicas hold what was answered as must? */
bool store_shard_is_held(const struct store_shard *ss, const struct redis_request *request);
/* It was away, or is new: replicas that followed, and all that may be promoted, are given time to come before they are left behind. */
void store_shard_await_followers(struct store_shard *ss);
/* Fewer replicas hold the request than must. False: that may be the fence's fault, and nothing follows from it. */
bool store_shard_short(struct store_shard *ss, const struct redis_request *request);
/* The write that goes before each WAIT, and what follows when it was refused. */
void store_shard_fence(void *owner, struct shard *shard, struct buf *command);
void store_shard_fence_refused(void *owner, struct shard *shard, struct span error);
/* One command that writes nothing, but is refused where writes are: does it serve keys of ours? And its answer; false: it does not, and is lost. */
void store_shard_ask_service(struct store_shard *ss, struct buf *command);
bool store_shard_serves(struct store_shard *ss, const struct redis_value *answer);
/* True: it refused because nobody has that one slot, which says nothing about its others. The next question goes to another slot. */
bool store_shard_serves_others(struct store_shard *ss, const struct redis_value *answer);

/* ---- store_report.c: what the process says about its stores, one per reactor: a change is logged once, not once per reactor. Thread-safe. */
void report_opened(const char *address);
void report_closed(const char *address, bool was_ready);
void report_ready(const char *address);
void report_lost(const char *address,
                 const char *reason); /* it was ready; NULL: the reason is told already */
void report_refused(const char *address, const char *sentence);
void report_unsafe(const char *address, const char *sentence);
struct audit_memory;
void report_memory(const char *address, bool is_full, unsigned percent, const struct audit_memory *memory);
void report_moved(const char *address, unsigned slots); /* address: the new primary's; NULL: of several */
void report_renewed(const char *error);                 /* of our certificates; NULL: they are in force */
void report_failed(struct span error);                  /* at most once in ten seconds */
