/*
 * PROXY headers: any bytes are refused, or not enough, or a header within the bytes given. Once known, more bytes change nothing: neither its
 * length, nor whose it is, nor that it is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const struct proxy_header *h, struct span header)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_line = header.at[0] == 'P';

    must(header.len <= (is_line ? PROXY_LINE_MAX : PROXY_HEADER_MAX));
    must(!is_line || memcmp(header.at + header.len - 2, "\r\n", 2) == 0);
    must(!is_line || !memchr(header.at, '\n', header.len - 1));
    must(h->ip.scope == 0);
    must(h->is_local || h->ip.is_v4 == (memcmp(h->ip.bytes, mapped, sizeof mapped) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int known = 0;
    struct proxy_header first = {.is_local = false};

    for (size_t len = 0; len <= size; len++) {
        char *part = malloc(len ? len : 1); /* exactly so long: the sanitizer sees who reads on */
        struct proxy_header h = {.is_local = false};
        must(part);
        memcpy(part, data, len);
        int r = proxy_parse((struct span){.at = part, .len = len}, &h);
        must(r == 0 || r == -EBADMSG || (r > 0 && (size_t) r <= len));
        must(known == 0 || r == known);
        if (r > 0) {
            check_header(&h, (struct span){.at = part, .len = (size_t) r});
            must(known == 0 ||
                 (first.is_local == h.is_local && ip_equal(&first.ip, &h.ip) && first.port == h.port));
            first = h;
        }
        known = r;
        free(part);
        if (known != 0)
            len += (size - len) / 2; /* a few more are enough */
    }
    return 0;
}
