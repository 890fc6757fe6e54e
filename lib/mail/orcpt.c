/* Recipients in ORCPT and in reports: xtext of RFC 3461 section 4, and the utf-8 address type of RFC 6533 section 3. */
#include "mail/orcpt.h"

#include <string.h>

#include "mail/ascii.h"
#include "mail/xtext.h"

bool xtext_is_sound(struct span xtext)
{
    AUTO_BUF struct buf text = {0};

    return xtext_decode(xtext, false, &text) == 0;
}

bool orcpt_is_sound(struct span orcpt)
{
    struct span rest = orcpt, type = span_cut(&rest, ';');

    AUTO_BUF struct buf text = {0};

    return type.len > 0 && rest.len > 0 && xtext_is_sound(type) &&
           xtext_decode(rest, span_equal_nocase(type, SPAN("utf-8")), &text) == 0;
}

/* ---- the utf-8 address type ---- */

/* A well-formed character above ASCII, len bytes. */
static uint32_t code_point(struct span s, size_t len)
{
    static const unsigned char first_bits[] = {0, 0, 0x1f, 0x0f, 0x07};
    uint32_t point = (unsigned char) s.at[0] & first_bits[len];

    for (size_t i = 1; i < len; i++)
        point = point << 6 | ((unsigned char) s.at[i] & 0x3f);
    return point;
}

/* What RFC 6533 calls QCHAR may stand as it is. */
static bool must_be_quoted(char c)
{
    return !is_printable(c) || c == ' ' || c == '+' || c == '=' || c == '\\';
}

/* is_encoded: quoted already where ASCII needs it. */
static void add_utf8(struct span text, bool is_encoded, bool is_ascii, struct buf *out)
{
    for (size_t i = 0, len; i < text.len; i += len) {
        struct span rest = {text.at + i, text.len - i};

        len = (unsigned char) text.at[i] <= 0x7f ? 1 : span_utf8_len(rest);
        if (len == 0) {
            buf_add_char(out, '?');
            len = 1;
        } else if (len == 1 && !is_encoded && must_be_quoted(text.at[i])) {
            buf_printf(out, "\\x{%X}", (unsigned) (unsigned char) text.at[i]);
        } else if (len > 1 && is_ascii) {
            buf_printf(out, "\\x{%X}", (unsigned) code_point(rest, len));
        } else {
            buf_add(out, rest.at, len);
        }
    }
}

void orcpt_add_ascii(struct span orcpt, struct buf *out)
{
    add_utf8(orcpt, true, true, out);
}

void orcpt_add_addr(struct span addr, bool is_ascii, struct buf *out)
{
    for (size_t i = 0; i < addr.len; i++) {
        if ((unsigned char) addr.at[i] > 0x7f) {
            buf_add_text(out, "utf-8;");
            add_utf8(addr, false, is_ascii, out);
            return;
        }
    }
    buf_add_text(out, "rfc822;");
    buf_add_span(out, addr);
}

/* ---- xtext ---- */

void xtext_add_decoded(struct span xtext, struct buf *out)
{
    if (xtext_decode(xtext, false, out) < 0) /* BEHAVIOURS K14 */
        buf_add_span(out, xtext);
}

void orcpt_add_decoded(struct span orcpt, bool is_ascii, struct buf *out)
{
    struct span rest = orcpt, type = span_cut(&rest, ';');

    add_utf8(type, true, true, out);
    buf_add_char(out, ';');
    if (span_equal_nocase(type, SPAN("utf-8")))
        add_utf8(rest, true, is_ascii, out);
    else
        xtext_add_decoded(rest, out);
}
