/* Numbers in words. */
#include "ctl/print.h"
#include "ctl_test.h"

static void assert_duration(uint64_t ms, const char *text)
{
    AUTO_BUF struct buf out = {.data = NULL};

    add_duration(&out, ms);
    assert_text(&out, text);
}

static void spans_of_time_are_short(void **state)
{
    (void) state;
    assert_duration(0, "0.0 s");
    assert_duration(450, "0.4 s");
    assert_duration(9999, "9.9 s");
    assert_duration(10000, "10 s");
    assert_duration(119999, "119 s");
    assert_duration(120000, "2 min");
    assert_duration(7200000, "2 h");
    assert_duration(172800000, "2 d");
}

static void assert_bytes(uint64_t bytes, const char *text)
{
    AUTO_BUF struct buf out = {.data = NULL};

    add_bytes(&out, bytes);
    assert_text(&out, text);
}

static void sizes_have_the_unit_that_fits(void **state)
{
    (void) state;
    assert_bytes(0, "0 B");
    assert_bytes(1023, "1023 B");
    assert_bytes(1024, "1.0 KiB");
    assert_bytes(1536 * 1024, "1.5 MiB");
    assert_bytes(UINT64_C(5) << 40, "5.0 TiB");
}

static void later_is_never_negative(void **state)
{
    (void) state;
    assert_int_equal(later_by(7, 5), 2);
    assert_int_equal(later_by(5, 7), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_of_time_are_short),
        cmocka_unit_test(sizes_have_the_unit_that_fits),
        cmocka_unit_test(later_is_never_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
