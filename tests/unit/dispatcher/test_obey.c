/* What the operator's rules do to the schedule: queues rest, limits are others, those that were paused are tried another way. */
#include "unit/dispatcher/schedule_test.h"

#include "cluster/rule.h"
#include "dispatcher/obey.h"

static struct rule items[4];
static struct rules rules;

/* The n-th of them. */
static struct rule *give(size_t n, enum rule_action action, const char *queue)
{
    items[n] = (struct rule){.number = n + 1,
                             .action = action,
                             .filter = {.queue = (char *) (uintptr_t) queue},
                             .is_standing = true,
                             .since_ms = 1};
    static char none[1];
    struct rule_filter *f = &items[n].filter;
    f->message = f->sender = f->recipient = f->user = f->tenant = f->error = f->class = f->client = none;
    items[n].to = items[n].by = items[n].because = none;
    rules.items = items;
    rules.count = n + 1;
    rules.actions |= UINT64_C(1) << action;
    return &items[n];
}

static bool obey(void)
{
    return schedule_obey(&w.schedule, &rules, w.now);
}

static bool undo_all(void)
{
    rules = (struct rules){.items = items};
    return obey();
}

static int begin(void **state)
{
    rules = (struct rules){.items = items};
    return set_up(state);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, tear_down)

/* ---- suspend ---- */

static void a_suspended_queue_is_granted_to_nobody(void **state)
{
    (void) state;
    give(0, RULE_SUSPEND, "example.com");
    assert_false(obey());
    ring(Q);
    assert_int_equal(run(), 0);
    schedule_due(&w.schedule, w.p, &(struct queue_due){.queue = Q, .waiting = 9, .ready = 9}, w.now);
    pass(1000, true, false);
    assert_int_equal(run(), 0);
    assert_int_equal(w.schedule.works.count, 0); /* nothing is kept of what rests */
    ring(SPAN("other.example"));
    assert_int_equal(run(), 1);
}

static void what_was_granted_is_taken_back_at_once_and_stays_so(void **state)
{
    (void) state;
    ring(Q);
    run();
    assert_int_equal(granted_to(X), 20);
    give(0, RULE_SUSPEND, ".com");
    obey();
    run();
    assert_int_equal(granted_to(X), 0);
    struct report busy = knows((struct report){.claimed = 30, .connections = 20});
    for (unsigned i = 0; i < 5; i++) {
        pass(500, true, false);
        report(X, busy);
        ring(Q);
        run();
        assert_true(granted_to(X) == 0 || granted_to(X) == UINT64_MAX);
    }
}

static void one_that_does_not_know_is_told_again(void **state)
{
    (void) state;
    ring(Q);
    run();
    struct report before = knows((struct report){.claimed = 30, .connections = 20});
    give(0, RULE_SUSPEND, "*");
    obey();
    run();
    pass(500, true, false);
    report(X, before);
    run();
    assert_int_equal(granted_to(X), 0);
}

static void a_grant_of_an_owner_before_us_is_taken_back(void **state)
{
    (void) state;
    give(0, RULE_SUSPEND, "example.com");
    obey();
    report(X, (struct report){.token = TOKEN - 1, .serial = 7, .granted = 5, .connections = 5, .claimed = 9});
    run();
    assert_int_equal(granted_to(X), 0);
}

static void what_is_resumed_is_granted_at_once(void **state)
{
    (void) state;
    ring(Q);
    run();
    give(0, RULE_SUSPEND, "example.com");
    obey();
    run();
    report(X, knows((struct report){.is_returned = true}));
    assert_true(undo_all()); /* those of which nothing was kept are looked for */
    assert_false(obey());
    ring(Q);
    run();
    assert_int_equal(granted_to(X), 20);
}

static void before_rules_are_known_nothing_is_granted(void **state)
{
    (void) state;
    w.schedule.awaits_rules = true;
    ring(Q);
    assert_int_equal(run(), 0);
    obey();
    assert_int_equal(run(), 1);
}

static void fan_out_is_no_destination_that_a_pattern_means(void **state)
{
    (void) state;
    give(0, RULE_SUSPEND, "*");
    obey();
    schedule_ring(&w.schedule, 3, SPAN(QUEUE_FANOUT), w.now);
    assert_int_equal(run(), 1);
}

/* ---- limits ---- */

static void limit(size_t n, const char *queue, const char *which, uint64_t value)
{
    struct rule *r = give(n, RULE_LIMIT, queue);

    r->to = (char *) (uintptr_t) which;
    r->value = value;
}

static void a_rule_comes_before_the_settings_and_the_most_particular_before_others(void **state)
{
    (void) state;
    struct conf c = {.dispatcher = {.queue_connections = 20}};
    struct limits *queues, *sites;
    char *error, *key = "example.com", *value = "connections=9 rate=600";
    c.dispatcher.limits = (struct conf_map){.keys = &key, .values = &value, .count = 1};
    assert_int_equal(limits_read(&c, &queues, &sites, &error), 0);
    limit(0, "*", "connections", 3);
    limit(1, ".com/bulk", "connections", 2);
    limit(2, "example.com", "messages_per_minute", 60);
    limit(3, "site:mx.example.net", "connections", 4);
    rules_order_limits(&rules, queues, sites);
    struct limit l = limits_of(queues, SPAN("example.com"));
    assert_true(l.connections == 3 && l.rate_micro == 1000000);
    l = limits_of(queues, SPAN("example.com/bulk"));
    assert_true(l.connections == 2 && l.rate_micro == 1000000);
    l = limits_of(queues, SPAN("other.net/bulk"));
    assert_true(l.connections == 3 && l.rate_micro == 0);
    assert_true(limits_of(queues, SPAN(QUEUE_FANOUT)).connections > 3);
    assert_true(limits_find(sites, SPAN("mx.example.net"), &l));
    assert_int_equal(l.connections, 4);
    assert_false(limits_find(sites, SPAN("mx.example.com"), &l));
    assert_false(limits_is_empty(sites));
    limits_free(queues);
    limits_free(sites);
}

static void a_lower_limit_is_granted_at_once(void **state)
{
    (void) state;
    ring(Q);
    run();
    assert_int_equal(granted_to(X), 20);
    limit(0, "example.com", "connections", 2);
    rules_order_limits(&rules, w.limits, w.limits);
    obey();
    run();
    assert_int_equal(granted_to(X), 2);
}

/* ---- redirect ---- */

static void a_paused_queue_that_is_sent_another_way_is_resumed(void **state)
{
    (void) state;
    ring(Q);
    run();
    report(X, knows((struct report){.claimed = 1, .trouble = SPAN("dead")}));
    assert_int_equal(w.paused, 1);
    give(0, RULE_REDIRECT, "other.example");
    obey();
    assert_int_equal(w.resumed, 0);
    give(1, RULE_REDIRECT, "example.com");
    obey();
    assert_int_equal(w.resumed, 1);
    obey();
    assert_int_equal(w.resumed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_suspended_queue_is_granted_to_nobody),
        TEST(what_was_granted_is_taken_back_at_once_and_stays_so),
        TEST(one_that_does_not_know_is_told_again),
        TEST(a_grant_of_an_owner_before_us_is_taken_back),
        TEST(what_is_resumed_is_granted_at_once),
        TEST(before_rules_are_known_nothing_is_granted),
        TEST(fan_out_is_no_destination_that_a_pattern_means),
        TEST(a_rule_comes_before_the_settings_and_the_most_particular_before_others),
        TEST(a_lower_limit_is_granted_at_once),
        TEST(a_paused_queue_that_is_sent_another_way_is_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
