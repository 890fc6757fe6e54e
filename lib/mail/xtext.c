/* xtext: decoded first, judged after: what counts is what a reader further on will see. */
#include "mail/xtext.h"

#include <errno.h>

#include "mail/ascii.h"

/* 0 to 15, or -1. */
static int digit_of(char c)
{
    if (is_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One line of text: printable ASCII, and whole characters above it where they are allowed. */
static bool is_text(struct span s, bool allows_utf8)
{
    for (size_t i = 0, step; i < s.len; i += step) {
        bool is_ascii = (unsigned char) s.at[i] < 0x80;
        struct span rest = {.at = s.at + i, .len = s.len - i};
        step = is_ascii ? (size_t) is_printable(s.at[i]) : allows_utf8 ? span_utf8_len(rest) : 0;
        if (step == 0)
            return false;
    }
    return true;
}

int xtext_decode(struct span xtext, bool allows_utf8, struct buf *out)
{
    char *to = buf_reserve(out, xtext.len);
    size_t len = 0;
    for (size_t i = 0; i < xtext.len; i++) {
        char c = xtext.at[i];
        if (c == '=' || c == ' ')
            return -EINVAL;
        if (c == '+') {
            int high = i + 2 < xtext.len ? digit_of(xtext.at[i + 1]) : -1;
            int low = i + 2 < xtext.len ? digit_of(xtext.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -EINVAL;
            c = (char) (high << 4 | low);
            i += 2;
        }
        to[len++] = c;
    }
    if (!is_text((struct span){.at = to, .len = len}, allows_utf8))
        return -EINVAL;
    buf_commit(out, len);
    return 0;
}

void xtext_encode(struct span text, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char) text.at[i];
        if (c > ' ' && c <= '~' && c != '+' && c != '=') {
            buf_add_char(out, (char) c);
        } else {
            buf_add_char(out, '+');
            buf_add_char(out, digits[c >> 4]);
            buf_add_char(out, digits[c & 15]);
        }
    }
}
