/* What dispatchers send: acquire, keep, yield, due, reap. */
#include "queue_test.h"

static struct lease_result {
    unsigned partition;
    enum lease_answer answer;
    uint64_t token, sent_ms;
} lease;

static void on_lease(void *context, unsigned partition, enum lease_answer answer, uint64_t token,
                     uint64_t sent_ms)
{
    *(struct lease_result *) context = (struct lease_result){
        .partition = partition, .answer = answer, .token = token, .sent_ms = sent_ms};
    loop_stop(loop);
}

static enum lease_answer acquire(uint64_t incarnation, uint64_t floor)
{
    queue_acquire(store, TEST_PARTITION, incarnation, floor, on_lease, &lease);
    loop_go();
    return lease.answer;
}

static void a_lease_has_one_owner_and_growing_tokens(void **state)
{
    uint64_t before = clock_ms(), first;

    (void) state;
    assert_int_equal(acquire(11, 0), LEASE_OK);
    first = lease.token;
    assert_true(first > 0);
    assert_int_equal(lease.partition, TEST_PARTITION);
    assert_in_range(lease.sent_ms, before, clock_ms());
    assert_int_equal(acquire(12, 0), LEASE_TAKEN);
    assert_int_equal(acquire(11, 0), LEASE_OK);
    assert_int_equal(lease.token, first);
    queue_keep(store, TEST_PARTITION, 11, first, on_lease, &lease);
    loop_go();
    assert_int_equal(lease.answer, LEASE_OK);
    queue_keep(store, TEST_PARTITION, 11, first + 1, on_lease, &lease);
    loop_go();
    assert_int_equal(lease.answer, LEASE_LOST);
    queue_yield(store, TEST_PARTITION, 11, first, on_lease, &lease);
    loop_go();
    assert_int_equal(lease.answer, LEASE_OK);
    assert_int_equal(acquire(12, first + 1000000000), LEASE_OK);
    assert_true(lease.token > first + 1000000000);
}

/* The reply confirms the moment its request was sent: after an outage that is the repeat. */
static void a_repeated_lease_counts_from_its_last_send(void **state)
{
    (void) state;
    uint64_t before = clock_ms();
    proxy_lose(proxy, "$16\r\n");
    assert_int_equal(acquire(11, 0), LEASE_OK);
    assert_true(proxy_has_lost(proxy));
    assert_true(lease.sent_ms > before);
}

static void a_lease_without_a_store_is_unknown(void **state)
{
    (void) state;
    redis_server_kill(&server);
    assert_int_equal(acquire(11, 0), LEASE_UNKNOWN);
    redis_server_start(&server);
}

static struct due_result {
    bool ok, is_empty;
    size_t count;
    char queue[300];
    uint64_t waiting, ready, in_ms;
} due;

static void on_due(void *context, unsigned partition, bool ok, const struct queue_due *queues, size_t count,
                   uint64_t in_ms, bool is_empty)
{
    struct due_result *r = context;

    assert_int_equal(partition, TEST_PARTITION);
    *r = (struct due_result){.ok = ok, .is_empty = is_empty, .count = count, .in_ms = in_ms};
    if (count) {
        (void) snprintf(r->queue, sizeof r->queue, "%.*s", SPAN_ARG(queues[0].queue));
        r->waiting = queues[0].waiting;
        r->ready = queues[0].ready;
    }
    loop_stop(loop);
}

static void look(uint32_t count)
{
    queue_due(store, TEST_PARTITION, count, 0, 30000, on_due, &due);
    loop_go();
    assert_true(due.ok);
}

#define HOME "d287.example" /* a queue of TEST_PARTITION */

static void due_queues_come_with_counts_and_are_parked(void **state)
{
    (void) state;
    look(10);
    assert_int_equal(due.count, 0);
    assert_true(due.is_empty);
    make("M1.0", HOME);
    make("M2.0", HOME);
    tell(&server, "ZADD q:{%s}:" HOME " 9000000000000 M2.0", T);
    look(10);
    assert_int_equal(due.count, 1);
    assert_string_equal(due.queue, HOME);
    assert_int_equal(due.waiting, 2);
    assert_int_equal(due.ready, 1);
    assert_false(due.is_empty);
    assert_in_range(due.in_ms, 29000, 30100);
    look(10);
    assert_int_equal(due.count, 0);
}

static void what_is_not_due_says_when(void **state)
{
    redisReply *time;

    (void) state;
    make("M1.0", HOME);
    time = ask(&server, "TIME");
    unsigned long long now_ms = strtoull(time->element[0]->str, NULL, 10) * 1000;
    freeReplyObject(time);
    tell(&server, "ZADD q:{%s}:" HOME " %llu M1.0", T, now_ms + 20000);
    look(10);
    assert_int_equal(due.count, 0);
    assert_false(due.is_empty);
    assert_in_range(due.in_ms, 17000, 21000);
}

static void hundreds_of_due_queues_fit_one_answer(void **state)
{
    (void) state;
    for (int i = 0, made = 0; made < 200; i++) {
        char job[16], queue[32];
        (void) snprintf(job, sizeof job, "M%d.0", i);
        (void) snprintf(queue, sizeof queue, "d%d.example", i);
        if (partition_of(span_of(queue)) != TEST_PARTITION)
            continue;
        make(job, queue);
        made++;
    }
    look(150);
    assert_int_equal(due.count, 150);
    assert_int_equal(due.in_ms, 0);
    look(150);
    assert_int_equal(due.count, 50);
}

static uint32_t reaped;
static char put_aside[200]; /* "job: why" */

static void on_reap(void *context, unsigned partition, bool ok, uint32_t count,
                    const struct queue_put_aside *held, size_t held_count)
{
    assert_int_equal(partition, TEST_PARTITION);
    assert_true(ok);
    *(uint32_t *) context = count;
    *put_aside = '\0';
    if (held_count > 0)
        (void) snprintf(put_aside, sizeof put_aside, "%.*s: %.*s", SPAN_ARG(held[0].job),
                        SPAN_ARG(held[0].why));
    loop_stop(loop);
}

static void a_claim_that_is_put_aside_is_told(void **state)
{
    (void) state;
    make("M1.0", "example.com");
    claim_as(1000, 1, "example.com", 1, 1);
    tell(&server, "HSET j:{%s}:M1.0 x 4", T);
    queue_reap(store, TEST_PARTITION, 1000, NULL, 0, on_reap, &reaped);
    loop_go();
    assert_int_equal(reaped, 1);
    assert_string_equal(put_aside, "M1.0: crashed couriers");
    assert_true(answers(&server, "crashed couriers", "HGET j:{%s}:M1.0 h", T));
}

static void the_dead_give_their_claims_back_and_the_living_keep_theirs(void **state)
{
    static const uint64_t live[] = {2000, 3000};

    (void) state;
    make("M1.0", "example.com");
    make("M2.0", "example.com");
    make("M3.0", "example.com");
    claim_as(1000, 1, "example.com", 1, 1);
    claim_as(2000, 1, "example.com", 1, 1);
    claim_as(4000, 1, "example.com", 1, 1);
    queue_reap(store, TEST_PARTITION, 3000, live, ARRAY_LEN(live), on_reap, &reaped);
    loop_go();
    assert_int_equal(reaped, 1); /* 4000 is above last */
    assert_int_equal(count_of(&server, "ZCARD c:{%s}", T), 2);
    assert_true(answers(&server, "1", "HGET j:{%s}:M1.0 x", T));
    queue_reap(store, TEST_PARTITION, 4000, NULL, 0, on_reap, &reaped);
    loop_go();
    assert_int_equal(reaped, 2);
    queue_reap(store, TEST_PARTITION, 4000, NULL, 0, on_reap, &reaped);
    loop_go();
    assert_int_equal(reaped, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lease_has_one_owner_and_growing_tokens),
        TEST(a_repeated_lease_counts_from_its_last_send),
        TEST(a_lease_without_a_store_is_unknown),
        TEST(due_queues_come_with_counts_and_are_parked),
        TEST(what_is_not_due_says_when),
        TEST(hundreds_of_due_queues_fit_one_answer),
        TEST(a_claim_that_is_put_aside_is_told),
        TEST(the_dead_give_their_claims_back_and_the_living_keep_theirs),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
