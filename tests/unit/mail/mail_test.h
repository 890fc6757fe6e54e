/*
 * Does: what the tests of lib/mail share: cmocka's headers in the order it wants, and heap copies that end exactly where the bytes end,
 * so that a sanitizer sees a read beyond them.
 * Does not: test.
 * Owns: nothing. Fails: never.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

/* Freed by mem_free((void *) s.at). */
static inline struct span exact_copy(struct span s)
{
    char *at = mem_resize(NULL, s.len > 0 ? s.len : 1);
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    return (struct span){.at = at, .len = s.len};
}

static inline void exact_free(struct span s)
{
    mem_free((void *) (uintptr_t) s.at);
}

static inline void assert_span(struct span got, const char *want)
{
    if (!span_equal(got, span_of(want))) {
        print_error("got '%.*s', want '%s'\n", SPAN_ARG(got), want);
        fail();
    }
}

static inline bool has_text(const struct buf *b, const char *text)
{
    return b->len > 0 && memmem(b->data, b->len, text, strlen(text)) != NULL;
}

#define TEST(name) cmocka_unit_test(name)
