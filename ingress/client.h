/*
 * Does: counts the sessions of this process, in all and per client address (IPv6: per /64), for their limits.
 * Does not: turn anybody away itself.
 * Owns: the counts; shared by all reactors, under a lock.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mail/addr.h"

/* Counts a session, also one above a limit. False: a limit is passed. */
bool client_enter(const struct ip *ip, uint64_t max_sessions, uint64_t max_per_client);
void client_leave(const struct ip *ip);
/* True at most once a second: whether the log should tell that somebody was turned away. */
bool client_may_tell(uint64_t now_ms);
