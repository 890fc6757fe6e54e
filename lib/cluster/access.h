/*
 * Does: how this program gets into Redis, from conf_get()->store: TLS and what a certificate must prove, users and passwords.
 * Does not: connect.
 * Owns: a TLS client's context. Settings that were filled borrow from it and from the configuration: it outlives what is opened with them.
 * Fails: access_new() with -EINVAL or -errno, and a sentence that names the setting.
 * See: io/redis.h, lib/base/conf.def store.tls and the rows behind it.
 */
#pragma once

#include "io/redis.h"

struct access;
int access_new(struct access **ret_access, char **ret_error);
struct access *access_free(struct access *a); /* always NULL */
/*
 * Have the files of certificates and authorities changed since they were read, or since this was asked last? 1: they are in force for who is
 * filled from now on; 0: no; -EINVAL or -errno with a sentence: they cannot be used, and the former ones stay.
 */
int access_look(struct access *a, char **ret_error);
struct tls_client *access_tls(const struct access *a); /* NULL: plain */
/* Fills tls, tls_name, user and password: of a server with data, and of a Sentinel. */
void access_fill(const struct access *a, struct redis_settings *settings);
void access_fill_sentinel(const struct access *a, struct redis_settings *settings);
