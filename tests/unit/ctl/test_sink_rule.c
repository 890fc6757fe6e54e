/* The misbehaviour a sink is told. */
#include <errno.h>

#include "ctl/sink_rule.h"
#include "ctl_test.h"

static struct sink_rules rules;

static int set_up(void **state)
{
    (void) state;
    rules = (struct sink_rules){.random = 1};
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    sink_rules_done(&rules);
    return 0;
}

static void a_stage_alone_always_strikes(void **state)
{
    (void) state;
    assert_int_equal(sink_rule_add(&rules, ACTION_DEFER, "rcpt"), 0);
    assert_int_equal(sink_rules_ask(&rules, STAGE_RCPT, span_of("a.test")), ACTION_DEFER);
    assert_int_equal(sink_rules_ask(&rules, STAGE_MAIL, span_of("a.test")), ACTION_NONE);
}

static void a_domain_limits_it(void **state)
{
    (void) state;
    assert_int_equal(sink_rule_add(&rules, ACTION_REJECT, "rcpt=1@Bad.Test"), 0);
    assert_int_equal(sink_rules_ask(&rules, STAGE_RCPT, span_of("BAD.test")), ACTION_REJECT);
    assert_int_equal(sink_rules_ask(&rules, STAGE_RCPT, span_of("good.test")), ACTION_NONE);
}

static void the_first_that_strikes_wins(void **state)
{
    (void) state;
    assert_int_equal(sink_rule_add(&rules, ACTION_STALL, "dot=0"), 0);
    assert_int_equal(sink_rule_add(&rules, ACTION_DROP, "dot@a.test"), 0);
    assert_int_equal(sink_rule_add(&rules, ACTION_DEFER, "dot"), 0);
    assert_int_equal(sink_rules_ask(&rules, STAGE_DOT, span_of("a.test")), ACTION_DROP);
    assert_int_equal(sink_rules_ask(&rules, STAGE_DOT, span_of("b.test")), ACTION_DEFER);
}

static void a_probability_strikes_about_so_often(void **state)
{
    unsigned struck = 0;

    (void) state;
    assert_int_equal(sink_rule_add(&rules, ACTION_DEFER, "data=0.25"), 0);
    for (int i = 0; i < 10000; i++)
        struck += sink_rules_ask(&rules, STAGE_DATA, span_of("")) == ACTION_DEFER;
    assert_in_range(struck, 2200, 2800);
}

static void refuses_what_is_no_rule(void **state)
{
    static const char *const wrong[] = {"",       "dots",      "rcpt=",    "rcpt=2", "rcpt=-1",
                                        "rcpt=x", "rcpt=0.1x", "rcpt=nan", "rcpt@",  "rcpt@a b"};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(sink_rule_add(&rules, ACTION_DEFER, wrong[i]), -EINVAL);
    assert_int_equal(rules.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stage_alone_always_strikes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_domain_limits_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_first_that_strikes_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_probability_strikes_about_so_often, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_rule, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
