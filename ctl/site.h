/*
 * Does: what DNS and the cluster say of where a domain's mail goes: hosts, their addresses, DANE, MTA-STS, and what couriers do there now.
 * Does not: choose for a courier: hosts are in the order of their preference, and each TLS policy is told in words.
 * Owns: what it found, until site_done().
 * Fails: EXIT_ASKED_FAILED and said where Redis does not answer; DNS that does not is told of each name.
 */
#pragma once

#include "ctl/health.h"
#include "ctl/way.h"
#include "io/dns.h"

struct site_host {
    char name[DOMAIN_MAX + 1];
    unsigned preference;
    struct ip *addresses;
    size_t address_count;
    enum dns_result result; /* of the addresses */
    bool is_secure;         /* they, and the name */
    unsigned tlsa;          /* usable records, of a host whose answers are secure */
    unsigned tlsa_unusable;
    bool is_tlsa_away;
};
struct site {
    const struct way *way;
    enum dns_result mx;
    bool is_mx_secure, is_null_mx, is_implicit;
    struct site_host *hosts; /* by preference */
    size_t host_count;
    char sts_id[64]; /* of the TXT record; "": there is none, or more than one */
    bool is_sts_away;
    char *sts_mode; /* of the policy that couriers keep; "": none is kept */
    uint64_t sts_left_ms;
    uint64_t connections, granted, jobs, couriers; /* of the queue, by couriers' beats */
};
/* health: as it was read. */
int site_look(struct ask *k, const struct way *way, const struct health *h, struct site *ret_site);
void site_done(struct site *s);
const char *dns_word(enum dns_result result);
/* "dane", "verify (MTA-STS)", "may": what TLS to this host would be, and why it would not be used. */
void add_host_tls(struct buf *out, const struct site *s, const struct site_host *host);
