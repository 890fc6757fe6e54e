/* Bus frames: any bytes are refused or read; what was read can be written and read again. */
#include "base/mem.h"
#include "cluster/wire.h"
#include "io/bus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_BUF struct buf again = {0};
    struct frame f, same;
    if (wire_get_frame((struct span){.at = (const char *) data, .len = size}, &f))
        return 0;
    wire_put_frame(&f, &again);
    if (again.len <= BUS_FRAME_MAX) {
        must(!wire_get_frame(buf_span(&again), &same));
        must(same.ring_count == f.ring_count && same.grant_count == f.grant_count &&
             same.report_count == f.report_count);
        frame_done(&same);
    }
    frame_done(&f);
    return 0;
}
