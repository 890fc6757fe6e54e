/*
 * Does: what section dsn of the settings means: templates from their files, limits, the address of double bounces.
 * Does not: watch the files: SIGHUP reads them again.
 * Owns: what was loaded, until dsn_settings_done().
 * Fails: -EINVAL with a sentence that names setting, file and line.
 */
#pragma once

#include "base/conf.h"
#include "cluster/limit.h"
#include "mail/dsn.h"

struct dsn_settings {
    struct dsn_template *templates[DSN_ACTION_COUNT]; /* NULL: our own words */
    struct limit_rule per_sender, per_domain;         /* count 0: no limit */
};

/* *ret_error is the caller's. Blocks: files are read. */
int dsn_settings_load(const struct conf *conf, struct dsn_settings *ret_settings, char **ret_error);
int dsn_settings_check(const struct conf *conf, char **ret_error);
void dsn_settings_done(struct dsn_settings *s);
