/* zstd frames. The frame's header says how long the block is; it is believed only up to what the caller allows. */
#include "io/zstd.h"

#include <errno.h>
#include <zstd.h>

#include "base/mem.h"

enum {
    LEVEL = 1
}; /* 2 and 3 save a hundredth more of mail, for a tenth to a third more time (docs/choices.md) */

struct zstd {
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
};

struct zstd *zstd_new(void)
{
    return NEW(struct zstd);
}

struct zstd *zstd_free(struct zstd *z)
{
    if (!z)
        return NULL;
    (void) ZSTD_freeCCtx(z->packer);
    (void) ZSTD_freeDCtx(z->unpacker);
    return mem_free(z);
}

static ZSTD_CCtx *packer_of(struct zstd *z)
{
    if (z->packer)
        return z->packer;
    z->packer = ZSTD_createCCtx();
    must(z->packer);
    must(!ZSTD_isError(ZSTD_CCtx_setParameter(z->packer, ZSTD_c_compressionLevel, LEVEL)));
    must(!ZSTD_isError(ZSTD_CCtx_setParameter(z->packer, ZSTD_c_checksumFlag, 1)));
    return z->packer;
}

void zstd_pack(struct zstd *z, struct span block, struct buf *out)
{
    size_t room = ZSTD_compressBound(block.len);
    char *at = buf_reserve(out, room);
    size_t len = ZSTD_compress2(packer_of(z), at, room, block.at, block.len);

    must(!ZSTD_isError(len)); /* it fails without memory only, and a node without memory ends */
    must(len <= block.len + ZSTD_OVERHEAD);
    buf_commit(out, len);
}

int zstd_unpack(struct zstd *z, struct span frame, size_t max_len, struct buf *out)
{
    unsigned long long told = ZSTD_getFrameContentSize(frame.at, frame.len);

    if (told == ZSTD_CONTENTSIZE_UNKNOWN || told == ZSTD_CONTENTSIZE_ERROR || told == 0 || told > max_len)
        return -EBADMSG;
    if (ZSTD_findFrameCompressedSize(frame.at, frame.len) != frame.len) /* an error is a larger number */
        return -EBADMSG;
    if (!z->unpacker)
        z->unpacker = ZSTD_createDCtx();
    must(z->unpacker);
    size_t len = ZSTD_decompressDCtx(z->unpacker, buf_reserve(out, told), told, frame.at, frame.len);
    if (ZSTD_isError(len) || len != told)
        return -EBADMSG;
    buf_commit(out, len);
    return 0;
}
