/* The bucket that keeps a granted rate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "courier/rate.h"

static const uint64_t second = 1000000; /* us; and one message per second, in millionths */

/* Asks every step until `until`, and takes what it may. */
static unsigned taken(struct rate *r, uint64_t from_us, uint64_t until_us, uint64_t step_us)
{
    unsigned count = 0;

    for (uint64_t now = from_us; now < until_us; now += step_us) {
        while (rate_allows(r, now)) {
            rate_take(r);
            count++;
        }
    }
    return count;
}

static void without_a_rate_all_may_go(void **state UNUSED)
{
    struct rate r = {0};

    rate_set(&r, 0, second);
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(rate_allows(&r, second));
        rate_take(&r);
    }
    assert_int_equal(rate_wait_ms(&r), 0);
}

static void starts_empty_and_keeps_its_rate(void **state UNUSED)
{
    struct rate r = {0};

    rate_set(&r, 5 * second, 100 * second);
    assert_false(rate_allows(&r, 100 * second));
    assert_int_equal(taken(&r, 100 * second, 160 * second, 7919),
                     299); /* a minute, less what was not there at first */
}

/* proves: H16 */
static void a_slow_rate_is_no_faster_when_asked_seldom(void **state UNUSED)
{
    struct rate r = {0};

    rate_set(&r, second / 10, 100 * second); /* one in ten seconds */
    assert_int_equal(taken(&r, 100 * second, 200 * second, 1500000), 9);
}

static void saves_up_a_second_and_no_more(void **state UNUSED)
{
    struct rate r = {0};

    rate_set(&r, 5 * second, 100 * second);
    assert_int_equal(taken(&r, 4000 * second, 4000 * second + 1, 1), 5);
    rate_set(&r, second / 60, 5000 * second);
    assert_int_equal(taken(&r, 9000 * second, 9000 * second + 1, 1), 1);
}

static void a_change_keeps_what_was_saved_within_the_new_rate(void **state UNUSED)
{
    struct rate r = {0};

    rate_set(&r, 100 * second, 100 * second);
    rate_set(&r, 3 * second, 101 * second);
    assert_int_equal(taken(&r, 101 * second, 101 * second + 1, 1), 3);
    rate_set(&r, 0, 102 * second);
    rate_set(&r, 3 * second, 103 * second); /* from no limit: nothing was saved */
    assert_int_equal(taken(&r, 103 * second, 103 * second + 1, 1), 0);
}

static void says_how_long_to_wait(void **state UNUSED)
{
    struct rate r = {0};

    rate_set(&r, second / 10, 100 * second);
    assert_false(rate_allows(&r, 104 * second));
    assert_in_range(rate_wait_ms(&r), 6000, 6002);
    assert_true(rate_allows(&r, 104 * second + rate_wait_ms(&r) * 1000));
    assert_int_equal(rate_wait_ms(&r), 0);
}

static void a_rate_beyond_measure_is_none(void **state UNUSED)
{
    struct rate r = {0};

    rate_set(&r, UINT64_MAX, second);
    assert_true(rate_allows(&r, second));
    rate_set(&r, second * second, second); /* the highest that counts */
    assert_true(rate_allows(&r, UINT64_MAX / 2));
    assert_int_equal(r.credit_micro, second * second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_rate_all_may_go),
        cmocka_unit_test(starts_empty_and_keeps_its_rate),
        cmocka_unit_test(a_slow_rate_is_no_faster_when_asked_seldom),
        cmocka_unit_test(saves_up_a_second_and_no_more),
        cmocka_unit_test(a_change_keeps_what_was_saved_within_the_new_rate),
        cmocka_unit_test(says_how_long_to_wait),
        cmocka_unit_test(a_rate_beyond_measure_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
