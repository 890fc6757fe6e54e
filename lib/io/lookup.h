/*
 * Does: the address of a host named in the settings, by the system's resolver (/etc/hosts, search domains, a container's DNS), in a thread of its own.
 * Does not: look up mail hosts (dns.h), or keep answers.
 * Owns: the look-up until its answer or its cancellation.
 * Fails: on_found with -EHOSTUNREACH when there is no address; lookup_open() with -errno when no thread can be started.
 */
#pragma once

#include "io/loop.h"
#include "mail/addr.h"

struct lookup;
/* ip: of the answer, NULL on failure. The look-up is gone after it. */
typedef void lookup_on_found(void *context, int error, const struct ip *ip);
int lookup_open(struct loop *l, const char *host, lookup_on_found *on_found, void *context,
                struct lookup **ret_lookup);
struct lookup *lookup_cancel(struct lookup *u); /* on_found is not called any more; always NULL */
