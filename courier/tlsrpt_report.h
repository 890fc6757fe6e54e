/*
 * Does: makes a TLS report (RFC 8460 section 4.4) of the rows that were counted. Pure.
 * Does not: count or send.
 * Owns: nothing; adds to the caller's buffer.
 * Fails: false: there is no session to report. Rows that no courier can have written are passed over.
 */
#pragma once

#include "cluster/tlsrpt_store.h"

struct tlsrpt_report {
    const char *id, *organization, *contact;
    uint64_t day_ms; /* its start, since 1970 */
    bool is_brief;   /* without failure-details */
};
/* The same for the same rows, in whichever order. JSON in one line. */
bool tlsrpt_report_write(const struct tlsrpt_report *r, const struct tlsrpt_row *rows, size_t count,
                         struct buf *out);
