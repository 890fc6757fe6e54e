/* TLS policies: one composed from all that is known about a host. */
#include "courier/tls_policy.h"

#include <string.h>

#include "base/mem.h"
#include "courier/dane.h"
#include "courier/sts.h"
#include "io/crypto.h"
#include "mail/addr.h"

static struct tls_policy may = {.level = TLS_LEVEL_MAY, .key = (char[]){"may"}, .domain = (char[]){""}};
static struct tls_policy none = {
    .level = TLS_LEVEL_NONE, .source = TLS_SOURCE_SETTING, .key = (char[]){"none"}, .domain = (char[]){""}};

/* ---- holding ---- */

/* The two that all share are never freed, so nobody counts who holds them. */
struct tls_policy *tls_policy_hold(struct tls_policy *p)
{
    if (p != &may && p != &none)
        p->users++;
    return p;
}

static void texts_free(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(texts[i]);
    mem_free(texts);
}

struct tls_policy *tls_policy_release(struct tls_policy *p)
{
    if (!p || p == &may || p == &none || --p->users > 0)
        return NULL;
    texts_free(p->names, p->name_count);
    texts_free(p->fingerprints, p->fingerprint_count);
    for (size_t i = 0; i < p->association_count; i++)
        mem_free((char *) (uintptr_t) p->associations[i].data.at);
    mem_free(p->associations);
    mem_free(p->sni);
    mem_free(p->key);
    mem_free(p->domain);
    sts_policy_release(p->sts);
    verdict_done(&p->barred);
    return mem_free(p);
}

struct tls_policy *tls_policy_may(void)
{
    return &may;
}

struct tls_policy *tls_policy_none(void)
{
    return &none;
}

/* ---- making ---- */

static struct tls_policy *policy_new(const struct tls_facts *f, enum tls_level level,
                                     enum tls_policy_source source)
{
    struct tls_policy *p = NEW(struct tls_policy);

    p->users = 1;
    p->level = level;
    p->source = source;
    p->is_relaxable = f->setting->wish == TLS_WISH_AUTO && !f->is_guarded && source >= TLS_SOURCE_DANE;
    p->domain = mem_string(f->is_by_mx ? f->domain : f->host);
    if (source == TLS_SOURCE_STS)
        p->sts = sts_policy_hold(f->sts);
    return p;
}

static void add_text(char ***texts, size_t *count, const char *text)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp((*texts)[i], text) == 0)
            return;
    }
    *texts = mem_resize(*texts, (*count + 1) * sizeof(**texts));
    (*texts)[(*count)++] = mem_string(text);
}

/* An address is no name, neither of a host nor of a domain (a literal). */
static bool is_name(const char *text)
{
    struct ip ip;

    return text[0] != '[' && ip_parse(span_of(text), &ip) < 0;
}

static void add_name(struct tls_policy *p, const char *name)
{
    if (is_name(name))
        add_text(&p->names, &p->name_count, name);
}

static void set_sni(struct tls_policy *p, const char *name)
{
    if (is_name(name))
        p->sni = mem_string(name);
}

static struct tls_policy *bar(struct tls_policy *p, enum status status, const char *detail)
{
    verdict_set(&p->barred, status, detail);
    return p;
}

/* ---- by setting ---- */

/*
 * Without names of the operator's: the host's, and the destination's. Where the host was found in a DNS that is not secure, whoever forged the answer
 * chose a name of his own; that shields from listeners only, so no REQUIRETLS mail relies on it.
 */
static struct tls_policy *by_names(const struct tls_facts *f)
{
    struct tls_policy *p = policy_new(f, TLS_LEVEL_VERIFY, TLS_SOURCE_SETTING);
    bool has_names = f->setting->wish == TLS_WISH_VERIFY && f->setting->count > 0;

    for (size_t i = 0; has_names && i < f->setting->count; i++)
        add_name(p, f->setting->words[i]);
    if (!has_names) {
        add_name(p, f->host);
        if (f->is_by_mx)
            add_name(p, f->domain);
    }
    p->is_authentic = has_names || f->is_name_secure;
    set_sni(p, is_name(f->host) || p->name_count == 0 ? f->host : p->names[0]);
    return p;
}

static struct tls_policy *by_fingerprint(const struct tls_facts *f)
{
    struct tls_policy *p = policy_new(f, TLS_LEVEL_FINGERPRINT, TLS_SOURCE_SETTING);

    for (size_t i = 0; i < f->setting->count; i++)
        add_text(&p->fingerprints, &p->fingerprint_count, f->setting->words[i]);
    p->is_authentic = true;
    set_sni(p, f->host);
    return p;
}

/* ---- by what the destination publishes ---- */

/* The names are those of RFC 7672 section 3.2.2: for usage 2 only. */
static struct tls_policy *by_records(const struct tls_facts *f)
{
    struct tls_policy *p = policy_new(f, TLS_LEVEL_DANE, TLS_SOURCE_DANE);

    p->associations = mem_copy(f->dane->records, f->dane->count * sizeof(*p->associations));
    p->association_count = f->dane->count;
    for (size_t i = 0; i < p->association_count; i++) {
        struct span *data = &p->associations[i].data;

        data->at = mem_copy(data->at, data->len);
    }
    add_name(p, f->dane->base);
    add_name(p, f->is_by_mx ? f->domain : f->host);
    p->is_authentic = true;
    set_sni(p, f->dane->base);
    return p;
}

/* NULL: nothing is there to go by. */
static struct tls_policy *by_dane(const struct tls_facts *f)
{
    if (f->dane && f->dane->result == DANE_AWAY)
        return bar(policy_new(f, TLS_LEVEL_DANE, TLS_SOURCE_DANE), STATUS_TLSA_AWAY, f->dane->why);
    if (f->dane && f->dane->result == DANE_FOUND && f->dane->count > 0)
        return by_records(f);
    if (f->setting->wish == TLS_WISH_DANE)
        return bar(policy_new(f, TLS_LEVEL_DANE, TLS_SOURCE_DANE), STATUS_NO_DANE, f->host);
    return NULL;
}

static struct tls_policy *by_sts(const struct tls_facts *f)
{
    struct tls_policy *p;

    if (f->sts && f->sts->mode == STS_ENFORCE) {
        p = policy_new(f, TLS_LEVEL_VERIFY, TLS_SOURCE_STS);
        add_name(p, f->host);
        set_sni(p, f->host);
        p->is_authentic = true;
        return sts_allows(f->sts, f->host) ? p : bar(p, STATUS_NOT_IN_STS, f->host);
    }
    if (f->setting->wish == TLS_WISH_STS)
        return bar(policy_new(f, TLS_LEVEL_VERIFY, TLS_SOURCE_SETTING), STATUS_NO_STS, f->domain);
    return NULL;
}

/* TLS as it comes; whose certificate it is is told where somebody asks: a policy under test, or REQUIRETLS where DNSSEC vouches for the host. */
static struct tls_policy *by_nothing(const struct tls_facts *f)
{
    bool is_tested = f->sts && f->sts->mode == STS_TESTING;
    struct tls_policy *p;

    if (!is_tested && !(f->is_by_mx && f->is_name_secure))
        return tls_policy_may();
    p = policy_new(f, TLS_LEVEL_MAY, is_tested ? TLS_SOURCE_STS : TLS_SOURCE_DEFAULT);
    p->is_tolerant = true;
    p->is_authentic = f->is_name_secure;
    add_name(p, f->host);
    set_sni(p, f->host);
    return p;
}

/* RFC 8461 section 2: what DANE says is never overruled by MTA-STS. Records that say no more than "TLS" leave room for it. */
static struct tls_policy *by_destination(const struct tls_facts *f)
{
    struct tls_policy *p = f->setting->wish != TLS_WISH_STS ? by_dane(f) : NULL;

    if (!p && f->setting->wish != TLS_WISH_DANE)
        p = by_sts(f);
    if (!p && f->dane && f->dane->result == DANE_FOUND)
        p = policy_new(f, TLS_LEVEL_ENCRYPT, TLS_SOURCE_DANE);
    return p ? p : by_nothing(f);
}

static struct tls_policy *by_setting(const struct tls_facts *f)
{
    switch (f->setting->wish) {
    case TLS_WISH_NONE: return tls_policy_none();
    case TLS_WISH_MAY: return tls_policy_may();
    case TLS_WISH_ENCRYPT: return policy_new(f, TLS_LEVEL_ENCRYPT, TLS_SOURCE_SETTING);
    case TLS_WISH_VERIFY: return by_names(f);
    case TLS_WISH_FINGERPRINT: return by_fingerprint(f);
    case TLS_WISH_AUTO:
    case TLS_WISH_DANE:
    case TLS_WISH_STS: break;
    }
    return by_destination(f);
}

/* ---- what is the same ---- */

static void add_texts(struct buf *key, char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(key, " %s", texts[i]);
}

/* Names count where they are looked at: hosts of many domains are met by one connection, if their records are all of usage 3. */
static void add_associations(struct buf *key, const struct tls_policy *p)
{
    AUTO_BUF struct buf bytes = {0};
    uint8_t digest[SHA256_BYTES];
    bool has_names = false;

    for (size_t i = 0; i < p->association_count; i++) {
        const struct tls_association *a = &p->associations[i];

        has_names |= a->usage == 2;
        buf_printf(&bytes, "%u %u %u %zu ", a->usage, a->selector, a->matching, a->data.len);
        buf_add_span(&bytes, a->data);
    }
    crypto_sha256(buf_span(&bytes), digest);
    buf_add_char(key, ' ');
    for (size_t i = 0; i < SHA256_BYTES; i++)
        buf_printf(key, "%02x", digest[i]);
    if (has_names)
        add_texts(key, p->names, p->name_count);
}

static void set_key(struct tls_policy *p)
{
    static const char *const levels[] = {"none", "may", "encrypt", "verify", "fingerprint", "dane"};
    AUTO_BUF struct buf key = {0};

    buf_printf(&key, "%s%s", p->is_tolerant ? "look " : "", levels[p->level]);
    if (p->level == TLS_LEVEL_DANE)
        add_associations(&key, p);
    else
        add_texts(&key, p->names, p->name_count);
    add_texts(&key, p->fingerprints, p->fingerprint_count);
    if (p->sni)
        buf_printf(&key, " at %s", p->sni);
    if (p->is_authentic)
        buf_add_text(&key, " surely");
    p->key = buf_steal_text(&key);
}

struct tls_policy *tls_policy_make(const struct tls_facts *f)
{
    struct tls_policy *p = by_setting(f);

    if (f->is_guarded && p->level < TLS_LEVEL_VERIFY) {
        tls_policy_release(p);
        p = by_names(f);
    }
    if (!p->key)
        set_key(p);
    return p;
}

/* ---- using ---- */

bool tls_policy_is_relaxable(const struct tls_policy *p)
{
    return p->is_relaxable;
}

void tls_policy_demand(const struct tls_policy *p, struct tls_demand *ret_demand)
{
    static const enum tls_proof proofs[] = {
        [TLS_LEVEL_MAY] = TLS_PROOF_NONE,    [TLS_LEVEL_ENCRYPT] = TLS_PROOF_NONE,
        [TLS_LEVEL_VERIFY] = TLS_PROOF_NAME, [TLS_LEVEL_FINGERPRINT] = TLS_PROOF_FINGERPRINT,
        [TLS_LEVEL_DANE] = TLS_PROOF_DANE,
    };

    must(p->level != TLS_LEVEL_NONE);
    *ret_demand = (struct tls_demand){
        .sni = p->sni,
        .proof = p->is_tolerant ? TLS_PROOF_NAME : proofs[p->level],
        .is_tolerant = p->is_tolerant,
        .names = (const char *const *) p->names,
        .name_count = p->name_count,
        .associations = p->associations,
        .association_count = p->association_count,
        .fingerprints = (const char *const *) p->fingerprints,
        .fingerprint_count = p->fingerprint_count,
        .session_key = p->key,
    };
}

const char *tls_policy_proof_name(const struct tls_policy *p)
{
    if (p->level == TLS_LEVEL_DANE)
        return "dane";
    if (p->level == TLS_LEVEL_FINGERPRINT)
        return "fingerprint";
    return p->source == TLS_SOURCE_STS ? "sts" : "name";
}
