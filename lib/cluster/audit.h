/*
 * Does: judges from CONFIG GET and INFO whether a Redis may hold the queue, at the level that the settings promise.
 * Does not: ask it (store.c), or decide what follows.
 * Owns: nothing. Fails: never; what cannot be read is a reason to refuse.
 * See: DESIGN.md section 4 "Durability audit"; audit.def.
 */
#pragma once

#include "cluster/shard.h"

enum audit {
    AUDIT_GOOD,
    AUDIT_ADVICE, /* good, and could be better: only audit_look() tells */
    AUDIT_WEAK,   /* it may be used and loses nothing, but a fault would stop it: said */
    AUDIT_UNSAFE, /* it works, but an accepted message might be lost */
    AUDIT_UNFIT,  /* a replica, too old, too few replicas, or it does not let us look */
    AUDIT_BUSY,   /* not yet: it is loading its data */
};

/* What the settings promise of it. */
struct audit_demand {
    enum store_kind kind;
    unsigned replicas; /* that must hold a write */
    bool is_replica;   /* it is to be one */
};
struct audit_demand audit_demand(void); /* of conf_get()->store: of a primary */

/*
 * Appends the commands whose replies the others read, as answers: CONFIG GET, INFO, and whether the default user may write (ACL DRYRUN): in its
 * name Redis reads its append-only file at a start, and leaves out what scripts wrote if it may not (redis/redis issue 14541).
 */
enum { AUDIT_CONFIG, AUDIT_INFO, AUDIT_REPLAY, AUDIT_ANSWERS };
void audit_ask(struct buf *commands);
/* Unless good, appends one sentence that says what to set. GOOD, WEAK, UNSAFE, UNFIT or BUSY. */
enum audit audit_judge(const char *address, const struct audit_demand *demand,
                       const struct redis_value *answers, struct buf *sentence);
/* Each finding by itself, ADVICE too, worst or not: "appendonly no: set appendonly yes". why: "" or the reason for it. */
typedef void audit_on_finding(void *context, enum audit level, const char *text, const char *why);
void audit_look(const struct audit_demand *demand, const struct redis_value *answers,
                audit_on_finding *on_finding, void *context);

struct audit_memory {
    uint64_t used_bytes, most_bytes; /* most: maxmemory, 0: no limit */
};
struct audit_memory audit_memory(const struct redis_value *info);

/* A replica, as its primary tells. */
struct audit_replica {
    char address[300]; /* host:port */
    bool is_online;
    uint64_t lag_s, behind_bytes;
};
enum { AUDIT_REPLICAS_MAX = 32 };
size_t audit_replicas(const struct redis_value *info,
                      struct audit_replica ret_replicas[static AUDIT_REPLICAS_MAX]);

/* A line of INFO; empty if there is none. */
struct span audit_field(const struct redis_value *info, const char *name);
