/*
 * TLSRPT: any bytes as the TXT records of _smtp._tls.<domain> are refused, or name places that can be used: few, each an address of our own grammar,
 * or a printable https: URL whose host is a name. Records are separated by line feeds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mail/ascii.h"
#include "mail/tlsrpt_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 8 };

static void check_mail(const char *mail)
{
    struct addr addr;
    char domain[DOMAIN_MAX + 1];

    must(addr_parse(span_of(mail), &addr) == 0 && !addr.is_literal);
    must(domain_normalise(addr.domain, domain) == 0);
    for (const char *c = mail; *c; c++)
        must((uint8_t) *c >= ' ' && (uint8_t) *c < 0x7f);
}

static void check_url(const char *url)
{
    char host[DOMAIN_MAX + 1 + 8], same[DOMAIN_MAX + 1];

    must(span_starts_nocase(span_of(url), SPAN("https://")) && strlen(url) <= TLSRPT_URL_MAX);
    for (const char *c = url; *c; c++)
        must(is_printable(*c) && *c != ' ');
    memset(host, '#', sizeof(host));
    tlsrpt_url_host(url, host);
    must(memcmp(host + DOMAIN_MAX + 1, "########", 8) == 0);
    must(domain_normalise(span_of(host), same) == 0 && strcmp(host, same) == 0);
}

/* Exactly one is ours. */
static size_t ours_of(const struct span *records, size_t count)
{
    size_t ours = 0;

    for (size_t i = 0; i < count; i++) {
        struct span rest = records[i], first = span_trim(span_cut(&rest, ';'));

        ours += rest.at && span_equal(first, SPAN("v=TLSRPTv1"));
    }
    return ours;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span records[RECORDS_MAX], rest;
    struct tlsrpt_record r;
    size_t count = 0;
    char *exact = malloc(size > 0 ? size : 1); /* a byte too many is seen */

    must(exact);
    memcpy(exact, data, size);
    rest = (struct span){.at = exact, .len = size};
    for (; rest.len > 0 && count < RECORDS_MAX; count++)
        records[count] = span_cut(&rest, '\n');
    memset(&r, '#', sizeof(r));
    if (tlsrpt_record_parse(records, count, &r)) {
        must(ours_of(records, count) == 1);
        must(r.mail_count <= TLSRPT_PLACES_MAX && r.url_count <= TLSRPT_PLACES_MAX &&
             r.mail_count + r.url_count > 0);
        for (size_t i = 0; i < r.mail_count; i++)
            check_mail(r.mails[i]);
        for (size_t i = 0; i < r.url_count; i++)
            check_url(r.urls[i]);
        tlsrpt_record_done(&r);
    } else {
        must(((const char *) &r)[0] == '#');
    }
    free(exact);
    return 0;
}
