/*
 * Does: keeps a granted rate: a bucket that fills over time and holds a second's worth, but at least one message.
 * Does not: know the time; it is an argument.
 * Owns: nothing.
 * Fails: never. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint64_t micro;        /* messages per second, in millionths; 0: no limit */
    uint64_t credit_micro; /* messages that may go now, in millionths */
    uint64_t filled_us;    /* when the credit was last added to */
};

/* What was saved up at the old rate is kept as far as the new one allows; at first, and after no limit, nothing is. */
void rate_set(struct rate *r, uint64_t micro, uint64_t now_us);
/* May a message go now? */
bool rate_allows(struct rate *r, uint64_t now_us);
/* A message goes. Only after rate_allows(). */
void rate_take(struct rate *r);
/* How long until the next message may go, by what rate_allows() saw; 0: now. */
uint64_t rate_wait_ms(const struct rate *r);
