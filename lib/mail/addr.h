/*
 * Does: mail addresses, domains, IP addresses and networks: parse, check, compare, normalise.
 * Does not: know IDNA tables: a domain with bytes above 0x7f passes the *_utf8 functions only, unconverted (io/idn.h does that).
 * Owns: nothing; results point into the text or into the caller's struct.
 * Fails: -EINVAL: not of the grammar; -E2BIG: a part is too long (RFC 5321 section 4.5.3.1). Nothing is ever truncated.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { LOCAL_MAX = 64, DOMAIN_MAX = 255, LABEL_MAX = 63, PATH_MAX_LEN = 256 };

struct addr {
    struct span whole;  /* local@domain as given, without angle brackets and source route */
    struct span local;  /* as given, quotes kept */
    struct span domain; /* as given; empty for <postmaster>; with brackets for a literal */
    bool is_literal;    /* [192.0.2.1] or [IPv6:...] */
};

/*
 * A path of MAIL or RCPT (RFC 5321 section 4.1.2) at the start of s: "<...>"; the null path gives empty spans. A source route is
 * skipped and ignored. Returns the number of bytes taken, or a failure.
 */
int addr_parse_path(struct span s, struct addr *ret_addr);
/* A bare local@domain, all of s. */
int addr_parse(struct span s, struct addr *ret_addr);
/*
 * The same with characters above ASCII in local part and labels (RFC 6531 section 3.3): well-formed UTF-8, none that can disguise a line of text.
 * Lengths are of bytes; a label that is not ASCII may be longer than LABEL_MAX here, for its A-label counts (BEHAVIOURS N08).
 */
int addr_parse_path_utf8(struct span s, struct addr *ret_addr);
int addr_parse_utf8(struct span s, struct addr *ret_addr);
/*
 * True when the local part asks a host to send the mail on: user%host, host!user, "user@host". A client that may not relay must not
 * use one (BEHAVIOURS E02).
 */
bool addr_has_route(const struct addr *addr);

/* Syntax only: labels of RFC 1123 (underscore allowed), no trailing dot, last label not all digits, lengths. */
int domain_check(struct span domain);
int domain_check_utf8(struct span domain); /* with U-labels; see addr_parse_path_utf8() */
/* Lower case, no trailing dot, syntax of RFC 1123 (underscore allowed), A-labels only. Room for DOMAIN_MAX + 1. */
int domain_normalise(struct span domain, char ret_text[static DOMAIN_MAX + 1]);
/* True when domain (normalised) is the pattern, or with ".example.com" a subdomain of it, or pattern is "*". Case-insensitive. */
bool domain_matches(const char *domain, const char *pattern);

struct ip {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint32_t scope;    /* of a link-local IPv6 address */
    bool is_v4;
};

/* Dotted quad, IPv6 with or without "IPv6:" and scope id. */
int ip_parse(struct span s, struct ip *ret_ip);
void ip_format(const struct ip *ip, struct buf *out);      /* 192.0.2.1, 2001:db8::1 */
void ip_add_literal(const struct ip *ip, struct buf *out); /* [192.0.2.1], [IPv6:2001:db8::1] */
bool ip_equal(const struct ip *a, const struct ip *b);

/* What kind of address it is, for "does a courier connect there" (BEHAVIOURS H23). */
enum ip_kind { IP_PUBLIC, IP_PRIVATE, IP_LOOPBACK, IP_LINK_LOCAL, IP_UNSPECIFIED, IP_MULTICAST, IP_RESERVED };
enum ip_kind ip_kind(const struct ip *ip);

struct network {
    struct ip base;
    unsigned prefix; /* bits of the 128 */
};
/* "192.0.2.0/24", "::1/128", or a single address; bits set behind the prefix are -EINVAL. */
int network_parse(struct span s, struct network *ret_network);
/* An IPv4 address is in no IPv6 network, not even ::/0. */
bool network_has(const struct network *n, const struct ip *ip);

/* "host", "host:port", "[2001:db8::1]:25", "192.0.2.1:25", "[host]:25" -> host text and port. */
int hostport_parse(struct span s, uint16_t default_port, char ret_host[static DOMAIN_MAX + 1],
                   uint16_t *ret_port);
