/*
 * Does: message ids: 128 bit, 48 bits of time in ms, 72 random bits, 8 bits home partition; text form as ULID (26 characters of Crockford's base 32).
 * Does not: look at the store.
 * Owns: nothing.
 * Fails: id_parse() with -EINVAL for anything but 26 characters of the alphabet (either case), first one at most 7.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { ID_TEXT_LEN = 26, JOB_TEXT_MAX = ID_TEXT_LEN + 1 + 10 };

struct id {
    uint8_t bytes[16]; /* big-endian time first, home partition last */
};

/* A new id from getrandom(); unique across the cluster, not guessable (BEHAVIOURS G11). */
struct id id_new(uint64_t wall_ms, unsigned home_partition);
unsigned id_home(const struct id *id);
uint64_t id_time_ms(const struct id *id);
void id_format(const struct id *id, char ret_text[static ID_TEXT_LEN + 1]);
int id_parse(struct span text, struct id *ret_id);
bool id_equal(const struct id *a, const struct id *b);
/* "<message>.<index>"; index 0 is the job of a single-queue message or the parent of a fan-out. */
void job_format(const struct id *id, uint32_t index, char ret_text[static JOB_TEXT_MAX + 1]);
int job_parse(struct span text, struct id *ret_id, uint32_t *ret_index);
