/* Leases: when they are taken, kept, used and yielded. */
#include "dispatcher/partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void takes_what_it_is_named_for(void **state)
{
    (void) state;
    struct partition p = {.is_named = true};
    assert_int_equal(partition_step(&p, 1), STEP_ACQUIRE);
    p.caller = 5;
    assert_int_equal(partition_step(&p, 1), STEP_NONE);
    p = (struct partition){0};
    assert_int_equal(partition_step(&p, 1), STEP_NONE);
}

static void keeps_each_second_and_yields_surplus(void **state)
{
    (void) state;
    struct partition p = {.is_named = true, .is_held = true, .token = 9, .sent_ms = 1000, .keep_ms = 2000};
    assert_int_equal(partition_step(&p, 1999), STEP_NONE);
    assert_int_equal(partition_step(&p, 2000), STEP_KEEP);
    p.is_named = false;
    assert_int_equal(partition_step(&p, 1500), STEP_YIELD);
}

static void a_lease_is_used_until_2_s_after_its_last_keep_was_sent(void **state)
{
    (void) state;
    struct partition p = {.is_named = true, .is_held = true, .token = 9, .sent_ms = 1000};
    assert_true(partition_is_usable(&p, 2999));
    assert_false(partition_is_usable(&p, 3000));
    p.is_held = false;
    assert_false(partition_is_usable(&p, 1001));
}

static void a_token_that_couriers_refuse_is_not_used(void **state)
{
    (void) state;
    struct partitions all = {.me = 7};
    struct partition *p = &all.of[3];
    *p = (struct partition){
        .is_named = true, .is_held = true, .token = 1000, .sent_ms = 1000, .keep_ms = 5000};
    partitions_see_token(&all, 3, 1000, 1000); /* our own */
    partitions_see_token(&all, 3, 999, 1000);  /* an older one */
    assert_true(partition_is_usable(p, 1500));
    assert_int_equal(partition_step(p, 1500), STEP_NONE);
    partitions_see_token(&all, 3, 1001, 1000);
    assert_false(partition_is_usable(p, 1500));
    assert_int_equal(partition_step(p, 1500), STEP_YIELD);
    assert_int_equal(p->floor, 1001);
}

/* proves: M06 */
static void a_token_from_nowhere_is_ignored(void **state)
{
    (void) state;
    struct partitions all = {.me = 7};
    partitions_see_token(&all, 3, (UINT64_C(1) << 53) - 1, UINT64_C(1700000000000000));
    assert_int_equal(all.of[3].floor, 0);
}

/* ---- ownership ---- */

static struct node_peer dispatcher(uint64_t incarnation)
{
    return (struct node_peer){.incarnation = incarnation,
                              .count = 1,
                              .stats = {.role = ROLE_DISPATCHER, .partitions = PARTITION_COUNT}};
}

static unsigned named_count(const struct partitions *all)
{
    unsigned named = 0;
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        named += all->of[i].is_named;
    return named;
}

static struct node_view view_of(struct node_peer *peers, size_t count, uint64_t read_ms)
{
    return (struct node_view){.last = 999, .peers = peers, .count = count, .read_ms = read_ms};
}

static void every_partition_is_named_for_exactly_one(void **state)
{
    (void) state;
    struct node_peer peers[] = {dispatcher(101), dispatcher(202), dispatcher(303)};
    unsigned owners[PARTITION_COUNT] = {0};
    for (size_t k = 0; k < 3; k++) {
        struct nodes nodes = {0};
        struct partitions all = {.me = peers[k].incarnation};
        struct node_view v = view_of(peers, 3, 1000);
        nodes_see(&nodes, &v, NULL, NULL);
        partitions_name(&all, &nodes, &v, 1000);
        assert_in_range(named_count(&all), 50, 130);
        for (unsigned i = 0; i < PARTITION_COUNT; i++)
            owners[i] += all.of[i].is_named;
        nodes_done(&nodes);
    }
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        assert_int_equal(owners[i], 1);
}

static void a_newcomer_moves_only_what_becomes_its_own(void **state)
{
    (void) state;
    struct node_peer peers[] = {dispatcher(101), dispatcher(202), dispatcher(303)};
    struct nodes nodes = {0};
    struct partitions before = {.me = 101}, after = {.me = 101};
    struct node_view two = view_of(peers, 2, 1000), three = view_of(peers, 3, 1250);
    nodes_see(&nodes, &two, NULL, NULL);
    partitions_name(&before, &nodes, &two, 1000);
    nodes_see(&nodes, &three, NULL, NULL);
    partitions_name(&after, &nodes, &three, 1250);
    assert_true(named_count(&after) < named_count(&before));
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        assert_true(!after.of[i].is_named || before.of[i].is_named);
    nodes_done(&nodes);
}

static void the_partitions_of_a_silent_dispatcher_are_orphans(void **state)
{
    (void) state;
    struct node_peer peers[] = {dispatcher(101), dispatcher(202)};
    struct nodes nodes = {0};
    struct partitions all = {.me = 101};
    unsigned first = 0;
    for (uint64_t now = 1000; now <= 3250; now += 250) {
        struct node_view v = view_of(peers, 2, now);
        peers[0].count = now;
        nodes_see(&nodes, &v, NULL, NULL);
        partitions_name(&all, &nodes, &v, now);
        if (now == 1000)
            first = named_count(&all);
        if (now < 3200)
            assert_int_equal(named_count(&all), first);
    }
    assert_int_equal(named_count(&all), PARTITION_COUNT);
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        assert_true(all.of[i].is_orphan);
    nodes_done(&nodes);
}

static void who_has_not_joined_or_drains_is_named_for_nothing(void **state)
{
    (void) state;
    struct node_peer peers[] = {dispatcher(101)};
    struct nodes nodes = {0};
    struct partitions all = {.me = 0};
    struct node_view v = view_of(peers, 1, 1000);
    nodes_see(&nodes, &v, NULL, NULL);
    partitions_name(&all, &nodes, &v, 1000);
    assert_int_equal(named_count(&all), 0);
    all.me = 101;
    partitions_name(&all, &nodes, &v, 1000);
    assert_int_equal(named_count(&all), PARTITION_COUNT);
    assert_true(partitions_drain(&all));
    partitions_name(&all, &nodes, &v, 1000);
    assert_int_equal(named_count(&all), 0);
    nodes_done(&nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_it_is_named_for),
        cmocka_unit_test(keeps_each_second_and_yields_surplus),
        cmocka_unit_test(a_lease_is_used_until_2_s_after_its_last_keep_was_sent),
        cmocka_unit_test(a_token_that_couriers_refuse_is_not_used),
        cmocka_unit_test(a_token_from_nowhere_is_ignored),
        cmocka_unit_test(every_partition_is_named_for_exactly_one),
        cmocka_unit_test(a_newcomer_moves_only_what_becomes_its_own),
        cmocka_unit_test(the_partitions_of_a_silent_dispatcher_are_orphans),
        cmocka_unit_test(who_has_not_joined_or_drains_is_named_for_nothing),
    };
    return cmocka_run_group_tests_name("dispatcher/partition", tests, NULL, NULL);
}
