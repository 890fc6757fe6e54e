/* The part of a notification that returns the original (RFC 6522 section 3): its bytes as they were, or its header. */
#include <string.h>

#include "base/mem.h"
#include "mail/ascii.h"
#include "mail/dsn_part.h"

enum { LINE_BYTES_MAX = 998 };

/* What mail can carry between two line ends (RFC 5322 sections 2.1.1 and 2.3). */
static bool is_clean_line(struct span line)
{
    return line.len <= LINE_BYTES_MAX &&
           (line.len == 0 || (!memchr(line.at, '\0', line.len) && !memchr(line.at, '\r', line.len)));
}

/* The next line without its end. *ret_end: bytes of the end, 0 for a last line without one. */
static struct span next_line(struct span rest, size_t *ret_end)
{
    const char *end = memchr(rest.at, '\n', rest.len);
    struct span line = {.at = rest.at, .len = end ? (size_t) (end - rest.at) : rest.len};
    *ret_end = end ? 1 : 0;
    if (end && line.len > 0 && line.at[line.len - 1] == '\r') {
        line.len--;
        *ret_end = 2;
    }
    return line;
}

static struct span skip(struct span s, size_t count)
{
    return (struct span){.at = s.at + count, .len = s.len - count};
}

/* Nothing in it that a message inside a message must not have: message/rfc822 may not be encoded (RFC 2046 section 5.2.1). */
static bool is_clean(struct span s)
{
    while (s.len > 0) {
        size_t end;
        struct span line = next_line(s, &end);
        if (!is_clean_line(line) || end == 1)
            return false;
        s = skip(s, line.len + end);
    }
    return true;
}

/* Header fields in order, each with all its lines or not at all, until the room is used up. */
static void add_header(const struct dsn *d, size_t room, struct buf *out)
{
    struct span rest = d->original;
    size_t first = out->len, field = out->len;
    bool is_good = false; /* the field under way; none is yet */
    while (rest.len > 0) {
        size_t end;
        struct span line = next_line(rest, &end);
        bool is_cut = end == 0 && !d->original_is_whole;
        if (line.len == 0 && !is_cut)
            break;
        if (line.len == 0 || !is_blank(line.at[0])) {
            field = out->len;
            is_good = true;
        }
        is_good = is_good && !is_cut && is_clean_line(line);
        if (is_good && out->len - first + line.len + 2 > room) {
            out->len = field;
            return;
        }
        if (is_good) {
            buf_add_span(out, line);
            buf_add_text(out, "\r\n");
        } else {
            out->len = field;
        }
        rest = skip(rest, line.len + end);
    }
}

/* RFC 3461 section 4.3, RFC 8689 section 5: only what failed is returned whole, and only if the sender does not mind. */
static bool may_be_whole(const struct dsn *d)
{
    return d->recipients[0].action == DSN_FAILED && d->envelope->ret != RET_HDRS &&
           !d->envelope->requires_tls && d->original_is_whole && d->original.len > 0 &&
           d->original.len <= d->max_original_bytes;
}

/* The header section at its start. */
static struct span header_of(struct span content)
{
    struct span rest = content;
    while (rest.len > 0) {
        size_t end;
        struct span line = next_line(rest, &end);
        if (line.len == 0)
            break;
        rest = skip(rest, line.len + end);
    }
    return (struct span){.at = content.at, .len = content.len - rest.len};
}

static bool add_part(const char *type, struct span content, struct buf *out)
{
    bool is_8bit = span_has_8bit(content);
    buf_printf(out, "Content-Description: The message\r\nContent-Type: %s\r\n", type);
    if (is_8bit)
        buf_add_text(out, "Content-Transfer-Encoding: 8bit\r\n");
    buf_add_text(out, "\r\n");
    buf_add_span(out, content);
    return is_8bit;
}

/* RFC 6533 section 6; a header that is called UTF-8 is that. */
static const char *type_of_header(bool is_global, struct span header)
{
    if (!span_has_8bit(header) && !is_global)
        return "text/rfc822-headers";
    if (!span_is_utf8(header))
        return "text/rfc822-headers; charset=unknown-8bit"; /* RFC 1428 */
    return is_global ? "message/global-headers" : "text/rfc822-headers; charset=utf-8";
}

bool dsn_add_original(const struct dsn *d, size_t room, struct buf *out)
{
    enum { PART_HEAD_MAX = 160 };
    must(room > PART_HEAD_MAX);
    room -= PART_HEAD_MAX;
    bool is_global = d->envelope->has_utf8_header && span_is_utf8(header_of(d->original));
    if (may_be_whole(d) && d->original.len <= room && is_clean(d->original))
        return add_part(is_global ? "message/global" : "message/rfc822", d->original, out);
    AUTO_BUF struct buf header = {0};
    add_header(d, room, &header);
    return add_part(type_of_header(d->envelope->has_utf8_header, buf_span(&header)), buf_span(&header), out);
}
