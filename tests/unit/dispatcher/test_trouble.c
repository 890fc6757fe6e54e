/* What destinations bear: pace, several couriers, trouble and pauses, room. */
#include "unit/dispatcher/schedule_test.h"

/* ---- pace, several couriers ---- */

/* proves: H16 */
static void a_queue_begins_with_few_connections_and_gets_more_as_it_succeeds(void **state)
{
    (void) state;
    w.schedule.start = 5;
    ring(Q);
    run();
    assert_int_equal(granted_to(X), 5);
    w.now += 500;
    report(X, knows((struct report){.claimed = 30, .connections = 5, .finished = 11, .succeeded = 11}));
    run();
    assert_int_equal(granted_to(X), 7);
}

/* proves: H17 */
static void a_destination_that_puts_off_gets_fewer_and_others_keep_theirs(void **state)
{
    (void) state;
    ring(Q);
    run();
    w.now += 500;
    report(X, knows((struct report){.claimed = 9, .connections = 9, .finished = 20, .throttled = 20}));
    run();
    assert_int_equal(granted_to(X), 19);
    ring(SPAN("second.example"));
    run();
    assert_int_equal(granted_to(X), 20);
}

/* proves: H16 */
static void a_backlog_is_spread_over_couriers_within_the_limit(void **state)
{
    (void) state;
    uint64_t first = begin_with_two(), second = first == X ? Y : X;
    struct report busy = {.claimed = 100, .connections = 20, .finished = 50, .succeeded = 50};
    for (unsigned i = 0; i < 3; i++) {
        pass(1000, true, true);
        report(first, knows(busy));
        run();
    }
    assert_int_equal(granted_to(first), 10);
    assert_int_equal(granted_to(second), UINT64_MAX); /* not before the first one knows that it has less */
    report(first, knows((struct report){.claimed = 100, .connections = 14}));
    run();
    assert_int_equal(granted_to(second), 6);
    uint32_t serial = w.sent[0].grant.serial;
    w.now += 500;
    keep_partitions();
    report(second, (struct report){.claimed = 40, .connections = 6, .serial = serial, .granted = 6});
    run();
    assert_int_equal(granted_to(second), 6); /* the first one still uses more */
}

static void a_courier_that_finds_no_more_gives_its_share_to_the_other(void **state)
{
    (void) state;
    uint64_t first = begin_with_two(), second = first == X ? Y : X;
    struct report busy = {.claimed = 100, .connections = 20, .finished = 50, .succeeded = 50};
    for (unsigned i = 0; i < 3; i++) {
        pass(1000, true, true);
        report(first, knows(busy));
        run();
    }
    report(first, knows((struct report){.claimed = 100, .connections = 10}));
    run();
    assert_int_equal(granted_to(second), 10);
    report(second, knows((struct report){.is_empty = true}));
    run();
    assert_int_equal(granted_to(second), 0);
    report(second, knows((struct report){.is_returned = true, .is_empty = true}));
    run();
    pass(1000, true, true);
    report(first, (struct report){.claimed = 100, .connections = 10, .serial = 1, .granted = 10});
    run();
    assert_int_equal(granted_to(first), 20);
}

/* proves: H16 */
static void a_slow_rate_is_for_one_courier(void **state)
{
    (void) state;
    set_limits(100);
    pass(60000, true, false);
    uint64_t first = begin_with_two();
    for (unsigned i = 0; i < 10; i++) {
        pass(1000, true, true);
        report(first,
               knows((struct report){.claimed = 100, .connections = 20, .finished = 1, .succeeded = 1}));
        run();
        for (size_t k = 0; k < w.sent_count; k++)
            assert_int_equal(w.sent[k].to, first);
    }
}

/* ---- trouble ---- */

static void a_destination_that_the_only_courier_cannot_reach_is_paused(void **state)
{
    (void) state;
    ring(Q);
    run();
    report(X, knows((struct report){.claimed = 3, .trouble = SPAN("connection refused")}));
    run();
    assert_int_equal(granted_to(X), 0);
    assert_int_equal(w.paused, 1);
    assert_string_equal(w.why, "connection refused");
    report(X, knows((struct report){.claimed = 3, .trouble = SPAN("connection refused")}));
    assert_int_equal(w.paused, 1);
    report(X, knows((struct report){.is_returned = true}));
    pass(10000, true, false);
    ring(Q);
    assert_int_equal(run(), 0);
}

static void another_courier_tries_before_a_queue_is_paused(void **state)
{
    (void) state;
    uint64_t first = begin_with_two(), second = first == X ? Y : X;
    report(first, knows((struct report){.claimed = 3, .trouble = SPAN("no route to host")}));
    run();
    report(first, knows((struct report){.is_returned = true}));
    pass(200, true, true);
    run();
    assert_int_equal(granted_to(second), 1);
    assert_int_equal(w.paused, 0);
    report(second, knows((struct report){.claimed = 1, .trouble = SPAN("no route to host")}));
    run();
    assert_int_equal(w.paused, 1);
}

static void a_courier_with_a_broken_network_stops_no_queue(void **state)
{
    (void) state;
    uint64_t first = begin_with_two(), second = first == X ? Y : X;
    report(first, knows((struct report){.claimed = 3, .trouble = SPAN("no route to host")}));
    run();
    report(first, knows((struct report){.is_returned = true}));
    pass(200, true, true);
    run();
    report(second, knows((struct report){.claimed = 9, .connections = 1, .finished = 1, .succeeded = 1}));
    for (unsigned i = 0; i < 20; i++) {
        pass(1000, true, true);
        run();
        for (size_t k = 0; k < w.sent_count; k++)
            assert_int_equal(w.sent[k].to, second);
        if (granted_to(second) != UINT64_MAX)
            report(second, knows((struct report){.claimed = 9,
                                                 .connections = (uint32_t) granted_to(second),
                                                 .finished = 50,
                                                 .succeeded = 50}));
    }
    assert_int_equal(w.paused, 0);
}

/* What went through since the first one's trouble shows that it was alone with it. */
static void trouble_of_long_ago_pauses_nothing(void **state)
{
    (void) state;
    uint64_t first = begin_with_two(), second = first == X ? Y : X;
    report(first, knows((struct report){.claimed = 3, .trouble = SPAN("no route to host")}));
    run();
    report(first, knows((struct report){.is_returned = true}));
    pass(200, true, true);
    run();
    report(second, knows((struct report){.claimed = 9, .connections = 1, .finished = 5, .succeeded = 5}));
    run();
    pass(1000, true, true);
    report(second,
           knows((struct report){.claimed = 9, .connections = 1, .trouble = SPAN("no route to host")}));
    run();
    assert_int_equal(w.paused, 0);
    report(second, knows((struct report){.is_returned = true}));
    pass(200, true, true);
    run();
    assert_int_equal(granted_to(first), 1);
    report(first, knows((struct report){.claimed = 1, .trouble = SPAN("no route to host")}));
    run();
    assert_int_equal(w.paused, 1);
}

/* proves: J06 */
static void a_busy_host_that_takes_some_is_back(void **state)
{
    (void) state;
    schedule_due(&w.schedule, w.p,
                 &(struct queue_due){.queue = Q, .waiting = 9, .ready = 9, .was_paused = true}, w.now);
    run();
    w.now += 500;
    report(X, knows((struct report){.claimed = 8,
                                    .connections = 1,
                                    .was_paused = true,
                                    .finished = 5,
                                    .succeeded = 5,
                                    .throttled = 5}));
    assert_int_equal(w.resumed, 1);
}

/* proves: J06 */
static void a_queue_that_was_paused_starts_slowly_and_is_resumed(void **state)
{
    (void) state;
    schedule_due(&w.schedule, w.p,
                 &(struct queue_due){.queue = Q, .waiting = 9, .ready = 9, .was_paused = true}, w.now);
    run();
    assert_int_equal(granted_to(X), 1);
    w.now += 500;
    report(X, knows((struct report){.claimed = 9, .connections = 1, .was_paused = true}));
    run();
    assert_int_equal(granted_to(X), 1);
    assert_int_equal(w.resumed, 0);
    w.now += 500;
    report(X, knows((struct report){
                  .claimed = 8, .connections = 1, .was_paused = true, .finished = 1, .succeeded = 1}));
    run();
    assert_int_equal(w.resumed, 1);
    assert_int_equal(granted_to(X), 2);
    report(X, knows((struct report){
                  .claimed = 8, .connections = 1, .was_paused = true, .finished = 1, .succeeded = 1}));
    assert_int_equal(w.resumed, 1); /* it has been asked for just now */
}

/* ---- room ---- */

/* proves: J09 */
static void queues_on_trial_leave_room_for_those_that_work(void **state)
{
    (void) state;
    char name[32];
    uint64_t granted = 0;
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "dead%u.example", i);
        ring(span_of(name));
        run();
        granted += w.sent_count ? w.sent[0].grant.connections : 0;
    }
    assert_in_range(granted, 200, 250); /* of 500 */
    w.schedule.most = 2000;
    struct courier *c = couriers_find(&w.couriers, X);
    assert_int_equal(c->trial, granted);
    ring(Q);
    run();
    assert_int_equal(granted_to(X), UINT64_MAX);
    c->free = 300; /* some have given up */
    c->trial = 250;
    pass(100, false, false);
    run();
    assert_true(w.sent_count > 0);
}

/* Domains that do not exist, or put everything off: nothing of theirs ever counts as success. */
/* proves: J09 */
static void who_is_done_is_not_on_trial_any_more(void **state)
{
    (void) state;
    char name[32];
    for (unsigned i = 0; i < 900; i++) {
        snprintf(name, sizeof(name), "gone%u.example", i);
        ring(span_of(name));
        run();
        assert_int_not_equal(granted_to(X), UINT64_MAX);
        report(X, knows((struct report){.queue = span_of(name), .is_empty = true}));
    }
    ring(Q);
    run();
    assert_int_equal(granted_to(X), 20);
}

/* proves: J09 */
static void expansions_take_no_room_from_those_on_trial(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 100; i++)
        schedule_ring(&w.schedule, i, SPAN(QUEUE_FANOUT), w.now);
    run();
    ring(Q);
    run();
    assert_int_equal(granted_to(X), 20);
}

/* A queue has had its turn, a second one waits for room: the first gives half of what it has. */
static struct courier *give_way(void)
{
    ring(Q);
    run();
    pass(1000, true, false);
    report(X, knows((struct report){.claimed = 99, .connections = 20, .finished = 500, .succeeded = 500}));
    run();
    report(X, knows((struct report){.claimed = 99, .connections = 20}));
    struct courier *c = couriers_find(&w.couriers, X);
    c->free = 0;
    ring(SPAN("second.example"));
    run();
    w.now += SQUEEZE_MS;
    c->free = 0;
    run();
    assert_int_equal(granted_to(X), 10);
    return c;
}

/* proves: J09 */
static void who_has_had_its_turn_gives_way_while_others_wait(void **state)
{
    (void) state;
    struct courier *c = give_way();

    assert_string_equal(w.sent[0].queue, "example.com");
    c->free = 10;
    run();
    assert_string_equal(w.sent[0].queue, "second.example");
    pass(2000, true, false); /* nobody waits any more */
    run();
    report(X, (struct report){.claimed = 99, .connections = 10, .serial = 3, .granted = 10});
    w.now += 500;
    report(X, (struct report){.claimed = 99, .connections = 10, .serial = 3, .granted = 10});
    run();
    assert_int_equal(granted_to(X), 20);
}

static void who_gave_way_and_left_has_all_again(void **state)
{
    (void) state;
    (void) give_way();

    for (unsigned i = 0; i < 40; i++) { /* it waits when nobody is short of room any more */
        report(X, knows((struct report){.is_returned = true}));
        pass(50, true, false);
        schedule_check(&w.schedule, w.now);
    }
    pass(200, true, false);
    run();
    assert_int_equal(granted_to(X), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queue_begins_with_few_connections_and_gets_more_as_it_succeeds),
        TEST(a_destination_that_puts_off_gets_fewer_and_others_keep_theirs),
        TEST(a_backlog_is_spread_over_couriers_within_the_limit),
        TEST(a_courier_that_finds_no_more_gives_its_share_to_the_other),
        TEST(a_slow_rate_is_for_one_courier),
        TEST(a_destination_that_the_only_courier_cannot_reach_is_paused),
        TEST(another_courier_tries_before_a_queue_is_paused),
        TEST(a_courier_with_a_broken_network_stops_no_queue),
        TEST(trouble_of_long_ago_pauses_nothing),
        TEST(a_busy_host_that_takes_some_is_back),
        TEST(a_queue_that_was_paused_starts_slowly_and_is_resumed),
        TEST(queues_on_trial_leave_room_for_those_that_work),
        TEST(who_is_done_is_not_on_trial_any_more),
        TEST(expansions_take_no_room_from_those_on_trial),
        TEST(who_has_had_its_turn_gives_way_while_others_wait),
        TEST(who_gave_way_and_left_has_all_again),
    };
    return cmocka_run_group_tests_name("dispatcher/trouble", tests, NULL, NULL);
}
