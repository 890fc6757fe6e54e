/* The table of grants: rings, reports, owners, rates. */
#include "base/mem.h"
#include "base/metric.h"
#include "dispatcher/ring.h"
#include "unit/dispatcher/schedule_test.h"

static void a_ring_makes_a_grant_at_once(void **state)
{
    (void) state;
    ring(Q);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
    assert_string_equal(w.sent[0].queue, "example.com");
    assert_int_equal(w.sent[0].grant.partition, w.p);
    assert_int_equal(w.sent[0].grant.connections, 20);
    assert_int_equal(w.sent[0].grant.token, TOKEN);
    assert_int_equal(w.sent[0].grant.answers_ms, w.now - 100000);
    ring(Q);
    assert_int_equal(run(), 0);
}

static void a_ring_for_a_partition_of_others_is_ignored(void **state)
{
    (void) state;
    w.partitions.of[w.p].is_held = false;
    ring(Q);
    assert_int_equal(run(), 0);
    assert_int_equal(w.schedule.works.count, 0);
}

static void nothing_is_granted_on_a_lease_in_doubt(void **state)
{
    (void) state;
    w.now += 2000; /* no keep was confirmed since */
    hello(X);
    ring(Q);
    assert_int_equal(run(), 0);
    keep_partitions();
    w.now += WORK_WAIT_MS;
    assert_int_equal(run(), 1);
}

static void a_report_of_work_is_answered_but_not_too_often(void **state)
{
    (void) state;
    ring(Q);
    run();
    report(X, (struct report){.claimed = 5, .connections = 5});
    assert_int_equal(run(), 0);
    w.now += 500;
    report(X, (struct report){.claimed = 5, .connections = 5});
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].grant.answers_ms, w.now - 100000);
}

static void an_empty_idle_queue_is_forgotten_when_its_grant_is_over(void **state)
{
    (void) state;
    ring(Q);
    run();
    report(X, (struct report){.is_empty = true});
    assert_int_equal(run(), 0);
    pass(4000, true, false);
    assert_int_equal(run(), 0);
    assert_int_equal(w.schedule.works.count, 1);
    pass(3000, true, false);
    assert_int_equal(run(), 0);
    assert_int_equal(w.schedule.works.count, 0);
}

static void a_ring_for_an_idle_queue_wakes_its_courier(void **state)
{
    (void) state;
    ring(Q);
    run();
    report(X, (struct report){.is_empty = true});
    run();
    ring(Q);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
}

static void a_ring_during_work_wakes_after_the_empty_report(void **state)
{
    (void) state;
    ring(Q);
    run();
    ring(Q); /* maybe after the claim */
    assert_int_equal(run(), 0);
    report(X, (struct report){.is_empty = true});
    assert_int_equal(run(), 1);
    report(X, (struct report){.is_empty = true});
    assert_int_equal(run(), 0);
}

static void claimed_jobs_of_an_empty_queue_keep_their_grant(void **state)
{
    (void) state;
    ring(Q);
    run();
    report(X, (struct report){.is_empty = true, .claimed = 3});
    assert_int_equal(run(), 0); /* each answer would make it claim and report again */
    w.now += 1000;
    keep_partitions();
    report(X, (struct report){.is_empty = true, .claimed = 3});
    assert_int_equal(run(), 1);
}

static void a_lost_grant_is_sent_again(void **state)
{
    (void) state;
    ring(Q);
    assert_int_equal(run(), 1);
    pass(1500, true, false);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
}

static void a_queue_goes_to_another_when_its_courier_is_silent_for_5_s(void **state)
{
    (void) state;
    ring(Q);
    run();
    uint64_t granted = w.now;
    see_couriers(2);
    while (w.now < granted + 4900) {
        pass(100, false, true);
        run();
        for (size_t i = 0; i < w.sent_count; i++)
            assert_int_equal(w.sent[i].to, X);
    }
    pass(2000, false, true);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, Y);
}

static void a_queue_goes_to_another_at_once_when_its_courier_is_gone(void **state)
{
    (void) state;
    see_couriers(2);
    hello(Y);
    pass(500, true, true);
    ring(Q);
    run();
    uint64_t holder = w.sent[0].to, other = holder == X ? Y : X;
    w.peers[0].incarnation = other; /* the other one stays */
    see_couriers(1);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, other);
}

static void a_returned_queue_with_work_is_granted_anew(void **state)
{
    (void) state;
    ring(Q);
    run();
    report(X, (struct report){.is_returned = true});
    assert_int_equal(run(), 0);
    pass(200, true, false);
    assert_int_equal(run(), 1);
}

static void connections_still_in_use_at_the_last_courier_are_kept_off_the_limit(void **state)
{
    (void) state;
    ring(Q);
    run();
    report(X, (struct report){.is_returned = true, .connections = 8});
    pass(200, true, false);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].grant.connections, 12);
    report(X, (struct report){.is_returned = true, .connections = 20});
    pass(200, true, false);
    assert_int_equal(run(), 0);
    pass(5000, true, false);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].grant.connections, 20);
}

static void more_connections_than_the_limit_are_counted(void **state)
{
    (void) state;
    ring(Q);
    assert_int_equal(run(), 1);
    uint64_t holder = w.sent[0].to;
    uint32_t limit = limits_of(w.limits, Q).connections;
    int64_t before = metric_get(METRIC_LIMIT_OVERSHOOT_TOTAL);
    report(holder, (struct report){.claimed = 1, .connections = limit});
    assert_int_equal(metric_get(METRIC_LIMIT_OVERSHOOT_TOTAL), before);
    report(holder == X ? Y : X, (struct report){.claimed = 1, .connections = 1});
    assert_int_equal(metric_get(METRIC_LIMIT_OVERSHOOT_TOTAL), before + 1);
    report(holder, (struct report){.claimed = 1, .connections = limit - 1});
    assert_int_equal(metric_get(METRIC_LIMIT_OVERSHOOT_TOTAL), before + 1);
}

static void the_worst_overshoot_is_told_until_it_has_been_over_for_a_while(void **state)
{
    (void) state;
    ring(Q);
    assert_int_equal(run(), 1);
    uint64_t holder = w.sent[0].to;
    uint32_t limit = limits_of(w.limits, Q).connections;
    schedule_check(&w.schedule, w.now);
    assert_int_equal(metric_get(METRIC_LIMIT_OVERSHOOT_CONNECTIONS), 0);
    report(holder, (struct report){.claimed = 1, .connections = limit + 3});
    report(holder, (struct report){.claimed = 1, .connections = limit + 1});
    assert_int_equal(metric_get(METRIC_LIMIT_OVERSHOOT_CONNECTIONS), 3);
    report(holder, (struct report){.claimed = 1, .connections = limit});
    pass(10500, true, false);
    schedule_check(&w.schedule, w.now);
    assert_int_equal(metric_get(METRIC_LIMIT_OVERSHOOT_CONNECTIONS),
                     3); /* of the ten seconds that are over */
    pass(10500, true, false);
    schedule_check(&w.schedule, w.now);
    assert_int_equal(metric_get(METRIC_LIMIT_OVERSHOOT_CONNECTIONS), 0);
}

static void a_full_courier_gets_no_further_queues(void **state)
{
    (void) state;
    hear(X, NULL, 0, 1);
    ring(Q);
    ring(SPAN("second.example"));
    assert_int_equal(run(), 1);
    w.now += 500;
    hear(X, NULL, 0, 1);
    assert_int_equal(run(), 1);
    assert_string_equal(w.sent[0].queue, "second.example");
}

static void a_paused_queue_is_left_to_due(void **state)
{
    (void) state;
    ring(Q);
    run();
    report(X, (struct report){.is_empty = true, .wait_ms = 60000});
    pass(10000, true, false);
    ring(Q); /* it is remembered */
    assert_int_equal(run(), 0);
    schedule_due(&w.schedule, w.p, &(struct queue_due){.queue = Q, .waiting = 1, .ready = 1}, w.now);
    assert_int_equal(run(), 1);
}

/* ---- a new owner ---- */

static void a_new_owner_waits_for_the_reports_of_couriers_it_knows(void **state)
{
    (void) state;
    hold_partitions(w.now); /* acquired now; X was heard before */
    ring(Q);
    assert_int_equal(run(), 0);
    ring(SPAN("#fanout"));
    schedule_ring(&w.schedule, 7, SPAN("#fanout"), w.now);
    assert_true(run() >= 1); /* has no limits: no wait */
    pass(LEASE_SETTLE_MS + WORK_WAIT_MS, true, false);
    run();
    assert_string_equal(w.sent[0].queue, "example.com");
}

static void a_new_owner_grants_at_once_when_all_couriers_came_after_it(void **state)
{
    (void) state;
    see_couriers(2);
    pass(12000, false, false);
    couriers_view(&w.couriers, &(struct node_view){.count = 0}, w.now, on_gone, NULL);
    see_couriers(2);
    hold_partitions(w.now);
    w.now += 10;
    hello(X);
    hello(Y);
    ring(Q);
    assert_int_equal(run(), 0);
    w.now += COURIER_SETTLE_MS;
    assert_int_equal(run(), 1);
}

static void a_new_owner_waits_5_s_for_a_courier_it_does_not_hear(void **state)
{
    (void) state;
    see_couriers(2); /* Y is not heard */
    hold_partitions(w.now);
    ring(Q);
    for (unsigned i = 0; i < LEASE_ALONE_MS / 100 - 1; i++) {
        pass(100, true, false);
        assert_int_equal(run(), 0);
    }
    pass(200, true, false);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
}

static void a_new_owner_leaves_a_queue_where_it_is(void **state)
{
    (void) state;
    see_couriers(2);
    hello(Y);
    pass(1000, true, true);
    for (size_t k = 0; k < 2; k++) { /* whichever rendezvous would choose */
        struct span queue = k ? SPAN("two.example") : SPAN("one.example");
        uint64_t holder = k ? X : Y;
        w.partitions.of[partition_of(queue)].is_held = false;
        report(holder, (struct report){.queue = queue, .token = TOKEN - 1, .claimed = 1, .connections = 1});
        hold_partitions(w.now);
        ring(queue);
        assert_int_equal(run(), 1);
        assert_int_equal(w.sent[0].to, holder);
        assert_int_equal(w.sent[0].grant.token, TOKEN);
    }
}

static void a_new_owner_goes_on_at_the_pace_it_finds(void **state)
{
    (void) state;
    w.schedule.start = 5;
    w.partitions.of[partition_of(Q)].is_held = false;
    report(X,
           (struct report){.token = TOKEN - 1, .serial = 3, .granted = 17, .connections = 17, .claimed = 40});
    hold_partitions(w.now);
    pass(1000, true, false);
    report(X, (struct report){.token = TOKEN - 1,
                              .serial = 3,
                              .granted = 17,
                              .connections = 17,
                              .claimed = 40,
                              .finished = 10,
                              .succeeded = 10});
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].grant.connections, 17);
}

static void work_found_before_the_holder_is_known_is_not_lost(void **state)
{
    (void) state;
    hold_partitions(w.now);
    ring(Q);
    assert_int_equal(run(), 0);
    report(X, (struct report){.token = TOKEN - 1, .is_empty = true});
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
}

static void work_found_while_the_lease_was_in_doubt_is_not_lost(void **state)
{
    (void) state;
    w.now += 2000;
    ring(Q);
    assert_int_equal(run(), 0);
    keep_partitions();
    report(X, (struct report){.is_empty = true}); /* it has a grant that we forgot */
    assert_int_equal(run(), 1);
}

/* ---- rates and bounds ---- */

static void a_new_owner_starts_with_empty_buckets(void **state)
{
    (void) state;
    set_limits(1);
    hold_partitions(w.now);
    ring(Q);
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(run(), 0);
        pass(1000, true, false);
    }
    pass(1000, true, false);
    assert_int_equal(run(), 1);
}

static void a_rate_of_one_a_minute_holds_over_grants(void **state)
{
    (void) state;
    set_limits(1);
    pass(60000, true, false); /* the partition is ours for long: the bucket is full */
    ring(Q);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].grant.rate_micro, 16666);
    report(X, (struct report){.is_empty = true, .finished = 1});
    pass(10000, true, false);
    run();
    assert_int_equal(w.schedule.works.count, 1); /* its bucket is not forgotten */
    ring(Q);
    for (unsigned i = 0; i < 48; i++) {
        pass(1000, true, false);
        assert_int_equal(run(), 0);
    }
    pass(4000, true, false);
    assert_int_equal(run(), 1);
}

static void the_table_is_bounded(void **state)
{
    (void) state;
    char name[32];
    w.schedule.most = 10;
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "q%u.example", i);
        ring(span_of(name));
    }
    assert_int_equal(w.schedule.works.count, 10);
    run();
    assert_int_equal(w.sent_count, 10);
}

static const char *pool_of_all(struct span queue UNUSED)
{
    return "out";
}

/* proves: H21 */
static void a_queue_is_granted_to_those_who_can_bind_its_pool(void **state)
{
    (void) state;
    w.couriers.pool_of = pool_of_all;
    see_couriers(2);
    hello(Y);
    pass(500, true, true);
    ring(SPAN("example.com"));
    assert_int_equal(run(), 0); /* nobody can */
    w.peers[1].stats.pools = mem_string("in,out");
    see_couriers(2);
    pass(WORK_WAIT_MS, true, true);
    schedule_check(&w.schedule, w.now);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, Y);
    w.peers[1].stats.pools = mem_free(w.peers[1].stats.pools);
}

/* Somebody must say that it cannot go, and end it when its time is over. proves: H21 J02 */
static void a_queue_whose_pool_nobody_can_bind_is_granted_after_a_while(void **state)
{
    (void) state;
    w.couriers.pool_of = pool_of_all;
    see_couriers(1);
    hello(X);
    pass(500, true, false);
    ring(Q);
    assert_int_equal(run(), 0);
    pass(w.schedule.pool_wait_ms - WORK_WAIT_MS, true, false);
    schedule_check(&w.schedule, w.now);
    assert_int_equal(run(), 0);
    pass(WORK_WAIT_MS, true, false);
    schedule_check(&w.schedule, w.now);
    assert_int_equal(run(), 1);
    report(X, knows((struct report){.trouble = SPAN("no address")}));
    (void) run();
    assert_int_equal(w.paused, 1);
    assert_string_equal(w.why, "no address");
}

/* proves: H21 */
static void a_queue_is_taken_back_from_a_courier_that_has_lost_its_pool(void **state)
{
    (void) state;
    w.couriers.pool_of = pool_of_all;
    w.peers[1].stats.pools = mem_string("out");
    see_couriers(2);
    hello(Y);
    pass(500, true, true);
    ring(SPAN("example.com"));
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, Y);
    w.peers[1].stats.pools = mem_free(w.peers[1].stats.pools);
    w.peers[0].stats.pools = mem_string("out");
    see_couriers(2);
    pass(WORK_RENEW_MS, true, true);
    couriers_refresh(&w.couriers, w.now);
    report(Y, knows((struct report){.connections = 1, .claimed = 1}));
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, Y);
    assert_int_equal(w.sent[0].grant.connections, 0);
    report(Y, knows((struct report){.is_returned = true}));
    pass(WORK_WAIT_MS, true, true);
    schedule_check(&w.schedule, w.now);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
    w.peers[0].stats.pools = mem_free(w.peers[0].stats.pools);
}

/* is_light: each claim takes all there is, and more comes meanwhile. */
static void move_to_the_better_placed(bool is_light)
{
    char name[32];
    struct span queue = {0};
    /* Which queue would Y have, were it there? */
    see_couriers(2);
    hello(Y);
    pass(500, true, true);
    for (unsigned i = 0; !queue.len; i++) {
        snprintf(name, sizeof(name), "q%u.example", i);
        const struct courier *c = couriers_choose(&w.couriers, 0, span_of(name), NULL, NULL, w.now);
        if (c->incarnation == Y)
            queue = span_of(name);
    }
    w.view.count = 1;
    see_couriers(1);
    pass(500, true, false);
    ring(queue);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
    for (unsigned i = 0; i < 6; i++) {
        pass(1000, true, false);
        report(X, (struct report){.queue = queue, .claimed = 1, .connections = 1, .is_empty = is_light});
        run();
    }
    see_couriers(2);
    hello(Y);
    pass(1000, true, true);
    ring(queue);
    report(X, (struct report){.queue = queue, .claimed = 1, .connections = 1, .is_empty = is_light});
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
    assert_int_equal(w.sent[0].grant.connections, 0); /* taken back first */
    report(X, (struct report){.queue = queue, .is_returned = true});
    pass(200, true, true);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, Y);
    assert_int_equal(w.sent[0].grant.connections, 20);
}

static void a_queue_moves_to_a_better_placed_courier(void **state)
{
    (void) state;
    move_to_the_better_placed(false);
}

static void a_light_queue_moves_too(void **state)
{
    (void) state;
    move_to_the_better_placed(true);
}

/* ---- frames ---- */

/* proves: M05 */
static void refuses_frames_that_no_node_sends_here(void **state)
{
    (void) state;
    struct ring wrong = {.partition = (w.p + 1) % PARTITION_COUNT, .queue = Q};
    struct grant grant = {.partition = w.p, .queue = Q};
    struct report alone = {.partition = w.p, .queue = Q};
    const struct frame frames[] = {
        {.rings = &wrong, .ring_count = 1},
        {.grants = &grant, .grant_count = 1},
        {.reports = &alone, .report_count = 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        AUTO_BUF struct buf bytes = {0};
        wire_put_frame(&frames[i], &bytes);
        assert_true(ring_take_frame(&w.schedule, NULL, SPAN("1.0"), 1, buf_span(&bytes), w.now) < 0);
    }
    assert_true(ring_take_frame(&w.schedule, NULL, SPAN("1.0"), 1, SPAN("\xff\xff\xff"), w.now) < 0);
    assert_int_equal(w.schedule.works.count, 0);
    assert_int_equal(run(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_ring_makes_a_grant_at_once),
        TEST(a_ring_for_a_partition_of_others_is_ignored),
        TEST(nothing_is_granted_on_a_lease_in_doubt),
        TEST(a_report_of_work_is_answered_but_not_too_often),
        TEST(an_empty_idle_queue_is_forgotten_when_its_grant_is_over),
        TEST(a_ring_for_an_idle_queue_wakes_its_courier),
        TEST(a_ring_during_work_wakes_after_the_empty_report),
        TEST(claimed_jobs_of_an_empty_queue_keep_their_grant),
        TEST(a_lost_grant_is_sent_again),
        TEST(a_queue_goes_to_another_when_its_courier_is_silent_for_5_s),
        TEST(a_queue_goes_to_another_at_once_when_its_courier_is_gone),
        TEST(a_returned_queue_with_work_is_granted_anew),
        TEST(connections_still_in_use_at_the_last_courier_are_kept_off_the_limit),
        TEST(more_connections_than_the_limit_are_counted),
        TEST(the_worst_overshoot_is_told_until_it_has_been_over_for_a_while),
        TEST(a_full_courier_gets_no_further_queues),
        TEST(a_paused_queue_is_left_to_due),
        TEST(a_new_owner_waits_for_the_reports_of_couriers_it_knows),
        TEST(a_new_owner_grants_at_once_when_all_couriers_came_after_it),
        TEST(a_new_owner_waits_5_s_for_a_courier_it_does_not_hear),
        TEST(a_new_owner_leaves_a_queue_where_it_is),
        TEST(a_new_owner_goes_on_at_the_pace_it_finds),
        TEST(work_found_before_the_holder_is_known_is_not_lost),
        TEST(work_found_while_the_lease_was_in_doubt_is_not_lost),
        TEST(a_new_owner_starts_with_empty_buckets),
        TEST(a_rate_of_one_a_minute_holds_over_grants),
        TEST(the_table_is_bounded),
        TEST(a_queue_moves_to_a_better_placed_courier),
        TEST(a_light_queue_moves_too),
        TEST(a_queue_is_taken_back_from_a_courier_that_has_lost_its_pool),
        TEST(a_queue_is_granted_to_those_who_can_bind_its_pool),
        TEST(a_queue_whose_pool_nobody_can_bind_is_granted_after_a_while),
        TEST(refuses_frames_that_no_node_sends_here),
    };
    return cmocka_run_group_tests_name("dispatcher/schedule", tests, NULL, NULL);
}
