/* The watch of nodes: who is dead, and who may own partitions, by counts and by our own clock. */
#include "dispatcher/nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { A = 100, B = 200, SELF = 300 };

/* A view of A and B with these counts, read at read_ms. */
static size_t see(struct nodes *n, uint64_t count_a, uint64_t count_b, uint64_t read_ms)
{
    struct node_peer peers[] = {
        {.incarnation = A, .count = count_a, .stats = {.role = ROLE_DISPATCHER}},
        {.incarnation = B, .count = count_b, .stats = {.role = ROLE_COURIER}},
    };
    struct node_view v = {
        .last = 300, .peers = peers, .count = 2, .sent_ms = read_ms - 1, .read_ms = read_ms};
    return nodes_see(n, &v, NULL, NULL);
}

/* B beats, A does not, read each 250 ms up to and with end_ms. */
static void watch_silent_a(struct nodes *n, uint64_t begin_ms, uint64_t end_ms)
{
    for (uint64_t now = begin_ms; now <= end_ms; now += 250)
        see(n, 7, now / 1000, now);
}

static void a_count_unchanged_for_long_enough_is_dead(void **state)
{
    (void) state;
    struct nodes n = {0};
    watch_silent_a(&n, 10000, 14250);
    assert_false(nodes_is_dead(&n, A, false, 14250));
    assert_false(nodes_is_dead(&n, A, false, 14499));
    assert_true(nodes_is_dead(&n, A, false, 14500));
    assert_false(nodes_is_dead(&n, B, false, 14500));
    nodes_done(&n);
}

static void a_node_that_never_beat_is_dead_too(void **state)
{
    (void) state;
    struct nodes n = {0};
    for (uint64_t now = 1000; now <= 5500; now += 250)
        see(&n, 0, now, now);
    assert_true(nodes_is_dead(&n, A, false, 5500));
    nodes_done(&n);
}

static void a_beat_starts_the_watch_again(void **state)
{
    (void) state;
    struct nodes n = {0};
    watch_silent_a(&n, 10000, 14250);
    see(&n, 8, 14, 14500);
    assert_false(nodes_is_dead(&n, A, false, 14500));
    assert_int_equal(nodes_silent_ms(&n, A, 14500), 0);
    nodes_done(&n);
}

static void a_courier_heard_over_the_bus_has_a_minute(void **state)
{
    (void) state;
    struct nodes n = {0};
    watch_silent_a(&n, 10000, 69750);
    assert_false(nodes_is_dead(&n, A, true, 69999));
    assert_true(nodes_is_dead(&n, A, false, 69999));
    assert_true(nodes_is_dead(&n, A, true, 70000));
    nodes_done(&n);
}

static void a_gap_between_reads_starts_the_watch_again(void **state)
{
    (void) state;
    struct nodes n = {0};
    watch_silent_a(&n, 10000, 14000);
    see(&n, 7, 14, 15001); /* 1,001 ms after the one before */
    assert_false(nodes_is_dead(&n, A, false, 15001));
    watch_silent_a(&n, 15251, 19251);
    assert_false(nodes_is_dead(&n, A, false, 19500));
    assert_true(nodes_is_dead(&n, A, false, 19501));
    nodes_done(&n);
}

static void a_gap_of_a_second_is_none(void **state)
{
    (void) state;
    struct nodes n = {0};
    watch_silent_a(&n, 10000, 13500);
    see(&n, 7, 14, 14500);
    assert_true(nodes_is_dead(&n, A, false, 14500));
    nodes_done(&n);
}

static void a_failed_read_starts_the_watch_again(void **state)
{
    (void) state;
    struct nodes n = {0};
    watch_silent_a(&n, 10000, 14250);
    nodes_lose_sight(&n);
    assert_false(nodes_is_dead(&n, A, false, 14500));
    see(&n, 7, 14, 14500);
    assert_false(nodes_is_dead(&n, A, false, 14500));
    nodes_done(&n);
}

static void nobody_is_dead_when_the_last_read_is_old(void **state)
{
    (void) state;
    struct nodes n = {0};
    watch_silent_a(&n, 10000, 14000);
    assert_false(nodes_is_dead(&n, A, false, 15001));
    nodes_done(&n);
}

static size_t changes;
static uint64_t changed;

static void on_change(void *context, const struct node_seen *seen, bool is_new)
{
    (void) context;
    (void) is_new;
    changes++;
    changed = seen->incarnation;
}

static void tells_who_is_gone(void **state)
{
    (void) state;
    struct nodes n = {0};
    struct node_peer b = {.incarnation = B, .count = 5};
    struct node_view v = {.peers = &b, .count = 1, .read_ms = 2000};
    assert_int_equal(see(&n, 1, 1, 1000), 0);
    changes = 0;
    assert_int_equal(nodes_see(&n, &v, on_change, NULL), 1);
    assert_int_equal(changes, 1);
    assert_int_equal(changed, A);
    assert_null(nodes_find(&n, A));
    assert_non_null(nodes_find(&n, B));
    assert_false(nodes_is_dead(&n, A, false, 100000));
    nodes_done(&n);
}

static void a_silent_dispatcher_owns_nothing_before_it_is_dead(void **state)
{
    (void) state;
    struct nodes n = {0};
    struct node_peer a = {.incarnation = A, .stats = {.role = ROLE_DISPATCHER}};
    watch_silent_a(&n, 10000, 12000);
    assert_true(nodes_may_own(&n, &a, SELF, 12199));
    assert_false(nodes_may_own(&n, &a, SELF, 12200));
    assert_true(nodes_may_own(&n, &a, A, 12200)); /* itself: it knows better */
    a.stats.is_draining = true;
    assert_false(nodes_may_own(&n, &a, SELF, 12000));
    a.stats = (struct node_stats){.role = ROLE_COURIER};
    assert_false(nodes_may_own(&n, &a, SELF, 12000));
    nodes_done(&n);
}

static void a_dispatcher_that_takes_too_few_is_left_out_for_a_while(void **state)
{
    (void) state;
    struct nodes n = {0};
    struct node_peer a = {.incarnation = A, .stats = {.role = ROLE_DISPATCHER}};
    for (uint64_t now = 10000; now <= 18000; now += 250) {
        see(&n, now / 1000, 1, now);
        nodes_judge_share(&n, A, 128, now == 13000 ? 128 : 127, now);
        assert_true(nodes_may_own(&n, &a, SELF, now));
    }
    for (uint64_t now = 18250; now <= 21250; now += 250) {
        see(&n, now / 1000, 1, now);
        nodes_judge_share(&n, A, 128, 127, now);
    }
    assert_false(nodes_may_own(&n, &a, SELF, 21250));
    see(&n, 99, 1, 51250);
    assert_true(nodes_may_own(&n, &a, SELF, 51250));
    nodes_done(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_unchanged_for_long_enough_is_dead),
        cmocka_unit_test(a_node_that_never_beat_is_dead_too),
        cmocka_unit_test(a_beat_starts_the_watch_again),
        cmocka_unit_test(a_courier_heard_over_the_bus_has_a_minute),
        cmocka_unit_test(a_gap_between_reads_starts_the_watch_again),
        cmocka_unit_test(a_gap_of_a_second_is_none),
        cmocka_unit_test(a_failed_read_starts_the_watch_again),
        cmocka_unit_test(nobody_is_dead_when_the_last_read_is_old),
        cmocka_unit_test(tells_who_is_gone),
        cmocka_unit_test(a_silent_dispatcher_owns_nothing_before_it_is_dead),
        cmocka_unit_test(a_dispatcher_that_takes_too_few_is_left_out_for_a_while),
    };
    return cmocka_run_group_tests_name("dispatcher/nodes", tests, NULL, NULL);
}
