/* What a verb changes in a table, and in which order. */
#include "ctl/table_plan.h"

#include "base/mem.h"
#include "ctl_test.h"

static const struct span none = {.at = NULL};

static unsigned phase(struct span field, struct span before, struct span after)
{
    const struct table_change change = {.field = field, .before = before, .after = after};

    return change_phase(&change);
}

/* proves: E14 */
static void domains_are_listed_last_and_unlisted_first(void **state UNUSED)
{
    assert_true(phase(SPAN("a@x"), none, SPAN("ok")) < phase(SPAN("@x"), none, SPAN("listed")));
    assert_true(phase(SPAN("@x"), SPAN("listed"), none) < phase(SPAN("a@x"), SPAN("ok"), none));
    assert_true(phase(SPAN("a@x"), SPAN("ok"), none) < CHANGE_PHASES);
}

static void what_is_so_already_is_no_change(void **state UNUSED)
{
    struct table_plan plan = {.table = TABLE_RECIPIENTS};

    plan_add(&plan, SPAN("a@x"), SPAN("ok"), SPAN("ok"));
    plan_add(&plan, SPAN("b@x"), none, none);
    plan_add(&plan, SPAN("c@x"), SPAN(""), SPAN("ok"));
    plan_add(&plan, SPAN("d@x"), SPAN(""), none);
    assert_int_equal(plan.same, 2);
    assert_int_equal(plan.count, 2);
    assert_true(plan_has(&plan, SPAN("c@x")) && plan_has(&plan, SPAN("d@x")));
    assert_false(plan_has(&plan, SPAN("a@x")));
    plan_done(&plan);
}

static void rows_are_sorted_and_each_is_there_once(void **state UNUSED)
{
    struct table_rows rows = {.rows = NULL};

    assert_null(table_rows_find(&rows, SPAN("a")));
    table_rows_add(&rows, SPAN("b"), SPAN("2"));
    table_rows_add(&rows, SPAN("ab"), SPAN("1"));
    table_rows_add(&rows, SPAN("a\0b"), SPAN("0"));
    table_rows_add(&rows, SPAN("b"), SPAN("2"));
    table_rows_sort(&rows);
    assert_int_equal(rows.count, 3);
    assert_true(span_equal(rows.rows[0].field, SPAN("a\0b")));
    assert_true(span_equal(table_rows_find(&rows, SPAN("b"))->value, SPAN("2")));
    assert_null(table_rows_find(&rows, SPAN("a")));
    table_rows_done(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_are_listed_last_and_unlisted_first),
        cmocka_unit_test(what_is_so_already_is_no_change),
        cmocka_unit_test(rows_are_sorted_and_each_is_there_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
