/* Limits of queues, and the bucket that keeps a rate. */
#include "dispatcher/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"

static struct limits *make(size_t count, char **names, char **values)
{
    struct conf c = {.dispatcher = {.queue_connections = 20,
                                    .queue_rate = 600,
                                    .limits = {.keys = names, .values = values, .count = count}}};
    struct limits *l;
    char *error = NULL;
    if (limits_new(&c, &l, &error) < 0) {
        assert_non_null(error);
        mem_free(error);
        return NULL;
    }
    return l;
}

static void assert_limit(const struct limits *l, const char *queue, uint32_t connections, uint64_t rate_micro)
{
    struct limit limit = limits_of(l, span_of(queue));
    assert_int_equal(limit.connections, connections);
    assert_int_equal(limit.rate_micro, rate_micro);
}

static void the_most_particular_row_counts(void **state)
{
    (void) state;
    char *names[] = {"example.com", "example.com/bulk", ".example.com", ".com", "*/slow"};
    char *values[] = {"connections=5", "rate=60", "connections=3 rate=120", " rate=0  connections=7 ",
                      "connections=2"};
    struct limits *l = make(ARRAY_LEN(names), names, values);
    assert_non_null(l);
    assert_limit(l, "elsewhere.org", 20, 10000000);
    assert_limit(l, "example.com", 5, 10000000);
    assert_limit(l, "example.com/news", 5, 10000000);
    assert_limit(l, "example.com/bulk", 20, 1000000);
    assert_limit(l, "a.b.example.com/bulk", 3, 2000000);
    assert_limit(l, "other.com", 7, 0);
    assert_limit(l, "other.com/slow", 7, 0); /* a domain of its own goes before a lane */
    assert_limit(l, "elsewhere.org/slow", 2, 10000000);
    assert_limit(l, "elsewhere.org/other", 20, 10000000);
    assert_limit(l, "com", 20, 10000000);
    assert_limit(l, "", 20, 10000000);
    limits_free(l);
}

static void many_queue_messages_have_no_rate(void **state)
{
    (void) state;
    struct limits *l = make(0, NULL, NULL);
    assert_int_equal(limits_of(l, SPAN("#fanout")).rate_micro, 0);
    assert_true(limits_of(l, SPAN("#fanout")).connections > 0);
    limits_free(l);
}

static void refuses_a_limit_it_cannot_read(void **state)
{
    (void) state;
    static char *const bad[] = {"connections=0",   "connections=10001", "connections",         "rate=-1",
                                "rate=1000000000", "speed=5",           "connections=5,rate=1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *name = "example.com", *value = bad[i];
        assert_null(make(1, &name, &value));
    }
}

static void a_bucket_starts_empty_and_fills_with_time(void **state)
{
    (void) state;
    struct bucket b;
    bucket_start(&b, 1000);
    assert_false(bucket_has_one(&b, 16666, 1000)); /* one a minute */
    assert_false(bucket_has_one(&b, 16666, 60000));
    assert_true(bucket_has_one(&b, 16666, 61003));
    bucket_take(&b, 16666, 1, 61003);
    assert_false(bucket_has_one(&b, 16666, 61003));
}

static void many_looks_lose_no_time(void **state)
{
    (void) state;
    struct bucket b;
    bucket_start(&b, 0);
    for (uint64_t now = 1; now <= 1000; now++)
        (void) bucket_has_one(&b, 1000000, now);
    assert_true(bucket_has_one(&b, 1000000, 1000));
}

static void a_bucket_holds_one_second_and_at_least_one_message(void **state)
{
    (void) state;
    struct bucket b;
    bucket_start(&b, 0);
    assert_true(bucket_is_full(&b, 100000000, 1000000)); /* 100 a second */
    bucket_take(&b, 100000000, 100, 1000000);
    assert_false(bucket_has_one(&b, 100000000, 1000000));
    assert_true(bucket_has_one(&b, 100000000, 1000010));
    bucket_start(&b, 0);
    assert_true(bucket_is_full(&b, 16666, 3600000));
    bucket_take(&b, 16666, 1, 3600000);
    assert_false(bucket_has_one(&b, 16666, 3600000));
}

static void a_wrong_report_stops_a_queue_for_a_while_only(void **state)
{
    (void) state;
    struct bucket b;
    bucket_start(&b, 0);
    bucket_take(&b, 1000000, UINT32_MAX, 1000);
    assert_false(bucket_has_one(&b, 1000000, 11000));
    assert_true(bucket_has_one(&b, 1000000, 12000));
}

static void no_rate_is_no_limit(void **state)
{
    (void) state;
    struct bucket b;
    bucket_start(&b, 0);
    assert_true(bucket_has_one(&b, 0, 0));
    assert_true(bucket_is_full(&b, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_particular_row_counts),
        cmocka_unit_test(many_queue_messages_have_no_rate),
        cmocka_unit_test(refuses_a_limit_it_cannot_read),
        cmocka_unit_test(a_bucket_starts_empty_and_fills_with_time),
        cmocka_unit_test(many_looks_lose_no_time),
        cmocka_unit_test(a_bucket_holds_one_second_and_at_least_one_message),
        cmocka_unit_test(a_wrong_report_stops_a_queue_for_a_while_only),
        cmocka_unit_test(no_rate_is_no_limit),
    };
    return cmocka_run_group_tests_name("dispatcher/limits", tests, NULL, NULL);
}
