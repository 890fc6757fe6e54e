/*
 * Does: reads a notification back by RFC 5322, 2046, 2045, 6522 and 3464 alone, for fuzz_dsn.c: what is not as these have it is a bug.
 * Does not: share a line with the writer.
 * Owns: nothing: spans point into the message; fields that were folded come out in the caller's buffer.
 * Fails: must(): the fuzzer's find.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

enum { READ_PARTS = 3 };

struct read_part {
    struct span header, body; /* lines with CRLF; of the body the last CRLF belongs to the delimiter */
};

struct read_dsn {
    struct span header;
    struct read_part parts[READ_PARTS];
};

/* The whole message: lines, fields that may stand there, encodings, delimiters. */
void read_dsn(struct span message, struct read_dsn *ret_dsn);
/* How many fields of that name there are; the last one's value, unfolded, in out. */
size_t read_field(struct span header, const char *name, struct buf *out);
/* Every field is one of these: names separated by spaces, a '!' behind one that must be there; each at most once. */
void read_names(struct span header, const char *names);
/* The next group of fields of a report; false: there is none. */
bool read_group(struct span *rest, struct span *ret_group);
/* The human part as text in UTF-8. */
void read_words(const struct read_part *part, struct buf *out);
