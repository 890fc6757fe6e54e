/* Queues of limited sites. */
#include "unit/dispatcher/schedule_test.h"

static void limit_sites(void)
{
    static char *names[] = {"mx.example.net"}, *values[] = {"connections=6 rate=360"};
    const struct conf c = {.dispatcher = {.queue_connections = 20,
                                          .site_limits = {.keys = names, .values = values, .count = 1}}};
    char *error;
    assert_int_equal(limits_new_sites(&c, &w.site_limits, &error), 0);
    w.schedule.sites.limits = w.site_limits;
}

/* The owner of the site lends this. */
static void lend(uint32_t connections)
{
    struct borrow borrows[FRAME_ENTRIES];
    w.now += SITE_SUM_MS;
    schedule_check(&w.schedule, w.now);
    for (size_t i = sites_borrow(&w.schedule.sites, borrows, w.now); i > 0; i--)
        assert_true(borrows[i - 1].wanted > 0);
    const struct loan loan = {.site = SPAN("mx.example.net"),
                              .token = 9,
                              .serial = ++w.loan_serial,
                              .connections = connections,
                              .rate_micro = connections * UINT64_C(1000000),
                              .answers_ms = w.now};
    sites_lend(&w.schedule, &loan, w.now);
}

/* proves: H16 */
static void a_queue_of_a_limited_site_waits_for_a_loan(void **state)
{
    (void) state;
    limit_sites();
    ring(Q);
    run();
    assert_int_equal(granted_to(X), 20);
    report(X, knows((struct report){.claimed = 9, .site = SPAN("mx.example.net")}));
    run();
    assert_int_equal(granted_to(X), 0);
    report(X, knows((struct report){.is_returned = true}));
    lend(6);
    run();
    assert_int_equal(granted_to(X), 6);
    assert_int_equal(w.sent[0].grant.rate_micro, 6000000);
}

/* proves: H16 */
static void queues_of_one_site_have_no_more_together_than_was_lent(void **state)
{
    (void) state;
    limit_sites();
    ring(Q);
    run();
    report(X, knows((struct report){.claimed = 9, .site = SPAN("mx.example.net")}));
    run();
    report(X, knows((struct report){.is_returned = true}));
    lend(6);
    run();
    struct grant first = w.sent[0].grant;
    assert_int_equal(first.connections, 6);
    ring(SPAN("second.example"));
    run();
    report(X, knows((struct report){
                  .queue = SPAN("second.example"), .claimed = 9, .site = SPAN("mx.example.net")}));
    run();
    assert_int_equal(granted_to(X), 0); /* all is in use */
    report(X, knows((struct report){.queue = SPAN("second.example"), .is_returned = true}));
    for (unsigned i = 0; i < 12; i++) {
        w.now += 100;
        keep_partitions();
        hello(X);
        lend(6);
        run();
        for (size_t k = 0; k < w.sent_count; k++)
            if (w.sent[k].grant.connections && strcmp(w.sent[k].queue, "example.com") == 0)
                first = w.sent[k].grant;
        report(X, (struct report){.claimed = 9,
                                  .connections = first.connections,
                                  .serial = first.serial,
                                  .granted = first.connections,
                                  .site = SPAN("mx.example.net")});
    }
    assert_in_range(first.connections, 1, 3); /* it has had its turn */
    assert_int_equal(limits_of(w.limits, Q).connections, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queue_of_a_limited_site_waits_for_a_loan),
        TEST(queues_of_one_site_have_no_more_together_than_was_lent),
    };
    return cmocka_run_group_tests_name("dispatcher/site", tests, NULL, NULL);
}
