/* The world of the schedule's tests. */
#include "unit/dispatcher/schedule_test.h"

#include "base/mem.h"
#include "dispatcher/grant.h"
#include "dispatcher/ring.h"

struct world w;

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

size_t run(void)
{
    w.sent_count = 0;
    schedule_check(&w.schedule, w.now);
    schedule_run(&w.schedule, w.now);
    grants_flush(&w.schedule, on_send, NULL);
    return w.sent_count;
}

void hear(uint64_t incarnation, const struct report *reports, size_t count, uint32_t free_jobs)
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
    assert_int_equal(ring_take_frame(&w.schedule, NULL, span_of(name), incarnation, buf_span(&bytes), w.now),
                     0);
}

void hello(uint64_t incarnation)
{
    hear(incarnation, NULL, 0, 1000);
}

void report(uint64_t incarnation, struct report r)
{
    if (!r.queue.len)
        r.queue = Q;
    r.partition = partition_of(r.queue);
    if (!r.token)
        r.token = TOKEN;
    hear(incarnation, &r, 1, 1000);
}

void ring(struct span queue)
{
    schedule_ring(&w.schedule, partition_of(queue), queue, w.now);
}

void set_limits(uint64_t rate_per_minute)
{
    struct conf c = {.dispatcher = {.queue_connections = 20, .queue_rate = rate_per_minute}};
    char *error;
    limits_free(w.limits);
    assert_int_equal(limits_new(&c, &w.limits, &error), 0);
    w.schedule.limits = w.limits;
}

void hold_partitions(uint64_t acquired_ms)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        w.partitions.of[i] = (struct partition){.is_held = true,
                                                .is_named = true,
                                                .token = TOKEN,
                                                .sent_ms = acquired_ms,
                                                .acquired_ms = acquired_ms,
                                                .settled_ms = acquired_ms + LEASE_SETTLE_MS};
}

void keep_partitions(void)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        w.partitions.of[i].sent_ms = w.now;
}

void on_gone(void *context, struct courier *gone)
{
    (void) context;
    schedule_courier_gone(&w.schedule, gone, w.now);
}

void see_couriers(size_t count)
{
    w.view.count = count;
    couriers_view(&w.couriers, &w.view, w.now, on_gone, NULL);
}

void pass(uint64_t ms, bool hears_x, bool hears_y)
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

int set_up(void **state)
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
    w.schedule.pool_wait_ms = 60000;
    w.schedule.on_pause = on_pause;
    w.schedule.on_resume = on_resume;
    set_limits(0);
    hold_partitions(w.now);
    see_couriers(1);
    hello(X);
    pass(5000, true, false);
    return 0;
}

int tear_down(void **state)
{
    (void) state;
    schedule_done(&w.schedule);
    couriers_done(&w.couriers);
    limits_free(w.limits);
    limits_free(w.site_limits);
    return 0;
}

struct report knows(struct report r)
{
    for (size_t i = 0; i < w.sent_count; i++) {
        r.serial = w.sent[i].grant.serial;
        r.granted = w.sent[i].grant.connections;
    }
    return r;
}

uint64_t granted_to(uint64_t incarnation)
{
    for (size_t i = w.sent_count; i > 0; i--)
        if (w.sent[i - 1].to == incarnation)
            return w.sent[i - 1].grant.connections;
    return UINT64_MAX;
}

uint64_t begin_with_two(void)
{
    see_couriers(2);
    hello(Y);
    pass(500, true, true);
    ring(Q);
    run();
    assert_int_equal(w.sent_count, 1);
    return w.sent[0].to;
}
