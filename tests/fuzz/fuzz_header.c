/* Header scan: pieces make no difference. First byte: size of a piece; second: limits. */
#include <string.h>

#include "base/mem.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void scan_in_pieces(struct header_scan *h, struct header_limits limits, struct span in, size_t piece)
{
    header_scan_init(h, limits);
    while (in.len > 0) {
        size_t len = in.len < piece ? in.len : piece;
        char *copy = mem_copy(in.at, len);
        header_scan_feed(h, (struct span){.at = copy, .len = len});
        mem_free(copy);
        in = (struct span){.at = in.at + len, .len = in.len - len};
    }
    header_scan_end(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    static struct header_scan whole, parts;
    struct header_limits limits = {
        .size_bytes = 20 + data[1] * 16u, .fields = 1 + data[1] % 32u, .hops = data[1] / 32u};
    struct span in = {.at = (const char *) data + 2, .len = size - 2};
    scan_in_pieces(&whole, limits, in, in.len);
    scan_in_pieces(&parts, limits, in, (size_t) data[0] + 1);
    must(whole.fault == parts.fault && whole.is_over == parts.is_over &&
         whole.starts_with_body == parts.starts_with_body);
    must(whole.fields == parts.fields && whole.hops == parts.hops &&
         strcmp(whole.message_id, parts.message_id) == 0);
    must(whole.is_auto_submitted == parts.is_auto_submitted);
    must(whole.fault != HEADER_OK ||
         (whole.is_over && whole.size_bytes == parts.size_bytes && whole.size_bytes <= in.len));

    AUTO_BUF struct buf out = {0};
    struct ip ip = {.is_v4 = true};
    char *name = mem_text(in.at, in.len < 300 ? in.len : 300);
    struct received r = {
        .helo = in, .client_name = name, .client_ip = &ip, .by = name, .only_recipient = name};
    received_add(&r, &out);
    must(out.len < 2000 && out.data[out.len - 1] == '\n');
    for (size_t i = 0; i < out.len; i++)
        must(out.data[i] == '\r' ? out.data[i + 1] == '\n' && (i + 2 == out.len || out.data[i + 2] == ' ')
                                 : out.data[i] == '\n' || (out.data[i] >= ' ' && out.data[i] <= '~'));
    mem_free(name);
    return 0;
}
