/* Schedules of queues and classes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/retry_schedule.h"

enum { MIN = 60000, HOUR = 60 * MIN, DAY = 24 * HOUR };

static const struct conf_retry general = {.first_ms = 5 * MIN,
                                          .longest_ms = HOUR,
                                          .lifetime_ms = 5 * (uint64_t) DAY,
                                          .bounce_lifetime_ms = 4 * (uint64_t) DAY};

static void assert_retry(const struct conf *conf, const char *queue, enum bounce why, uint64_t first,
                         uint64_t longest, uint64_t lifetime, uint64_t bounce_lifetime)
{
    struct retry r;

    retry_find(conf, queue, why, &r);
    assert_int_equal(r.first_ms, first);
    assert_int_equal(r.longest_ms, longest);
    assert_int_equal(r.lifetime_ms, lifetime);
    assert_int_equal(r.bounce_lifetime_ms, bounce_lifetime);
}

/* proves: J01 J02 J03 */
static void each_queue_has_the_times_of_its_most_exact_row(void **state UNUSED)
{
    char *keys[] = {"*", "*/bulk", ".example.com", "example.com", "example.com/bulk"};
    char *values[] = {"first=1min", " longest=2h  first=2min ", "lifetime=1d", "bounce_lifetime=6h warn=3h",
                      "first=10s longest=20s lifetime=1h bounce_lifetime=30min"};
    const struct conf conf = {.retry = general},
                      some = {.dsn.delay_after_ms = 4 * HOUR,
                              .retry = {.first_ms = general.first_ms,
                                        .longest_ms = general.longest_ms,
                                        .lifetime_ms = general.lifetime_ms,
                                        .bounce_lifetime_ms = general.bounce_lifetime_ms,
                                        .schedules = {keys, values, ARRAY_LEN(keys)}}};
    char *error = NULL;
    const uint64_t days = DAY;
    struct retry r;

    assert_int_equal(retry_schedules_check(&some, &error), 0);
    assert_retry(&conf, "example.com", BOUNCE_NONE, 5 * MIN, HOUR, 5 * days, 4 * days);
    assert_retry(&some, "other.test", BOUNCE_NONE, MIN, HOUR, 5 * days, 4 * days);
    assert_retry(&some, "other.test/bulk", BOUNCE_NONE, 2 * MIN, 2 * HOUR, 5 * days, 4 * days);
    assert_retry(&some, "other.test/other", BOUNCE_NONE, MIN, HOUR, 5 * days, 4 * days);
    assert_retry(&some, "a.example.com", BOUNCE_NONE, 5 * MIN, HOUR, days, 4 * days);
    assert_retry(&some, "a.example.com/bulk", BOUNCE_NONE, 5 * MIN, HOUR, days, 4 * days);
    assert_retry(&some, "example.com", BOUNCE_NONE, 5 * MIN, HOUR, 5 * days, 6 * HOUR);
    assert_retry(&some, "example.com/other", BOUNCE_NONE, 5 * MIN, HOUR, 5 * days, 6 * HOUR);
    retry_find(&some, "example.com", BOUNCE_NONE, &r);
    assert_int_equal(r.warn_ms, 3 * HOUR);
    retry_find(&some, "other.test", BOUNCE_NONE, &r);
    assert_int_equal(r.warn_ms, 4 * HOUR);
    assert_retry(&some, "example.com/bulk", BOUNCE_NONE, 10000, 20000, HOUR, 30 * MIN);
}

static void a_class_goes_before_its_queue(void **state UNUSED)
{
    char *keys[] = {"example.com"}, *values[] = {"first=1min longest=2min"};
    char *classes[] = {"greylist", "full"}, *times[] = {"first=30s", "longest=6h lifetime=1d"};
    const struct conf conf = {.retry = {.first_ms = general.first_ms,
                                        .longest_ms = general.longest_ms,
                                        .lifetime_ms = general.lifetime_ms,
                                        .bounce_lifetime_ms = general.bounce_lifetime_ms,
                                        .schedules = {keys, values, 1},
                                        .classes = {classes, times, 2}}};
    char *error = NULL;
    const uint64_t days = DAY;

    assert_int_equal(retry_schedules_check(&conf, &error), 0);
    assert_retry(&conf, "example.com", BOUNCE_GREYLIST, 30000, 2 * MIN, 5 * days, 4 * days);
    assert_retry(&conf, "example.com", BOUNCE_FULL, MIN, 6 * HOUR, days, 4 * days);
    assert_retry(&conf, "example.com", BOUNCE_RATE, MIN, 2 * MIN, 5 * days, 4 * days);
    assert_retry(&conf, "other.test", BOUNCE_FULL, 5 * MIN, 6 * HOUR, days, 4 * days);
}

static void assert_refused(const char *path, const char *key, const char *value, const char *part)
{
    char *keys[] = {(char *) (uintptr_t) key}, *values[] = {(char *) (uintptr_t) value};
    const struct conf_map rows = {keys, values, 1};
    struct conf conf = {.retry = general};
    char *error = NULL;

    *(strcmp(path, "retry.classes") == 0 ? &conf.retry.classes : &conf.retry.schedules) = rows;
    assert_int_equal(retry_schedules_check(&conf, &error), -EINVAL);
    assert_ptr_equal(strstr(error, path), error);
    assert_non_null(strstr(error, key));
    if (!strstr(error, part))
        fail_msg("%s", error);
    mem_free(error);
}

static void refuses_what_it_cannot_read(void **state UNUSED)
{
    static const char *const bad[] = {"",
                                      "5min",
                                      "first",
                                      "first=",
                                      "first=5",
                                      "first=x",
                                      "first=0s",
                                      "first=61d",
                                      "last=5min",
                                      "first=5min,",
                                      "first=1h longest=1min",
                                      "first=9ms",
                                      "=5min",
                                      "first==5min",
                                      "first=5min x",
                                      "First=5min"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_refused("retry.schedules", "example.com", bad[i], "first");
        assert_refused("retry.classes", "full", bad[i], "first");
    }
    assert_refused("retry.schedules", "/bulk", "first=5min", "expected a queue");
    assert_refused("retry.schedules", "example.com/", "first=5min", "expected a queue");
    assert_refused("retry.classes", "none", "first=5min", "expected a class");
    assert_refused("retry.classes", "FULL", "first=5min", "expected a class");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_queue_has_the_times_of_its_most_exact_row),
        cmocka_unit_test(a_class_goes_before_its_queue),
        cmocka_unit_test(refuses_what_it_cannot_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
