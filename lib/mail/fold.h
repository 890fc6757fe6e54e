/*
 * Does: writes words into lines of FOLD_WIDTH bytes where the words allow, never above FOLD_MAX; further lines are indented, so they
 * continue a header field (RFC 5322 section 2.2.3) and can never begin one.
 * Does not: know fields.
 * Owns: nothing.
 * Fails: never; bytes that are not printable ASCII come out as '?', but for UTF-8 where that is asked for.
 */
#pragma once

#include "base/buf.h"

enum { FOLD_WIDTH = 78, FOLD_MAX = 998, FOLD_PIECE = 900 };

struct fold {
    struct buf *out;
    size_t indent;   /* spaces before further lines, at least 1 for a header field */
    size_t col;      /* bytes of the line under way */
    bool is_glued;   /* the next word follows without a space */
    bool keeps_utf8; /* characters above ASCII stay; else they come out as '?' */
};

/* Begins with text as it is, such as "Received:"; "" for a line of indented words. */
void fold_start(struct fold *f, struct buf *out, const char *text, size_t indent);
/* One word, its spaces kept; cut into pieces only above FOLD_PIECE. */
void fold_word(struct fold *f, struct span word);
/* Text split at its blanks; runs of them become one. */
void fold_words(struct fold *f, struct span text);
void fold_text(struct fold *f, const char *text);
/* The next word goes to a new line. */
void fold_line(struct fold *f);
void fold_end(struct fold *f);
