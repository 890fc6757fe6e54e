/*
 * Does: what TLS to one host must prove: composed from the settings, DANE (RFC 7672) and MTA-STS (RFC 8461); DANE goes before MTA-STS.
 * Does not: ask DNS or a policy host (dane.h, sts.h), nor shake hands (io/tls.h).
 * Owns: policies, counted and never changed once made; a target holds its own, a connection the one it was opened under.
 * Fails: a host that its policy forbids has `barred`: the verdict of mail that finds no other.
 */
#pragma once

#include <stdbool.h>

#include "cluster/tls_setting.h"
#include "io/tls.h"
#include "mail/verdict.h"

struct dane_answer;
struct sts_policy;

enum tls_level {
    TLS_LEVEL_NONE,    /* never */
    TLS_LEVEL_MAY,     /* when offered; in plain when it fails */
    TLS_LEVEL_ENCRYPT, /* always; whose certificate does not matter */
    TLS_LEVEL_VERIFY,
    TLS_LEVEL_FINGERPRINT,
    TLS_LEVEL_DANE,
};
enum tls_policy_source { TLS_SOURCE_DEFAULT, TLS_SOURCE_SETTING, TLS_SOURCE_DANE, TLS_SOURCE_STS };

struct tls_policy {
    unsigned users;
    enum tls_level level;
    enum tls_policy_source source; /* DEFAULT: the setting auto, and neither DANE nor MTA-STS */
    bool is_tolerant;  /* at level may, with names: whether they are proven is told, and changes nothing */
    bool is_relaxable; /* it comes from the recipient's domain: mail with TLS-Required: No need not obey it */
    bool
        is_authentic; /* nobody on the way could have chosen what is to be proven: a proof is enough for REQUIRETLS */
    char **names;
    size_t name_count;
    struct tls_association *associations;
    size_t association_count;
    char **fingerprints;
    size_t fingerprint_count;
    char *sni;              /* NULL: none is said */
    char *key;              /* equal text, equal demand: connections and sessions to one host may be shared */
    struct verdict barred;  /* VERDICT_NONE: may be used */
    struct sts_policy *sts; /* held, when source is STS; else NULL */
    char *domain;           /* the policy domain: the destination, or the host when the settings name it */
};

/* What is known about one host. All borrowed. */
struct tls_facts {
    const struct tls_setting *setting;
    const char *domain, *host; /* A-labels; the host may be an address */
    bool is_by_mx;             /* the host was found by MX, else the settings name it */
    bool is_name_secure; /* nobody on the way can have chosen the host: DNSSEC, or the settings name it */
    bool is_guarded;     /* a password will be said, or TLS is all there is: no less than verify */
    const struct dane_answer *dane; /* NULL: not asked, as not all answers were secure */
    struct sts_policy *sts;         /* NULL: the domain has none, or it was not asked for */
};
/* Pure; held by the caller. Where nothing is demanded, it is tls_policy_may(), the same for all. */
struct tls_policy *tls_policy_make(const struct tls_facts *f);
/* Level may, no proof; level none. Held by the caller. */
struct tls_policy *tls_policy_may(void);
struct tls_policy *tls_policy_none(void);

struct tls_policy *tls_policy_hold(struct tls_policy *p);
struct tls_policy *tls_policy_release(struct tls_policy *p); /* always NULL */

static inline bool tls_policy_is_barred(const struct tls_policy *p)
{
    return p->barred.class != VERDICT_NONE;
}

/* May mail with TLS-Required: No (RFC 8689 section 5) go by tls_policy_may() where this one cannot be met, or bars the host? */
bool tls_policy_is_relaxable(const struct tls_policy *p);
/* Borrows from the policy. */
void tls_policy_demand(const struct tls_policy *p, struct tls_demand *ret_demand);
/* "dane", "sts", "name", "fingerprint": what a connection whose proof was given was proven by. */
const char *tls_policy_proof_name(const struct tls_policy *p);
