/* SMTP replies: pieces make no difference, and what comes out is printable and bounded. The first byte is the size of a piece. */
#include <string.h>

#include "base/mem.h"
#include "mail/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes taken, or the error. */
static int feed_in_pieces(struct reply *r, struct span in, size_t piece)
{
    int sum = 0;
    while (in.len > 0 && !r->is_complete) {
        size_t len = in.len < piece ? in.len : piece;
        char *copy = mem_copy(in.at, len); /* ends where the piece ends, so that reading on is seen */
        int taken = reply_feed(r, (struct span){.at = copy, .len = len});
        mem_free(copy);
        if (taken < 0)
            return taken;
        must((size_t) taken == len || (r->is_complete && (size_t) taken < len));
        sum += taken;
        in = (struct span){.at = in.at + taken, .len = in.len - (size_t) taken};
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span in = {.at = (const char *) data + 1, .len = size - 1};
    struct reply whole = {0}, parts = {0};
    struct verdict v = {0};
    int a = feed_in_pieces(&whole, in, in.len), b = feed_in_pieces(&parts, in, (size_t) data[0] + 1);
    must(a == b && whole.is_complete == parts.is_complete);
    if (whole.is_complete) {
        must(whole.code == parts.code && strcmp(whole.status, parts.status) == 0);
        must(span_equal(buf_span(&whole.text), buf_span(&parts.text)));
        must(whole.text.len <= REPLY_TEXT_MAX && whole.line_count <= REPLY_LINES_MAX);
        for (size_t i = 0; i < whole.text.len; i++)
            must(whole.text.data[i] == '\n' || (whole.text.data[i] >= ' ' && whole.text.data[i] <= '~'));
        reply_verdict(&whole, "mx [192.0.2.1]:25", &v);
        must(strlen(v.text) <= VERDICT_TEXT_MAX && !strchr(v.text, '\n'));
        must(v.status[0] == (whole.code / 100 == 3 ? v.status[0] : (char) ('0' + whole.code / 100)));
        verdict_done(&v);
    }
    reply_done(&whole);
    reply_done(&parts);
    return 0;
}
