/*
 * Does: writes the mail around a packed TLS report (RFC 8460 section 5.3).
 * Does not: make the report (courier/tlsrpt_report.h), nor sign the mail: a DKIM signature goes in front of what is written here.
 * Owns: nothing; adds to the caller's buffer.
 * Fails: never.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

struct tlsrpt_mail {
    const char *id;             /* of the report; also of the message, with the submitter's domain */
    const char *domain;         /* whom it is about */
    const char *submitter;      /* domain of `from` */
    const char *from, *contact; /* addresses */
    const char *organization;
    const char *const *to; /* addresses */
    size_t to_count;
    uint64_t start_s, end_s; /* the day, since 1970 */
    uint64_t wall_ms;        /* Date */
    struct span packed;      /* the JSON, as gzip */
};
/* Lines end with CRLF, and are ASCII of at most 998 bytes. */
void tlsrpt_mail_write(const struct tlsrpt_mail *m, struct buf *out);
/* What a report is called (RFC 8460 section 5.1). */
void tlsrpt_mail_add_file_name(const struct tlsrpt_mail *m, struct buf *out);
