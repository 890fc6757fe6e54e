/* The table of grants: two couriers, one dispatcher, a clock that the test moves. Frames are caught where the bus would be. */
#include "dispatcher/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dispatcher/grant.h"
#include "dispatcher/ring.h"

enum { X = 1001, Y = 1002, TOKEN = 5000, SENT_MAX = 64 };
#define Q SPAN("example.com")

struct sent {
    uint64_t to;
    struct grant grant;
    char queue[64];
};

static struct world {
    struct partitions partitions;
    struct couriers couriers;
    struct schedule schedule;
    struct limits *limits, *site_limits;
    uint32_t loan_serial;
    struct node_peer peers[2];
    struct node_view view;
    struct sent sent[SENT_MAX];
    size_t sent_count;
    uint64_t now;
    unsigned p; /* of example.com */
    unsigned paused, resumed;
    char why[64];
} w;

static int on_send(void *owner, struct span to, struct span frame)
{
    struct frame f;
    (void) owner;
    assert_int_equal(wire_get_frame(frame, &f), 0);
    for (size_t i = 0; i < f.grant_count && w.sent_count < SENT_MAX; i++) {
        struct sent *s = &w.sent[w.sent_count++];
        s->to = (uint64_t) (to.at[3] - '0') + 1000;
        s->grant = f.grants[i];
        memcpy(s->queue, f.grants[i].queue.at, f.grants[i].queue.len);
        s->queue[f.grants[i].queue.len] = '\0';
    }
    frame_done(&f);
    return 0;
}

/* What the end of a round does. The grants sent are in w.sent. */
static size_t run(void)
{
    w.sent_count = 0;
    schedule_check(&w.schedule, w.now);
    schedule_run(&w.schedule, w.now);
    grants_flush(&w.schedule, on_send, NULL);
    return w.sent_count;
}

/* A courier's frame: its clock is ours less 100000. */
static void hear(uint64_t incarnation, const struct report *reports, size_t count, uint32_t free_jobs)
{
    AUTO_BUF struct buf bytes = {0};
    struct report copies[8];
    char name[] = "1001.0";
    struct frame f = {.has_hello = true,
                      .hello = {.incarnation = incarnation,
                                .clock_ms = w.now - 100000,
                                .free_jobs = free_jobs,
                                .free_connections = 500},
                      .reports = copies,
                      .report_count = count};
    if (count)
        memcpy(copies, reports, count * sizeof(*reports));
    name[3] = (char) ('0' + incarnation - 1000);
    wire_put_frame(&f, &bytes);
    assert_int_equal(ring_take_frame(&w.schedule, NULL, span_of(name), buf_span(&bytes), w.now), 0);
}

static void hello(uint64_t incarnation)
{
    hear(incarnation, NULL, 0, 1000);
}

static void report(uint64_t incarnation, struct report r)
{
    if (!r.queue.len)
        r.queue = Q;
    r.partition = partition_of(r.queue);
    if (!r.token)
        r.token = TOKEN;
    hear(incarnation, &r, 1, 1000);
}

static void ring(struct span queue)
{
    schedule_ring(&w.schedule, partition_of(queue), queue, w.now);
}

static void set_limits(uint64_t rate_per_minute)
{
    struct conf c = {.dispatcher = {.queue_connections = 20, .queue_rate = rate_per_minute}};
    char *error;
    limits_free(w.limits);
    assert_int_equal(limits_new(&c, &w.limits, &error), 0);
    w.schedule.limits = w.limits;
}

static void see_couriers(size_t count);

static void hold_partitions(uint64_t acquired_ms)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        w.partitions.of[i] = (struct partition){.is_held = true,
                                                .is_named = true,
                                                .token = TOKEN,
                                                .sent_ms = acquired_ms,
                                                .acquired_ms = acquired_ms,
                                                .settled_ms = acquired_ms + LEASE_SETTLE_MS};
}

static void keep_partitions(void)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        w.partitions.of[i].sent_ms = w.now;
}

static void on_gone(void *context, struct courier *gone)
{
    (void) context;
    schedule_courier_gone(&w.schedule, gone, w.now);
}

static void see_couriers(size_t count)
{
    w.view.count = count;
    couriers_view(&w.couriers, &w.view, w.now, on_gone, NULL);
}

/* Time passes in steps of 500 ms: leases are kept, and those couriers say hello. */
static void pass(uint64_t ms, bool hears_x, bool hears_y)
{
    for (uint64_t end = w.now + ms; w.now < end;) {
        w.now += end - w.now < 500 ? end - w.now : 500;
        keep_partitions();
        if (hears_x)
            hello(X);
        if (hears_y)
            hello(Y);
        couriers_refresh(&w.couriers, w.now);
    }
}

static void on_pause(void *owner, unsigned partition, struct span queue, struct span error)
{
    (void) owner;
    assert_true(partition == w.p && span_equal(queue, Q) && error.len < sizeof(w.why));
    memcpy(w.why, error.at, error.len);
    w.why[error.len] = '\0';
    w.paused++;
}

static void on_resume(void *owner, unsigned partition, struct span queue)
{
    (void) owner;
    assert_true(partition == w.p && span_equal(queue, Q));
    w.resumed++;
}

static int set_up(void **state)
{
    (void) state;
    w = (struct world){.now = 1000000};
    w.p = partition_of(Q);
    w.peers[0] = (struct node_peer){.incarnation = X, .stats = {.role = ROLE_COURIER, .capacity = 100}};
    w.peers[1] = (struct node_peer){.incarnation = Y, .stats = {.role = ROLE_COURIER, .capacity = 100}};
    w.view = (struct node_view){.last = 2000, .peers = w.peers, .count = 1};
    schedule_init(&w.schedule, &w.partitions, &w.couriers);
    w.schedule.most = 1000;
    w.schedule.start = 20;
    w.schedule.pause_first_ms = 60000;
    w.schedule.on_pause = on_pause;
    w.schedule.on_resume = on_resume;
    set_limits(0);
    hold_partitions(w.now);
    see_couriers(1);
    hello(X);
    pass(5000, true, false);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    schedule_done(&w.schedule);
    couriers_done(&w.couriers);
    limits_free(w.limits);
    limits_free(w.site_limits);
    return 0;
}

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

static void a_new_owner_waits_4_s_for_a_courier_it_does_not_hear(void **state)
{
    (void) state;
    see_couriers(2); /* Y is not heard */
    hold_partitions(w.now);
    ring(Q);
    for (unsigned i = 0; i < 39; i++) {
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

static void a_queue_moves_to_a_better_placed_courier(void **state)
{
    (void) state;
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
        report(X, (struct report){.queue = queue, .claimed = 1, .connections = 1});
        run();
    }
    see_couriers(2);
    hello(Y);
    pass(1000, true, true);
    report(X, (struct report){.queue = queue, .claimed = 1, .connections = 1});
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
    assert_int_equal(w.sent[0].grant.connections, 0); /* taken back first */
    report(X, (struct report){.queue = queue, .is_returned = true});
    pass(200, true, true);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, Y);
    assert_int_equal(w.sent[0].grant.connections, 20);
}

/* ---- pace, several couriers ---- */

/* It knows what it was granted last. */
static struct report knows(struct report r)
{
    for (size_t i = 0; i < w.sent_count; i++) {
        r.serial = w.sent[i].grant.serial;
        r.granted = w.sent[i].grant.connections;
    }
    return r;
}

static uint64_t granted_to(uint64_t incarnation)
{
    for (size_t i = w.sent_count; i > 0; i--)
        if (w.sent[i - 1].to == incarnation)
            return w.sent[i - 1].grant.connections;
    return UINT64_MAX;
}

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
    report(X, knows((struct report){.claimed = 9, .connections = 9, .finished = 9, .throttled = 9}));
    run();
    assert_int_equal(granted_to(X), 19);
    ring(SPAN("second.example"));
    run();
    assert_int_equal(granted_to(X), 20);
}

/* Both couriers are there; one of them holds Q. */
static uint64_t begin_with_two(void)
{
    see_couriers(2);
    hello(Y);
    pass(500, true, true);
    ring(Q);
    run();
    assert_int_equal(w.sent_count, 1);
    return w.sent[0].to;
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

/* proves: J09 */
static void who_has_had_its_turn_gives_way_while_others_wait(void **state)
{
    (void) state;
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

/* ---- sites ---- */

static void limit_sites(void)
{
    static char *names[] = {"mx.example.net"}, *values[] = {"connections=6 rate=360"};
    const struct conf c = {.dispatcher = {.queue_connections = 20,
                                          .site_limits = {.keys = names, .values = values, .count = 1}}};
    char *error;
    assert_int_equal(limits_new_sites(&c, &w.site_limits, &error), 0);
    w.schedule.sites.limits = w.site_limits;
}

/* The owner of the site lends this. */
static void lend(uint32_t connections)
{
    struct borrow borrows[FRAME_ENTRIES];
    w.now += SITE_SUM_MS;
    schedule_check(&w.schedule, w.now);
    for (size_t i = sites_borrow(&w.schedule.sites, borrows, w.now); i > 0; i--)
        assert_true(borrows[i - 1].wanted > 0);
    const struct loan loan = {.site = SPAN("mx.example.net"),
                              .token = 9,
                              .serial = ++w.loan_serial,
                              .connections = connections,
                              .rate_micro = connections * UINT64_C(1000000),
                              .answers_ms = w.now};
    sites_lend(&w.schedule, &loan, w.now);
}

/* proves: H16 */
static void a_queue_of_a_limited_site_waits_for_a_loan(void **state)
{
    (void) state;
    limit_sites();
    ring(Q);
    run();
    assert_int_equal(granted_to(X), 20);
    report(X, knows((struct report){.claimed = 9, .site = SPAN("mx.example.net")}));
    run();
    assert_int_equal(granted_to(X), 0);
    report(X, knows((struct report){.is_returned = true}));
    lend(6);
    run();
    assert_int_equal(granted_to(X), 6);
    assert_int_equal(w.sent[0].grant.rate_micro, 6000000);
}

/* proves: H16 */
static void queues_of_one_site_have_no_more_together_than_was_lent(void **state)
{
    (void) state;
    limit_sites();
    ring(Q);
    run();
    report(X, knows((struct report){.claimed = 9, .site = SPAN("mx.example.net")}));
    run();
    report(X, knows((struct report){.is_returned = true}));
    lend(6);
    run();
    struct grant first = w.sent[0].grant;
    assert_int_equal(first.connections, 6);
    ring(SPAN("second.example"));
    run();
    report(X, knows((struct report){
                  .queue = SPAN("second.example"), .claimed = 9, .site = SPAN("mx.example.net")}));
    run();
    assert_int_equal(granted_to(X), 0); /* all is in use */
    report(X, knows((struct report){.queue = SPAN("second.example"), .is_returned = true}));
    for (unsigned i = 0; i < 12; i++) {
        w.now += 100;
        keep_partitions();
        hello(X);
        lend(6);
        run();
        for (size_t k = 0; k < w.sent_count; k++)
            if (w.sent[k].grant.connections && strcmp(w.sent[k].queue, "example.com") == 0)
                first = w.sent[k].grant;
        report(X, (struct report){.claimed = 9,
                                  .connections = first.connections,
                                  .serial = first.serial,
                                  .granted = first.connections,
                                  .site = SPAN("mx.example.net")});
    }
    assert_in_range(first.connections, 1, 3); /* it has had its turn */
    assert_int_equal(limits_of(w.limits, Q).connections, 20);
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
        assert_true(ring_take_frame(&w.schedule, NULL, SPAN("1.0"), buf_span(&bytes), w.now) < 0);
    }
    assert_true(ring_take_frame(&w.schedule, NULL, SPAN("1.0"), SPAN("\xff\xff\xff"), w.now) < 0);
    assert_int_equal(w.schedule.works.count, 0);
    assert_int_equal(run(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
        TEST(a_full_courier_gets_no_further_queues),
        TEST(a_paused_queue_is_left_to_due),
        TEST(a_new_owner_waits_for_the_reports_of_couriers_it_knows),
        TEST(a_new_owner_grants_at_once_when_all_couriers_came_after_it),
        TEST(a_new_owner_waits_4_s_for_a_courier_it_does_not_hear),
        TEST(a_new_owner_leaves_a_queue_where_it_is),
        TEST(work_found_before_the_holder_is_known_is_not_lost),
        TEST(work_found_while_the_lease_was_in_doubt_is_not_lost),
        TEST(a_new_owner_starts_with_empty_buckets),
        TEST(a_rate_of_one_a_minute_holds_over_grants),
        TEST(the_table_is_bounded),
        TEST(a_queue_moves_to_a_better_placed_courier),
        TEST(a_queue_begins_with_few_connections_and_gets_more_as_it_succeeds),
        TEST(a_destination_that_puts_off_gets_fewer_and_others_keep_theirs),
        TEST(a_backlog_is_spread_over_couriers_within_the_limit),
        TEST(a_courier_that_finds_no_more_gives_its_share_to_the_other),
        TEST(a_slow_rate_is_for_one_courier),
        TEST(a_destination_that_the_only_courier_cannot_reach_is_paused),
        TEST(another_courier_tries_before_a_queue_is_paused),
        TEST(a_courier_with_a_broken_network_stops_no_queue),
        TEST(a_queue_that_was_paused_starts_slowly_and_is_resumed),
        TEST(queues_on_trial_leave_room_for_those_that_work),
        TEST(who_has_had_its_turn_gives_way_while_others_wait),
        TEST(a_queue_of_a_limited_site_waits_for_a_loan),
        TEST(queues_of_one_site_have_no_more_together_than_was_lent),
        TEST(refuses_frames_that_no_node_sends_here),
    };
    return cmocka_run_group_tests_name("dispatcher/schedule", tests, NULL, NULL);
}
