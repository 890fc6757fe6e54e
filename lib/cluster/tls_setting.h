/*
 * Does: the text of a TLS policy, as in tls_out.policy, tls_out.policies and transports.NAME.tls, and which one is for a destination.
 * Does not: know what DNSSEC or MTA-STS say (courier/tls_policy.h).
 * Owns: a setting is the caller's, with copies of its words.
 * Fails: -EINVAL with a sentence that says what is wrong; ret_setting untouched.
 */
#pragma once

#include <stdbool.h>

#include "base/conf.h"

/* In the order of the words: "auto none may encrypt verify fingerprint dane sts". auto: DANE if there is, else MTA-STS, else may. */
enum tls_wish {
    TLS_WISH_AUTO,
    TLS_WISH_NONE,
    TLS_WISH_MAY,
    TLS_WISH_ENCRYPT,
    TLS_WISH_VERIFY,
    TLS_WISH_FINGERPRINT,
    TLS_WISH_DANE,
    TLS_WISH_STS,
};
enum { TLS_SETTING_WORDS_MAX = 16 };

struct tls_setting {
    enum tls_wish wish;
    char **
        words; /* verify: names, lower-case A-labels, may be none; fingerprint: SHA-256 in lower-case hexadecimal, at least one */
    size_t count;
};

int tls_setting_parse(struct span text, struct tls_setting *ret_setting, char **ret_error);
void tls_setting_done(struct tls_setting *s);

/*
 * The text for a host: the row of tls_out.policies that names the host or its domain most exactly (itself, the longest .suffix, "*"; the host's before the
 * domain's), else tls_out.policy. Keys may be in any script. host NULL: the host was found by MX, and the domain alone counts.
 */
const char *tls_setting_find(const struct conf *conf, const char *domain, const char *host);
/* Are the rows of tls_out in order? */
int tls_settings_check(const struct conf *conf, char **ret_error);
