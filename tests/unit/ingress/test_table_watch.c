/* Files of the address tables that change while they are watched: real files, a real loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/table_watch.h"

enum { GUARD_MS = 20000, PASS_MS = 2 };

static struct loop *loop;
static struct timer pass;
static char path[] = "/tmp/barid-watch-XXXXXX";

static void on_pass(struct timer *t UNUSED)
{
    loop_stop(loop);
}

/* Looked at every 2 ms; fails after 20 s. */
#define WAIT_FOR(condition)                             \
    do {                                                \
        uint64_t end_ms = clock_ms() + GUARD_MS;        \
        while (!(condition)) {                          \
            assert_true(clock_ms() < end_ms);           \
            timer_start(loop, &pass, PASS_MS, on_pass); \
            loop_run(loop);                             \
        }                                               \
    } while (0)

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void load_settings(const char *aliases)
{
    struct conf *conf = NULL;
    AUTO_FREE char *error = NULL;

    assert_int_equal(setenv("BARID_TABLES_ALIASES", aliases, 1), 0);
    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    conf_set(conf);
}

/* What the key stands for now; "": nothing. */
static bool is_now(const char *key, const char *expected)
{
    const struct span keys[] = {span_of(key)};
    unsigned number;
    size_t which;
    struct table_files *f = table_watch_hold(&number);
    const char *value = table_files_find(f, FILE_ALIASES, keys, 1, &which);
    bool is_so = strcmp(value ? value : "", expected) == 0;

    assert_null(table_files_release(f));
    return is_so;
}

static int set_up(void **state UNUSED)
{
    memcpy(path, "/tmp/barid-watch-XXXXXX", sizeof path);
    int fd = mkstemp(path);
    loop = loop_new();
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state UNUSED)
{
    table_watch_close();
    loop = loop_free(loop);
    (void) unlink(path); /* a test may have removed it */
    return 0;
}

static void open_watch(void)
{
    AUTO_FREE char *error = NULL;

    assert_int_equal(table_watch_open(loop, &error), 0);
}

static void a_changed_file_is_read_anew(void **state UNUSED)
{
    unsigned before;

    write_file("bob@x.example one@y.example\n");
    load_settings(path);
    open_watch();
    before = table_watch_number();
    assert_true(is_now("bob@x.example", "one@y.example"));
    write_file("bob@x.example two@y.example, three@y.example\n");
    WAIT_FOR(is_now("bob@x.example", "two@y.example, three@y.example"));
    assert_true(table_watch_number() != before);
}

static void a_broken_file_leaves_what_was_read_before(void **state UNUSED)
{
    write_file("bob@x.example one@y.example\n");
    load_settings(path);
    open_watch();
    write_file("bob@x.example two@y.example\nnonsense\n");
    WAIT_FOR(metric_get(METRIC_TABLE_FILES_STALE) == 1);
    assert_true(is_now("bob@x.example", "one@y.example"));
    assert_int_equal(unlink(path), 0);
    table_watch_reload();
    WAIT_FOR(metric_get(METRIC_TABLE_FILES_STALE) == 1);
    assert_true(is_now("bob@x.example", "one@y.example"));
    write_file("bob@x.example two@y.example\n");
    WAIT_FOR(is_now("bob@x.example", "two@y.example"));
    assert_int_equal(metric_get(METRIC_TABLE_FILES_STALE), 0);
}

static void who_holds_the_old_ones_keeps_them(void **state UNUSED)
{
    const struct span keys[] = {SPAN("bob@x.example")};
    unsigned number;
    size_t which;

    write_file("bob@x.example one@y.example\n");
    load_settings(path);
    open_watch();
    struct table_files *old = table_watch_hold(&number);
    write_file("bob@x.example another@y.example\n");
    WAIT_FOR(number != table_watch_number());
    assert_string_equal(table_files_find(old, FILE_ALIASES, keys, 1, &which), "one@y.example");
    assert_null(table_files_release(old));
}

static void other_settings_are_other_files(void **state UNUSED)
{
    unsigned number;

    write_file("bob@x.example one@y.example\n");
    load_settings(path);
    open_watch();
    load_settings("");
    table_watch_reload();
    table_watch_reload(); /* twice in a row is no harm */
    WAIT_FOR(is_now("bob@x.example", ""));
    assert_null(table_watch_hold(&number));
    load_settings(path);
    table_watch_reload();
    WAIT_FOR(is_now("bob@x.example", "one@y.example"));
}

static void a_broken_file_at_the_start_is_told(void **state UNUSED)
{
    AUTO_FREE char *error = NULL,
                   *expected = mem_format("%s: line 2: \"x\" is neither an address nor @domain", path);

    write_file("# the first line\nx y\n");
    load_settings(path);
    assert_true(table_watch_open(loop, &error) < 0);
    assert_string_equal(error, expected);
}

static void a_key_that_is_there_twice_is_told(void **state UNUSED)
{
    AUTO_FREE char *error = NULL;

    write_file("bob@x.example a@y.example\n\"bob\"@X.example b@y.example\n");
    load_settings(path);
    assert_true(table_watch_open(loop, &error) < 0);
    assert_true(strstr(error, "is there already") && strstr(error, "line 2: "));
}

static void a_load_under_way_at_the_end_is_no_harm(void **state UNUSED)
{
    write_file("bob@x.example one@y.example\n");
    load_settings(path);
    open_watch();
    table_watch_reload();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_changed_file_is_read_anew),
        TEST(a_broken_file_leaves_what_was_read_before),
        TEST(who_holds_the_old_ones_keeps_them),
        TEST(other_settings_are_other_files),
        TEST(a_broken_file_at_the_start_is_told),
        TEST(a_key_that_is_there_twice_is_told),
        TEST(a_load_under_way_at_the_end_is_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
