/*
 * Does: writes delivery status notifications (RFC 3461, 3464, 6522, 6533, 8689 section 5).
 * Does not: decide whether one is due (courier/settle.c), nor read the original from the store.
 * Owns: nothing; writes into the caller's buffer.
 * Fails: never; output is at most DSN_MAX bytes: the returned part shrinks to headers, then is cut at a line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "mail/dsn_template.h"
#include "mail/envelope.h"

enum { DSN_MAX = 65536 };

/* The worst first: the notification's subject is its first recipient's. */
enum dsn_action {
    DSN_FAILED,
    DSN_DELAYED,   /* not delivered yet; it is tried on */
    DSN_RELAYED,   /* a host took it that will not tell of it (RFC 3461 section 5.2.2) */
    DSN_DELIVERED, /* its mail store has it (LMTP) */
    DSN_ACTION_COUNT
};

struct dsn_recipient {
    const char *addr;
    enum dsn_action action;
    const char *orcpt;             /* as the sender gave it; NULL: not given */
    const struct verdict *verdict; /* failed: after expiry its status may be 4.x.x */
    const struct verdict *last;    /* expiry: the last real error; else NULL */
};

struct dsn {
    struct id id;               /* of the notification itself */
    const char *to;             /* who is told of mail that has a null sender; NULL: its sender */
    const char *reporting_name; /* our name: Reporting-MTA, From's domain, Message-ID */
    const char *from_name;
    const struct envelope *envelope;        /* of the message it is about */
    const struct dsn_recipient *recipients; /* by ascending action */
    size_t recipient_count;
    uint64_t wall_ms; /* now */
    uint64_t last_attempt_ms;
    uint64_t retry_until_ms; /* of the delayed */
    uint32_t attempts;
    struct span original;                                   /* its first bytes as stored */
    bool original_is_whole;                                 /* original is all of it */
    size_t max_original_bytes;                              /* above: headers only */
    const struct dsn_template *templates[DSN_ACTION_COUNT]; /* NULL: our own words */
};

struct dsn_written {
    /* The first so many of d->recipients are in it; fewer than given only when DSN_MAX has no room for their names. */
    size_t recipient_count;
    bool is_8bit; /* it holds bytes above 0x7f: its own envelope is 8-bit */
    bool is_utf8; /* its header does: it needs SMTPUTF8, as whoever sent the original can do */
};

/*
 * Adds a whole message in CRLF lines to out. Whoever is told is not null. 8-bit originals are marked so; the boundary does not occur in them.
 * An original that mail cannot carry inside a report (NUL, bare CR or LF, lines above 998 bytes) is returned as its header, without the
 * fields that have such a line; so is one whose sender asked for the header only (RET=HDRS) or for TLS on its way (REQUIRETLS), and one of
 * which nothing failed. With many recipients the words about each get fewer before one is left out.
 */
struct dsn_written dsn_write(const struct dsn *d, struct buf *out);
/* Is it the Message-ID of a notification of ours, of whatever node? */
bool dsn_is_own_id(struct span message_id);
bool dsn_is_double_bounce_id(struct span message_id); /* of one about mail of the null sender */
