/*
 * Does: the PROXY header that a load balancer puts before everything else, versions 1 and 2: whose connection this is.
 * Does not: any I/O, or decide whose header is believed (BEHAVIOURS E04).
 * Owns: nothing.
 * Fails: -EBADMSG: not a header, whatever comes; nothing is put right or guessed.
 * See: HAProxy's proxy-protocol.txt; BEHAVIOURS E05, E06.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/addr.h"

/* The longest line of version 1, with its CR LF; the longest header of version 2 that is taken. */
enum { PROXY_LINE_MAX = 107, PROXY_HEADER_MAX = 4096 };

struct proxy_header {
    bool
        is_local; /* the balancer speaks for itself (LOCAL: a health check), or does not say (UNKNOWN): ip is not set, the socket's counts */
    struct ip ip; /* the client's; an IPv4-mapped one is IPv4 */
    uint16_t port;
};

/* Bytes of the header at the start of `in`, as soon as it is whole: what is behind them is not looked at. 0: more are needed. -EBADMSG. */
int proxy_parse(struct span in, struct proxy_header *ret_header);
