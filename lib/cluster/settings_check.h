/*
 * Does: judges settings beside each other, as far as every program can: lanes, pools, transports, routes, policies of TLS.
 * Does not: judge one value alone (base/conf.h), nor what one program only knows (daemon.check).
 * Owns: nothing.
 * Fails: -EINVAL: *ret_error (the caller's) says file and line, what is wrong and what to do.
 */
#pragma once

#include "base/conf.h"

int settings_check(const struct conf *conf, char **ret_error);
