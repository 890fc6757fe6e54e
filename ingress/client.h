/*
 * Does: counts the sessions of this process, in all, per listener and per client address (IPv6: per /64), and its TLS handshakes, for their limits.
 * Does not: turn anybody away itself.
 * Owns: the counts; shared by all reactors, under a lock.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/addr.h"

struct client_limits {
    uint64_t node, listener, client;
};
/* Counts a session, also one above a limit. False: a limit is passed. listener: its index. */
bool client_enter(const struct ip *ip, size_t listener, const struct client_limits *limits);
void client_leave(const struct ip *ip, size_t listener);
/* Handshakes under way. */
void client_begin_handshake(const struct ip *ip);
void client_end_handshake(const struct ip *ip);
uint64_t client_handshakes(const struct ip *ip);
/* True at most once a second: whether the log should tell that somebody was turned away. */
bool client_may_tell(uint64_t now_ms);
