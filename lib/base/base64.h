/*
 * Does: base64 (RFC 4648 section 4): standard alphabet, padded, in one line.
 * Does not: forgive: a character outside the alphabet, a space, missing or misplaced padding and bits that say nothing but are set are refused.
 * Owns: nothing.
 * Fails: -EINVAL: not base64 as it must be; the output is as it was.
 */
#pragma once

#include "base/buf.h"

void base64_encode(struct span bytes, struct buf *out);
/* The empty text gives no bytes. */
int base64_decode(struct span text, struct buf *out);
