/*
 * Does: growing byte buffers, and spans: bytes that somebody else owns.
 * Does not: limit its size; the writer checks a setting first.
 * Owns: its memory, until buf_done(). A zeroed struct buf is a valid empty one.
 * Fails: never.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *at; /* never NULL when len > 0; not NUL-terminated */
    size_t len;
};

#define SPAN(literal) ((struct span){.at = (literal), .len = sizeof(literal) - 1})
#define SPAN_ARG(s) (int) (s).len, (s).at /* for "%.*s" */
struct span span_of(const char *text);    /* NULL gives the empty span */
bool span_equal(struct span a, struct span b);
bool span_equal_nocase(struct span a, struct span b); /* ASCII only */
bool span_starts_nocase(struct span s, struct span prefix);
struct span span_trim(struct span s); /* spaces and tabs at both ends */
bool span_has_8bit(struct span s);    /* a byte above 0x7f */
/* Unsigned decimal, digits only. -EINVAL: not a number; -ERANGE: above max. */
int span_number(struct span s, uint64_t max, uint64_t *ret_value);
/* Bytes of the UTF-8 character above ASCII at the start of s; 0: none, not well formed, or one that can disguise a line of text. */
size_t span_utf8_len(struct span s);
bool span_is_utf8(struct span s); /* well formed, whatever it says */
/* One line of text for people: UTF-8 as above, no control bytes. Empty is. */
bool span_is_text(struct span s);
/* Cuts the part before the separator off *rest and returns it; at the end the whole rest, and *rest becomes {NULL, 0}. */
struct span span_cut(struct span *rest, char separator);

struct buf {
    char *data; /* start of the content; not NUL-terminated */
    size_t len;
    size_t cap;  /* bytes from data on */
    size_t gone; /* bytes consumed before data */
};

void buf_done(struct buf *b);  /* frees; b is empty and usable again */
void buf_wipe(struct buf *b);  /* the same after its memory was overwritten: for secrets */
void buf_clear(struct buf *b); /* empty, memory kept */
struct span buf_span(const struct buf *b);
/* Room for at least len more bytes; returns where to write them; then buf_commit(). */
char *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);
void buf_add(struct buf *b, const void *p, size_t len);
void buf_add_span(struct buf *b, struct span s);
void buf_add_text(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_add_number(struct buf *b, uint64_t n);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* Drops len bytes from the front, without moving the rest. */
void buf_consume(struct buf *b, size_t len);
/* The content as NUL-terminated text that the caller frees; b is empty after. */
char *buf_steal_text(struct buf *b);
/* Adds bytes made safe for one log line, reply or header: control bytes, DEL and bytes above 0x7e as \xHH, at most max_len bytes of output. */
void buf_add_printable(struct buf *b, struct span s, size_t max_len);
#define AUTO_BUF __attribute__((cleanup(buf_done)))
