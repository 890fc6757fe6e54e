/*
 * Does: when a deferred job is tried again. Pure.
 * See: BEHAVIOURS J01 to J08; Postfix' rule is the model: wait as long as the message is old, within bounds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct retry {
    uint64_t first_ms, longest_ms, lifetime_ms, bounce_lifetime_ms;
    uint64_t warn_ms; /* how old it is when its sender is told that it is late */
};

/* Delay until the next try of a message that is age_ms old: age within [first, longest], times 0.85 to 1.15 by random (any 64 bits). */
uint64_t retry_delay_ms(const struct retry *r, uint64_t age_ms, uint64_t random);
bool retry_is_expired(const struct retry *r, uint64_t age_ms, bool is_null_sender);
