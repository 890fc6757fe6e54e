/* How many connections a destination bears. */
#include "dispatcher/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* proves: H16 */
static void each_cohort_that_succeeds_adds_one_up_to_the_limit(void **state)
{
    (void) state;
    struct pace p;
    pace_start(&p, 5);
    pace_hear(&p, 4, 0, 20);
    assert_int_equal(p.connections, 5);
    pace_hear(&p, 1, 0, 20);
    assert_int_equal(p.connections, 6);
    pace_hear(&p, 6 + 7 + 8, 0, 20);
    assert_int_equal(p.connections, 9);
    pace_hear(&p, 1000000, 0, 20);
    assert_int_equal(p.connections, 20);
    pace_hear(&p, UINT32_MAX, 0, 20);
    assert_int_equal(p.connections, 20);
}

/* proves: H16 H17 */
static void each_cohort_that_is_put_off_takes_one_away_down_to_one(void **state)
{
    (void) state;
    struct pace p;
    pace_start(&p, 5);
    pace_hear(&p, 100, 1, 20); /* what succeeded beside it is no reason for more */
    assert_int_equal(p.connections, 4);
    pace_hear(&p, 0, 5, 20);
    assert_int_equal(p.connections, 2);
    pace_hear(&p, 0, UINT32_MAX, 20);
    assert_int_equal(p.connections, 1);
    pace_hear(&p, 1, 0, 20);
    assert_int_equal(p.connections, 2);
}

static void a_lower_limit_is_obeyed_at_once(void **state)
{
    (void) state;
    struct pace p;
    pace_start(&p, 20);
    pace_hear(&p, 1, 0, 3);
    assert_int_equal(p.connections, 3);
    pace_start(&p, 0);
    assert_int_equal(p.connections, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cohort_that_succeeds_adds_one_up_to_the_limit),
        cmocka_unit_test(each_cohort_that_is_put_off_takes_one_away_down_to_one),
        cmocka_unit_test(a_lower_limit_is_obeyed_at_once),
    };
    return cmocka_run_group_tests_name("dispatcher/pace", tests, NULL, NULL);
}
