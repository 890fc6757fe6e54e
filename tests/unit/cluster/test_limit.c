/* Limits against a real Redis: two limiters stand for two nodes. */
#include "cluster/limit.h"

#include <signal.h>

#include "base/metric.h"
#include "cluster/keys.h"
#include "cluster_test.h"
#include "io/hash.h"

enum { NODES = 3, HOUR_MS = 3600000 };

static struct limiter *nodes[NODES];
static struct asking {
    unsigned answers;
    struct limit_result result;
} last;

static int nodes_setup(void **state)
{
    store_setup(state);
    for (size_t i = 0; i < NODES; i++)
        nodes[i] = limiter_open(store);
    return 0;
}

static int patient_setup(void **state)
{
    set("BARID_INGRESS_LIMITS_TIME", "10s");
    return nodes_setup(state);
}

static int orderly_setup(void **state)
{
    set("BARID_STORE_CONNECTIONS", "1");
    return patient_setup(state);
}

static int nodes_teardown(void **state)
{
    for (size_t i = 0; i < NODES; i++)
        nodes[i] = limiter_close(nodes[i]);
    (void) kill(server.pid, SIGCONT); /* a test that failed may have left it stopped */
    set("BARID_INGRESS_LIMITS_TIME", NULL);
    set("BARID_STORE_CONNECTIONS", NULL);
    return store_teardown(state);
}

static struct limit_want tokens(const char *key, uint64_t burst, uint64_t count)
{
    return (struct limit_want){.key = span_of(key),
                               .rule = {.count = burst, .per_ms = HOUR_MS, .burst = burst},
                               .count = count,
                               .label = key};
}

static struct limit_want slots(const char *key, uint64_t most)
{
    return (struct limit_want){
        .key = span_of(key), .rule = {.count = most, .burst = most}, .count = 1, .label = key};
}

static void on_answer(void *context, const struct limit_result *result)
{
    struct asking *a = context;

    a->answers++;
    a->result = *result;
}

/* Waits for the answer; last.answers tells whether it came at once (0). */
static enum limit_answer take_all(struct limiter *l, const struct limit_want *wants, size_t count)
{
    struct limit_result now;

    memset(&last, 0, sizeof last);
    if (limit_take(l, wants, count, on_answer, &last, &now)) {
        last.result = now;
        return now.answer;
    }
    assert_int_equal(last.answers, 0);
    assert_non_null(now.call);
    WAIT_FOR(last.answers);
    assert_int_equal(last.answers, 1);
    return last.result.answer;
}

static enum limit_answer take(struct limiter *l, struct limit_want want)
{
    return take_all(l, &want, 1);
}

static char *redis_key(const char *kind, const char *key)
{
    return mem_format("%s:{%s}:%s", kind, partition_tag((unsigned) (hash64(span_of(key)) % PARTITION_COUNT)),
                      key);
}

static void wait_until_gone(const char *kind, const char *key)
{
    AUTO_FREE char *name = redis_key(kind, key);

    WAIT_FOR(count_of(&server, "EXISTS %s", name) == 0);
}

/* proves: B34 */
static void a_limit_holds_for_all_nodes_together(void **state UNUSED)
{
    unsigned passed = 0;

    for (unsigned i = 0; i < 150; i++)
        passed += take(nodes[i % NODES], tokens("x", 100, 1)) == LIMIT_PASS;
    assert_int_equal(passed, 100);
    for (size_t i = 0; i < NODES; i++) /* refused on one: refused on the other */
        assert_int_equal(take(nodes[i], tokens("x", 100, 1)), LIMIT_REFUSED);
    assert_string_equal(last.result.label, "x");
    assert_true(last.result.wait_ms > 0);
}

static void no_limit_passes_at_once(void **state UNUSED)
{
    assert_int_equal(take_all(nodes[0], NULL, 0), LIMIT_PASS);
    assert_int_equal(last.answers, 0);
}

static void what_is_used_much_is_answered_at_once(void **state UNUSED)
{
    unsigned waited = 0;

    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(take(nodes[0], tokens("x", 1000000, 1)), LIMIT_PASS);
        waited += last.answers;
    }
    assert_in_range(waited, 1, 500);
}

static void a_slice_that_nobody_uses_goes_back(void **state UNUSED)
{
    unsigned passed = 0;

    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(take(nodes[0], tokens("x", 1000, 1)), LIMIT_PASS);
    for (unsigned tries = 0; passed < 800 && tries < 100000; tries++) {
        passed += take(nodes[1], tokens("x", 1000, 1)) == LIMIT_PASS;
        if (last.result.answer == LIMIT_REFUSED)
            loop_pass();
    }
    assert_int_equal(passed, 800);
}

static void it_is_all_or_nothing(void **state UNUSED)
{
    const struct limit_want wants[] = {tokens("a", 10, 3), tokens("b", 1, 1), tokens("c", 10, 10)};

    assert_int_equal(take_all(nodes[0], wants, 3), LIMIT_PASS);
    assert_int_equal(take_all(nodes[0], wants, 2), LIMIT_REFUSED);
    assert_int_equal(last.result.which, 1);
    assert_string_equal(last.result.label, "b");
    assert_int_equal(take_all(nodes[1], wants, 3), LIMIT_REFUSED);
    WAIT_FOR(take(nodes[0], tokens("a", 10, 7)) == LIMIT_PASS); /* what the refused one took is back soon */
    assert_int_equal(take(nodes[0], tokens("a", 10, 1)), LIMIT_REFUSED);
}

static void the_same_key_twice_counts_twice(void **state UNUSED)
{
    const struct limit_want wants[] = {tokens("a", 3, 2), tokens("a", 3, 2)};

    assert_int_equal(take_all(nodes[0], wants, 2), LIMIT_REFUSED);
    assert_int_equal(take(nodes[0], tokens("a", 3, 3)), LIMIT_PASS);
}

static void more_than_the_burst_never_passes(void **state UNUSED)
{
    assert_int_equal(take(nodes[0], tokens("x", 5, 6)), LIMIT_REFUSED);
    assert_int_equal(last.answers, 0);
    assert_int_equal(last.result.wait_ms, 0);
}

static void a_refusal_of_many_is_none_of_few(void **state UNUSED)
{
    assert_int_equal(take(nodes[0], tokens("x", 10, 5)), LIMIT_PASS);
    assert_int_equal(take(nodes[0], tokens("x", 10, 6)), LIMIT_REFUSED);
    assert_int_equal(take(nodes[0], tokens("x", 10, 7)), LIMIT_REFUSED);
    assert_int_equal(last.answers, 0); /* known for a moment */
    assert_int_equal(take(nodes[0], tokens("x", 10, 5)), LIMIT_PASS);
}

static void a_look_takes_nothing(void **state UNUSED)
{
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(take(nodes[i % NODES], tokens("x", 1, 0)), LIMIT_PASS);
    assert_int_equal(take(nodes[0], tokens("x", 1, 1)), LIMIT_PASS);
    assert_int_equal(take(nodes[1], tokens("x", 1, 0)), LIMIT_REFUSED);
    assert_int_equal(take(nodes[0], tokens("x", 1, 0)), LIMIT_REFUSED);
}

static void on_ping(struct store_call *c UNUSED, enum store_result result UNUSED,
                    const struct redis_value *values UNUSED)
{
    enum { MORE_THAN_A_SWEEP_MS = 600 };
    uint64_t end = clock_ms() + MORE_THAN_A_SWEEP_MS;

    while (clock_ms() < end)
        ;
}

/* Of a look nothing stays behind in a slice; in the round that answers it what is idle is thrown away before anybody is told. */
static void an_answer_may_come_with_a_sweep(void **state UNUSED)
{
    enum { PASSES = 20 }; /* until both have left */
    struct store_call ping = {.give_up_ms = UINT64_MAX, .on_done = on_ping};
    struct limit_want want = tokens("x", 1000, 0);
    struct limit_result result;

    memset(&last, 0, sizeof last);
    call_begin(&ping, 1);
    resp_arg_text(&ping.request.bytes, "PING");
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    store_send(store, &ping); /* its answer comes in front, in one piece with the other, and takes long */
    assert_false(limit_take(nodes[0], &want, 1, on_answer, &last, &result));
    for (unsigned i = 0; i < PASSES; i++)
        loop_pass();
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    WAIT_FOR(last.answers);
    assert_int_equal(last.result.answer, LIMIT_PASS);
    store_call_done(&ping);
}

static void what_is_given_back_may_be_taken_again(void **state UNUSED)
{
    const struct limit_want want = tokens("x", 3, 3);

    assert_int_equal(take(nodes[0], want), LIMIT_PASS);
    limit_give_back(nodes[0], &want, 1);
    limit_give_back(nodes[0], &want, 1); /* never more than a bucket */
    assert_int_equal(take(nodes[0], want), LIMIT_PASS);
    assert_int_equal(take(nodes[0], want), LIMIT_REFUSED);
    limit_give_back(nodes[0], &want, 1);
    wait_until_gone("l", "x"); /* a full bucket needs no key */
    WAIT_FOR(take(nodes[1], want) == LIMIT_PASS);
}

/* Half comes back with a reply that is lost: the repeat may not bring it once more. */
static void nothing_is_given_back_twice(void **state UNUSED)
{
    const struct limit_want all = tokens("x", 10, 10), half = tokens("x", 10, 5);
    int64_t unknown = metric_get(METRIC_STORE_UNKNOWN_TOTAL);

    assert_int_equal(take(nodes[0], all), LIMIT_PASS);
    proxy_lose(proxy, "*3\r\n:0\r\n:5\r\n");
    limit_give_back(nodes[0], &half, 1);
    WAIT_FOR(proxy_has_lost(proxy));
    WAIT_FOR(take(nodes[1], tokens("x", 10, 1)) == LIMIT_PASS);
    WAIT_FOR(metric_get(METRIC_STORE_UNKNOWN_TOTAL) > unknown); /* repeated */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(take(nodes[1], tokens("x", 10, 1)), LIMIT_PASS);
    assert_int_equal(take(nodes[0], tokens("x", 10, 1)), LIMIT_REFUSED); /* behind the repeat */
    assert_int_equal(take(nodes[1], tokens("x", 10, 1)), LIMIT_REFUSED);
}

/* What was taken twice for it, no more is taken of: it drains away. */
static void a_lost_reply_is_asked_for_again(void **state UNUSED)
{
    proxy_lose(proxy, "*3\r\n:1\r\n");
    assert_int_equal(take(nodes[0], tokens("x", 10, 1)), LIMIT_PASS);
    assert_true(proxy_has_lost(proxy));
    assert_int_equal(take(nodes[1], tokens("x", 10, 9)), LIMIT_REFUSED);
    assert_int_equal(take(nodes[1], tokens("x", 10, 8)), LIMIT_PASS);
}

static void many_that_ask_in_one_round_share_a_call(void **state UNUSED)
{
    static struct asking all[200];
    struct limit_want want = tokens("x", 150, 1);
    struct limit_result result;
    unsigned passed = 0;

    memset(all, 0, sizeof all);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_false(limit_take(nodes[0], &want, 1, on_answer, &all[i], &result));
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        WAIT_FOR(all[i].answers);
        passed += all[i].result.answer == LIMIT_PASS;
    }
    assert_int_equal(passed, 150);
    for (size_t i = 0; i < 150; i++) /* first come, first served */
        assert_int_equal(all[i].result.answer, LIMIT_PASS);
}

static void who_leaves_gives_back(void **state UNUSED)
{
    const struct limit_want wants[] = {tokens("x", 1, 1), slots("s", 1)};
    struct limit_result result;

    memset(&last, 0, sizeof last);
    assert_false(limit_take(nodes[0], wants, 2, on_answer, &last, &result));
    limit_cancel(result.call);
    WAIT_FOR(take_all(nodes[1], wants, 2) == LIMIT_PASS);
    limit_leave(last.result.hold);
}

static struct limit_call *second;

static void on_first(void *context, const struct limit_result *result)
{
    on_answer(context, result);
    limit_cancel(second);
}

/* Both have passed in one round; whoever is told first sends the other away. */
static void who_is_cancelled_before_he_is_told_gives_back(void **state UNUSED)
{
    const struct limit_want want = tokens("x", 2, 1);
    struct limit_result result;

    memset(&last, 0, sizeof last);
    assert_false(limit_take(nodes[0], &want, 1, on_first, &last, &result));
    assert_false(limit_take(nodes[0], &want, 1, on_answer, &last, &result));
    second = result.call;
    WAIT_FOR(last.answers);
    WAIT_FOR(take(nodes[1], want) == LIMIT_PASS);
    assert_int_equal(take(nodes[1], want), LIMIT_REFUSED);
}

static void nobody_jumps_the_queue(void **state UNUSED)
{
    const struct limit_want many = tokens("x", 100, 50), few = tokens("x", 100, 1);
    struct asking first = {.answers = 0};
    struct limit_result result;

    assert_int_equal(take(nodes[0], few), LIMIT_PASS);
    limit_give_back(nodes[0], &few, 1); /* held here */
    assert_false(limit_take(nodes[0], &many, 1, on_answer, &first, &result));
    assert_int_equal(take(nodes[0], few), LIMIT_PASS);
    assert_int_equal(last.answers, 1);
    assert_int_equal(first.answers, 1);
    assert_int_equal(first.result.answer, LIMIT_PASS);
}

/* proves: B34 */
static void slots_hold_for_all_nodes_together(void **state UNUSED)
{
    struct limit_hold *holds[10];

    for (size_t i = 0; i < ARRAY_LEN(holds); i++) {
        assert_int_equal(take(nodes[i % 2], slots("s", 10)), LIMIT_PASS);
        holds[i] = last.result.hold;
        assert_non_null(holds[i]);
    }
    assert_int_equal(take(nodes[0], slots("s", 10)), LIMIT_REFUSED);
    assert_null(last.result.hold);
    assert_int_equal(take(nodes[2], slots("s", 10)), LIMIT_REFUSED);
    limit_leave(holds[0]);
    assert_int_equal(take(nodes[0], slots("s", 10)), LIMIT_PASS); /* its own, at once */
    assert_int_equal(last.answers, 0);
    limit_leave(last.result.hold);
    WAIT_FOR(take(nodes[2], slots("s", 10)) == LIMIT_PASS); /* once the first has told Redis */
    limit_leave(last.result.hold);
    for (size_t i = 1; i < ARRAY_LEN(holds); i++)
        limit_leave(holds[i]);
    limit_leave(NULL);
    wait_until_gone("n", "s");
}

static void slots_and_tokens_are_one_question(void **state UNUSED)
{
    const struct limit_want wants[] = {slots("s", 5), tokens("x", 1, 1), slots("t", 5)};

    assert_int_equal(take_all(nodes[0], wants, 3), LIMIT_PASS);
    struct limit_hold *hold = last.result.hold;
    assert_int_equal(take_all(nodes[0], wants, 3), LIMIT_REFUSED);
    assert_int_equal(last.result.which, 1);
    assert_null(last.result.hold);
    limit_leave(hold);
    wait_until_gone("n", "s");
    wait_until_gone("n", "t");
}

/* proves: B34 */
static void a_silent_redis_is_unknown_in_time(void **state UNUSED)
{
    uint64_t begun = clock_ms();

    assert_int_equal(take(nodes[0], tokens("x", 5, 1)), LIMIT_PASS);
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    assert_int_equal(take(nodes[0], tokens("x", 5, 1)), LIMIT_UNKNOWN);
    assert_int_equal(last.answers, 1);
    assert_true(clock_ms() - begun >= 400);
    assert_int_equal(take(nodes[0], tokens("y", 5, 1)), LIMIT_UNKNOWN); /* nobody waits for it twice */
    assert_int_equal(last.answers, 0);
    assert_int_equal(take(nodes[0], slots("s", 5)), LIMIT_UNKNOWN);
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    WAIT_FOR(take(nodes[0], tokens("z", 5, 1)) == LIMIT_PASS);
}

static void a_store_that_is_away_is_unknown_at_once(void **state UNUSED)
{
    redis_server_kill(&server);
    WAIT_FOR(!store_is_ready(store));
    assert_int_equal(take(nodes[0], tokens("x", 5, 1)), LIMIT_UNKNOWN);
    assert_int_equal(last.answers, 0);
    redis_server_start(&server);
    WAIT_FOR(store_is_ready(store));
    WAIT_FOR(take(nodes[0], tokens("x", 5, 1)) == LIMIT_PASS);
}

/* proves: M06 */
static void keys_may_hold_anything(void **state UNUSED)
{
    static const char *const values[] = {"",      "nonsense", "1e999 1",
                                         "-3 -3", "nan nan",  "5 99999999999999999999"};
    AUTO_FREE char *key = redis_key("l", "x"), *slots_key = redis_key("n", "s");

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        tell(&server, "SET %s %s", key, values[i]);
        (void) take(nodes[i % NODES], tokens("x", 5, 1)); /* it comes back, whatever it says */
        tell(&server, "HSET %s node %s", slots_key, values[i]);
        if (take(nodes[i % NODES], slots("s", 5)) == LIMIT_PASS)
            limit_leave(last.result.hold);
    }
    tell(&server, "DEL %s", key);
    tell(&server, "LPUSH %s a", key);
    assert_int_equal(take(nodes[0], tokens("x", 5, 1)), LIMIT_PASS);
}

/* proves: M07 */
static void keys_are_any_bytes(void **state UNUSED)
{
    static const struct span keys[] = {SPAN("{1}"), SPAN("a\0b"),        SPAN("a"),       SPAN("a\0c"),
                                       SPAN("*"),   SPAN("'\r\n$5\r\n"), SPAN("\xff\xfe")};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct limit_want want = tokens("x", 1, 1);
        want.key = keys[i];
        assert_int_equal(take(nodes[0], want), LIMIT_PASS);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct limit_want want = tokens("x", 1, 1);
        want.key = keys[i];
        assert_int_equal(take(nodes[1], want), LIMIT_REFUSED);
    }
}

/* ---- a walk: nodes that take, give back, look, leave and cancel, of keys that are limited */

static void no_walk_gets_more_than_there_is(void **state UNUSED)
{
    enum { KEYS = 4, BURST = 40, PENDING = 20, STEPS = 4000 };
    static struct asking pending[PENDING];
    static struct limit_call *calls[PENDING];
    static bool is_used[PENDING];
    static const char *const names[KEYS] = {"a", "b", "c", "d"};
    uint64_t out[KEYS] = {0}, seed = 12345, counts[PENDING][2] = {{0}};
    size_t keys[PENDING][2] = {{0}};

    memset(pending, 0, sizeof pending);
    for (size_t step = 0; step < STEPS; step++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        size_t place = (seed >> 33) % PENDING, node = (seed >> 40) % NODES;
        struct limit_want wants[2];
        struct limit_result result;
        if (is_used[place] && pending[place].answers == 0) {
            if ((seed >> 50) % 4 == 0) {
                limit_cancel(calls[place]);
                is_used[place] = false;
            } else {
                loop_pass();
            }
            continue;
        }
        if (is_used[place] && pending[place].result.answer == LIMIT_PASS)
            for (size_t i = 0; i < 2; i++)
                out[keys[place][i]] += counts[place][i];
        is_used[place] = false;
        for (size_t i = 0; i < 2; i++) {
            keys[place][i] = (seed >> (20 + 3 * i)) % KEYS;
            counts[place][i] = (seed >> (10 + 2 * i)) % 4;
            wants[i] = tokens(names[keys[place][i]], BURST, counts[place][i]);
        }
        if ((seed >> 55) % 8 == 0 && out[keys[place][0]] >= counts[place][0]) {
            limit_give_back(nodes[node], wants, 1);
            out[keys[place][0]] -= counts[place][0];
            continue;
        }
        memset(&pending[place], 0, sizeof pending[place]);
        if (!limit_take(nodes[node], wants, 2, on_answer, &pending[place], &result)) {
            calls[place] = result.call;
            is_used[place] = true;
        } else if (result.answer == LIMIT_PASS) {
            for (size_t i = 0; i < 2; i++)
                out[keys[place][i]] += counts[place][i];
        }
        for (size_t i = 0; i < KEYS; i++)
            assert_true(out[i] <= BURST);
    }
    /* All of it comes back, and is all there is. */
    for (size_t place = 0; place < PENDING; place++) {
        if (!is_used[place])
            continue;
        WAIT_FOR(pending[place].answers);
        if (pending[place].result.answer == LIMIT_PASS)
            for (size_t i = 0; i < 2; i++)
                out[keys[place][i]] += counts[place][i];
    }
    for (size_t i = 0; i < KEYS; i++) {
        struct limit_want want = tokens(names[i], BURST, out[i]), all = tokens(names[i], BURST, BURST);
        assert_true(out[i] <= BURST);
        if (out[i])
            limit_give_back(nodes[0], &want, 1);
        wait_until_gone("l", names[i]);
        WAIT_FOR(take(nodes[1], all) == LIMIT_PASS);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, nodes_setup, nodes_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_limit_holds_for_all_nodes_together),
        TEST(no_limit_passes_at_once),
        TEST(what_is_used_much_is_answered_at_once),
        TEST(a_slice_that_nobody_uses_goes_back),
        TEST(it_is_all_or_nothing),
        TEST(the_same_key_twice_counts_twice),
        TEST(more_than_the_burst_never_passes),
        TEST(a_refusal_of_many_is_none_of_few),
        TEST(a_look_takes_nothing),
        cmocka_unit_test_setup_teardown(an_answer_may_come_with_a_sweep, orderly_setup, nodes_teardown),
        TEST(what_is_given_back_may_be_taken_again),
        cmocka_unit_test_setup_teardown(nothing_is_given_back_twice, patient_setup, nodes_teardown),
        cmocka_unit_test_setup_teardown(a_lost_reply_is_asked_for_again, patient_setup, nodes_teardown),
        TEST(many_that_ask_in_one_round_share_a_call),
        TEST(who_leaves_gives_back),
        TEST(who_is_cancelled_before_he_is_told_gives_back),
        TEST(nobody_jumps_the_queue),
        TEST(slots_hold_for_all_nodes_together),
        TEST(slots_and_tokens_are_one_question),
        TEST(a_silent_redis_is_unknown_in_time),
        TEST(a_store_that_is_away_is_unknown_at_once),
        TEST(keys_may_hold_anything),
        TEST(keys_are_any_bytes),
        TEST(no_walk_gets_more_than_there_is),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
