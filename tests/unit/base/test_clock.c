/* Unit tests of base/clock. */
#include "base/clock.h"
#include "base/mem.h"

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

static void stamps_are_read_as_they_are_written(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {{"2026-11-22T07:15:45.003Z", 1795331745003},
                {"2026-11-22T07:15:45Z", 1795331745000},
                {"2026-11-22t08:15:45+01:00", 1795331745000},
                {"2026-11-22T00:15:45-07:00", 1795331745000},
                {"2026-11-22T07:15:45.1239z", 1795331745123},
                {"2024-02-29T12:34:56Z", 1709210096000},
                {"1970-01-01T00:00:00Z", 0}};
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-22",
                                      "2026-11-22T07:15:45",
                                      "2026-11-22 07:15:45Z",
                                      "2026-11-31T07:15:45Z",
                                      "2025-02-29T07:15:45Z",
                                      "2026-13-01T07:15:45Z",
                                      "2026-11-22T24:15:45Z",
                                      "2026-11-22T07:60:45Z",
                                      "2026-11-22T07:15:61Z",
                                      "1969-12-31T23:59:59Z",
                                      "1970-01-01T00:00:00+00:01",
                                      "2026-11-22T07:15:45.Z",
                                      "2026-11-22T07:15:45Zx",
                                      "2026-11-22T07:15:45+1:00",
                                      "2026-11-22T07:15:45+0100",
                                      "2026-11-22T07:15:45+24:00",
                                      "+026-11-22T07:15:45Z",
                                      "2026-11-22T07:15:4"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t ms = 1;
        assert_int_equal(clock_parse_stamp(span_of(rows[i].text), &ms), 0);
        assert_true(ms == rows[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t ms;
        if (clock_parse_stamp(span_of(bad[i]), &ms) == 0)
            fail_msg("%s is none", bad[i]);
    }
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
        cmocka_unit_test(stamps_are_read_as_they_are_written),
        cmocka_unit_test(the_two_clocks_agree_on_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
