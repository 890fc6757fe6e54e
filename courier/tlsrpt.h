/*
 * Does: counts what becomes of TLS sessions, for the daily reports of the cluster (RFC 8460): in memory for some seconds, then in Redis, and only for
 *       domains that publish where they want reports. Sends those that are due (tlsrpt_send.c).
 * Does not: judge policies (tls_policy.h), nor ever delay mail: DNS is asked after the session.
 * Owns: what is not in Redis yet: it is lost with the courier.
 * Fails: never; what finds no room is dropped and counted (barid_tlsrpt_dropped_total).
 */
#pragma once

#include "courier/courier.h"
#include "courier/route.h"
#include "io/tls.h"

bool tlsrpt_is_on(const struct courier *c);
/* One connection has come as far as TLS, or failed there; once for each connection, however many messages of whichever domains it carries. */
struct tlsrpt_connection {
    const struct work *work; /* whose mail it was opened for */
    const struct tls_policy *policy;
    const struct target *target;
    const struct ip *source;  /* our address; NULL: not known */
    enum tls_failure failure; /* NONE: as the policy demands */
    const char *detail;       /* what OpenSSL or the host said */
};
void tlsrpt_count(struct courier *c, const struct tlsrpt_connection *of);
/* Hosts were looked for: counts, once each, those that their policy bars, and a policy that could not be fetched. */
void tlsrpt_count_route(struct courier *c, const struct work *w, const struct route *r);

/* ---- for main.c */
struct tlsrpt;
struct tlsrpt *tlsrpt_open(struct courier *c);
void tlsrpt_reload(struct tlsrpt *t); /* the settings have changed */
/* While the courier drains: is all written that was counted, and no report under way? If not it is seen to, and courier_check_drained() called then. */
bool tlsrpt_is_written(struct tlsrpt *t);
struct tlsrpt *tlsrpt_close(struct tlsrpt *t); /* before its store and dns; NULL is fine; always NULL */
