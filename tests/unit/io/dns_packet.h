/* Builds DNS messages for the tests, well formed or not. */
#pragma once

#include "base/buf.h"
#include "io/dns.h"

enum { RCODE_OK = 0, RCODE_FORMAT = 1, RCODE_FAIL = 2, RCODE_NO_NAME = 3, RCODE_REFUSED = 5 };
enum { FLAGS_ANSWER = 0x8180, FLAG_AD = 0x0020, FLAG_TC = 0x0200 };

void packet_two(struct buf *b, unsigned n);
/* "" is the root; no compression. */
void packet_name(struct buf *b, const char *name);
/* Header and question; counts of records are patched by packet_record(). */
void packet_start(struct buf *b, unsigned id, unsigned flags, const char *name, enum dns_type type);
void packet_record(struct buf *b, unsigned section, const char *owner, unsigned type, uint32_t ttl_s,
                   struct span data);
/* Records of common types. */
void packet_a(struct buf *b, const char *owner, uint32_t ttl_s, const char *address);
void packet_alias(struct buf *b, const char *owner, uint32_t ttl_s, const char *target);
void packet_mx(struct buf *b, const char *owner, uint32_t ttl_s, unsigned preference, const char *host);
void packet_soa(struct buf *b, const char *owner, uint32_t ttl_s, uint32_t minimum_s);
void packet_opt(struct buf *b);
