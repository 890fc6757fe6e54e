/* Growing byte buffers and borrowed spans. */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

enum { BUF_FIRST_BYTES = 64 };

struct span span_of(const char *text)
{
    return text ? (struct span){.at = text, .len = strlen(text)} : (struct span){.at = NULL};
}

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char) c;
    return u >= 'A' && u <= 'Z' ? (unsigned char) (u | 0x20) : u;
}

static bool equal_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

bool span_equal_nocase(struct span a, struct span b)
{
    return a.len == b.len && equal_nocase(a.at, b.at, a.len);
}

bool span_starts_nocase(struct span s, struct span prefix)
{
    return s.len >= prefix.len && equal_nocase(s.at, prefix.at, prefix.len);
}

bool span_has_8bit(struct span s)
{
    uint64_t all = 0, eight;
    size_t i = 0;
    for (; i + sizeof eight <= s.len; i += sizeof eight) {
        memcpy(&eight, s.at + i, sizeof eight);
        all |= eight;
    }
    for (; i < s.len; i++)
        all |= (unsigned char) s.at[i];
    return all & UINT64_C(0x8080808080808080);
}

struct span span_trim(struct span s)
{
    while (s.len && (*s.at == ' ' || *s.at == '\t')) {
        s.at++;
        s.len--;
    }
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

int span_number(struct span s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    bool is_over = false;

    if (!s.len)
        return -EINVAL;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t) (s.at[i] - '0'), &value))
            is_over = true; /* go on: later bytes decide between the two errors */
    }
    if (is_over || value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

/* RFC 3629: bytes of the character above ASCII at the start of s, or 0. */
static size_t utf8_len(struct span s, unsigned *ret_point)
{
    const unsigned char *at = (const unsigned char *) s.at;
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s.len == 0)
        return 0;
    size_t need = at[0] >= 0xf0 && at[0] <= 0xf4  ? 4
                  : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                  : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                                                  : 0;

    if (!need || need > s.len)
        return 0;
    unsigned point = at[0] & (0xffu >> (need + 1));
    for (size_t i = 1; i < need; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (at[i] & 0x3fu);
    }
    if (point < least[need] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    *ret_point = point;
    return need;
}

/* What can disguise a line: C1 controls, line and paragraph separators, direction changes, zero-width ones. */
size_t span_utf8_len(struct span s)
{
    unsigned point;
    size_t len = utf8_len(s, &point);

    if (len == 0 || point < 0xa0 || (point & 0xfffe) == 0xfffe || (point >= 0x200b && point <= 0x200f) ||
        (point >= 0x2028 && point <= 0x202e) || (point >= 0x2060 && point <= 0x206f) || point == 0xfeff ||
        point == 0x061c)
        return 0;
    return len;
}

bool span_is_utf8(struct span s)
{
    unsigned point;

    for (size_t i = 0, len; i < s.len; i += len) {
        len = (s.at[i] & 0x80) ? utf8_len((struct span){.at = s.at + i, .len = s.len - i}, &point) : 1;
        if (len == 0)
            return false;
    }
    return true;
}

bool span_is_text(struct span s)
{
    for (size_t i = 0, len; i < s.len; i += len) {
        unsigned char c = (unsigned char) s.at[i];
        len = c >= 0x80 ? span_utf8_len((struct span){.at = s.at + i, .len = s.len - i})
                        : c >= ' ' && c != 0x7f;
        if (len == 0)
            return false;
    }
    return true;
}

struct span span_cut(struct span *rest, char separator)
{
    struct span part = *rest;
    const char *at = rest->len ? memchr(rest->at, separator, rest->len) : NULL;

    if (!at) {
        *rest = (struct span){.at = NULL};
        return part;
    }
    part.len = (size_t) (at - rest->at);
    rest->at += part.len + 1;
    rest->len -= part.len + 1;
    return part;
}

void buf_done(struct buf *b)
{
    if (b->data)
        mem_free(b->data - b->gone);
    *b = (struct buf){.data = NULL};
}

void buf_wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data - b->gone, b->gone + b->cap);
    buf_done(b);
}

void buf_clear(struct buf *b)
{
    if (b->data)
        b->data -= b->gone;
    b->cap += b->gone;
    b->gone = 0;
    b->len = 0;
}

struct span buf_span(const struct buf *b)
{
    return (struct span){.at = b->data, .len = b->len};
}

char *buf_reserve(struct buf *b, size_t len)
{
    size_t need;

    if (b->data && b->cap - b->len >= len)
        return b->data + b->len;
    must(!__builtin_add_overflow(b->len, len, &need) && need < SIZE_MAX / 4);
    /* Move to the front only when that frees at least as much as it copies: the cost stays linear. */
    if (b->gone >= b->len && b->cap + b->gone >= need && b->data) {
        char *start = b->data - b->gone;
        memmove(start, b->data, b->len);
        b->data = start;
        b->cap += b->gone;
        b->gone = 0;
        return b->data + b->len;
    }
    size_t cap = b->cap < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : b->cap * 2;
    if (cap < need)
        cap = need;
    if (b->gone == 0) {
        b->data = mem_resize(b->data, cap);
    } else {
        char *data = mem_resize(NULL, cap);
        memcpy(data, b->data, b->len);
        mem_free(b->data - b->gone);
        b->data = data;
        b->gone = 0;
    }
    b->cap = cap;
    return b->data + b->len;
}

void buf_commit(struct buf *b, size_t len)
{
    must(b->cap - b->len >= len);
    b->len += len;
}

void buf_add(struct buf *b, const void *p, size_t len)
{
    if (!len)
        return;
    memcpy(buf_reserve(b, len), p, len);
    b->len += len;
}

void buf_add_span(struct buf *b, struct span s)
{
    buf_add(b, s.at, s.len);
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_char(struct buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    b->len++;
}

void buf_add_number(struct buf *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char) ('0' + n % 10);
    while (n /= 10);
    buf_add(b, digits + at, sizeof(digits) - at);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    char *at = buf_reserve(b, BUF_FIRST_BYTES);
    int len = vsnprintf(at, b->cap - b->len, format, args);
    must(len >= 0);
    if ((size_t) len >= b->cap - b->len) {
        at = buf_reserve(b, (size_t) len + 1);
        (void) vsnprintf(at, (size_t) len + 1, format, again); /* the length is known */
    }
    va_end(again);
    b->len += (size_t) len;
}

void buf_consume(struct buf *b, size_t len)
{
    must(len <= b->len);
    if (len == b->len) {
        buf_clear(b);
        return;
    }
    b->data += len;
    b->gone += len;
    b->cap -= len;
    b->len -= len;
}

char *buf_steal_text(struct buf *b)
{
    char *text;

    if (b->gone) {
        text = mem_text(b->data, b->len);
        buf_done(b);
        return text;
    }
    *buf_reserve(b, 1) = '\0';
    text = b->data;
    *b = (struct buf){.data = NULL};
    return text;
}

void buf_add_printable(struct buf *b, struct span s, size_t max_len)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.at[i];
        if (c >= 0x20 && c <= 0x7e) {
            if (max_len < 1)
                return;
            buf_add_char(b, (char) c);
            max_len -= 1;
        } else {
            if (max_len < 4)
                return;
            char escaped[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
            buf_add(b, escaped, sizeof(escaped));
            max_len -= 4;
        }
    }
}
