/*
 * Does: MX, address, CNAME, TXT and PTR look-ups with an own answer parser, a TTL cache with negatives, and coalescing of equal questions.
 * Does not: choose hosts (courier/route.c).
 * Owns: cache and channel; an answer is borrowed for the callback.
 * Fails: DNS_AWAY: no usable answer (time-out, SERVFAIL, refused, garbage): nothing is known. Never confused with DNS_NO_NAME or DNS_NO_DATA.
 * Calls: c-ares, named in dns_channel.c only (the parser, dns_answer.c, is pure).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "io/loop.h"
#include "mail/addr.h"

enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_TLSA = 52
};
enum dns_result { DNS_OK, DNS_NO_NAME, DNS_NO_DATA, DNS_AWAY };
enum { DNS_RECORDS_MAX = 256, DNS_CNAME_MAX = 8 };

struct dns_record {
    uint16_t preference; /* MX */
    char name
        [DOMAIN_MAX +
         1]; /* MX, CNAME, PTR: lower case, no trailing dot; "" for the root; "?" prefix never: unprintable names are left out */
    struct ip ip;     /* A, AAAA */
    struct span data; /* TXT (strings joined), TLSA (raw, of any length) */
};

struct dns_answer {
    enum dns_result result;
    struct dns_record *records; /* of the type asked for, CNAMEs followed; at most DNS_RECORDS_MAX */
    size_t count;
    bool is_secure;            /* by the word of the resolvers; never without settings.validates */
    char name[DOMAIN_MAX + 1]; /* the name at the end of the CNAME chain */
    uint32_t ttl_s;            /* smallest of the chain, or of the SOA for negatives */
};

struct dns_settings {
    const char *const *servers; /* "address" or "address:port"; none: those of /etc/resolv.conf */
    size_t server_count;
    uint64_t timeout_ms;
    unsigned tries;
    uint64_t min_ttl_ms, max_ttl_ms, negative_ttl_ms;
    size_t cache_max;
    bool validates; /* the resolvers do, and their AD bit is believed; otherwise it is not even asked for */
};
/* Section dns of the settings; borrows from them. */
struct dns_settings dns_settings_of(const struct conf *conf);

struct dns;
int dns_open(struct loop *l, const struct dns_settings *settings, struct dns **ret_dns);
struct dns *dns_close(struct dns *d); /* callbacks not yet made are never made; always NULL */

struct dns_question; /* handle of a question under way */
typedef void dns_on_answer(void *context, const struct dns_answer *answer);
/* Always answers later, never inside the call, also from the cache. name: A-labels. */
struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_on_answer *on_answer,
                             void *context);
void dns_cancel(struct dns_question *q); /* on_answer is not called any more */

/* The pure part, under fuzz: one raw answer -> records. -EBADMSG: not an answer to this question. ret_answer is freed by dns_answer_done(). is_truncated: ask by TCP. */
int dns_answer_parse(struct span packet, const char *name, enum dns_type type, struct dns_answer *ret_answer,
                     bool *ret_is_truncated);
void dns_answer_done(struct dns_answer *a);
