/*
 * Does: from a queue to the addresses to try, in order: hosts that its transport names, else MX (RFC 5321 section 5.1, RFC 7505), then fallback hosts.
 * Does not: connect.
 * Owns: a route is the caller's; a search is the router's until it answers.
 * Fails: a route without targets carries the verdict all its mail gets.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "cluster/transport.h"
#include "courier/courier.h"
#include "courier/sts.h"
#include "courier/tls_policy.h"
#include "mail/addr.h"
#include "mail/verdict.h"

enum { ROUTE_TARGETS_MAX = 60, ROUTE_HOSTS_MAX = 20 };

struct target {
    char host[DOMAIN_MAX + 1];
    struct ip ip;
    uint16_t port;
    unsigned group;              /* same preference: chosen among at random */
    uint64_t bad_until_ms;       /* clock_ms(): could not be used a moment ago */
    uint64_t untrusted_until_ms; /* likewise, for its TLS was not as the policy demands */
    bool is_by_mx;               /* else the settings name it */
    bool is_plain; /* where TLS is no must: its handshake failed, and what is opened now goes without */
    char *path;    /* of a Unix socket, instead of address and port; else NULL */
    struct tls_policy *policy; /* held, never NULL; barred: only mail with TLS-Required: No may go there */
};
/* What is copied holds what it points to, until target_done(). */
void target_copy(struct target *to, const struct target *from);
void target_done(struct target *t);
/* The same host at the same address. */
bool target_equal(const struct target *a, const struct target *b);

struct route {
    struct conf *conf; /* held: the settings it was found by; under others it carries nothing */
    uint64_t redirect; /* number of the operator's rule it was found by; likewise. 0: by the settings alone */
    struct target *targets;
    size_t count;
    struct verdict failure;       /* when count is 0 */
    char *site;                   /* the best host, in lower case: what dispatcher.site_limits names */
    enum sts_trouble sts_trouble; /* why the domain's MTA-STS policy could not be fetched a moment ago */
    char *how;                    /* "mx", "implicit mx", "literal", or the transport's name, for the story */
    struct transport transport;   /* who logs in there, and the protocol */
};

/* How a host is to be reached. */
struct source;
struct way {
    const struct target *target; /* NULL: there is none */
    bool is_relaxed; /* TLS as it comes, whatever the policy: for mail with TLS-Required: No, and no other */
    const struct source *source; /* NULL: the kernel chooses the address */
};

struct route_search;
typedef void route_on_found(void *context, struct route *route); /* the route is handed over */
/*
 * Answers later, never inside the call. queue: of a normalised domain, or of a literal in brackets. redirect: the rule that sends its mail
 * another way, and where (as a row of courier.routes says it); 0 and NULL: none does.
 */
struct route_search *route_find(struct courier *c, const char *queue, uint64_t redirect, const char *to,
                                route_on_found *on_found, void *context);
void route_cancel(struct route_search *s);
struct route *route_free(struct route *r); /* always NULL */

/* Pure: has a row of dispatcher.site_limits this host? */
bool route_site_is_limited(const char *site, const struct conf_map *limits);
/* Pure: keeps at most `most` targets, in order, and neither address family takes more than half when the other has some. Returns how many. */
size_t route_cap(struct target *targets, size_t count, size_t most);
/* Pure: is the address in one of the networks of a settings list? */
bool route_list_has(const struct conf_list *list, const struct ip *ip);
/* Pure: may a courier connect there for mail found by MX (BEHAVIOURS H23)? */
bool route_may_connect(const struct ip *ip, const struct conf_list *own_addresses,
                       const struct conf_list *allow_private, bool refuse_private);
