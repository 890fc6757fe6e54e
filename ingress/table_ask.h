/*
 * Does: a reactor's questions to the tables in Redis, with a small cache: an answer counts while the table's version stays, and ten seconds
 *       at most.
 * Does not: ask about a table that is known to be empty: the caller looks first (change.h).
 * Owns: the cache; questions until they are answered or cancelled.
 * Fails: TABLE_UNKNOWN: no answer within three seconds. It is not cached.
 */
#pragma once

#include "cluster/table.h"

enum { TABLE_ASK_TIME_MS = 3000, TABLE_CACHE_MS = 10000, TABLE_CACHE_BYTES = 4 << 20 };

struct table_asker;
struct table_asker *table_asker_new(struct store *s);
struct table_asker *table_asker_free(
    struct table_asker *a); /* always NULL; what is under way is never answered */

/* The first of the keys that is there, and its value, valid during the call it comes with, or until the next question. */
struct table_found {
    enum table_answer answer; /* OK, NONE, UNKNOWN */
    size_t which;
    struct span value;
};
struct table_ask;
typedef void table_on_found(void *owner, const struct table_found *found);
/* keys[0] stands for all of them in the cache. NULL: *ret_found has it already; else on_found comes later, never inside. */
struct table_ask *table_ask(struct table_asker *a, enum table table, const struct span *keys, size_t count,
                            table_on_found *on_found, void *owner, struct table_found *ret_found);
struct table_ask *table_ask_cancel(struct table_ask *q); /* always NULL; NULL is harmless */
