/*
 * Does: tells from a header what kind of mail it is: whether a program or a list wrote it, whether it is a report itself.
 * Does not: parse MIME beyond the words of the message's own Content-Type.
 * Owns: nothing.
 * Fails: never: what is not at hand or not understood says nothing.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

struct mail_kind {
    /* Nobody waits for it: Auto-Submitted other than no (RFC 3834), Precedence bulk, list or junk, or a List-Id (RFC 2919). */
    bool is_automatic;
    /* A notification of ours, by its Message-ID (dsn.h), or anybody's: multipart/report of a delivery-status, and Auto-Submitted. Whoever its sender is by now. */
    bool is_report;
    bool is_double_bounce; /* ours, about mail of the null sender */
};

/* The header section at the start of content, as far as it is at hand. */
struct mail_kind mail_kind_of(struct span content);
