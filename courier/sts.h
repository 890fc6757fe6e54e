/*
 * Does: MTA-STS (RFC 8461): what a domain demands of the hosts that take its mail; found by DNS and HTTPS, kept in memory and in Redis for all couriers,
 *       renewed before it expires. Does not: judge a connection (tls_policy.h does).
 * Owns: the cache; a policy is counted, its holders are of the courier's thread.
 * Fails: never: without an answer in time there is no policy, and a policy that is in force stays so, whatever DNS, HTTPS and Redis do.
 * See: sts_policy.c (pure), sts_fetch.c, sts_store.c; docs/choices.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct courier;

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };
enum { STS_ID_MAX = 32, STS_MX_MAX = 256 };
static const uint32_t sts_max_age_limit_s = 31557600; /* RFC 8461 section 3.2 */

struct sts_policy {
    unsigned users;
    enum sts_mode mode;
    char id[STS_ID_MAX + 1]; /* of the TXT record; "": not known */
    char **mx;               /* lower case; "*.example.com": one label more */
    size_t mx_count;
    uint64_t max_age_s;
    uint64_t fetched_ms, until_ms; /* by the clock of Redis (store_redis_ms()) */
    char *text;                    /* as fetched, for reports */
    char *domain;
};

/* Why the last fetch brought no policy, in the words of RFC 8460 section 4.3. */
enum sts_trouble {
    STS_TROUBLE_NONE,
    STS_TROUBLE_FETCH,   /* sts-policy-fetch-error */
    STS_TROUBLE_INVALID, /* sts-policy-invalid */
    STS_TROUBLE_CERT,    /* sts-webpki-invalid */
};

/* policy: held for the callee, who releases it; NULL: none in force (mode none is none). trouble: also beside a policy that is still in force. */
typedef void sts_on_policy(void *context, struct sts_policy *policy, enum sts_trouble trouble);
struct sts_search;
/* domain: A-labels, lower case. Answers once, later, never inside the call, after tls_out.sts_wait at most. */
struct sts_search *sts_ask(struct courier *c, const char *domain, sts_on_policy *on_policy, void *context);
struct sts_search *sts_cancel(struct sts_search *s); /* no answer comes; NULL is fine; always NULL */

struct sts_policy *sts_policy_hold(struct sts_policy *p);
struct sts_policy *sts_policy_release(struct sts_policy *p); /* NULL is fine; always NULL */
/* May the policy's mail go to this host (RFC 8461 section 4.1)? host: A-labels, in any case. */
bool sts_allows(const struct sts_policy *p, const char *host);

/* ---- pure: what strangers wrote */

/* The id of the one valid record among a name's TXT records (RFC 8461 section 3.1). False: none, more than one, or not valid. */
bool sts_record_parse(const struct span *records, size_t count, char ret_id[static STS_ID_MAX + 1]);
/*
 * The text of a policy (RFC 8461 section 3.2): with one holder, without id, domain and times. NULL: *ret_why says why not, a constant. max_age above
 * sts_max_age_limit_s counts as that.
 */
struct sts_policy *sts_policy_parse(struct span text, const char **ret_why);

/* ---- for main.c */
struct sts;
struct sts *sts_open(struct courier *c);
struct sts *sts_close(
    struct sts *s); /* before its store and dns; searches are never answered; NULL is fine; always NULL */
