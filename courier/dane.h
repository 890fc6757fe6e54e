/*
 * Does: asks for the TLSA records of a mail host (RFC 7672 section 2.2): at its name after CNAMEs first, then at the one it has in the MX.
 * Does not: judge certificates (io/tls.h), nor whether DANE applies: only asked when the answers for MX and addresses were secure.
 * Owns: the questions; an answer is borrowed for the callback.
 * Fails: DANE_AWAY: nothing is known, and the host must not be used; never confused with DANE_NONE.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "courier/courier.h"
#include "io/tls.h"
#include "mail/addr.h"

/* NONE: no records, or in a zone that is not signed. FOUND: TLS is mandatory; with count 0 (no record is usable) without proof. */
enum dane_result { DANE_NONE, DANE_FOUND, DANE_AWAY };
enum { DANE_RECORDS_MAX = 64 };

struct dane_answer {
    enum dane_result result;
    char base[DOMAIN_MAX + 1];       /* TLSA base domain: SNI, and a name of the certificate */
    struct tls_association *records; /* usable ones, at most DANE_RECORDS_MAX */
    size_t count, unusable_count;
    const char *why; /* DANE_AWAY: the name that could not be asked for */
};

struct dane_question;
typedef void dane_on_answer(void *context, const struct dane_answer *answer);
/*
 * Answers later, never inside the call. expanded: host after its aliases, the same text when there are none. NULL: it is an alias for a name whose
 * addresses are not secure; where the alias itself is, there may be records at the host's own name.
 */
struct dane_question *dane_ask(struct courier *c, const char *host, const char *expanded, uint16_t port,
                               dane_on_answer *on_answer, void *context);
void dane_cancel(struct dane_question *q); /* on_answer is not called any more */

/* Pure: one TLSA RDATA. -EINVAL: not usable for SMTP (RFC 7672 section 3.1), or no TLSA. Borrows from rdata. */
int dane_record_parse(struct span rdata, struct tls_association *ret_record);
