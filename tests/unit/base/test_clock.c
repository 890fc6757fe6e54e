/* Unit tests of base/clock. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_text(const struct buf *b, const char *wanted)
{
    assert_true(span_equal(buf_span(b), span_of(wanted)));
}

static void dates_have_the_form_of_rfc_5322(void **state)
{
    (void) state;
    AUTO_BUF struct buf b = {.data = NULL};
    clock_add_date(&b, UINT64_C(1795331745123));
    assert_text(&b, "Sun, 22 Nov 2026 07:15:45 +0000");
    buf_clear(&b);
    clock_add_date(&b, 0);
    assert_text(&b, "Thu, 01 Jan 1970 00:00:00 +0000");
    buf_clear(&b);
    clock_add_date(&b, UINT64_C(1709210096000)); /* a leap day */
    assert_text(&b, "Thu, 29 Feb 2024 12:34:56 +0000");
}

static void stamps_have_milliseconds(void **state)
{
    (void) state;
    AUTO_BUF struct buf b = {.data = NULL};
    clock_add_stamp(&b, UINT64_C(1795331745003));
    assert_text(&b, "2026-11-22T07:15:45.003Z");
}

static void the_two_clocks_agree_on_units(void **state)
{
    (void) state;
    uint64_t ms = clock_ms(), us = clock_us();
    assert_true(us / 1000 >= ms && us / 1000 - ms < 10000);
    assert_true(clock_wall_ms() > UINT64_C(1700000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_have_the_form_of_rfc_5322),
        cmocka_unit_test(stamps_have_milliseconds),
        cmocka_unit_test(the_two_clocks_agree_on_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
