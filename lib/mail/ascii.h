/*
 * Does: character classes of the mail grammars, ASCII only whatever the locale.
 * Does not: know anything above 0x7f.
 * Owns: nothing.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Space to tilde. */
static inline bool is_printable(char c)
{
    return c >= ' ' && c <= '~';
}

static inline char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c + ('a' - 'A')) : c;
}

/* No byte above 0x7f. */
static inline bool is_ascii_text(const char *text)
{
    while (*text && (unsigned char) *text <= 0x7f)
        text++;
    return !*text;
}
