/*
 * Does: mends the header section of a message at submission: Date and Message-ID where missing, Bcc out; finds the From address.
 * Does not: touch anything else, not one byte, nor the body (BEHAVIOURS G03 to G05); decide who may send as whom, or limit the section's size.
 * Owns: the header section, until it is complete.
 * Fails: never; what cannot be understood is passed on as it came.
 * See: RFC 6409 section 8, RFC 5322 section 3.6; fixup_from.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/addr.h"

struct fixup_rules {
    bool adds_fields; /* Date, Message-ID */
    bool removes_bcc; /* Bcc, Resent-Bcc */
    bool checks_from;
};
static inline bool fixup_is_wanted(const struct fixup_rules *rules)
{
    return rules->adds_fields || rules->removes_bcc || rules->checks_from;
}

/* Zeroed and with rules set it is ready. */
struct fixup {
    struct fixup_rules rules;
    struct buf held;   /* the header section so far */
    size_t line_start; /* in held: of the line under way */
    bool has_line;     /* the first line was looked at */
    bool is_past;      /* the header section is over: pieces pass as they are */
    struct buf mended; /* what was given out instead of it */
    char *from;        /* the one address of From; NULL: there is none, or not plainly one */
};

struct fixup_facts {
    uint64_t wall_ms;
    const char *message_id; /* "<...>" for a message without one */
};

/*
 * The next piece of content, unstuffed. *ret_out is what is to be stored now: nothing while the header section is held; then that section,
 * mended, without what the piece has of the body; from then on the piece itself. Valid until the next call. Returns the bytes of the piece used:
 * call again with the rest while there is one.
 *
 * Content that does not begin with a header field is all body (header_scan.starts_with_body): it is given out with an empty line before it.
 */
size_t fixup_feed(struct fixup *f, struct span piece, const struct fixup_facts *facts, struct span *ret_out);
/* The content has ended: what is still held, mended (a message of a header section only). */
void fixup_end(struct fixup *f, const struct fixup_facts *facts, struct span *ret_out);
/* Once the header section is past: the address of From. False: there is none, or not plainly one. */
bool fixup_from(const struct fixup *f, struct addr *ret_addr);
void fixup_done(struct fixup *f);

/*
 * value: all that is behind "From:", with its line ends. True: it is one mailbox, and every reader agrees which. False: several, a group, a
 * comment, a route, an address in the display name, a control byte, or nothing of the grammar.
 */
bool fixup_parse_from(struct span value, struct buf *ret_addr);
