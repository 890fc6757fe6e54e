/* Unit tests of dispatcher/depth: what a page adds. */
#include "dispatcher/depth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/rule.h"

enum { NOW = 1000000 };

static struct depth depth_of(const struct queue_depth *queues, size_t count, const struct rules *rules)
{
    const struct queue_page page = {.queues = queues,
                                    .count = count,
                                    .now_ms = NOW,
                                    .claimed = 3,
                                    .held = 2,
                                    .claimed_made_ms = NOW - 70,
                                    .held_since_ms = NOW - 900};
    struct depth d = {.queues = 0};
    depth_add(&d, &page, rules);
    return d;
}

static void states_are_apart(void **state)
{
    (void) state;
    const struct queue_depth queues[] = {
        {.queue = SPAN("a.test"),
         .jobs = 5,
         .due = 2,
         .first_due_ms = NOW - 40,
         .first_made_ms = NOW - 500,
         .last_made_ms = NOW - 600},
        {.queue = SPAN("b.test"),
         .jobs = 1,
         .due = 1,
         .first_due_ms = NOW - 10,
         .first_made_ms = NOW - 800,
         .last_made_ms = NOW - 800},
        {.queue = SPAN("empty.test")},
    };
    struct depth d = depth_of(queues, 3, NULL);
    assert_int_equal(d.jobs[DEPTH_DUE], 3);
    assert_int_equal(d.jobs[DEPTH_WAITING], 3);
    assert_int_equal(d.jobs[DEPTH_CLAIMED], 3);
    assert_int_equal(d.jobs[DEPTH_HELD], 2);
    assert_int_equal(d.oldest_ms[DEPTH_DUE], 800);
    assert_int_equal(d.oldest_ms[DEPTH_WAITING], 600);
    assert_int_equal(d.oldest_ms[DEPTH_CLAIMED], 70);
    assert_int_equal(d.oldest_ms[DEPTH_HELD], 900);
    assert_int_equal(d.tardy_ms, 40);
    assert_int_equal(d.queues, 2);
}

static void what_rests_is_not_late(void **state)
{
    (void) state;
    char any[] = "", name[] = "held.test";
    struct rule rule = {.number = 1, .action = RULE_SUSPEND, .is_standing = true, .filter = {.queue = name}};
    rule.filter.message = rule.filter.sender = rule.filter.recipient = rule.filter.user = any;
    rule.filter.tenant = rule.filter.error = rule.filter.class = rule.filter.client = any;
    const struct rules rules = {.items = &rule, .count = 1, .actions = UINT64_C(1) << RULE_SUSPEND};
    const struct queue_depth queues[] = {
        {.queue = SPAN("paused.test"),
         .jobs = 1,
         .due = 1,
         .first_due_ms = NOW - 4000,
         .paused_until_ms = NOW + 1},
        {.queue = SPAN("held.test"), .jobs = 1, .due = 1, .first_due_ms = NOW - 5000},
        {.queue = SPAN("late.test"),
         .jobs = 1,
         .due = 1,
         .first_due_ms = NOW - 30,
         .paused_until_ms = NOW - 1},
    };
    struct depth d = depth_of(queues, 3, &rules);
    assert_int_equal(d.jobs[DEPTH_DUE], 3);
    assert_int_equal(d.tardy_ms, 30);
}

static void what_redis_answers_in_two_moments_does_no_harm(void **state)
{
    (void) state;
    const struct queue_depth queues[] = {{.queue = SPAN("a.test"),
                                          .jobs = 1,
                                          .due = 4,
                                          .first_due_ms = NOW + 5,
                                          .first_made_ms = NOW + 9,
                                          .last_made_ms = NOW + 9}};
    struct depth d = depth_of(queues, 1, NULL);
    assert_int_equal(d.jobs[DEPTH_DUE], 1);
    assert_int_equal(d.jobs[DEPTH_WAITING], 0);
    assert_int_equal(d.oldest_ms[DEPTH_DUE], 0);
    assert_int_equal(d.tardy_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_apart),
        cmocka_unit_test(what_rests_is_not_late),
        cmocka_unit_test(what_redis_answers_in_two_moments_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
