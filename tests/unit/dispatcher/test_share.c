/* Parts of a limit: what is in force, whatever the holder has heard of. */
#include "dispatcher/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_grant_is_in_force_for_5_s_after_the_hello_it_answers(void **state)
{
    (void) state;
    struct share s = {0};
    assert_int_equal(share_connections(&s, 1000), 0);
    share_grant(&s, 7, 0, 1, 900, 1000);
    assert_int_equal(share_connections(&s, 1000), 7);
    assert_int_equal(share_connections(&s, 5899), 7);
    assert_int_equal(share_connections(&s, 5900), 0);
}

static void less_counts_when_the_holder_knows_of_it(void **state)
{
    (void) state;
    struct share s = {0};
    share_grant(&s, 7, 0, 1, 1000, 1000);
    share_hear(&s, true, 5, 1100);
    share_grant(&s, 3, 0, 2, 1100, 1200);
    assert_int_equal(share_connections(&s, 1200), 7);
    share_hear(&s, false, 6, 1300);
    assert_int_equal(share_connections(&s, 1300), 7);
    share_hear(&s, true, 5, 1400); /* and when it is not used any more */
    assert_int_equal(share_connections(&s, 1400), 5);
    share_hear(&s, true, 1, 1500);
    assert_int_equal(share_connections(&s, 1500), 3);
}

static void what_is_taken_back_ends_when_it_would_have_ended(void **state)
{
    (void) state;
    struct share s = {0};
    share_grant(&s, 7, 0, 1, 1000, 1000);
    share_grant(&s, 0, 0, 2, 3000, 3000);
    assert_int_equal(share_connections(&s, 5999), 7);
    assert_int_equal(share_connections(&s, 6000), 0);
}

static void what_is_used_after_the_end_counts_as_long_as_it_is_told(void **state)
{
    (void) state;
    struct share s = {0};
    share_grant(&s, 7, 0, 1, 1000, 1000);
    share_return(&s, 4, 2000);
    assert_int_equal(share_connections(&s, 6999), 4);
    share_return(&s, 2, 6500);
    assert_int_equal(share_connections(&s, 11499), 2);
    share_return(&s, 0, 7000);
    assert_int_equal(share_connections(&s, 7000), 0);
}

static void a_rate_counts_like_connections(void **state)
{
    (void) state;
    struct list shares;
    struct share a = {0}, b = {0};
    list_init(&shares);
    list_append(&shares, &a.link);
    list_append(&shares, &b.link);
    share_grant(&a, 5, 1000, 1, 0, 0);
    share_grant(&b, 4, 500, 1, 0, 0);
    assert_int_equal(shares_rate(&shares, NULL, 0), 1500);
    assert_int_equal(shares_connections(&shares, NULL, 0), 9);
    assert_int_equal(shares_rate(&shares, &a, 0), 500);
    share_grant(&a, 5, 100, 2, 0, 0);
    assert_int_equal(shares_rate(&shares, &b, 0), 1000);
    share_hear(&a, true, 0, 0);
    assert_int_equal(shares_rate(&shares, &b, 0), 100);
    share_grant(&a, 5, 0, 3, 0, 0); /* no limit */
    assert_true(shares_rate(&shares, NULL, 0) == UINT64_MAX);
    assert_int_equal(shares_rate(&shares, NULL, SHARE_MS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_is_in_force_for_5_s_after_the_hello_it_answers),
        cmocka_unit_test(less_counts_when_the_holder_knows_of_it),
        cmocka_unit_test(what_is_taken_back_ends_when_it_would_have_ended),
        cmocka_unit_test(what_is_used_after_the_end_counts_as_long_as_it_is_told),
        cmocka_unit_test(a_rate_counts_like_connections),
    };
    return cmocka_run_group_tests_name("dispatcher/share", tests, NULL, NULL);
}
