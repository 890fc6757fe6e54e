/* commit, carry and delete as typed calls. */
#include "queue_test.h"

static void a_commit_makes_the_job_whole(void **state)
{
    struct queue_job job = some_job("M1.0", "example.com");
    struct span chunks[] = {SPAN("first "), SPAN("second")};

    (void) state;
    job.chunks = chunks;
    job.chunk_count = 2;
    job.size_bytes = 12;
    job.keeps_content = true;
    assert_int_equal(commit(&job, false, 5000), COMMIT_NEW);
    assert_true(answers(&server, "example.com", "HGET j:{%s}:M1.0 q", T));
    assert_true(answers(&server, "envelope", "HGET j:{%s}:M1.0 e", T));
    assert_true(answers(&server, "state", "HGET j:{%s}:M1.0 s", T));
    assert_true(answers(&server, "2", "HGET j:{%s}:M1.0 n", T));
    assert_true(answers(&server, "1", "HGET j:{%s}:M1.0 w", T));
    assert_true(answers(&server, "second", "GET b:{%s}:M1.0:1", T));
    assert_int_equal(count_of(&server, "TTL b:{%s}:M1.0:0", T), -1); /* permanent */
    assert_int_equal(count_of(&server, "ZCARD q:{%s}:example.com", T), 1);
    assert_int_equal(count_of(&server, "ZCARD d:{%s}", T), 1);
    assert_int_equal(count_of(&server, "XLEN ev:{%s}", T), 1);
}

static void a_commit_without_content_is_a_childs(void **state)
{
    struct queue_job job = some_job("M1.1", "example.com");

    (void) state;
    job.chunks = NULL;
    job.chunk_count = 0;
    job.size_bytes = 0;
    assert_int_equal(commit(&job, true, 5000), COMMIT_NEW);
    assert_true(answers(&server, "0", "HGET j:{%s}:M1.1 n", T));
}

static void a_second_commit_is_told_from_the_first(void **state)
{
    struct queue_job job = some_job("M1.0", "example.com");

    (void) state;
    assert_int_equal(commit(&job, false, 5000), COMMIT_NEW);
    assert_int_equal(commit(&job, false, 5000), COMMIT_AGAIN);
    job.envelope = SPAN("another envelope");
    assert_int_equal(commit(&job, false, 5000), COMMIT_CLASH);
    assert_int_equal(commit(&job, true, 5000), COMMIT_CLASH);
}

/* Found by chaos: a courier of the next version made it, and one of this version could not be told that it is there. */
static void a_child_is_the_same_in_the_words_of_another_version(void **state)
{
    struct queue_job job = some_job("01KATQ5S8Z4G5W0V0E3HJ2M9XK.2", "example.com");

    (void) state;
    assert_int_equal(commit(&job, true, 5000), COMMIT_NEW);
    job.envelope = SPAN("the same, with a field that nobody knew before");
    assert_int_equal(commit(&job, true, 5000), COMMIT_AGAIN);
}

static void a_missing_chunk_is_incomplete(void **state)
{
    struct queue_job job = some_job("M1.0", "example.com");

    (void) state;
    job.chunks = NULL; /* spooled before, it says */
    assert_int_equal(commit(&job, false, 5000), COMMIT_INCOMPLETE);
    assert_int_equal(count_of(&server, "EXISTS j:{%s}:M1.0", T), 0);
}

static void a_lost_reply_ends_as_again(void **state)
{
    struct queue_job job = some_job("M1.0", "example.com");

    (void) state;
    proxy_lose(proxy, "$3\r\nnew\r\n");
    assert_int_equal(commit(&job, false, 5000), COMMIT_AGAIN);
    assert_true(proxy_has_lost(proxy));
    assert_int_equal(count_of(&server, "ZCARD q:{%s}:example.com", T), 1);
    assert_int_equal(count_of(&server, "TTL b:{%s}:M1.0:0", T),
                     -1); /* the second SET put no time limit back */
}

static void a_full_redis_takes_carries_but_no_commits(void **state)
{
    struct queue_job job = some_job("M1.0", "example.com");

    (void) state;
    tell(&server, "CONFIG SET maxmemory 1");
    assert_int_equal(commit(&job, false, 5000), COMMIT_FULL);
    assert_int_equal(count_of(&server, "EXISTS j:{%s}:M1.0 b:{%s}:M1.0:0", T, T), 0);
    assert_int_equal(commit(&job, true, 5000), COMMIT_NEW); /* its content by the script */
    assert_true(answers(&server, "content", "GET b:{%s}:M1.0:0", T));
    assert_int_equal(count_of(&server, "TTL b:{%s}:M1.0:0", T), -1);
}

static void a_broken_index_refuses_the_commit_and_leaves_nothing(void **state)
{
    struct queue_job job = some_job("M1.0", "example.com");

    (void) state;
    tell(&server, "SET d:{%s} text", T);
    assert_int_equal(commit(&job, false, 5000), COMMIT_INCOMPLETE);
    assert_int_equal(count_of(&server, "EXISTS j:{%s}:M1.0", T), 0);
}

static void a_commit_without_a_store_is_unknown(void **state)
{
    struct queue_job job = some_job("M1.0", "example.com");

    (void) state;
    redis_server_kill(&server);
    assert_int_equal(commit(&job, false, 200), COMMIT_UNKNOWN);
    redis_server_start(&server);
}

static void delete_says_what_it_found(void **state)
{
    (void) state;
    assert_int_equal(delete_job("M1.0", "example.com", false), DELETE_GONE);
    make("M1.0", "example.com");
    assert_int_equal(delete_job("M1.0", "example.com", false), DELETE_DELETED);
    assert_int_equal(count_of(&server, "EXISTS j:{%s}:M1.0 b:{%s}:M1.0:0 q:{%s}:example.com", T, T, T), 0);
    make("M2.0", "example.com");
    claim("example.com", 1);
    assert_int_equal(delete_job("M2.0", "example.com", true), DELETE_CLAIMED);
    assert_int_equal(delete_job("M2.0", "example.com", false), DELETE_LATER);
}

static void a_revoked_commit_never_arrives(void **state)
{
    struct queue_job job = some_job("M1.0", "example.com");

    (void) state;
    assert_int_equal(delete_job("M1.0", "example.com", true), DELETE_GONE);
    assert_int_equal(commit(&job, false, 5000), COMMIT_REVOKED);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_makes_the_job_whole),
        TEST(a_commit_without_content_is_a_childs),
        TEST(a_second_commit_is_told_from_the_first),
        TEST(a_child_is_the_same_in_the_words_of_another_version),
        TEST(a_missing_chunk_is_incomplete),
        TEST(a_lost_reply_ends_as_again),
        TEST(a_full_redis_takes_carries_but_no_commits),
        TEST(a_broken_index_refuses_the_commit_and_leaves_nothing),
        TEST(a_commit_without_a_store_is_unknown),
        TEST(delete_says_what_it_found),
        TEST(a_revoked_commit_never_arrives),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
