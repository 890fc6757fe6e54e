/* Text in UTF-8, made fit for mail. */
#include "mail/mime.h"

#include <string.h>

#include "base/base64.h"
#include "mail/ascii.h"

enum {
    WORD_BYTES =
        39, /* of text in an encoded word: at most 75 (RFC 2047 section 2), and room for "Subject:" in its line */
    QUOTED_WIDTH = 76 /* of a line, with its soft line end (RFC 2045 section 6.7) */
};

/* The first character of s: its bytes; *ret_is_good: it is one. */
static size_t character(struct span s, bool *ret_is_good)
{
    size_t len = (unsigned char) *s.at > 0x7f ? span_utf8_len(s) : is_printable(*s.at) ? 1 : 0;

    *ret_is_good = len > 0;
    return len > 0 ? len : 1;
}

static void add_word(struct fold *f, struct span text)
{
    AUTO_BUF struct buf word = {0};

    buf_add_text(&word, "=?utf-8?B?");
    base64_encode(text, &word);
    buf_add_text(&word, "?=");
    fold_word(f, buf_span(&word));
}

void mime_add_words(struct fold *f, struct span text)
{
    AUTO_BUF struct buf piece = {0};
    bool is_good;

    if (!span_has_8bit(text)) {
        fold_words(f, text);
        return;
    }
    for (size_t i = 0, len; i < text.len; i += len) {
        struct span rest = {.at = text.at + i, .len = text.len - i};

        len = character(rest, &is_good);
        if (piece.len + len > WORD_BYTES) {
            add_word(f, buf_span(&piece));
            buf_clear(&piece);
        }
        if (is_good)
            buf_add(&piece, rest.at, len);
        else
            buf_add_char(&piece, '?');
    }
    if (piece.len > 0)
        add_word(f, buf_span(&piece));
}

bool mime_is_plain(struct span text)
{
    if (span_has_8bit(text))
        return false;
    while (text.len > 0)
        if (span_cut(&text, '\n').len > FOLD_MAX + 1) /* the CR too */
            return false;
    return true;
}

static void add_octet(char c, bool is_quoted, size_t *col, struct buf *out)
{
    size_t len = is_quoted ? 3 : 1;

    if (*col + len > QUOTED_WIDTH - 1) {
        buf_add_text(out, "=\r\n");
        *col = 0;
    }
    if (is_quoted)
        buf_printf(out, "=%02X", (unsigned) (unsigned char) c);
    else
        buf_add_char(out, c);
    *col += len;
}

/* A blank at the end of a line would be lost (rule 3). */
static void add_line(struct span line, struct buf *out)
{
    size_t col = 0;

    for (size_t i = 0; i < line.len; i++) {
        bool is_last = i + 1 == line.len;
        bool is_plain = is_blank(line.at[i]) ? !is_last : is_printable(line.at[i]) && line.at[i] != '=';

        add_octet(line.at[i], !is_plain, &col, out);
    }
}

void mime_add_quoted(struct span text, struct buf *out)
{
    while (text.len > 0) {
        bool has_end = memchr(text.at, '\n', text.len) != NULL;
        struct span line = span_cut(&text, '\n');

        if (has_end && line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        add_line(line, out);
        if (has_end)
            buf_add_text(out, "\r\n");
    }
}
