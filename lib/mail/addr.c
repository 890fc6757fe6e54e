/* Paths and addresses: the grammar of RFC 5321 section 4.1.2, walked once from left to right. */
#include "mail/addr.h"

#include <errno.h>
#include <string.h>

#include "mail/ascii.h"

static struct span span_after(struct span s, size_t count)
{
    return (struct span){.at = s.at + count, .len = s.len - count};
}

static bool is_at(struct span s, size_t i, char c)
{
    return i < s.len && s.at[i] == c;
}

static bool is_atext(char c)
{
    return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Bytes of the character at i: 1 in ASCII, more above it where that is allowed; 0: not a character there. */
static size_t char_len(struct span s, size_t i, bool is_utf8)
{
    if ((unsigned char) s.at[i] < 0x80)
        return 1;
    return is_utf8 ? span_utf8_len(span_after(s, i)) : 0;
}

/* Bytes of the Dot-string at the start of s; 0: there is none. */
static size_t dot_string_len(struct span s, bool is_utf8)
{
    bool is_atom_due = true;
    size_t i = 0;
    while (i < s.len) {
        size_t step = char_len(s, i, is_utf8);
        if (step > 1 || (step == 1 && is_atext(s.at[i]))) {
            is_atom_due = false;
        } else if (s.at[i] == '.') {
            if (is_atom_due)
                return 0;
            is_atom_due = true;
        } else {
            break;
        }
        i += step;
    }
    return is_atom_due ? 0 : i;
}

/* Bytes of the Quoted-string at the start of s, its quotes included; 0: there is none. */
static size_t quoted_string_len(struct span s, bool is_utf8)
{
    size_t step;
    if (!is_at(s, 0, '"'))
        return 0;
    for (size_t i = 1; i < s.len; i += step) {
        if (s.at[i] == '"')
            return i + 1;
        if (s.at[i] == '\\' && (++i == s.len || !is_printable(s.at[i])))
            return 0;
        step = char_len(s, i, is_utf8);
        if (step == 0 || (step == 1 && !is_printable(s.at[i])))
            return 0;
    }
    return 0;
}

/* Bytes that could be a domain at the start of s. */
static size_t domain_text_len(struct span s, bool is_utf8)
{
    size_t i = 0, step = 1;
    while (i < s.len && step > 0) {
        step = char_len(s, i, is_utf8);
        if (step == 1 && !is_alnum(s.at[i]) && s.at[i] != '-' && s.at[i] != '.' && s.at[i] != '_')
            break;
        i += step;
    }
    return i;
}

/* Bytes of the address literal at the start of s, brackets included; -EINVAL: no address in it. */
static int literal_len(struct span s)
{
    const char *end = memchr(s.at, ']', s.len);
    if (!end)
        return -EINVAL;
    struct span inside = {.at = s.at + 1, .len = (size_t) (end - s.at) - 1};
    bool is_v6 = memchr(inside.at, ':', inside.len) != NULL;
    struct ip ip;
    if (ip_parse(inside, &ip) < 0 || is_v6 != span_starts_nocase(inside, SPAN("IPv6:")) ||
        memchr(inside.at, '%', inside.len))
        return -EINVAL;
    return (int) inside.len + 2;
}

/* A Mailbox at the start of s; returns the bytes taken. A part that is too long is told apart, for grammar goes first. */
static int take_mailbox(struct span s, bool is_utf8, struct addr *ret_addr, bool *ret_is_too_long)
{
    size_t local_len = is_at(s, 0, '"') ? quoted_string_len(s, is_utf8) : dot_string_len(s, is_utf8);
    if (local_len == 0 || !is_at(s, local_len, '@'))
        return -EINVAL;
    struct span rest = span_after(s, local_len + 1);
    bool is_literal = is_at(rest, 0, '[');
    size_t domain_len = domain_text_len(rest, is_utf8);
    bool is_too_long = local_len > LOCAL_MAX;
    if (is_literal) {
        int r = literal_len(rest);
        if (r < 0)
            return r;
        domain_len = (size_t) r;
    } else {
        struct span domain = {.at = rest.at, .len = domain_len};
        int r = is_utf8 ? domain_check_utf8(domain) : domain_check(domain);
        if (r == -EINVAL)
            return r;
        is_too_long = is_too_long || r == -E2BIG;
    }
    size_t len = local_len + 1 + domain_len;
    *ret_is_too_long = is_too_long || len > PATH_MAX_LEN - 2;
    *ret_addr = (struct addr){
        .whole = {.at = s.at, .len = len},
        .local = {.at = s.at, .len = local_len},
        .domain = {.at = rest.at, .len = domain_len},
        .is_literal = is_literal,
    };
    return len > PATH_MAX_LEN ? PATH_MAX_LEN + 1 : (int) len;
}

/* Bytes of the source route "@a,@b:" at the start of s (RFC 5321 appendix C), 0 when there is none. */
static int route_len(struct span s)
{
    size_t i = 0;
    while (is_at(s, i, '@')) {
        struct span rest = span_after(s, i + 1);
        size_t len = domain_text_len(rest, false);
        if (domain_check((struct span){.at = rest.at, .len = len}) < 0)
            return -EINVAL;
        i += 1 + len;
        if (is_at(s, i, ':'))
            return i + 1 > PATH_MAX_LEN ? -E2BIG : (int) i + 1;
        if (!is_at(s, i, ',') || !is_at(s, i + 1, '@'))
            return -EINVAL;
        i++;
    }
    return 0;
}

static int parse_path(struct span s, bool is_utf8, struct addr *ret_addr)
{
    if (!is_at(s, 0, '<'))
        return -EINVAL;
    if (is_at(s, 1, '>')) {
        *ret_addr = (struct addr){
            .whole = {.at = s.at + 1}, .local = {.at = s.at + 1}, .domain = {.at = s.at + 1}};
        return 2;
    }
    int skipped = route_len(span_after(s, 1));
    if (skipped < 0)
        return skipped;
    size_t start = 1 + (size_t) skipped;
    struct span rest = span_after(s, start);
    struct addr addr = {0};
    bool is_too_long = false;
    size_t word = dot_string_len(rest, false);
    struct span local = {.at = rest.at, .len = word};
    if (skipped == 0 && is_at(rest, word, '>') && span_equal_nocase(local, SPAN("postmaster"))) {
        *ret_addr = (struct addr){.whole = local, .local = local, .domain = {.at = rest.at + word}};
        return (int) (start + word) + 1;
    }
    int len = take_mailbox(rest, is_utf8, &addr, &is_too_long);
    if (len < 0)
        return len;
    size_t end = start + addr.whole.len;
    if (!is_at(s, end, '>'))
        return -EINVAL;
    if (is_too_long || end + 1 > PATH_MAX_LEN)
        return -E2BIG;
    *ret_addr = addr;
    return (int) end + 1;
}

int addr_parse_path(struct span s, struct addr *ret_addr)
{
    return parse_path(s, false, ret_addr);
}

int addr_parse_path_utf8(struct span s, struct addr *ret_addr)
{
    return parse_path(s, true, ret_addr);
}

static int parse_bare(struct span s, bool is_utf8, struct addr *ret_addr)
{
    struct addr addr = {0};
    bool is_too_long = false;
    int len = take_mailbox(s, is_utf8, &addr, &is_too_long);
    if (len < 0)
        return len;
    if (addr.whole.len != s.len)
        return -EINVAL;
    if (is_too_long)
        return -E2BIG;
    *ret_addr = addr;
    return 0;
}

int addr_parse(struct span s, struct addr *ret_addr)
{
    return parse_bare(s, false, ret_addr);
}

int addr_parse_utf8(struct span s, struct addr *ret_addr)
{
    return parse_bare(s, true, ret_addr);
}

bool addr_has_route(const struct addr *addr)
{
    bool is_quoted = is_at(addr->local, 0, '"');
    for (size_t i = 0; i < addr->local.len; i++) {
        char c = addr->local.at[i];
        if (c == '%' || c == '!' || (is_quoted && (c == '@' || c == ':')))
            return true;
    }
    return false;
}
