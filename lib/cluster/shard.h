/*
 * Does: finds the primaries behind the queue (store.kind, address, master) and keeps connections to each: one of a standalone Redis or under
 *       Sentinels, several of a Redis Cluster. Knows who has which slot, sees who takes over, follows MOVED and ASK.
 * Does not: send requests of its owner's, repeat them, or judge a primary (on_greeted does).
 * Owns: struct shard, its address and struct redis.
 * Fails: shards_open() with -EINVAL or -errno and a sentence that names the setting. Later shards_trouble() says what is missing.
 * See: PROTOCOL.md ground rules 1, 2 and 4; cluster/topology.h.
 */
#pragma once

#include "base/list.h"
#include "cluster/keys.h"
#include "io/redis.h"

/* The words of store.kind, in its order. */
enum store_kind { STORE_STANDALONE, STORE_SENTINEL, STORE_CLUSTER };

/*
 * For how long one that may be promoted, and does not follow, is waited for: who promotes leaves it behind by then, which is ten times what a
 * lost primary is waited for (down-after-milliseconds, cluster-node-timeout: 5 s at most, audit.def).
 */
enum { SUCCESSOR_AWAITED_MS = 60 * 1000 };

struct shards;
struct shard { /* one primary; to be read only, but for data */
    struct list link;
    struct shards *set;
    char *address; /* as in store.address, or as a Sentinel or the cluster says it */
    struct redis *redis;
    unsigned slot_count; /* that are its own; 0: nobody is to be sent here any more, save by ASK */
    unsigned successors; /* replicas that may be promoted, as the Sentinels or the map say */
    void *data;          /* the owner's, from on_open to on_closed */
    bool
        is_amiss; /* the owner's: it is connected, but no good: who is primary is asked of others, until it is well */
    /* private */
    uint64_t used_ms;       /* last had slots, or was named by a redirection */
    uint64_t successors_ms; /* when so many were told last */
    struct shard *heir;     /* who took its last slot */
};

struct shards_settings {
    /* Of redis_open(): connections, window, timeout_ms, replicas, wait_ms. The rest is filled in. */
    struct redis_settings redis;
    /* As those of struct redis_settings, of one shard. Any may be NULL. */
    void (*greet)(void *owner, struct shard *shard, struct redis_request *greeting);
    int (*on_greeted)(void *owner, struct shard *shard, const struct redis_value *values, unsigned count);
    void (*on_up)(void *owner, struct shard *shard);
    void (*on_down)(void *owner, struct shard *shard, const char *reason);
    void (*on_refused)(void *owner, struct shard *shard, const char *reason);
    void (*fence)(void *owner, struct shard *shard, struct buf *command); /* needed with redis.replicas */
    void (*on_fence_refused)(void *owner, struct shard *shard, struct span error);
    void (*on_open)(void *owner, struct shard *shard);
    /* It has no slots any more. Requests to it end as REDIS_UNKNOWN after this: whoever repeats them asks shards_find() anew. */
    void (*on_close)(void *owner, struct shard *shard);
    /* The last of it: nothing of it is under way any more. */
    void (*on_closed)(void *owner, void *data);
    /* Slots have changed hands: what waits for a shard may have to wait for another. moved: how many. */
    void (*on_moved)(void *owner, unsigned moved);
    /* The files of certificates have changed: new connections use them; error: they cannot. */
    void (*on_renewed)(void *owner, const char *error);
    void *owner;
};

int shards_open(struct loop *l, const struct shards_settings *settings, struct shards **ret_shards,
                char **ret_error);
/* All requests end as REDIS_UNKNOWN within the call. Always NULL. */
struct shards *shards_close(struct shards *s);
enum store_kind shards_kind(const struct shards *s);
/* Who has the slot; of a standalone Redis or under Sentinels the slot does not matter. NULL: nobody, as far as is known now. */
struct shard *shards_find(const struct shards *s, unsigned slot);
/* Of struct shard, all that are open. */
const struct list *shards_list(const struct shards *s);
/*
 * Whom an error reply of `from` to a request of that slot names, opened if need be: MOVED, which is kept, or ASK (*ret_is_ask), which is for
 * this once, each command behind ASKING. NULL: it names nobody.
 */
struct shard *shards_follow(struct shards *s, const struct shard *from, unsigned slot,
                            const struct redis_value *error, bool *ret_is_ask);
/* Something is amiss (no answer, READONLY, too few replicas): looks anew who is primary, soon and not too often. */
void shards_look(struct shards *s);
/* Why some slots have nobody, one sentence that says what to do; "" when all have. Valid until the next event. */
const char *shards_trouble(const struct shards *s);

/* The slot that commands name: that of the first key with a hash tag; a call without one goes where the common keys are. */
unsigned commands_slot(struct span commands);
/* Appends the commands, each with ASKING before it; returns how many replies that makes: every second one is a command's. */
unsigned commands_ask(struct span commands, struct buf *out);
/* store.address as it is said to people: "a:1" or "a:1, b:2". The caller's. */
char *shards_place(void);
