/* From policies and failures to the words of RFC 8460 section 4. */
#include "courier/tlsrpt_row.h"

#include <string.h>

#include "courier/sts.h"

const char *const tlsrpt_result_words[TLSRPT_RESULT_COUNT] = {
#define RESULT(name, word) [TLSRPT_##name] = (word),
#include "courier/tlsrpt_result.def"
#undef RESULT
};

/* ---- results ---- */

static enum tlsrpt_result result_of_failure(enum tls_failure failure)
{
    switch (failure) {
    case TLS_FAILURE_NONE: return TLSRPT_SUCCESSFUL;
    case TLS_FAILURE_NOT_OFFERED: return TLSRPT_STARTTLS_NOT_SUPPORTED;
    case TLS_FAILURE_HOST_MISMATCH: return TLSRPT_HOST_MISMATCH;
    case TLS_FAILURE_EXPIRED: return TLSRPT_EXPIRED;
    case TLS_FAILURE_NOT_TRUSTED: return TLSRPT_NOT_TRUSTED;
    case TLS_FAILURE_HANDSHAKE:
    case TLS_FAILURE_NO_DANE_MATCH:
    case TLS_FAILURE_NO_FINGERPRINT_MATCH: break;
    }
    return TLSRPT_VALIDATION_FAILURE;
}

/* Nobody asked whose certificate it is: TLS as it comes is all there was to get. */
static bool is_proof(enum tlsrpt_result result)
{
    return result == TLSRPT_HOST_MISMATCH || result == TLSRPT_EXPIRED || result == TLSRPT_NOT_TRUSTED;
}

enum tlsrpt_result tlsrpt_result_of(const struct tls_policy *p, const char *host, enum tls_failure failure)
{
    enum tlsrpt_result result = result_of_failure(failure);

    if (p->source == TLS_SOURCE_DEFAULT)
        return is_proof(result) ? TLSRPT_SUCCESSFUL : result;
    if (result == TLSRPT_SUCCESSFUL && p->source == TLS_SOURCE_STS && !sts_allows(p->sts, host))
        return TLSRPT_VALIDATION_FAILURE;
    if (result == TLSRPT_SUCCESSFUL && p->source == TLS_SOURCE_DANE && p->association_count == 0)
        return TLSRPT_TLSA_INVALID;
    return result;
}

enum tlsrpt_result tlsrpt_result_of_barred(const struct tls_policy *p)
{
    if (p->source == TLS_SOURCE_STS)
        return TLSRPT_VALIDATION_FAILURE;
    if (p->source == TLS_SOURCE_DANE)
        return p->barred.bounce == BOUNCE_DNS ? TLSRPT_DNSSEC_INVALID : TLSRPT_DANE_REQUIRED;
    return TLSRPT_SUCCESSFUL;
}

/* ---- policies ---- */

static void add_associations(const struct tls_policy *p, struct buf *out)
{
    for (size_t i = 0; i < p->association_count; i++) {
        const struct tls_association *a = &p->associations[i];

        if (out->len + 2 * a->data.len > TLSRPT_POLICY_MAX)
            return;
        buf_printf(out, "\n%u %u %u ", a->usage, a->selector, a->matching);
        for (size_t k = 0; k < a->data.len; k++)
            buf_printf(out, "%02X", (unsigned) (uint8_t) a->data.at[k]);
    }
}

static void add_lines(const char *text, struct buf *out)
{
    struct span rest = span_of(text);

    while (rest.at) {
        struct span line = span_cut(&rest, '\n');

        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        if (out->len + line.len > TLSRPT_POLICY_MAX)
            return;
        if (line.len > 0) {
            buf_add_char(out, '\n');
            buf_add_span(out, line);
        }
    }
}

static void add_sts(const struct tlsrpt_session *s, const struct sts_policy *p, struct buf *out)
{
    buf_printf(out, "sts\n%s\n", s->domain);
    for (size_t i = 0; p && i < p->mx_count && out->len + DOMAIN_MAX < TLSRPT_POLICY_MAX / 2; i++)
        buf_printf(out, "%s%s", i > 0 ? " " : "", p->mx[i]);
    if (p)
        add_lines(p->text, out);
}

/* RFC 8460 section 1.1: with DANE the policy domain is the TLSA base domain. */
void tlsrpt_policy_text(const struct tlsrpt_session *s, struct buf *out)
{
    const struct tls_policy *p = s->policy;

    if (p && p->source == TLS_SOURCE_DANE) {
        buf_printf(out, "tlsa\n%s\n", p->sni ? p->sni : s->host ? s->host : s->domain);
        add_associations(p, out);
    } else if (s->is_sts || (p && p->source == TLS_SOURCE_STS)) {
        add_sts(s, p ? p->sts : NULL, out);
    } else {
        buf_printf(out, "no-policy-found\n%s\n", s->domain);
    }
}

/* ---- rows ---- */

static void add_ip(const struct ip *ip, struct buf *out)
{
    buf_add_char(out, '\n');
    if (ip)
        ip_format(ip, out);
}

void tlsrpt_session_fields(const struct tlsrpt_session *s, const char *digest, struct buf *sum,
                           struct buf *detail)
{
    bool is_good = s->result == TLSRPT_SUCCESSFUL;

    buf_printf(sum, "%c%s", is_good ? 'S' : 'F', digest);
    if (is_good)
        return;
    buf_printf(detail, "D%s\n%s", digest, tlsrpt_result_words[s->result]);
    add_ip(s->from, detail);
    buf_printf(detail, "\n%s", s->host ? s->host : "");
    add_ip(s->to, detail);
    buf_add_char(detail, '\n');
    buf_add_printable(detail, span_of(s->reason), TLSRPT_REASON_MAX);
}
