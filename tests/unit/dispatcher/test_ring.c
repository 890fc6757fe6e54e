/* Frames that are not what they should be: of who speaks for another, of former lives, said again. They change nothing. */
#include "dispatcher/ring.h"

#include <errno.h>

#include "base/mem.h"
#include "unit/dispatcher/schedule_test.h"

enum { FORMER = 1000 };

/* A courier's frame as its count says, under the key of node: a report that it has nothing to do and gives its grant back. */
static int say(uint64_t incarnation, uint64_t node, uint64_t count, uint32_t free_jobs)
{
    AUTO_BUF struct buf bytes = {0};
    struct report r = {.partition = w.p, .queue = Q, .token = TOKEN, .is_empty = true, .is_returned = true};
    const struct frame f = {.has_hello = true,
                            .hello = {.incarnation = incarnation,
                                      .clock_ms = w.now,
                                      .free_jobs = free_jobs,
                                      .free_connections = 500,
                                      .count = count},
                            .reports = &r,
                            .report_count = 1};
    wire_put_frame(&f, &bytes);
    return ring_take_frame(&w.schedule, NULL, SPAN("here"), node, buf_span(&bytes), w.now);
}

/* What is known of a courier. */
struct state {
    struct courier courier;
    size_t couriers, works;
};

static struct state state_of(uint64_t incarnation)
{
    const struct courier *c = couriers_find(&w.couriers, incarnation);
    struct state s = {.couriers = w.couriers.count, .works = w.schedule.works.count};

    assert_non_null(c);
    s.courier = *c;
    s.courier.outgoing = (struct list){0};
    return s;
}

static void assert_unchanged(const struct state *before, uint64_t incarnation)
{
    struct state now = state_of(incarnation);
    assert_memory_equal(&before->courier, &now.courier, sizeof(now.courier));
    assert_int_equal(before->couriers, now.couriers);
    assert_int_equal(before->works, now.works);
    assert_int_equal(run(), 0); /* no grant is given or taken back for it */
}

static struct state begin(void)
{
    ring(Q);
    assert_int_equal(run(), 1);
    assert_int_equal(w.sent[0].to, X);
    w.now += 10;
    return state_of(X);
}

/* proves: M05 */
static void a_node_that_speaks_for_another_is_not_heard(void **state)
{
    (void) state;
    const struct state before = begin();
    assert_int_equal(say(X, Y, 1, 7), -EPERM); /* Y is let in, and says that it is X */
    assert_int_equal(say(X, Y, 1000, 7), -EPERM);
    assert_int_equal(say(X, 0, 1, 7), -EPERM);
    assert_unchanged(&before, X);
}

/* proves: M05 */
static void a_former_life_is_not_heard(void **state)
{
    (void) state;
    const struct state before = begin();
    assert_int_equal(say(FORMER, X, 1, 7), -EPERM); /* the key is of the life now */
    assert_unchanged(&before, X);
    assert_null(couriers_find(&w.couriers, FORMER));
}

/* proves: M05 */
static void a_node_of_another_role_is_no_courier(void **state)
{
    (void) state;
    w.peers[1].stats.role = ROLE_INGRESS;
    see_couriers(2);
    const struct state before = begin();
    assert_int_equal(say(Y, Y, 1, 7),
                     -EPERM); /* else it could take work, and say that destinations are dead */
    assert_null(couriers_find(&w.couriers, Y));
    assert_unchanged(&before, X);

    AUTO_BUF struct buf bytes = {0};
    struct borrow b = {.site = SPAN("example.com"), .token = TOKEN, .connections = 1};
    const struct frame f = {
        .has_hello = true, .hello = {.incarnation = X, .count = 9}, .borrows = &b, .borrow_count = 1};
    wire_put_frame(&f, &bytes);
    assert_int_equal(ring_take_frame(&w.schedule, NULL, SPAN("here"), X, buf_span(&bytes), w.now), -EPERM);
}

/* proves: M05 */
static void a_frame_said_again_changes_nothing(void **state)
{
    (void) state;
    AUTO_BUF struct buf bytes = {0};
    struct report r = {
        .partition = w.p, .queue = Q, .token = TOKEN, .connections = 3, .claimed = 3, .finished = 9};
    struct frame f = {
        .has_hello = true,
        .hello = {.incarnation = X, .clock_ms = w.now, .free_jobs = 7, .free_connections = 9, .count = 5},
        .reports = &r,
        .report_count = 1};
    (void) begin();
    r.serial = w.sent[0].grant.serial;
    r.granted = w.sent[0].grant.connections;
    wire_put_frame(&f, &bytes);
    assert_int_equal(ring_take_frame(&w.schedule, NULL, SPAN("here"), X, buf_span(&bytes), w.now), 0);
    (void) run();
    const struct state before = state_of(X);
    assert_int_equal(before.courier.count, 5);
    for (unsigned i = 1; i < 4; i++) {
        w.now += 300;
        keep_partitions();
        assert_int_equal(ring_take_frame(&w.schedule, NULL, SPAN("elsewhere"), X, buf_span(&bytes), w.now),
                         0);
        assert_unchanged(&before, X); /* nor does it live longer by it */
    }
    assert_int_equal(say(X, X, 4, 1), 0); /* overtaken by the fifth */
    assert_unchanged(&before, X);
    assert_int_equal(say(X, X, 6, 1), 0);
    assert_int_equal(couriers_find(&w.couriers, X)->heard_ms, w.now);
}

static void one_that_does_not_count_is_of_a_former_version(void **state)
{
    (void) state;
    (void) begin();
    assert_int_equal(say(X, X, 0, 7), 0);
    assert_int_equal(couriers_find(&w.couriers, X)->room, 7);
    assert_int_equal(say(X, X, 0, 8), 0);
    assert_int_equal(couriers_find(&w.couriers, X)->room, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_that_speaks_for_another_is_not_heard),    TEST(a_former_life_is_not_heard),
        TEST(a_node_of_another_role_is_no_courier),           TEST(a_frame_said_again_changes_nothing),
        TEST(one_that_does_not_count_is_of_a_former_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
