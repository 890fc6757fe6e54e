/*
 * Does: packs and unpacks blocks of bytes, each as one frame that needs no other.
 * Does not: stream, or decide what is worth packing.
 * Owns: its working memory, made at first use: up to 600 KiB to pack, 100 KiB to unpack, whatever the blocks hold.
 * Fails: zstd_unpack() with -EBADMSG: not one whole frame, damaged, or larger than allowed; out is as it was.
 * Calls: libzstd, named in zstd.c only.
 */
#pragma once

#include "base/buf.h"

struct zstd;
struct zstd *zstd_new(void);
struct zstd *zstd_free(struct zstd *z); /* always NULL */
/* Appends one frame that tells its size and carries a checksum: at most ZSTD_OVERHEAD longer than a block of up to 1 MiB. */
enum { ZSTD_OVERHEAD = 64 };
void zstd_pack(struct zstd *z, struct span block, struct buf *out);
/* Appends the block, which is 1 to max_len bytes long. No more is ever allocated or written. */
int zstd_unpack(struct zstd *z, struct span frame, size_t max_len, struct buf *out);
