/* Unit tests of base/buf. */
#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void assert_content(const struct buf *b, const char *wanted)
{
    assert_int_equal(b->len, strlen(wanted));
    if (b->len)
        assert_memory_equal(b->data, wanted, b->len);
}

static void zeroed_buf_is_empty_and_usable(void **state)
{
    (void) state;
    struct buf b = {.data = NULL};
    assert_int_equal(buf_span(&b).len, 0);
    buf_clear(&b);
    buf_consume(&b, 0);
    buf_add(&b, NULL, 0);
    buf_add_text(&b, "x");
    assert_content(&b, "x");
    buf_done(&b);
    assert_null(b.data);
    buf_done(&b);
}

static void grows_and_keeps_content(void **state)
{
    (void) state;
    struct buf b = {.data = NULL};
    for (unsigned i = 0; i < 100000; i++)
        buf_add_char(&b, (char) i);
    assert_int_equal(b.len, 100000);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (char) i);
    buf_done(&b);
}

static void consume_drops_from_the_front(void **state)
{
    (void) state;
    struct buf b = {.data = NULL};
    buf_add_text(&b, "hello world");
    buf_consume(&b, 6);
    assert_content(&b, "world");
    buf_add_text(&b, "!");
    assert_content(&b, "world!");
    buf_consume(&b, 6);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.gone, 0);
    buf_add_text(&b, "again");
    assert_content(&b, "again");
    buf_done(&b);
}

static void a_steady_queue_does_not_grow(void **state)
{
    (void) state;
    struct buf b = {.data = NULL};
    for (unsigned i = 0; i < 100000; i++) {
        buf_add_text(&b, "0123456789");
        if (i >= 10)
            buf_consume(&b, 10);
        assert_true(b.cap + b.gone <= 1024);
        assert_int_equal(b.data[0], '0');
    }
    buf_done(&b);
}

static void stolen_text_ends_with_a_zero(void **state)
{
    (void) state;
    struct buf b = {.data = NULL};
    buf_add_text(&b, "abcdef");
    buf_consume(&b, 2);
    char *text = buf_steal_text(&b);
    assert_string_equal(text, "cdef");
    mem_free(text);
    assert_int_equal(b.len, 0);
    text = buf_steal_text(&b);
    assert_string_equal(text, "");
    mem_free(text);
}

static void printf_grows_for_long_output(void **state)
{
    (void) state;
    struct buf b = {.data = NULL};
    buf_printf(&b, "%s=%d", "a", 5);
    buf_printf(&b, "%0200d", 7);
    assert_int_equal(b.len, 203);
    assert_int_equal(b.data[202], '7');
    for (int len = 50; len < 80; len++) {
        buf_clear(&b);
        buf_printf(&b, "%0*d", len, 1);
        assert_int_equal(b.len, len);
    }
    buf_done(&b);
}

static void numbers_print_in_full(void **state)
{
    (void) state;
    struct buf b = {.data = NULL};
    buf_add_number(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_number(&b, UINT64_MAX);
    assert_content(&b, "0 18446744073709551615");
    buf_done(&b);
}

static void printable_escapes_and_stops_at_a_whole_escape(void **state)
{
    (void) state;
    struct buf b = {.data = NULL};
    buf_add_printable(&b, SPAN("a\r\n\x7f\xff~"), 100);
    assert_content(&b, "a\\x0d\\x0a\\x7f\\xff~");
    buf_clear(&b);
    buf_add_printable(&b, SPAN("ab\n"), 5);
    assert_content(&b, "ab");
    buf_clear(&b);
    buf_add_printable(&b, SPAN("ab\n"), 6);
    assert_content(&b, "ab\\x0a");
    buf_done(&b);
}

static void spans_compare(void **state)
{
    (void) state;
    assert_true(span_equal(span_of(NULL), span_of("")));
    assert_true(span_equal(SPAN("abc"), span_of("abc")));
    assert_false(span_equal(SPAN("abc"), SPAN("abd")));
    assert_false(span_equal(SPAN("abc"), SPAN("ab")));
    assert_true(span_equal_nocase(SPAN("MaIl"), SPAN("mAiL")));
    assert_false(
        span_equal_nocase(SPAN("@"), SPAN("`"))); /* differ in the case bit only, and are no letters */
    assert_true(span_starts_nocase(SPAN("RCPT TO:<a>"), SPAN("rcpt to:")));
    assert_false(span_starts_nocase(SPAN("RC"), SPAN("rcpt")));
}

static void trim_takes_spaces_and_tabs_only(void **state)
{
    (void) state;
    assert_true(span_equal(span_trim(SPAN(" \t a b\t ")), SPAN("a b")));
    assert_true(span_equal(span_trim(SPAN("  ")), SPAN("")));
    assert_true(span_equal(span_trim(SPAN("\na\r")), SPAN("\na\r")));
}

static void numbers_parse_strictly(void **state)
{
    (void) state;
    uint64_t n = 5;
    assert_int_equal(span_number(SPAN(""), 10, &n), -EINVAL);
    assert_int_equal(span_number(SPAN("-1"), 10, &n), -EINVAL);
    assert_int_equal(span_number(SPAN("1 "), 10, &n), -EINVAL);
    assert_int_equal(span_number(SPAN("11"), 10, &n), -ERANGE);
    assert_int_equal(span_number(SPAN("18446744073709551616"), UINT64_MAX, &n), -ERANGE);
    assert_int_equal(span_number(SPAN("99999999999999999999x"), UINT64_MAX, &n), -EINVAL);
    assert_int_equal(n, 5);
    assert_int_equal(span_number(SPAN("010"), 10, &n), 0);
    assert_int_equal(n, 10);
    assert_int_equal(span_number(SPAN("18446744073709551615"), UINT64_MAX, &n), 0);
    assert_true(n == UINT64_MAX);
}

static void cut_walks_all_parts(void **state)
{
    (void) state;
    struct span rest = SPAN("a,,b");
    assert_true(span_equal(span_cut(&rest, ','), SPAN("a")));
    assert_true(span_equal(span_cut(&rest, ','), SPAN("")));
    assert_true(span_equal(span_cut(&rest, ','), SPAN("b")));
    assert_null(rest.at);
    assert_int_equal(span_cut(&rest, ',').len, 0);
    rest = SPAN("a,");
    (void) span_cut(&rest, ','); /* what is left counts */
    assert_non_null(rest.at);
    assert_int_equal(rest.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_buf_is_empty_and_usable),
        cmocka_unit_test(grows_and_keeps_content),
        cmocka_unit_test(consume_drops_from_the_front),
        cmocka_unit_test(a_steady_queue_does_not_grow),
        cmocka_unit_test(stolen_text_ends_with_a_zero),
        cmocka_unit_test(printf_grows_for_long_output),
        cmocka_unit_test(numbers_print_in_full),
        cmocka_unit_test(printable_escapes_and_stops_at_a_whole_escape),
        cmocka_unit_test(spans_compare),
        cmocka_unit_test(trim_takes_spaces_and_tabs_only),
        cmocka_unit_test(numbers_parse_strictly),
        cmocka_unit_test(cut_walks_all_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
