/* claim as a typed call. */
#include "queue_test.h"

static void claimed_jobs_come_whole(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    tell(&server, "HSET j:{%s}:M1.0 x 1 y 1700000000000 w 1 f bounce", T);
    claim_as(TEST_INCARNATION, 17, "example.com", 10, 1);
    assert_int_equal(claimed.answer, CLAIM_JOBS);
    assert_int_equal(claimed.count, 1);
    assert_string_equal(claimed.token, "1000.17");
    assert_string_equal(claimed.jobs[0], "M1.0");
    assert_string_equal(claimed.envelope, "envelope");
    assert_string_equal(claimed.state, "state");
    assert_int_equal(claimed.first.chunk_count, 1);
    assert_int_equal(claimed.first.fate, FATE_BOUNCE);
    assert_int_equal(claimed.first.crashes, 1);
    assert_int_equal(claimed.first.exact_ms, 1700000000000);
    assert_true(claimed.first.keeps_content);
    assert_true(answers(&server, "1000.17", "HGET j:{%s}:M1.0 k", T));
    assert_true(answers(&server, "1000", "ZSCORE c:{%s} M1.0", T));
}

static void a_plain_job_has_no_fate_and_no_crashes(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 10);
    assert_int_equal(claimed.first.fate, FATE_NONE);
    assert_int_equal(claimed.first.crashes, 0);
    assert_int_equal(claimed.first.exact_ms, 0);
    assert_false(claimed.first.keeps_content);
}

static void an_empty_queue_gives_no_jobs(void **state)
{
    (void) state;
    claim("example.com", 10);
    assert_int_equal(claimed.answer, CLAIM_JOBS);
    assert_int_equal(claimed.count, 0);
}

static void no_more_than_asked_for(void **state)
{
    (void) state;
    for (int i = 0; i < 100; i++) {
        char job[16];
        (void) snprintf(job, sizeof job, "M%d.0", i);
        make(job, "example.com");
    }
    claim("example.com", 30);
    assert_int_equal(claimed.count, 30);
    claim("example.com", 100); /* more than fit the stack of the call */
    assert_int_equal(claimed.count, 70);
}

static void a_suspect_is_left_to_who_has_none(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    tell(&server, "HSET j:{%s}:M1.0 x 2", T);
    claim_as(TEST_INCARNATION, 1, "example.com", 10, 0);
    assert_int_equal(claimed.count, 0);
    claim_as(TEST_INCARNATION, 2, "example.com", 10, 1);
    assert_int_equal(claimed.count, 1);
    assert_int_equal(claimed.first.crashes, 2);
}

static void a_paused_queue_says_how_long(void **state)
{
    redisReply *time;

    (void) state;
    make("M1.0", "example.com");
    time = ask(&server, "TIME");
    unsigned long long now_ms = strtoull(time->element[0]->str, NULL, 10) * 1000;
    freeReplyObject(time);
    tell(&server, "HSET s:{%s}:example.com until %llu", T, now_ms + 60000);
    claim("example.com", 10);
    assert_int_equal(claimed.answer, CLAIM_WAIT);
    assert_in_range(claimed.wait_ms, 57000, 61000);
}

static void after_a_pause_the_answer_says_why_it_was(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    claim("example.com", 10);
    assert_string_equal(claimed.error, "");
    make("M2.0", "example.com");
    tell(&server, "HSET s:{%s}:example.com until 1 error dead", T);
    claim("example.com", 10);
    assert_int_equal(claimed.count, 1);
    assert_string_equal(claimed.error, "dead");
}

static void a_lost_reply_gives_the_same_jobs_again(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    make("M2.0", "example.com");
    tell(&server, "HSET s:{%s}:example.com until 1 error dead", T);
    proxy_lose(proxy, "$4\r\njobs\r\n");
    claim("example.com", 1);
    assert_true(proxy_has_lost(proxy));
    assert_int_equal(claimed.count, 1);
    assert_string_equal(claimed.jobs[0], "M1.0");
    assert_string_equal(claimed.error, "dead");
    assert_int_equal(count_of(&server, "ZCARD c:{%s}", T), 1); /* and no other */
    assert_int_equal(count_of(&server, "ZCARD q:{%s}:example.com", T), 1);
}

static void a_claim_waits_for_redis_however_long(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    redis_server_kill(&server);
    WAIT_FOR(!store_is_ready(store));
    redis_server_start(&server);
    claim("example.com", 1);
    assert_int_equal(claimed.count, 1);
}

static void a_broken_partition_claims_nothing_for_a_while(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    tell(&server, "DEL q:{%s}:example.com", T);
    tell(&server, "SET q:{%s}:example.com text", T);
    claim("example.com", 1);
    assert_int_equal(claimed.answer, CLAIM_WAIT);
    assert_int_equal(claimed.wait_ms, 5000);
}

static unsigned told;

static void on_unknown(void *context, enum claim_answer answer, const char *token,
                       const struct queue_claimed *jobs, size_t count, struct span error, uint64_t wait_ms)
{
    assert_ptr_equal(context, &told);
    assert_int_equal(answer, CLAIM_UNKNOWN);
    assert_string_equal(token, "1000.1");
    assert_null(jobs);
    assert_int_equal(count + error.len + wait_ms, 0);
    told++;
}

static void only_closing_leaves_a_claim_unknown(void **state)
{
    const struct queue_claim c = {.partition = TEST_PARTITION,
                                  .queue = "example.com",
                                  .count = 1,
                                  .incarnation = TEST_INCARNATION,
                                  .seq = 1};

    (void) state;
    queue_claim(store, &c, on_unknown, &told);
    assert_int_equal(told, 0);
    store = store_close(store);
    assert_int_equal(told, 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(claimed_jobs_come_whole),
        TEST(a_plain_job_has_no_fate_and_no_crashes),
        TEST(an_empty_queue_gives_no_jobs),
        TEST(no_more_than_asked_for),
        TEST(a_suspect_is_left_to_who_has_none),
        TEST(a_paused_queue_says_how_long),
        TEST(after_a_pause_the_answer_says_why_it_was),
        TEST(a_lost_reply_gives_the_same_jobs_again),
        TEST(a_claim_waits_for_redis_however_long),
        TEST(a_broken_partition_claims_nothing_for_a_while),
        TEST(only_closing_leaves_a_claim_unknown),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
