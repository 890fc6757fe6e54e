/*
 * Does: entries of a partition's event stream, taken apart: one line for each job an entry tells of.
 * Does not: read streams, or keep lines.
 * Owns: nothing; a line's spans are valid during the call.
 * Fails: never: an entry that is not ours has no lines.
 */
#pragma once

#include "io/redis.h"

enum { STREAM_ID_MAX = 47 }; /* "<ms>-<seq>" */

struct history_line {
    uint64_t ms, seq; /* of the entry: Redis' clock */
    struct span event, job, detail;
};
typedef void history_on_line(void *context, const struct history_line *line);
/* One entry of XRANGE, XREVRANGE or XREAD. */
void history_read(const struct redis_value *entry, history_on_line *on_line, void *context);
/* Its id, empty when it is none. */
struct span history_entry_id(const struct redis_value *entry);
