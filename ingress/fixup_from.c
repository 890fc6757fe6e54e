/*
 * The From field as one mailbox, or nothing. Readers differ about what is not plain: a comment, a second address, a group, an address that
 * stands in front of the brackets. Whoever shows another address than the one that was checked has been lied to, so only what all read alike
 * passes (RFC 5322 section 3.4: name-addr or addr-spec, without comments).
 */
#include <string.h>

#include "ingress/fixup.h"
#include "mail/ascii.h"

/* Unfolds: a line end that a blank follows, and the last one, are gone. False: another one, or a byte that hides what is read. */
static bool unfold(struct span value, struct buf *out)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        bool is_end = c == '\r' && i + 1 < value.len && value.at[i + 1] == '\n';
        if (is_end && (i + 2 == value.len || is_blank(value.at[i + 2]))) {
            i++;
            continue;
        }
        if ((unsigned char) c < ' ' && c != '\t')
            return false;
        if (c == 0x7f)
            return false;
        buf_add_char(out, c == '\t' ? ' ' : c);
    }
    return true;
}

/* The length of a quoted string, 0: it does not end. */
static size_t quoted_len(struct span s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.at[i] == '\\')
            i++;
        else if (s.at[i] == '"')
            return i + 1;
    }
    return 0;
}

/* Where the brackets begin behind a display name; s.len: there are none. False: what is before is no plain name. */
static bool find_bracket(struct span s, size_t *ret_at)
{
    size_t i = 0;
    while (i < s.len && s.at[i] != '<') {
        size_t len = 1;
        if (s.at[i] == '"')
            len = quoted_len((struct span){.at = s.at + i, .len = s.len - i});
        else if (memchr("()>@,;:\\[]", s.at[i], 10))
            len = 0;
        if (len == 0)
            return false;
        i += len;
    }
    *ret_at = i;
    return true;
}

bool fixup_parse_from(struct span value, struct buf *ret_addr)
{
    AUTO_BUF struct buf text = {.data = NULL};
    struct addr addr;
    size_t at;
    if (!unfold(value, &text))
        return false;
    struct span s = span_trim(buf_span(&text));
    if (!span_is_text(s))
        return false;
    if (addr_parse_utf8(s, &addr) == 0) { /* bare */
        buf_add_span(ret_addr, addr.whole);
        return true;
    }
    if (!find_bracket(s, &at) || at == s.len)
        return false;
    struct span path = {.at = s.at + at, .len = s.len - at};
    if (path.len < 2 || path.at[1] == '@') /* a route: some would show its first host */
        return false;
    int len = addr_parse_path_utf8(path, &addr);
    if (len < 0 || (size_t) len != path.len || addr.domain.len == 0)
        return false;
    buf_add_span(ret_addr, addr.whole);
    return true;
}
