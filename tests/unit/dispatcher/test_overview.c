/* The status page's figures: what pages add up to, and what the JSON says of them. */
#include "dispatcher/overview.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

enum { NOW = 100000 };
static struct overview overview;
static struct node_peer peers[3];
static struct node_busy busy[1];

static void add(const struct queue_depth *queues, size_t count, uint64_t claimed, uint64_t held)
{
    const struct queue_page page = {
        .queues = queues, .count = count, .now_ms = NOW, .claimed = claimed, .held = held};
    overview_add(&overview.last, &page, NULL);
}

static int begin(void **state UNUSED)
{
    memset(peers, 0, sizeof(peers));
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        peers[i].incarnation = i + 1;
        struct node_stats *s = &peers[i].stats;
        s->role = (enum role) i;
        s->name = (char *) (uintptr_t) (i == 0 ? "in1" : i == 1 ? "di1" : "co1");
        s->version = (char *) (uintptr_t) "0.1.0";
        s->beat_ms = NOW - 500;
        s->store_audit_ok = true;
    }
    peers[ROLE_DISPATCHER].stats.partitions = PARTITION_COUNT;
    overview = (struct overview){.last_ms = 1};
    return 0;
}

static int end(void **state UNUSED)
{
    overview_done(&overview);
    return 0;
}

static char said[65536];
static const char *say(const char *trouble)
{
    const struct node_view view = {.peers = peers, .count = ARRAY_LEN(peers)};
    const struct overview_moment m = {.overview = &overview,
                                      .view = &view,
                                      .name = "di1",
                                      .version = "0.1.0",
                                      .trouble = trouble,
                                      .memory_percent = 7,
                                      .now_ms = 1,
                                      .redis_ms = NOW};
    AUTO_BUF struct buf out = {.data = NULL};
    struct json *json = overview_json(&m);
    json_print_line(json, &out);
    json_free(json);
    (void) snprintf(said, sizeof(said), "%.*s", SPAN_ARG(buf_span(&out)));
    for (char *from = said, *to = said;; from++)
        if (*from != ' ' && !(*to++ = *from)) /* the words of causes stand together then */
            break;
    return said;
}

static void figures_add_up(void **state UNUSED)
{
    const struct queue_depth first[] = {
        {.queue = SPAN("a.test"),
         .jobs = 5,
         .due = 2,
         .first_due_ms = NOW - 3000,
         .first_made_ms = NOW - 9000},
        {.queue = SPAN("b.test"), .jobs = 1, .first_due_ms = NOW + 7000, .last_made_ms = NOW - 20000},
        {.queue = SPAN("empty.test")}};
    const struct queue_depth second[] = {{.queue = SPAN("c.test"),
                                          .jobs = 9,
                                          .due = 20,
                                          .first_due_ms = NOW - 8000,
                                          .paused_until_ms = NOW + 1000,
                                          .error = SPAN("no way")}};
    add(first, 3, 4, 2);
    add(second, 1, 1, 0);
    const struct overview_sum *sum = &overview.last;
    assert_int_equal(sum->waiting, 15);
    assert_int_equal(sum->due, 11);
    assert_int_equal(sum->claimed, 5);
    assert_int_equal(sum->held, 2);
    assert_int_equal(sum->queues, 3);
    assert_int_equal(sum->paused, 1);
    assert_int_equal(sum->oldest_ms, NOW - 20000);
    assert_int_equal(sum->tardy_ms, 3000); /* a paused queue is not late */
    assert_int_equal(sum->top_count, 3);
    assert_string_equal(sum->top[0].name, "c.test");
    assert_string_equal(sum->top[0].error, "no way");
    assert_string_equal(sum->top[2].name, "b.test");
}

static void the_longest_are_kept_in_order(void **state UNUSED)
{
    char names[200][16];
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        (void) snprintf(names[i], sizeof(names[i]), "q%u.test", i);
        const struct queue_depth one = {.queue = span_of(names[i]), .jobs = 1 + i * 7 % 200};
        add(&one, 1, 0, 0);
    }
    assert_int_equal(overview.last.top_count, OVERVIEW_QUEUES);
    for (unsigned i = 0; i < OVERVIEW_QUEUES; i++)
        assert_int_equal(overview.last.top[i].waiting, 200 - i);
}

static void a_queue_told_twice_is_shown_once(void **state UNUSED)
{
    const struct queue_depth twice[] = {{.queue = SPAN("a.test"), .jobs = 5},
                                        {.queue = SPAN("b.test"), .jobs = 4},
                                        {.queue = SPAN("a.test"), .jobs = 3}};
    add(twice, 3, 0, 0);
    assert_int_equal(overview.last.top_count, 2);
    assert_string_equal(overview.last.top[0].name, "b.test");
    assert_int_equal(overview.last.top[1].waiting, 3);
}

static void all_well_has_no_causes(void **state UNUSED)
{
    assert_non_null(strstr(say(""), "\"causes\":[]"));
    assert_non_null(strstr(said, "\"partitions_held\":256"));
}

static void what_stops_mail_is_told(void **state UNUSED)
{
    peers[ROLE_COURIER].stats.is_draining = true;
    peers[ROLE_DISPATCHER].stats.partitions = 200;
    overview.last.away = 3;
    assert_non_null(
        strstr(say("Redis is away"),
               "\"causes\":[\"Redisisaway\",\"nocourierworks\",\"56of256partitionshavenodispatcher\","
               "\"3of256partitionsdidnotanswer:theirRedisisaway\"]"));
}

static void partitions_of_a_silent_dispatcher_have_none(void **state UNUSED)
{
    peers[ROLE_DISPATCHER].stats.beat_ms = NOW - 5000;
    assert_non_null(strstr(say(""), "256of256partitionshavenodispatcher"));
    assert_non_null(strstr(said, "\"state\":\"silent\""));
}

static void before_the_first_round_no_figure_is_made_up(void **state UNUSED)
{
    overview.last_ms = 0;
    assert_non_null(strstr(say(""), "\"queue\":null"));
    assert_non_null(strstr(said, "\"queues\":[]"));
}

static void a_queue_that_is_worked_is_shown_without_anything_waiting(void **state UNUSED)
{
    busy[0] = (struct node_busy){.queue = (char *) (uintptr_t) "w.test",
                                 .site = (char *) (uintptr_t) "mx.w.test",
                                 .connections = 3,
                                 .granted = 5,
                                 .jobs = 8};
    peers[ROLE_COURIER].stats.busy = busy;
    peers[ROLE_COURIER].stats.busy_count = 1;
    assert_non_null(strstr(say(""), "{\"name\":\"w.test\",\"state\":\"worked\",\"waiting\":0"));
    assert_non_null(
        strstr(said, "\"sites\":[{\"name\":\"mx.w.test\",\"connections\":3,\"granted\":5,\"rate\":null"));
}

static void hostile_names_stay_text(void **state UNUSED)
{
    const struct queue_depth one = {.queue = SPAN("\"</script>\x01\xff"), .jobs = 1};
    add(&one, 1, 0, 0);
    assert_non_null(strstr(say(""), "\"name\":\"\\\"</script>\\u0001\xef\xbf\xbd\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(figures_add_up, begin, end),
        cmocka_unit_test_setup_teardown(the_longest_are_kept_in_order, begin, end),
        cmocka_unit_test_setup_teardown(a_queue_told_twice_is_shown_once, begin, end),
        cmocka_unit_test_setup_teardown(all_well_has_no_causes, begin, end),
        cmocka_unit_test_setup_teardown(what_stops_mail_is_told, begin, end),
        cmocka_unit_test_setup_teardown(partitions_of_a_silent_dispatcher_have_none, begin, end),
        cmocka_unit_test_setup_teardown(before_the_first_round_no_figure_is_made_up, begin, end),
        cmocka_unit_test_setup_teardown(a_queue_that_is_worked_is_shown_without_anything_waiting, begin, end),
        cmocka_unit_test_setup_teardown(hostile_names_stay_text, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
