/*
 * Frames: whatever comes from the store, no more than allowed is unpacked, and nothing of what is refused; what was packed comes back, and not
 * when it was damaged or has company. The first byte is the most that is allowed, in units of 16, and the bit to damage.
 */
#include <errno.h>

#include "base/mem.h"
#include "io/zstd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_unpacked(struct zstd *z, struct span frame, size_t most)
{
    AUTO_BUF struct buf block = {0};
    int r = zstd_unpack(z, frame, most, &block);

    if (r == 0)
        must(block.len > 0 && block.len <= most);
    else
        must(r == -EBADMSG && block.len == 0);
}

static void check_packed(struct zstd *z, struct span block, uint8_t bit)
{
    static const char skipped[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}; /* a frame that decoders pass over */
    AUTO_BUF struct buf frame = {0}, back = {0};

    zstd_pack(z, block, &frame);
    must(zstd_unpack(z, buf_span(&frame), block.len - 1, &back) == -EBADMSG);
    must(zstd_unpack(z, buf_span(&frame), block.len, &back) == 0);
    must(span_equal(buf_span(&back), block));
    buf_done(&back);

    size_t at = ((size_t) bit * frame.len / 256 * 8 + bit) / 8 % frame.len;
    frame.data[at] = (char) (frame.data[at] ^ 1 << bit % 8);
    if (zstd_unpack(z, buf_span(&frame), block.len, &back) == 0)
        must(span_equal(buf_span(&back), block)); /* a bit that says nothing */
    frame.data[at] = (char) (frame.data[at] ^ 1 << bit % 8);
    back.len = 0;

    buf_add(&frame, skipped, sizeof skipped);
    must(zstd_unpack(z, buf_span(&frame), block.len, &back) == -EBADMSG && back.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct zstd *z;

    if (size < 3)
        return 0;
    if (!z)
        z = zstd_new();
    struct span in = {.at = (const char *) data + 1, .len = size - 1};
    check_unpacked(z, in, (size_t) data[0] * 16);
    check_packed(z, in, data[0]);
    return 0;
}
