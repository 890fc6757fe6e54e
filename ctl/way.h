/*
 * Does: finds which way mail to a domain takes by the settings that baridctl reads: as a courier with the same would choose.
 * Does not: ask DNS (verb_site.c).
 * Owns: a way its queue and transport, until way_done(); the rest is the settings'.
 * Fails: EXIT_BAD_USAGE and said.
 */
#pragma once

#include "base/conf.h"
#include "cluster/transport.h"
#include "ctl/verb.h"
#include "mail/addr.h"

struct way {
    char *queue;
    const char *lane;
    char domain[DOMAIN_MAX + 1];
    const struct conf_pool *pool; /* NULL: none */
    struct transport transport;
    const char *tls; /* text of a policy */
};

/* Of the domain or address that is the first operand, --sender and --tenant. Settings are in force. */
int way_find(const struct arguments *a, struct way *ret_way);
void way_done(struct way *w);
void add_way_hosts(struct buf *out, const struct way *w);
void add_way_pool(struct buf *out, const struct way *w);
bool way_is_guarded(const struct transport *t);
