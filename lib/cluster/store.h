/*
 * Does: the store behind the queue as one reactor sees it, a set of shards (cluster/shard.h): audits the durability of each, checks meta,
 *       watches memory and clock, runs scripts where their keys are, and repeats what is unknown until it is confirmed (PROTOCOL.md ground
 *       rules 1 and 2).
 * Does not: know what a script means (queue.h).
 * Owns: the shards, scripts' hashes.
 * Fails: STORE_UNKNOWN: not confirmed within the time given; it may or may not have happened.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cluster/keys.h"
#include "io/redis.h"

enum script {
#define SCRIPT(name) SCRIPT_##name,
#include "cluster/script.def"
#undef SCRIPT
    SCRIPT_COUNT
};

struct store;
struct store_events {              /* of any shard: whose can be asked below */
    void (*on_ready)(void *owner); /* connected, audited, meta agreed; or slots have changed hands */
    void (*on_lost)(void *owner, const char *reason);
    void *owner;
};

/* Settings come from conf_get()->store. -EINVAL with *ret_error (owned by the caller). */
int store_open(struct loop *l, const struct store_events *events, struct store **ret_store, char **ret_error);
struct store *store_close(struct store *s); /* always NULL */
/* Right after store_open(): a write is held by the replicas that follow; others that may be promoted are not waited for. */
void store_ask_followers_only(struct store *s);
/* The shard of the common keys (barid:{c}:...) is: beats, tables, rules. */
bool store_is_ready(const struct store *s);
bool store_has_ready(const struct store *s); /* some shard is: mail for its partitions can be taken */
bool store_is_full(const struct store *s);   /* every shard is above the soft watermark: MAIL gets 452 */
/* The shard that has the partition. */
bool store_partition_is_ready(const struct store *s, unsigned partition);
bool store_partition_is_full(const struct store *s, unsigned partition);
bool store_partitions_share(const struct store *s, unsigned a, unsigned b); /* a shard, as far as is known */
/* A partition that is ready and not full, from `first` on; PARTITION_COUNT: none is. */
unsigned store_partition_healthy(const struct store *s, unsigned first);
/* Keys of two partitions need two calls: it is a Redis Cluster. */
bool store_has_slots(const struct store *s);
/* Calls are confirmed by replicas, unless they are is_unheld. */
bool store_has_replicas(const struct store *s);
/* Why it is not ready, one sentence that says what to do; "" when ready. Valid until the next event. */
const char *store_trouble(const struct store *s);
unsigned store_memory_percent(const struct store *s);
/* Redis TIME less our wall clock, ms: as Redis was last seen (each second), and our clock is now. */
int64_t store_clock_offset_ms(const struct store *s);
/* Redis TIME now, ms, as far as we know: what due times, pauses and the ages of messages are counted by. Our wall clock has no part in it. */
uint64_t store_redis_ms(const struct store *s);
uint64_t store_partition_ms(const struct store *s,
                            unsigned partition); /* the same of the partition's shard */
struct loop *store_loop(const struct store *s);
struct zstd *store_zstd(struct store *s); /* what packs and unpacks content on this reactor */

enum store_result {
    STORE_OK, /* confirmed; values hold the replies, none of them a temporary error */
    STORE_REFUSED, /* a definite error reply (OOM as asked for, or a bug), and no earlier send can have happened: nothing did */
    STORE_UNKNOWN, /* time is over */
};

/*
 * A call: one or more whole commands, all of them of keys in one slot, encoded into request.bytes by the caller (resp_*, key_arg, script_begin). Repeated as it is on unknown or
 * temporary errors, until give_up_ms (UINT64_MAX: without end). Zero it, then fill in what is not private.
 */
struct store_call {
    struct redis_request request;
    struct store *store;
    uint64_t give_up_ms; /* clock_ms() */
    unsigned sends;
    uint64_t sent_ms; /* clock_ms() of the last send: a reply confirms this moment */
    /* An earlier send may have been executed: its outcome is unknown, or only some of its commands were refused. */
    bool is_unsure;
    bool was_full; /* a send was refused for memory, in whole or in part */
    /* For the caller to choose: -OOM ends the call as STORE_REFUSED at once, unless is_unsure (commit). */
    bool is_repeat_harmful_oom;
    /* Not confirmed by replicas: a read that may be stale, a write that may be lost. All else, reads too, is followed by a write that they hold. */
    bool is_unheld;
    bool is_once; /* executed once at most: what would be a repeat is STORE_UNKNOWN (beat) */
    /* Definite errors are values like others (reads of keys that may be of any type). */
    bool accepts_errors;
    /* Definite errors are repeated too, until somebody mends what is wrong (settle). */
    bool is_never_refused;
    /* If set, runs before the second and later sends and may change the bytes (claim sets `repeated`). */
    void (*on_repeat)(struct store_call *c);
    /* values: request.reply_count of them for STORE_OK; one error value for STORE_REFUSED. The call may be freed or sent anew inside. */
    void (*on_done)(struct store_call *c, enum store_result result, const struct redis_value *values);
    /* private */
    struct shard *shard; /* where it was sent */
    uint16_t slot;
    struct timer pause;
    struct list link;
    unsigned pauses;
};
/* on_done comes exactly once, never inside this call. */
void store_send(struct store *s, struct store_call *c);
void store_call_done(struct store_call *c); /* frees its bytes; not while it is under way */
/* Begins "EVALSHA sha n" with the keys and arguments to follow as resp_* by the caller: in all 3 + key_count + arg_count. */
void script_begin(struct store_call *c, enum script script, size_t key_count, size_t arg_count);
/* Begins any other command; counts the reply. */
void call_begin(struct store_call *c, size_t arg_count);
