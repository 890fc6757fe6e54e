/*
 * Header sections at submission: whatever the content and wherever it is cut, what is given out is what a plain walk over the lines makes of it,
 * byte for byte; mended again it is the same; and an address of From is there only where there is one From. First byte: the rules; second: the cut.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/fixup.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fixup_facts facts = {.wall_ms = UINT64_C(1795331745000),
                                         .message_id = "<made@mx.example>"};

/* ---- what it should be */

static struct span cut_line(struct span *rest)
{
    const char *end = memchr(rest->at, '\n', rest->len);
    struct span line = {.at = rest->at, .len = end ? (size_t) (end - rest->at) + 1 : rest->len};
    *rest = (struct span){.at = rest->at + line.len, .len = rest->len - line.len};
    return line;
}

static bool is_field(struct span line, const char *name)
{
    size_t len = strlen(name);
    if (!span_starts_nocase(line, span_of(name)))
        return false;
    while (len < line.len && (line.at[len] == ' ' || line.at[len] == '\t'))
        len++;
    return len < line.len && line.at[len] == ':';
}

static bool is_empty(struct span line)
{
    return span_equal(line, SPAN("\r\n")) || span_equal(line, SPAN("\n")) || span_equal(line, SPAN("\r"));
}

static void expect(struct fixup_rules rules, struct span content, bool is_body, struct buf *out,
                   unsigned *ret_from_count)
{
    AUTO_BUF struct buf kept = {.data = NULL};
    struct span rest = content;
    bool has_date = false, has_id = false, is_removed = false;

    *ret_from_count = 0;
    while (!is_body && rest.len > 0) {
        struct span before = rest, line = cut_line(&rest);
        bool is_empty_line = is_empty(line) && (line.at[line.len - 1] == '\n' || rest.len == 0);
        if (line.at[0] != ' ' && line.at[0] != '\t') {
            has_date = has_date || is_field(line, "Date");
            has_id = has_id || is_field(line, "Message-ID");
            *ret_from_count += is_field(line, "From");
            is_removed = rules.removes_bcc && (is_field(line, "Bcc") || is_field(line, "Resent-Bcc"));
        }
        if (is_empty_line) {
            rest = before;
            break;
        }
        if (!is_removed)
            buf_add_span(&kept, line);
    }
    if (rules.adds_fields && !has_date)
        buf_add_text(out, "Date: Sun, 22 Nov 2026 07:15:45 +0000\r\n");
    if (rules.adds_fields && !has_id)
        buf_add_text(out, "Message-ID: <made@mx.example>\r\n");
    if (is_body)
        buf_add_text(out, "\r\n");
    buf_add_span(out, buf_span(&kept));
    buf_add_span(out, rest);
}

/* ---- what it is */

static void feed(struct fixup *f, struct span piece, struct buf *out)
{
    while (piece.len > 0) {
        struct span given;
        char *copy = malloc(piece.len); /* exactly so long, and gone after the call */
        must(copy);
        memcpy(copy, piece.at, piece.len);
        size_t used = fixup_feed(f, (struct span){.at = copy, .len = piece.len}, &facts, &given);
        must(used > 0 && used <= piece.len);
        buf_add_span(out, given);
        free(copy);
        piece = (struct span){.at = piece.at + used, .len = piece.len - used};
    }
}

static char *mend(struct fixup_rules rules, struct span content, size_t cut, struct buf *out)
{
    struct fixup f = {.rules = rules};
    struct span given;
    struct addr addr;

    if (content.len == 0)
        content.at = "";
    cut = cut < content.len ? cut : content.len;
    feed(&f, (struct span){.at = content.at, .len = cut}, out);
    feed(&f, (struct span){.at = content.at + cut, .len = content.len - cut}, out);
    fixup_end(&f, &facts, &given);
    buf_add_span(out, given);
    char *from = fixup_from(&f, &addr) ? mem_text(addr.whole.at, addr.whole.len) : NULL;
    fixup_done(&f);
    return from;
}

static bool begins_with_body(struct span content)
{
    struct header_scan scan;

    header_scan_init(
        &scan, (struct header_limits){.size_bytes = UINT64_MAX, .fields = UINT64_MAX, .hops = UINT64_MAX});
    header_scan_feed(&scan, content);
    header_scan_end(&scan);
    return scan.starts_with_body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_BUF struct buf once = {.data = NULL}, again = {.data = NULL}, wanted = {.data = NULL};
    unsigned from_count;

    if (size < 2 || size > 16384)
        return 0;
    struct fixup_rules rules = {
        .adds_fields = data[0] & 1, .removes_bcc = data[0] & 2, .checks_from = data[0] & 4};
    struct span content = {.at = (const char *) data + 2, .len = size - 2};
    char *from = mend(rules, content, data[1], &once);
    expect(rules, content, begins_with_body(content), &wanted, &from_count);
    must(span_equal(buf_span(&once), buf_span(&wanted)));
    must(!from ||
         (rules.checks_from && from_count == 1 && memmem(content.at, content.len, from, strlen(from))));
    bool is_body = begins_with_body(
        buf_span(&once)); /* a line that is no field stood behind the Bcc that was first */
    char *same = mend(rules, buf_span(&once), once.len, &again);
    must(is_body || span_equal(buf_span(&once), buf_span(&again)));
    must(is_body || !from || (same && strcmp(from, same) == 0));
    mem_free(from);
    mem_free(same);
    return 0;
}
