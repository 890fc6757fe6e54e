/*
 * Does: the two clocks. Spans are measured with CLOCK_BOOTTIME, dates shown from CLOCK_REALTIME; never mixed, never compared across machines.
 * Does not: sleep. Fails: never, but for texts that are no time.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

uint64_t clock_ms(void); /* since boot, also while suspended */
uint64_t clock_us(void);
uint64_t clock_wall_ms(void); /* since 1970 */
/* RFC 5322 section 3.3 date, in UTC: "Sun, 22 Nov 2026 07:15:45 +0000". */
void clock_add_date(struct buf *b, uint64_t wall_ms);
/* RFC 3339, milliseconds: "2026-11-22T07:15:45.123Z". */
void clock_add_stamp(struct buf *b, uint64_t wall_ms);
/* RFC 3339 section 5.6, with any offset; fractions of a second are cut to milliseconds. -EINVAL: not a date and time since 1970. */
int clock_parse_stamp(struct span s, uint64_t *ret_wall_ms);
