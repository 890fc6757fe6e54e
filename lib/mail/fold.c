/* Folding of words into lines. */
#include "mail/fold.h"

#include <string.h>

#include "mail/ascii.h"

static void add_indent(struct fold *f)
{
    memset(buf_reserve(f->out, f->indent), ' ', f->indent);
    buf_commit(f->out, f->indent);
    f->col = f->indent;
    f->is_glued = true;
}

void fold_start(struct fold *f, struct buf *out, const char *text, size_t indent)
{
    *f = (struct fold){.out = out, .indent = indent};
    struct span head = span_of(text);
    if (head.len == 0) {
        add_indent(f);
        return;
    }
    buf_add_span(out, head);
    f->col = head.len;
}

void fold_line(struct fold *f)
{
    buf_add_text(f->out, "\r\n");
    add_indent(f);
}

static void add_piece(struct fold *f, struct span piece)
{
    if (!f->is_glued && f->col + 1 + piece.len > FOLD_WIDTH)
        fold_line(f);
    if (!f->is_glued) {
        buf_add_char(f->out, ' ');
        f->col++;
    }
    for (size_t i = 0, len; i < piece.len; i += len) {
        struct span rest = {.at = piece.at + i, .len = piece.len - i};
        len = f->keeps_utf8 && (unsigned char) *rest.at > 0x7f ? span_utf8_len(rest) : 0;
        if (len > 0)
            buf_add(f->out, rest.at, len);
        else
            buf_add_char(f->out, is_printable(*rest.at) ? *rest.at : '?');
        len += len == 0;
    }
    f->col += piece.len;
    f->is_glued = false;
}

void fold_word(struct fold *f, struct span word)
{
    while (word.len > FOLD_PIECE) {
        add_piece(f, (struct span){.at = word.at, .len = FOLD_PIECE});
        word = (struct span){.at = word.at + FOLD_PIECE, .len = word.len - FOLD_PIECE};
    }
    if (word.len > 0)
        add_piece(f, word);
}

void fold_words(struct fold *f, struct span text)
{
    if (text.len == 0)
        return;
    size_t start = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && !is_blank(text.at[i]))
            continue;
        fold_word(f, (struct span){.at = text.at + start, .len = i - start});
        start = i + 1;
    }
}

void fold_text(struct fold *f, const char *text)
{
    fold_words(f, span_of(text));
}

void fold_end(struct fold *f)
{
    buf_add_text(f->out, "\r\n");
}
