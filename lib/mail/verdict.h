/*
 * Does: the outcome of a recipient's attempt, as a value.
 * Does not: decide what follows; only courier/settle.c does.
 * Owns: its strings, never NULL after verdict_set().
 * Fails: never.
 * See: status.def for the enhanced status codes (RFC 3463) we issue ourselves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/bounce.h"

enum { VERDICT_TEXT_MAX = 1024 }; /* bytes of text; longer ones are cut */

enum verdict_class { VERDICT_NONE, VERDICT_DELIVERED, VERDICT_DEFERRED, VERDICT_FAILED };

struct verdict {
    enum verdict_class class;
    unsigned code;   /* SMTP reply code, 0: none was received */
    char status[12]; /* RFC 3463, such as "5.1.1" */
    /* The remote's words made printable (lines joined by a space), or our own; never NULL once set. */
    char *text;
    /* Host name and address it came from: "mx.example.com [192.0.2.1]:25"; "" when no host spoke. */
    char *remote;
    /* Why it is no delivery. Our own rows say it; a reply is judged where it becomes a recipient's (courier/job.c); NONE until then. */
    enum bounce bounce;
    bool from_remote; /* text is a remote's reply: Diagnostic-Code smtp */
    bool in_doubt;    /* the final dot may have been taken */
};

enum status {
#define STATUS(name, class_, code_, status_, bounce_, text_) STATUS_##name,
#include "mail/status.def"
#undef STATUS
    STATUS_COUNT
};

void verdict_done(struct verdict *v); /* frees; v is VERDICT_NONE again */
/* From one of our own rows; detail (may be NULL) is made printable and added to the row's text after ": ". REPLY_LOST is in doubt. */
void verdict_set(struct verdict *v, enum status status, const char *detail);
void verdict_copy(struct verdict *to, const struct verdict *from);
const char *verdict_class_name(enum verdict_class class); /* delivered, deferred, failed */
