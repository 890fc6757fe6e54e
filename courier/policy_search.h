/*
 * Does: gives each host of a route its TLS policy: MTA-STS is asked for beside the MX, TLSA after the addresses, both only where they can matter.
 * Does not: say what the answers mean (tls_policy.h), nor look for hosts (route_search.c).
 * Owns: its questions; hosts are borrowed, and their policies held, until the end.
 * Fails: never; a host about which nothing can be known is barred.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cluster/transport.h"
#include "courier/courier.h"
#include "courier/sts.h"
#include "courier/tls_policy.h"
#include "mail/addr.h"

struct policy_search;

struct policy_host {
    const char *name; /* A-labels, or an address; NULL: a socket of this machine */
    uint16_t port;
    bool is_by_mx;                 /* else the settings name it */
    bool is_mx_secure;             /* of use only by MX */
    bool is_secure;                /* its addresses and the aliases that lead to them */
    char expanded[DOMAIN_MAX + 1]; /* the name after aliases; "": none */
    struct tls_policy *policy;     /* the answer */
    /* within */
    struct policy_search *search;
    struct tls_setting setting;
    struct dane_question *dane;
};

struct policy_search {
    struct courier *courier;
    const char *domain;
    const struct transport *transport;
    struct sts_search *sts_search;
    struct sts_policy *sts;
    enum sts_trouble sts_trouble; /* of the last fetch, also beside a policy */
    bool is_sts_open;
    struct policy_host *hosts;
    size_t count, open_count;
    void (*on_done)(void *context);
    void *context;
};

/* domain and transport are borrowed until the end. */
void policy_search_begin(struct policy_search *s, struct courier *c, const char *domain,
                         const struct transport *t);
/* True: all hosts have their policies now. False: on_done comes later, never inside the call. */
bool policy_search_hosts(struct policy_search *s, struct policy_host *hosts, size_t count,
                         void (*on_done)(void *context), void *context);
/* Nothing comes any more. One that was never begun, all zero, may be ended. */
void policy_search_end(struct policy_search *s);
