/* Operator's calls, and reads: hold, unhold, retry, bounce, pause; compare, exist. */
#include "queue_test.h"

static void on_rule(void *context, enum act_answer answer)
{
    *(int *) context = (int) answer;
    loop_stop(loop);
}

static int rule(enum act what, const char *job)
{
    int answer = -1;

    struct queue_act a = {
        .act = what, .partition = TEST_PARTITION, .job = job, .queue = "example.com", .rule = "r7"};

    queue_act(store, &a, 5000, on_rule, &answer);
    assert_int_equal(answer, -1);
    loop_go();
    return answer;
}

static void a_rule_moves_what_waits_and_marks_what_is_claimed(void **state)
{
    (void) state;
    assert_int_equal(rule(ACT_HOLD, "M1.0"), ACT_GONE);
    make("M1.0", "example.com");
    assert_int_equal(rule(ACT_HOLD, "M1.0"), ACT_OK);
    assert_int_equal(count_of(&server, "ZCARD h:{%s}", T), 1);
    assert_int_equal(rule(ACT_UNDO, "M1.0"), ACT_OK);
    assert_int_equal(count_of(&server, "ZCARD h:{%s}", T), 0);
    assert_int_equal(rule(ACT_UNDO, "M1.0"), ACT_LEFT);
    assert_int_equal(rule(ACT_HOLD, "M1.0"), ACT_OK);
    assert_int_equal(rule(ACT_UNHOLD, "M1.0"), ACT_OK);
    assert_int_equal(rule(ACT_RETRY, "M1.0"), ACT_OK);
    assert_int_equal(count_of(&server, "ZCARD q:{%s}:example.com", T), 1);
    claim("example.com", 1);
    assert_int_equal(rule(ACT_HOLD, "M1.0"), ACT_LATER);
    assert_int_equal(rule(ACT_BOUNCE, "M1.0"), ACT_LATER);
    assert_true(answers(&server, "bounce", "HGET j:{%s}:M1.0 f", T));
}

static void a_pause_stops_a_queue_and_zero_resumes_it(void **state)
{
    int answer = -1;

    (void) state;
    make("M1.0", "example.com");
    struct queue_pause pause = {.partition = TEST_PARTITION,
                                .queue = "example.com",
                                .pause_ms = 60000,
                                .longest_ms = 900000,
                                .error = "no route to host"};
    queue_pause(store, &pause, 5000, on_rule, &answer);
    loop_go();
    assert_int_equal(answer, ACT_OK);
    assert_true(answers(&server, "no route to host", "HGET s:{%s}:example.com error", T));
    claim("example.com", 1);
    assert_int_equal(claimed.answer, CLAIM_WAIT);
    pause.pause_ms = 0;
    queue_pause(store, &pause, 5000, on_rule, &answer);
    loop_go();
    claim("example.com", 1);
    assert_int_equal(claimed.count, 1);
}

/* ---- compare ---- */

static struct compare_result {
    bool ok;
    size_t count;
    struct queue_held_claim last;
    char job[64], token[64], queue[64];
} compared;

static void on_compare(void *context, unsigned partition, bool ok, const struct queue_held_claim *claims,
                       size_t count)
{
    struct compare_result *r = context;

    assert_int_equal(partition, TEST_PARTITION);
    *r = (struct compare_result){.ok = ok, .count = count};
    if (count) {
        r->last = claims[count - 1];
        (void) snprintf(r->job, sizeof r->job, "%.*s", SPAN_ARG(r->last.job));
        (void) snprintf(r->token, sizeof r->token, "%.*s", SPAN_ARG(r->last.token));
        (void) snprintf(r->queue, sizeof r->queue, "%.*s", SPAN_ARG(r->last.queue));
    }
    loop_stop(loop);
}

static void compare(uint64_t incarnation)
{
    queue_compare(store, TEST_PARTITION, incarnation, on_compare, &compared);
    loop_go();
}

static void compare_lists_the_claims_of_one_life(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    make("M2.0", "example.com");
    claim_as(1000, 1, "example.com", 1, 1);
    claim_as(2000, 7, "example.com", 1, 1);
    compare(2000);
    assert_true(compared.ok);
    assert_int_equal(compared.count, 1);
    assert_string_equal(compared.job, "M2.0");
    assert_string_equal(compared.token, "2000.7");
    assert_string_equal(compared.queue, "example.com");
    assert_int_equal(compared.last.chunk_count, 1);
    compare(3000);
    assert_true(compared.ok);
    assert_int_equal(compared.count, 0);
}

static void compare_pages_and_shows_missing_records(void **state)
{
    (void) state;
    for (int i = 0; i < 1001; i++)
        tell(&server, "ZADD c:{%s} 2000 M%04d.0", T, i);
    tell(&server, "HSET j:{%s}:M1000.0 k 2000.3 q example.com n 9", T);
    tell(&server, "SET j:{%s}:M0001.0 text", T); /* a record of another type */
    compare(2000);
    assert_true(compared.ok);
    assert_int_equal(compared.count, 1001);
    assert_string_equal(compared.job, "M1000.0");
    assert_string_equal(compared.token, "2000.3");
    assert_int_equal(compared.last.chunk_count, 9);
}

static void a_store_that_is_away_compares_nothing(void **state)
{
    (void) state;
    queue_compare(store, TEST_PARTITION, 1, on_compare, &compared);
    compared.ok = true;
    store = store_close(store);
    assert_false(compared.ok);
    assert_int_equal(compared.count, 0);
}

/* ---- exist ---- */

static struct exist_result {
    bool ok;
    size_t count;
    bool exist[8];
} existing;

static void on_exist(void *context, bool ok, const bool *exist, size_t count)
{
    struct exist_result *r = context;

    *r = (struct exist_result){.ok = ok, .count = count};
    for (size_t i = 0; i < count && i < ARRAY_LEN(r->exist); i++)
        r->exist[i] = exist[i];
    loop_stop(loop);
}

static void exist_looks_into_any_partition_and_leaves_nothing(void **state)
{
    static const struct queue_place places[] = {{.partition = TEST_PARTITION, .job = "M1.1"},
                                                {.partition = TEST_PARTITION, .job = "M1.2"},
                                                {.partition = 200, .job = "M1.3"},
                                                {.partition = TEST_PARTITION, .job = "M1.4"}};

    (void) state;
    make("M1.1", "example.com");
    make("M1.4", "example.com");
    tell(&server, "HSET j:{%s}:M1.3 q x", partition_tag(200));
    tell(&server, "CONFIG SET maxmemory 1"); /* also when nothing can be written */
    queue_exist(store, places, ARRAY_LEN(places), on_exist, &existing);
    loop_go();
    assert_true(existing.ok);
    assert_int_equal(existing.count, 4);
    assert_true(existing.exist[0] && !existing.exist[1] && existing.exist[2] && existing.exist[3]);
    assert_int_equal(count_of(&server, "KEYS probe:*"), 0);
}

static void exist_of_nothing_answers(void **state)
{
    (void) state;
    queue_exist(store, NULL, 0, on_exist, &existing);
    loop_go();
    assert_true(existing.ok);
    assert_int_equal(existing.count, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_rule_moves_what_waits_and_marks_what_is_claimed),
        TEST(a_pause_stops_a_queue_and_zero_resumes_it),
        TEST(compare_lists_the_claims_of_one_life),
        TEST(compare_pages_and_shows_missing_records),
        TEST(a_store_that_is_away_compares_nothing),
        TEST(exist_looks_into_any_partition_and_leaves_nothing),
        TEST(exist_of_nothing_answers),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
