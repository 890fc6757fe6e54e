/*
 * Does: says what became of one session with a domain as rows that add up: of all couriers, in Redis, until the report. Pure.
 * Does not: count (tlsrpt.h).
 * Owns: nothing.
 * Fails: never; what others wrote is cut to TLSRPT_REASON_MAX and made printable.
 *
 * Rows of a report: P<policy>: its text, see tlsrpt_policy_text(); S<policy>, F<policy>: sessions that went well, that failed;
 * D<policy>\n<result>\n<our address>\n<host>\n<its address>\n<reason>: of these failures, so many were like that. <policy>: digest of its text.
 */
#pragma once

#include "courier/route.h"
#include "io/tls.h"

enum tlsrpt_result {
#define RESULT(name, word) TLSRPT_##name,
#include "courier/tlsrpt_result.def"
#undef RESULT
    TLSRPT_RESULT_COUNT
};
extern const char *const tlsrpt_result_words[TLSRPT_RESULT_COUNT];
enum { TLSRPT_REASON_MAX = 120, TLSRPT_POLICY_MAX = 4096, TLSRPT_DIGEST_LEN = 32 };

struct tlsrpt_session {
    const char *domain;              /* whom the report is for */
    const struct tls_policy *policy; /* NULL: none, but for what sts_trouble says */
    bool is_sts; /* without a policy: the domain says it has one, and it could not be fetched */
    enum tlsrpt_result result;
    const char *host;           /* NULL: none was found yet */
    const struct ip *from, *to; /* NULL: not known */
    const char *reason;         /* what we or others said; NULL or "" : nothing */
};

/* What a session under this policy is in a report. host: of the target; is_tested: as a policy's mode testing says, its list counts here too. */
enum tlsrpt_result tlsrpt_result_of(const struct tls_policy *p, const char *host, enum tls_failure failure);
/* Why a host that is barred was not used; SUCCESSFUL: by our own settings, which is not the domain's business. */
enum tlsrpt_result tlsrpt_result_of_barred(const struct tls_policy *p);

/* Lines: policy-type, policy-domain, MX patterns with blanks between, then policy-string. At most TLSRPT_POLICY_MAX bytes of whole lines. */
void tlsrpt_policy_text(const struct tlsrpt_session *s, struct buf *out);
/* Fields of the rows that grow by one: S, or F and D. digest: of the policy's text. detail: untouched without a failure. */
void tlsrpt_session_fields(const struct tlsrpt_session *s, const char *digest, struct buf *sum,
                           struct buf *detail);
