/* What grants do to a work. The loop does not run: only what is noted at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/conf.h"
#include "cluster/wire.h"
#include "courier/work.h"
#include "io/loop.h"

/* main.c, which has it, is not here. */
void courier_check_drained(struct courier *c UNUSED)
{
}

static struct courier courier;

static int set_defaults(void **state UNUSED)
{
    struct conf *conf = NULL;
    char *error = NULL;

    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    conf_set(conf);
    return 0;
}

static int setup(void **state UNUSED)
{
    courier = (struct courier){.loop = loop_new()};
    list_init(&courier.idle);
    list_init(&courier.open_claims);
    list_init(&courier.short_of_jobs);
    list_init(&courier.short_of_connections);
    list_init(&courier.content_waiting);
    return 0;
}

static struct work *the_work(void)
{
    return map_get(&courier.works, SPAN("7:example.com"));
}

static int teardown(void **state UNUSED)
{
    struct work *w = the_work();

    tail_remove(&courier.report_tail);
    if (w) {
        w->is_report_due = false;
        w->until_ms = 0;
        assert_true(work_check_over(w));
    }
    map_done(&courier.works);
    courier.loop = loop_free(courier.loop);
    return 0;
}

static struct work *grant(uint64_t token, uint32_t serial, uint32_t connections)
{
    work_grant(&courier,
               &(struct grant){.partition = 7,
                               .queue = SPAN("example.com"),
                               .token = token,
                               .serial = serial,
                               .connections = connections},
               clock_ms() + 5000);
    return the_work();
}

static void the_first_grant_makes_a_work(void **state UNUSED)
{
    struct work *w = grant(10, 1, 5);

    assert_non_null(w);
    assert_true(work_is_granted(w));
    assert_int_equal(w->connections_max, 5);
    assert_string_equal(w->domain, "example.com");
}

static void what_was_never_granted_is_not_taken_back(void **state UNUSED)
{
    assert_null(grant(10, 1, 0));
}

static void a_late_grant_changes_nothing(void **state UNUSED)
{
    struct work *w = grant(10, 5, 3);

    grant(10, 4, 20);
    assert_int_equal(w->connections_max, 3);
    grant(9, 100, 20);
    assert_int_equal(w->connections_max, 3);
    assert_int_equal(w->serial, 5);
    grant(10, 5, 4); /* said again */
    assert_int_equal(w->connections_max, 4);
    grant(11, 1, 7); /* of a new owner */
    assert_int_equal(w->connections_max, 7);
    assert_int_equal(w->serial, 1);
}

/* proves: M05 */
static void one_said_again_ends_no_sooner(void **state UNUSED)
{
    struct work *w = grant(10, 5, 3);
    const struct grant again = {
        .partition = 7, .queue = SPAN("example.com"), .token = 10, .serial = 5, .connections = 1};
    uint64_t until_ms = w->until_ms;

    work_grant(&courier, &again, until_ms - 1000);
    assert_int_equal(w->until_ms, until_ms);
    assert_int_equal(w->connections_max, 3);
    work_grant(&courier, &again, until_ms + 1);
    assert_int_equal(w->until_ms, until_ms + 1);
}

static void one_taken_back_is_remembered_until_its_time_is_over(void **state UNUSED)
{
    struct work *w = grant(10, 5, 3);

    grant(10, 6, 0);
    assert_false(work_is_granted(w));
    w->is_report_due = false;
    assert_false(work_check_over(w));
    grant(10, 5, 3); /* on its way for long */
    assert_false(work_is_granted(w));
}

static void less_is_told_at_once(void **state UNUSED)
{
    struct work *w = grant(10, 1, 5);

    assert_false(w->is_report_due);
    grant(10, 2, 8);
    assert_false(w->is_report_due);
    grant(10, 3, 7);
    assert_true(w->is_report_due);
    assert_true(w->is_shrunk);
    w->is_report_due = false;
    grant(10, 4, 0);
    assert_true(w->is_report_due);
    w->is_report_due = false;
    grant(10, 4, 0); /* asked again: told again */
    assert_true(w->is_report_due);
}

static void a_lower_rate_is_told_at_once(void **state UNUSED)
{
    struct work *w = grant(10, 1, 5);
    struct grant g = {
        .partition = 7, .queue = SPAN("example.com"), .token = 10, .serial = 2, .connections = 5};

    g.rate_micro = 5000000;
    work_grant(&courier, &g, clock_ms() + 5000);
    assert_true(w->is_report_due);
    w->is_report_due = false;
    g.rate_micro = 6000000;
    work_grant(&courier, &g, clock_ms() + 5000);
    assert_false(w->is_report_due);
}

static void trouble_lasts_until_a_grant_with_a_higher_serial(void **state UNUSED)
{
    struct work *w = grant(10, 1, 5);

    verdict_set(&w->trouble, STATUS_NO_CONNECTION, NULL);
    grant(10, 1, 5);
    assert_int_equal(w->trouble.class, VERDICT_DEFERRED);
    grant(10, 2, 1);
    assert_int_equal(w->trouble.class, VERDICT_NONE);
    verdict_set(&w->trouble, STATUS_NO_CONNECTION, NULL);
    grant(11, 1, 1);
    assert_int_equal(w->trouble.class, VERDICT_NONE);
}

static void leaving_connections_are_not_too_many(void **state UNUSED)
{
    struct work *w = grant(10, 1, 2);

    w->connection_count = 3;
    assert_true(work_has_too_many(w));
    w->leaving = 1;
    assert_false(work_has_too_many(w));
    w->connection_count = w->leaving = 0;
}

static void hear_success(struct work *w)
{
    struct verdict taken = {.class = VERDICT_DELIVERED};

    work_hear(w, &(struct client_message){.verdicts = &taken, .count = 1});
}

static bool take_report_due(struct work *w)
{
    bool is_due = w->is_report_due;

    w->is_report_due = false;
    return is_due;
}

static void a_cohort_is_told_at_once_but_once_for_each_grant_that_grew(void **state UNUSED)
{
    struct work *w = grant(10, 1, 2);

    w->has_told_answer = true;
    hear_success(w);
    assert_false(take_report_due(w));
    hear_success(w);
    assert_true(take_report_due(w));
    hear_success(w);
    assert_false(take_report_due(w));
    grant(10, 2, 3);
    hear_success(w);
    assert_true(take_report_due(w));
}

static void hear_refusal(struct work *w)
{
    struct verdict put_off = {.class = VERDICT_DEFERRED, .code = 451, .status = "4.7.1"};

    work_hear(w, &(struct client_message){.verdicts = &put_off, .count = 1});
}

/* proves: H17 */
static void each_cohort_that_is_put_off_is_told_at_once(void **state UNUSED)
{
    struct work *w = grant(10, 1, 2);

    for (int i = 0; i < 3; i++) {
        w->feedback = (struct feedback){0}; /* as a report leaves it */
        hear_refusal(w);
        assert_false(take_report_due(w));
        hear_refusal(w);
        assert_true(take_report_due(w));
    }
}

/* proves: H17 */
static void a_host_that_puts_off_all_is_asked_seldom_until_it_takes_some(void **state UNUSED)
{
    struct work *w = grant(10, 1, 2);

    for (int i = 0; i < 20; i++)
        hear_refusal(w);
    assert_int_equal(w->rate.micro, 0); /* the dispatcher takes connections away first */
    grant(10, 2, 1);
    assert_in_range(w->rate.micro, 1, 10 * 1000000);
    hear_refusal(w);
    assert_in_range(w->rate.micro, 1, 10 * 1000000);
    hear_success(w);
    assert_int_equal(w->rate.micro, 0);
    for (int i = 0; i < 9; i++)
        hear_refusal(w);
    assert_int_equal(w->rate.micro, 0);
    hear_refusal(w);
    assert_in_range(w->rate.micro, 1, 10 * 1000000);
}

/* proves: H16 */
static void what_was_told_of_a_site_before_a_grant_ended_is_told_again(void **state UNUSED)
{
    struct work *w = grant(10, 1, 2);

    w->site_told_ms = 1;
    grant(10, 2, 2);
    assert_int_equal(w->site_told_ms, 1);
    grant(10, 3, 0);
    grant(10, 4, 2);
    assert_int_equal(w->site_told_ms, 0);
    assert_string_equal(w->site, "");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_grant_makes_a_work),
        TEST(what_was_never_granted_is_not_taken_back),
        TEST(a_late_grant_changes_nothing),
        TEST(one_said_again_ends_no_sooner),
        TEST(one_taken_back_is_remembered_until_its_time_is_over),
        TEST(less_is_told_at_once),
        TEST(a_lower_rate_is_told_at_once),
        TEST(trouble_lasts_until_a_grant_with_a_higher_serial),
        TEST(leaving_connections_are_not_too_many),
        TEST(a_cohort_is_told_at_once_but_once_for_each_grant_that_grew),
        TEST(each_cohort_that_is_put_off_is_told_at_once),
        TEST(a_host_that_puts_off_all_is_asked_seldom_until_it_takes_some),
        TEST(what_was_told_of_a_site_before_a_grant_ended_is_told_again),
    };

    return cmocka_run_group_tests(tests, set_defaults, NULL);
}
