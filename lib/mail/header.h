/*
 * Does: scans a header section as it streams by: counts fields and Received, finds where the body starts, keeps the few values a DSN or loop guard needs; writes our Received.
 * Does not: change, decode or store content.
 * Owns: the values kept, bounded.
 * Fails: header_scan() never; it says in `fault` which limit was passed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "mail/addr.h"

/* Whether a limit was passed; exactly the limit is allowed. The first fault found stays, and the scan stops. */
enum header_fault { HEADER_OK, HEADER_TOO_BIG, HEADER_TOO_MANY, HEADER_TOO_MANY_HOPS };
/* The field whose value is being collected over its lines. */
enum header_field { HEADER_OTHER, HEADER_MESSAGE_ID, HEADER_AUTO_SUBMITTED, HEADER_TLS_REQUIRED };

enum { HEADER_NAME_LOOK = 1024 }; /* so much of a line is looked at: a field's name has its colon within */

struct header_limits {
    uint64_t size_bytes;
    uint64_t fields;
    uint64_t hops;
};

struct header_scan {
    struct header_limits limits;
    enum header_fault fault;
    bool is_over; /* the body has begun */
    /*
     * The first line is not a header field ("From ", a blank, plain text): all of the content is body. Who puts a field in front of it
     * ends the header with an empty line. Known after the first line or its first 1024 bytes, whatever comes first.
     */
    bool starts_with_body;
    bool has_8bit;       /* a line of the section has a byte above 0x7f (RFC 6532) */
    uint64_t size_bytes; /* of the section, with the empty line */
    uint64_t fields, hops;
    char message_id[256];        /* value of Message-ID, "" when absent, too long or not printable */
    bool is_auto_submitted;      /* Auto-Submitted other than "no" */
    bool is_tls_optional;        /* TLS-Required: No, said once and nothing else (RFC 8689 section 5) */
    unsigned tls_words;          /* parts of all such values */
    char line[HEADER_NAME_LOOK]; /* start of the line under way; longer ones are only counted */
    size_t line_len;
    bool line_is_long;
    bool has_line; /* the first line was seen */
    bool has_message_id;
    enum header_field field;
};

void header_scan_init(struct header_scan *h, struct header_limits limits);
/* Content in order, in pieces of any size; lines end with CRLF or a bare LF. Cheap once is_over. */
void header_scan_feed(struct header_scan *h, struct span content);
void header_scan_end(struct header_scan *h); /* content ended, maybe inside the header */

/* Does the line begin a field: a name and a colon, maybe with blanks between (RFC 5322 section 4.5)? */
bool header_is_field(struct span line);
/* Where the value starts if the line begins the field `name`, 0: it does not. */
size_t header_value_at(struct span line, struct span name);

struct received {
    struct span helo;        /* as said by the client; sanitised here */
    const char *client_name; /* reverse name, NULL when unknown */
    const struct ip *client_ip;
    const char *by; /* our name */
    bool
        is_esmtp; /* EHLO was said; else neither TLS, AUTH nor UTF-8 show in the keyword (RFC 3848, RFC 6531) */
    bool is_secured;       /* by TLS */
    bool is_authenticated; /* as a user, by AUTH */
    bool is_utf8;          /* SMTPUTF8 was said */
    const char *tls;       /* version and cipher, for a comment; NULL: none */
    struct id id;
    const char *only_recipient; /* NULL unless there is just one */
    uint64_t wall_ms;
};
/* One folded Received field with its CRLF (RFC 5321 section 4.4; lines of at most 78 bytes where the tokens allow, never above 998). */
void received_add(const struct received *r, struct buf *out);
