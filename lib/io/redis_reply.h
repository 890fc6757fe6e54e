/*
 * Does: Redis' replies from bytes to trees of struct redis_value, in an arena.
 * Does not: know requests.
 * Owns: all values it gave, until reply_reader_clear().
 * Fails: reply_reader_next() with -EBADMSG: not Redis' language; -EMSGSIZE: a reply of unreasonable size. The reader is of no use after it.
 * Calls: hiredis, named in redis_reply.c only.
 */
#pragma once

#include "io/redis.h"

enum {
    REPLY_SLICE_BYTES = 16384
}; /* the most to feed at once: the reader moves what is left after each reply */

struct reply_reader;
struct reply_reader *reply_reader_new(void);
struct reply_reader *reply_reader_free(struct reply_reader *r); /* always NULL */
void reply_reader_feed(struct reply_reader *r, struct span bytes);
/* 1: *ret_value is the next reply; 0: more bytes are needed. */
int reply_reader_next(struct reply_reader *r, struct redis_value *ret_value);
/* Zeroed memory that lives as long as the values. */
void *reply_reader_room(struct reply_reader *r, size_t size_bytes);
void reply_reader_clear(struct reply_reader *r);
