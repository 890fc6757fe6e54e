/*
 * Does: packs bytes as one gzip member (RFC 1952), always the same for the same bytes.
 * Does not: unpack, or stream.
 * Owns: nothing.
 * Fails: never.
 * Calls: zlib, named in gzip.c only.
 */
#pragma once

#include "base/buf.h"

/* Appends. */
void gzip_pack(struct span bytes, struct buf *out);
