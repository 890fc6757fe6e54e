/*
 * Does: reads where a domain wants its TLS reports (RFC 8460 section 3): the TXT records of _smtp._tls.<domain>.
 * Does not: ask DNS, nor judge whether mail or HTTPS can go there.
 * Owns: a record's texts, until tlsrpt_record_done().
 * Fails: false: the domain wants none, as far as can be understood; the result is untouched then.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mail/addr.h"

enum { TLSRPT_PLACES_MAX = 4, TLSRPT_URL_MAX = 1000 }; /* places of each kind; those beyond are passed over */

struct tlsrpt_record {
    char *mails[TLSRPT_PLACES_MAX]; /* local@domain, ASCII */
    size_t mail_count;
    char *urls[TLSRPT_PLACES_MAX]; /* https://, printable, with a host that is a name */
    size_t url_count;
};
bool tlsrpt_record_parse(const struct span *records, size_t count, struct tlsrpt_record *ret_record);
void tlsrpt_record_done(struct tlsrpt_record *r);
/* The host of one of its urls, in lower case. */
void tlsrpt_url_host(const char *url, char ret_host[static DOMAIN_MAX + 1]);
