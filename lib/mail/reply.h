/*
 * Does: an incremental parser of SMTP replies (RFC 5321 section 4.2), bounded: lines of REPLY_LINE_MAX, REPLY_LINES_MAX lines.
 * Does not: judge what a code means for mail.
 * Owns: the text collected so far.
 * Fails: -EBADMSG: not a reply, too long, or code changed inside; the connection is of no use any more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/verdict.h"

enum { REPLY_LINE_MAX = 2048, REPLY_LINES_MAX = 200, REPLY_TEXT_MAX = 8192 };

struct reply {
    unsigned code;
    char status[12]; /* enhanced code of the first line when its class fits code's first digit, else "" */
    /* The lines' text behind the code, joined by '\n', made printable (control and 8-bit bytes escaped), cut at REPLY_TEXT_MAX. */
    struct buf text;
    unsigned line_count;
    bool is_complete;
    struct buf partial; /* a line not yet ended */
};

void reply_clear(struct reply *r);
void reply_done(struct reply *r);
/* Takes bytes up to the end of one reply; returns how many, or -EBADMSG. is_complete says whether it ended. */
int reply_feed(struct reply *r, struct span in);
/* The class by first digit: 2 and 3 ok, 4 and anything odd deferred, 5 failed; status mapped from code when the reply has none (RFC 3463). */
void reply_verdict(const struct reply *r, const char *remote, struct verdict *ret_verdict);
