/*
 * Does: writes delivery status notifications (RFC 3461, 3464, 6522).
 * Does not: decide whether one is due (courier/settle.c), nor read the original from the store.
 * Owns: nothing; writes into the caller's buffer.
 * Fails: never; output is at most DSN_MAX bytes: the returned part shrinks to headers, then is cut at a line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "mail/envelope.h"

enum { DSN_MAX = 65536 };

struct dsn_recipient {
    const char *addr;
    const struct verdict *verdict; /* class FAILED; after expiry its status may be 4.x.x */
    const struct verdict *last;    /* expiry: the last real error; else NULL */
};

struct dsn {
    struct id id;               /* of the notification itself */
    const char *reporting_name; /* our name: Reporting-MTA, From's domain, Message-ID */
    const char *from_name;
    const struct envelope *envelope; /* of the message that failed */
    const struct dsn_recipient *recipients;
    size_t recipient_count;
    uint64_t wall_ms; /* now */
    uint64_t last_attempt_ms;
    uint32_t attempts;
    struct span original;      /* its first bytes as stored */
    bool original_is_whole;    /* original is all of it */
    size_t max_original_bytes; /* above: headers only */
};

struct dsn_written {
    /* The first so many of d->recipients are in it; fewer than given only when DSN_MAX has no room for their names. */
    size_t recipient_count;
    bool is_8bit; /* it holds bytes above 0x7f: its own envelope is 8-bit */
};

/*
 * Adds a whole message in CRLF lines to out. The sender is not null. 8-bit originals are marked so; the boundary does not occur in them.
 * An original that mail cannot carry inside a report (NUL, bare CR or LF, lines above 998 bytes) is returned as its header, without the
 * fields that have such a line. With many recipients the words about each get fewer before one is left out.
 */
struct dsn_written dsn_write(const struct dsn *d, struct buf *out);
