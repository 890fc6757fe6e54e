/*
 * Does: counts what became of each TLS session to a host, for the daily reports of the cluster (RFC 8460).
 * Does not: judge policies (tls_policy.h), nor speak TLS.
 * Owns: nothing of the caller's.
 * Fails: never.
 */
#pragma once

#include "courier/courier.h"
#include "courier/route.h"
#include "io/tls.h"

/*
 * One connection has come as far as TLS, or failed there; once for each connection, however many messages it carries. TLS_FAILURE_NONE: as the
 * policy demands. source: our own address, NULL when it is not known. detail: what OpenSSL or the host said; "" when there is nothing to say.
 */
void tlsrpt_count(struct courier *c, const struct tls_policy *p, const struct target *t,
                  const struct ip *source, enum tls_failure failure, const char *detail);
