/* settle as a typed call: outcomes, reports, batches, repeats. */
#include "queue_test.h"

static void an_end_removes_everything_but_the_mark(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 1);
    assert_int_equal(settle_one("M1.0", "example.com", OUTCOME_END), SETTLE_OK);
    assert_false(settled.repeated);
    assert_int_equal(count_of(&server, "EXISTS j:{%s}:M1.0 b:{%s}:M1.0:0 c:{%s}", T, T, T), 0);
    assert_int_equal(count_of(&server, "EXISTS seen:{%s}:M1.0", T), 1);
    assert_int_equal(settle_one("M1.0", "example.com", OUTCOME_END), SETTLE_GONE);
}

static void back_waits_with_its_new_state(void **state)
{
    struct queue_settle job = {
        .job = "M1.0", .queue = "example.com", .outcome = OUTCOME_BACK, .delay_ms = 3600000};

    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 1);
    job.token = claimed.token;
    job.state = SPAN("state after a try");
    job.is_exact = true;
    job.event = "deferred";
    job.detail = "421 try later";
    job.chunk_count = 1;
    settle(&job, 1);
    assert_int_equal(settled.answers[0], SETTLE_OK);
    assert_true(answers(&server, "state after a try", "HGET j:{%s}:M1.0 s", T));
    assert_int_equal(count_of(&server, "HEXISTS j:{%s}:M1.0 k", T), 0);
    assert_int_equal(count_of(&server, "HEXISTS j:{%s}:M1.0 y", T), 1);
    assert_int_equal(count_of(&server, "EXISTS b:{%s}:M1.0:0", T), 1);
    claim("example.com", 1);
    assert_int_equal(claimed.count, 0); /* not due for an hour */
    settle(&job, 1);
    assert_int_equal(settled.answers[0], SETTLE_STALE);
}

/* proves: I16 */
static void back_may_move_to_another_lane(void **state)
{
    struct queue_settle job = {.job = "M1.0",
                               .queue = "example.com/bulk",
                               .outcome = OUTCOME_BACK,
                               .is_moved = true,
                               .event = "moved",
                               .chunk_count = 1};

    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 1);
    AUTO_FREE char *token = mem_string(claimed.token);
    job.token = token;
    settle(&job, 1);
    assert_int_equal(settled.answers[0], SETTLE_OK);
    assert_true(answers(&server, "example.com/bulk", "HGET j:{%s}:M1.0 q", T));
    claim("example.com", 1);
    assert_int_equal(claimed.count, 0);
    claim("example.com/bulk", 1);
    assert_int_equal(claimed.count, 1);
    settle(&job, 1);
    assert_int_equal(settled.answers[0], SETTLE_STALE);
}

static void keep_changes_the_token(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 1);
    assert_int_equal(settle_one("M1.0", "example.com", OUTCOME_KEEP), SETTLE_OK);
    assert_true(answers(&server, "1000.next", "HGET j:{%s}:M1.0 k", T));
    assert_int_equal(settle_one("M1.0", "example.com", OUTCOME_KEEP), SETTLE_AGAIN);
    assert_int_equal(settle_one("M1.0", "example.com", OUTCOME_HOLD), SETTLE_STALE);
    (void) snprintf(claimed.token, sizeof claimed.token, "1000.next");
    assert_int_equal(settle_one("M1.0", "example.com", OUTCOME_HOLD), SETTLE_OK);
    assert_int_equal(count_of(&server, "ZCARD h:{%s}", T), 1);
}

/* A job that fails, with its report. */
static struct queue_settle failing(const struct queue_dsn *dsn)
{
    return (struct queue_settle){
        .job = "M1.0",
        .queue = "example.com",
        .token = claimed.token,
        .outcome = OUTCOME_END,
        .chunk_count = 1,
        .event = "bounced",
        .detail = "550 no such user",
        .dsn = dsn,
    };
}

static const struct queue_dsn report = {
    .job = "D1.0",
    .envelope = {.at = "dsn envelope", .len = 12},
    .state = {.at = "dsn state", .len = 9},
    .content = {.at = "Your message could not be delivered.", .len = 36},
};

static void check_report(void)
{
    assert_int_equal(count_of(&server, "EXISTS j:{%s}:M1.0", T), 0);
    assert_true(answers(&server, "#fanout", "HGET j:{%s}:D1.0 q", T));
    assert_true(answers(&server, "dsn envelope", "HGET j:{%s}:D1.0 e", T));
    assert_true(answers(&server, "dsn state", "HGET j:{%s}:D1.0 s", T));
    assert_true(answers(&server, "Your message could not be delivered.", "GET b:{%s}:D1.0:0", T));
    assert_int_equal(count_of(&server, "TTL b:{%s}:D1.0:0", T), -1);
    assert_int_equal(count_of(&server, "ZCARD q:{%s}:#fanout", T), 1);
}

static void a_report_comes_with_the_verdict(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 1);
    struct queue_settle job = failing(&report);
    settle(&job, 1);
    assert_int_equal(settled.answers[0], SETTLE_OK);
    check_report();
}

static void a_full_redis_takes_reports(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 1);
    struct queue_settle job = failing(&report);
    tell(&server, "CONFIG SET maxmemory 1");
    settle(&job, 1);
    assert_int_equal(settled.answers[0], SETTLE_OK);
    check_report();
}

static void a_lost_reply_makes_no_second_report(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 1);
    struct queue_settle job = failing(&report);
    proxy_lose(proxy, "$2\r\nok\r\n");
    settle(&job, 1);
    assert_true(proxy_has_lost(proxy));
    assert_int_equal(settled.answers[0], SETTLE_GONE);
    assert_true(settled.repeated);
    check_report();
}

static void sixty_four_jobs_in_one_call(void **state)
{
    enum { JOBS = 64 };
    struct queue_settle jobs[JOBS];
    struct queue_dsn dsns[JOBS];
    char names[JOBS][16], dsn_names[JOBS][16];

    (void) state;
    for (int i = 0; i < JOBS; i++) {
        (void) snprintf(names[i], sizeof names[i], "M%d.0", i);
        (void) snprintf(dsn_names[i], sizeof dsn_names[i], "D%d.0", i);
        make(names[i], "example.com");
    }
    claim("example.com", JOBS);
    assert_int_equal(claimed.count, JOBS);
    for (int i = 0; i < JOBS; i++) {
        dsns[i] = report;
        dsns[i].job = dsn_names[i];
        jobs[i] = failing(i % 3 ? NULL : &dsns[i]);
        jobs[i].job = names[i];
        jobs[i].outcome = i % 2 ? OUTCOME_END : OUTCOME_BACK;
        if (i == 10)
            jobs[i].token = "1.1";
    }
    settle(jobs, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(settled.answers[i], i == 10 ? SETTLE_STALE : SETTLE_OK);
    assert_int_equal(count_of(&server, "ZCARD c:{%s}", T), 1);
    assert_int_equal(count_of(&server, "ZCARD q:{%s}:example.com", T), 31);
    assert_int_equal(count_of(&server, "ZCARD q:{%s}:#fanout", T), 22);
}

static struct timer mend;

static void on_mend(struct timer *t UNUSED)
{
    assert_int_equal(settled.count, SIZE_MAX); /* no answer yet */
    tell(&server, "RENAME aside d:{%s}", T);
}

static void a_settle_waits_until_somebody_mends_the_partition(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 1);
    struct queue_settle job = failing(NULL);
    tell(&server, "RENAME d:{%s} aside", T);
    tell(&server, "SET d:{%s} text", T);
    timer_start(loop, &mend, 50, on_mend);
    settle(&job, 1);
    assert_int_equal(settled.answers[0], SETTLE_OK);
    assert_false(settled.repeated); /* nothing was executed before */
}

static void on_unknown(void *context, const enum settle_answer *answers, size_t count, bool repeated)
{
    assert_int_equal(count, 1);
    assert_int_equal(answers[0], SETTLE_UNKNOWN);
    (void) repeated;
    ++*(unsigned *) context;
}

static void only_closing_leaves_a_settle_unknown(void **state)
{
    struct queue_settle job = failing(NULL);
    unsigned told = 0;

    (void) state;
    queue_settle(store, TEST_PARTITION, &job, 1, on_unknown, &told);
    assert_int_equal(told, 0);
    store = store_close(store);
    assert_int_equal(told, 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_end_removes_everything_but_the_mark),
        TEST(back_waits_with_its_new_state),
        TEST(back_may_move_to_another_lane),
        TEST(keep_changes_the_token),
        TEST(a_report_comes_with_the_verdict),
        TEST(a_full_redis_takes_reports),
        TEST(a_lost_reply_makes_no_second_report),
        TEST(sixty_four_jobs_in_one_call),
        TEST(a_settle_waits_until_somebody_mends_the_partition),
        TEST(only_closing_leaves_a_settle_unknown),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
