/*
 * Does: what section tlsrpt of the settings says of who sends reports.
 * Does not: know what is in them.
 * Owns: nothing; texts are borrowed from the settings.
 * Fails: -EINVAL with a sentence (the caller's).
 */
#pragma once

#include "base/conf.h"
#include "mail/addr.h"

bool tlsrpt_settings_are_on(const struct conf *conf);
/* Address in From, and the domain of it as A-labels; only when they are on. */
const char *tlsrpt_settings_from(const struct conf *conf, char ret_submitter[static DOMAIN_MAX + 1]);
int tlsrpt_settings_check(const struct conf *conf, char **ret_error);
