/* gzip by zlib. Without a time or a name in its head. */
#include "io/gzip.h"

#include <zlib.h>

#include "base/mem.h"

enum { WINDOW_BITS = 15, AS_GZIP = 16, MEMORY_LEVEL = 8 };

void gzip_pack(struct span bytes, struct buf *out)
{
    z_stream z = {.next_in = (Bytef *) (uintptr_t) bytes.at, .avail_in = (uInt) bytes.len};
    uLong room;
    int r = deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, WINDOW_BITS + AS_GZIP, MEMORY_LEVEL,
                         Z_DEFAULT_STRATEGY);

    must(r == Z_OK && bytes.len == z.avail_in); /* it fails without memory only */
    room = deflateBound(&z, (uLong) bytes.len);
    z.next_out = (Bytef *) buf_reserve(out, room);
    z.avail_out = (uInt) room;
    r = deflate(&z, Z_FINISH);
    must(r == Z_STREAM_END);
    buf_commit(out, room - z.avail_out);
    (void) deflateEnd(&z); /* only frees */
}
