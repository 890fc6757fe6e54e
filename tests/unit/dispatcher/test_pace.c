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
    pace_hear(&p, 0, 4, 20);
    assert_int_equal(p.connections, 5);
    pace_hear(&p, 0, 1, 20);
    assert_int_equal(p.connections, 4);
    pace_hear(&p, 0, 4 + 3, 20);
    assert_int_equal(p.connections, 2);
    pace_hear(&p, 0, UINT32_MAX, 20);
    assert_int_equal(p.connections, 1);
    pace_hear(&p, 1, 0, 20);
    assert_int_equal(p.connections, 2);
}

/* proves: H17 */
static void each_refusal_undoes_a_cohort(void **state)
{
    (void) state;
    struct pace few, many;
    pace_start(&few, 10);
    pace_start(&many, 10);
    for (int i = 0; i < 100; i++) {
        pace_hear(&few, 99, 1, 20);
        pace_hear(&many, 80, 20, 20);
    }
    assert_int_equal(few.connections, 20);
    assert_in_range(many.connections, 1, 5);
    pace_start(&few, 20);
    pace_hear(&few, 1000000, 0, 20);
    pace_hear(&few, 0, 20, 20); /* what went well at the limit is not saved up */
    assert_int_equal(few.connections, 19);
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
        cmocka_unit_test(each_refusal_undoes_a_cohort),
        cmocka_unit_test(a_lower_limit_is_obeyed_at_once),
    };
    return cmocka_run_group_tests_name("dispatcher/pace", tests, NULL, NULL);
}
