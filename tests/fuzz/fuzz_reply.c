/*
 * SMTP replies, one after the other: pieces make no difference, and what comes out is printable, bounded and says what the digits say. The
 * first byte is the size of a piece.
 */
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

/* "2.1.5": three numbers of at most three digits, the first one the class. */
static void check_status(const char *status, unsigned class)
{
    unsigned dots = 0, digits = 0;
    must(status[0] == (char) ('0' + class) && status[1] == '.');
    for (const char *c = status; *c; c++) {
        must(*c == '.' || (*c >= '0' && *c <= '9'));
        digits = *c == '.' ? 0 : digits + 1;
        must(*c == '.' ? c[1] && c[1] != '.' : digits <= 3);
        dots += *c == '.';
    }
    must(dots == 2);
}

static void check_reply(const struct reply *r)
{
    struct verdict v = {0};
    must(r->code >= 200 && r->code < 600 && r->line_count > 0 && r->line_count <= REPLY_LINES_MAX);
    must(r->text.len <= REPLY_TEXT_MAX);
    for (size_t i = 0; i < r->text.len; i++)
        must(r->text.data[i] == '\n' || (r->text.data[i] >= ' ' && r->text.data[i] <= '~'));
    if (r->status[0] != '\0')
        check_status(r->status, r->code / 100);
    reply_verdict(r, "mx [192.0.2.1]:25", &v);
    must(strlen(v.text) <= VERDICT_TEXT_MAX && !strchr(v.text, '\n') && v.from_remote && v.code == r->code);
    must((v.class == VERDICT_DELIVERED) == (r->code < 400) &&
         (v.class == VERDICT_FAILED) == (r->code >= 500));
    check_status(v.status, v.class == VERDICT_DELIVERED && v.status[0] == '3' ? 3
                           : v.class == VERDICT_DELIVERED                     ? 2
                                                                              : r->code / 100);
    verdict_done(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span in = {.at = (const char *) data + 1, .len = size - 1};
    struct reply whole = {0}, parts = {0};
    while (in.len > 0) {
        int a = feed_in_pieces(&whole, in, in.len), b = feed_in_pieces(&parts, in, (size_t) data[0] + 1);
        must(a == b && whole.is_complete == parts.is_complete);
        if (!whole.is_complete)
            break;
        must(whole.code == parts.code && strcmp(whole.status, parts.status) == 0);
        must(span_equal(buf_span(&whole.text), buf_span(&parts.text)) &&
             whole.line_count == parts.line_count);
        check_reply(&whole);
        reply_clear(&whole);
        reply_clear(&parts);
        in = (struct span){.at = in.at + a, .len = in.len - (size_t) a};
    }
    reply_done(&whole);
    reply_done(&parts);
    return 0;
}
