/* Unit tests of base/metric. */
#include "base/metric.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_has(const struct buf *b, const char *line)
{
    assert_non_null(memmem(b->data, b->len, line, strlen(line)));
}

static void counters_and_gauges_print(void **state)
{
    (void) state;
    AUTO_BUF struct buf out = {.data = NULL};
    metric_add(METRIC_ACCEPTED_TOTAL, 3);
    metric_add(METRIC_ACCEPTED_TOTAL, 4);
    metric_set(METRIC_PARTITIONS, 5);
    metric_add(METRIC_PARTITIONS, -7);
    assert_int_equal(metric_get(METRIC_ACCEPTED_TOTAL), 7);
    metric_print(&out);
    assert_has(&out, "# TYPE barid_accepted_total counter\nbarid_accepted_total 7\n");
    assert_has(&out, "# TYPE barid_partitions gauge\nbarid_partitions -2\n");
    assert_has(&out, "# HELP barid_sessions SMTP sessions open\n");
}

static void histograms_add_up(void **state)
{
    (void) state;
    AUTO_BUF struct buf out = {.data = NULL};
    metric_observe_us(METRIC_ACCEPT_SECONDS, 100);
    metric_observe_us(METRIC_ACCEPT_SECONDS, 101);
    metric_observe_us(METRIC_ACCEPT_SECONDS, UINT64_C(2500000));
    metric_observe_us(METRIC_ACCEPT_SECONDS, UINT64_C(86400000000));
    metric_print(&out);
    assert_has(&out, "# TYPE barid_accept_seconds histogram\n");
    assert_has(&out, "barid_accept_seconds_bucket{le=\"0.0001\"} 1\n");
    assert_has(&out, "barid_accept_seconds_bucket{le=\"0.00025\"} 2\n");
    assert_has(&out, "barid_accept_seconds_bucket{le=\"1\"} 2\n");
    assert_has(&out, "barid_accept_seconds_bucket{le=\"2.5\"} 3\n");
    assert_has(&out, "barid_accept_seconds_bucket{le=\"3600\"} 3\n");
    assert_has(&out, "barid_accept_seconds_bucket{le=\"+Inf\"} 4\n");
    assert_has(&out, "barid_accept_seconds_sum 86402.500201\n");
    assert_has(&out, "barid_accept_seconds_count 4\n");
}

static void labels_count_by_word(void **state)
{
    (void) state;
    static const char *const words[] = {"full", "rate"};
    AUTO_BUF struct buf out = {.data = NULL}, before = {.data = NULL};
    metric_print(&before);
    assert_has(&before, "# TYPE barid_failed_total counter\n# HELP");
    metric_label(METRIC_FAILED_TOTAL, words, 2);
    metric_add_labelled(METRIC_FAILED_TOTAL, 1, 2);
    metric_add_labelled(METRIC_FAILED_TOTAL, 1, 1);
    metric_add_labelled(METRIC_FAILED_TOTAL, 0, 4);
    assert_int_equal(metric_get(METRIC_FAILED_TOTAL), 7);
    metric_print(&out);
    assert_has(&out, "# TYPE barid_failed_total counter\nbarid_failed_total{class=\"full\"} 4\n"
                     "barid_failed_total{class=\"rate\"} 3\n# HELP");
}

static void ages_are_set_in_milliseconds_and_printed_in_seconds(void **state)
{
    (void) state;
    static const char *const words[] = {"waiting", "due"};
    AUTO_BUF struct buf out = {.data = NULL};
    metric_label(METRIC_QUEUE_OLDEST_SECONDS, words, 2);
    metric_set_labelled(METRIC_QUEUE_OLDEST_SECONDS, 1, 7000);
    metric_set_labelled(METRIC_QUEUE_OLDEST_SECONDS, 1, 1500);
    metric_set(METRIC_QUEUE_TARDINESS_SECONDS, 20);
    metric_print(&out);
    assert_has(&out, "barid_queue_oldest_seconds{state=\"waiting\"} 0\n"
                     "barid_queue_oldest_seconds{state=\"due\"} 1.5\n");
    assert_has(&out, "\nbarid_queue_tardiness_seconds 0.02\n");
    assert_int_equal(metric_get(METRIC_QUEUE_OLDEST_SECONDS), 1500);
}

static void a_histogram_tells_its_word(void **state)
{
    (void) state;
    static const char *const words[] = {"replicas-1"};
    AUTO_BUF struct buf out = {.data = NULL};
    metric_label(METRIC_ACCEPT_SECONDS, words, 1);
    metric_print(&out);
    assert_has(&out, "\nbarid_accept_seconds_bucket{durability=\"replicas-1\",le=\"+Inf\"} 4\n");
    assert_has(&out, "\nbarid_accept_seconds_count{durability=\"replicas-1\"} 4\n");
}

static void names_of_strangers_break_no_line(void **state)
{
    (void) state;
    static const char *const words[] = {"delivered", "deferred"};
    AUTO_BUF struct buf out = {.data = NULL};
    metric_label(METRIC_SITE_RECIPIENTS_TOTAL, words, 2);
    metric_add_busiest(METRIC_SITE_RECIPIENTS_TOTAL, SPAN("a\"\\\n\xff.test"), 1, 2);
    metric_print(&out);
    assert_has(&out, "\nbarid_site_recipients_total{site=\"a?\?\?\?.test\",verdict=\"deferred\"} 2\n");
    assert_has(&out, "\nbarid_site_recipients_total{site=\"other\",verdict=\"delivered\"} 0\n");
}

static void *add_many(void *unused)
{
    (void) unused;
    for (int i = 0; i < 10000; i++)
        metric_add(METRIC_RINGS_TOTAL, 1);
    return NULL;
}

static void threads_lose_no_count(void **state)
{
    (void) state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(metric_get(METRIC_RINGS_TOTAL), 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_gauges_print),
        cmocka_unit_test(histograms_add_up),
        cmocka_unit_test(labels_count_by_word),
        cmocka_unit_test(ages_are_set_in_milliseconds_and_printed_in_seconds),
        cmocka_unit_test(a_histogram_tells_its_word),
        cmocka_unit_test(names_of_strangers_break_no_line),
        cmocka_unit_test(threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
