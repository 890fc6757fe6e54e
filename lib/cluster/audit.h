/*
 * Does: judges from CONFIG GET and INFO whether a Redis may hold the queue.
 * Does not: ask it (store.c), or decide what follows.
 * Owns: nothing. Fails: never; what cannot be read is a reason to refuse.
 * See: DESIGN.md section 4 "Durability audit".
 */
#pragma once

#include "io/redis.h"

enum audit {
    AUDIT_GOOD,
    AUDIT_BUSY,   /* not yet: it is loading its data */
    AUDIT_UNSAFE, /* it works, but an accepted message might be lost */
    AUDIT_UNFIT,  /* a replica, too old, or it does not let us look */
};

/* Appends the commands whose replies the others read: CONFIG GET, INFO. Two replies. */
void audit_ask(struct buf *commands);
/* Unless good, appends one sentence that says what to set. */
enum audit audit_judge(const char *address, const struct redis_value *config, const struct redis_value *info,
                       struct buf *sentence);

struct audit_memory {
    uint64_t used_bytes, most_bytes; /* most: maxmemory, 0: no limit */
};
struct audit_memory audit_memory(const struct redis_value *info);
