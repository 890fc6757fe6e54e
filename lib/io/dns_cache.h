/*
 * Does: keeps DNS answers, positive and negative, for their time; the least recently used go when it is full, by count or by what they take:
 *       strangers choose how long their answers are.
 * Does not: decide how long (dns.c does).
 * Owns: the answers.
 * Fails: never.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "io/dns.h"

/* On average; one answer may take up to this share of all. */
enum { DNS_CACHE_ENTRY_BYTES = 2048, DNS_CACHE_SHARE = 8 };

struct dns_cache {
    struct map entries;
    struct list order; /* least recently used first */
    size_t max, bytes;
};

void dns_cache_init(struct dns_cache *c, size_t max);
void dns_cache_done(struct dns_cache *c);
/* NULL: not there, or too old. The time left is in *ret_left_ms. Valid until the next call. */
const struct dns_answer *dns_cache_get(struct dns_cache *c, struct span key, uint64_t now_ms,
                                       uint64_t *ret_left_ms);
/* Takes the answer over; it is empty after. */
void dns_cache_put(struct dns_cache *c, struct span key, struct dns_answer *answer, uint64_t until_ms);
