/* Lives of nodes: join, beat, dead, leave; the view; who owns what. */
#include "cluster/node.h"

#include "cluster/wire.h"
#include "cluster_test.h"

#define NODES "barid:{c}:nodes"
#define ORDERS "barid:{c}:orders"

/* What a node told its owner. */
static struct told {
    unsigned joined, dead, views, failures, stats, left, ordered, freed, joined_when_ordered;
    uint64_t incarnation;
    struct node *node;
} told;
static struct node *node;

static void on_joined(void *owner, uint64_t incarnation)
{
    struct told *t = owner;

    t->joined++;
    t->incarnation = incarnation;
}

static void on_dead(void *owner)
{
    struct told *t = owner;

    t->dead++;
    assert_int_equal(node_incarnation(node), 0);
    assert_false(node_may_send_dot(node, t->incarnation));
}

static void on_view(void *owner, const struct node_view *view)
{
    struct told *t = owner;

    if (view)
        t->views++;
    else
        t->failures++;
}

static void on_drain(void *owner, bool is_ordered)
{
    struct told *t = owner;

    t->ordered += is_ordered;
    t->joined_when_ordered = t->joined;
    t->freed += !is_ordered;
    assert_int_equal(node_is_ordered_to_drain(node), is_ordered);
}

static void on_stats(void *owner, struct node_stats *stats)
{
    struct told *t = owner;

    t->stats++;
    stats->sessions = t->stats;
}

static void open_node(uint64_t view_every_ms)
{
    static const struct node_events events = {.on_joined = on_joined,
                                              .on_dead = on_dead,
                                              .on_view = on_view,
                                              .on_drain = on_drain,
                                              .on_stats = on_stats,
                                              .owner = &told};
    const struct node_stats stats = {.role = ROLE_COURIER,
                                     .name = "host",
                                     .version = "1",
                                     .http = "127.0.0.1:1",
                                     .bus = "",
                                     .capacity = 7};

    memset(&told, 0, sizeof told);
    node = node_open(store, &stats, view_every_ms, &events);
    assert_int_equal(told.joined, 0);
}

static void on_left(void *owner)
{
    ((struct told *) owner)->left++;
    node = NULL;
    loop_stop(loop);
}

static void leave(void)
{
    node_leave(node, on_left, &told);
    assert_int_equal(told.left, 0);
    loop_go();
    assert_int_equal(told.left, 1);
}

static bool has_beaten(void)
{
    return node_incarnation(node) && node_may_send_dot(node, node_incarnation(node));
}

static void a_node_joins_beats_and_leaves(void **state)
{
    (void) state;
    open_node(1000);
    assert_int_equal(node_view(node)->count, 0);
    assert_int_equal(node_beat_age_ms(node), UINT64_MAX);
    WAIT_FOR(has_beaten());
    assert_int_equal(told.joined, 1);
    assert_int_equal(told.incarnation, node_incarnation(node));
    assert_true(node_beat_age_ms(node) < 1000);
    assert_false(node_may_send_dot(node, node_incarnation(node) - 1)); /* of another life */
    assert_false(node_may_send_dot(node, 0));
    redisReply *reply = ask(&server, "HGET " NODES " %llu", (unsigned long long) told.incarnation);
    assert_memory_equal(reply->str, "1 ", 2);
    freeReplyObject(reply);
    leave();
    assert_int_equal(count_of(&server, "HLEN " NODES), 1); /* last */
}

static void beats_count_up_and_bring_a_view(void **state)
{
    (void) state;
    open_node(1000);
    WAIT_FOR(told.stats == 2 && node_view(node)->count == 1 && node_view(node)->peers[0].count >= 1);
    const struct node_peer *peer = &node_view(node)->peers[0];
    assert_int_equal(peer->incarnation, told.incarnation);
    assert_int_equal(node_view(node)->last, told.incarnation);
    assert_int_equal(peer->stats.role, ROLE_COURIER);
    assert_string_equal(peer->stats.name, "host");
    assert_string_equal(peer->stats.http, "127.0.0.1:1");
    assert_int_equal(peer->stats.capacity, 7);
    assert_int_equal(peer->stats.sessions, peer->count); /* as filled in for that beat */
    assert_true(peer->stats.store_audit_ok);
    assert_in_range(peer->stats.beat_ms, clock_wall_ms() - 5000, clock_wall_ms() + 5000);
    assert_true(node_view(node)->read_ms >= node_view(node)->sent_ms);
    assert_int_equal(told.failures, 0);
    leave();
}

static void a_dispatcher_looks_more_often_than_it_beats(void **state)
{
    (void) state;
    open_node(100);
    WAIT_FOR(told.views >= 12);
    assert_true(told.stats <= 3);
    leave();
}

static void the_buried_are_told_and_join_anew(void **state)
{
    uint64_t first;

    (void) state;
    open_node(1000);
    WAIT_FOR(has_beaten());
    first = told.incarnation;
    tell(&server, "HDEL " NODES " %llu", (unsigned long long) first);
    WAIT_FOR(told.dead == 1);
    WAIT_FOR(has_beaten());
    assert_int_equal(told.joined, 2);
    assert_true(told.incarnation > first);
    assert_false(node_may_send_dot(node, first));
    leave();
}

static void an_old_count_confirms_nothing(void **state)
{
    (void) state;
    open_node(1000);
    WAIT_FOR(has_beaten());
    uint64_t before = clock_ms();
    tell(&server, "HSET " NODES " %llu 999999", (unsigned long long) told.incarnation);
    WAIT_FOR(told.stats == 3);
    WAIT_FOR(told.views >= 3);
    assert_true(node_beat_age_ms(node) >= clock_ms() - before);
    assert_int_equal(told.dead, 0);
    leave();
}

/* Invariant 4. */
static void three_seconds_without_a_beat_forbid_the_dot(void **state)
{
    (void) state;
    open_node(250);
    WAIT_FOR(has_beaten());
    redis_server_kill(&server);
    WAIT_FOR(!node_may_send_dot(node, told.incarnation));
    assert_in_range(node_beat_age_ms(node), 3000, 3100);
    assert_true(told.failures > 0);
    redis_server_start(&server);
    WAIT_FOR(has_beaten());
    assert_int_equal(told.dead, 0);
    assert_int_equal(told.joined, 1);
    leave();
}

static void leaving_in_an_outage_ends_in_time(void **state)
{
    (void) state;
    open_node(1000);
    WAIT_FOR(has_beaten());
    redis_server_kill(&server);
    uint64_t before = clock_ms();
    leave();
    assert_true(clock_ms() - before <= 2100);
    redis_server_start(&server);
}

static void leaving_before_it_joined_ends_at_once(void **state)
{
    (void) state;
    open_node(1000);
    leave();
}

/* ---- orders ---- */

static void an_order_is_known_before_the_first_life_begins(void **state)
{
    (void) state;
    tell(&server, "HSET " ORDERS " drain:host 1");
    open_node(1000);
    WAIT_FOR(told.ordered == 1);
    assert_int_equal(told.joined_when_ordered, 0);
    WAIT_FOR(has_beaten());
    assert_true(node_is_ordered_to_drain(node));
    assert_int_equal(node_view(node)->orders.count, 1);
    leave();
}

static void an_order_comes_once_and_goes_once(void **state)
{
    (void) state;
    tell(&server, "HSET " ORDERS " drain:other 1 drain:host.test 1 rekey 1");
    open_node(50);
    WAIT_FOR(told.views >= 3);
    assert_int_equal(told.ordered + told.freed, 0);
    tell(&server, "HSET " ORDERS " drain:host 1");
    WAIT_FOR(told.ordered == 1);
    unsigned views = told.views;
    WAIT_FOR(told.views >= views + 3);
    assert_int_equal(told.ordered, 1);
    tell(&server, "DEL " ORDERS);
    WAIT_FOR(told.freed == 1);
    assert_int_equal(told.ordered, 1);
    leave();
}

static void spoiled_orders_change_nothing_and_stop_no_beat(void **state)
{
    (void) state;
    tell(&server, "HSET " ORDERS " drain:host 1");
    open_node(50);
    WAIT_FOR(told.ordered == 1);
    tell(&server, "DEL " ORDERS);
    tell(&server, "SET " ORDERS " rubbish");
    unsigned views = told.views, stats = told.stats;
    WAIT_FOR(told.views >= views + 5 && told.stats >= stats + 2);
    assert_true(has_beaten() && node_is_ordered_to_drain(node));
    assert_int_equal(told.freed + told.dead + told.failures, 0);
    tell(&server, "DEL " ORDERS);
    WAIT_FOR(told.freed == 1);
    leave();
}

/* ---- bury ---- */

static struct {
    uint64_t incarnation;
    bool ok, is_dead;
} buried;

static void on_bury(void *context, uint64_t incarnation, bool ok, bool is_dead)
{
    assert_ptr_equal(context, &buried);
    buried.incarnation = incarnation;
    buried.ok = ok;
    buried.is_dead = is_dead;
    loop_stop(loop);
}

static bool bury(uint64_t incarnation, uint64_t count)
{
    node_bury(store, incarnation, count, on_bury, &buried);
    loop_go();
    assert_true(buried.ok);
    assert_int_equal(buried.incarnation, incarnation);
    return buried.is_dead;
}

static void only_a_silent_node_is_buried(void **state)
{
    (void) state;
    tell(&server, "HSET " NODES " 100 %s 101 0 102 rubbish", "5 stats");
    assert_false(bury(100, 4));
    assert_true(bury(100, 5));
    assert_true(bury(100, 5)); /* gone, whoever did it */
    assert_true(bury(101, 0));
    assert_false(bury(102, 0));
    assert_true(bury(102, NODE_NO_COUNT));
    assert_int_equal(count_of(&server, "HLEN " NODES), 0);
}

/* ---- view ---- */

static void peers_without_readable_stats_are_kept(void **state)
{
    (void) state;
    tell(&server, "HSET " NODES " last 300 300 0 200 %s 100 rubbish name value", "17 no record");
    open_node(1000);
    WAIT_FOR(told.views > 0);
    const struct node_view *v = node_view(node);
    assert_true(v->count >= 3);
    assert_int_equal(v->peers[0].incarnation, 100);
    assert_int_equal(v->peers[0].count, NODE_NO_COUNT);
    assert_int_equal(v->peers[1].incarnation, 200);
    assert_int_equal(v->peers[1].count, 17);
    assert_int_equal(v->peers[2].incarnation, 300);
    assert_int_equal(v->peers[2].count, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(v->peers[i].stats.role, ROLE_COUNT);
        assert_string_equal(v->peers[i].stats.name, "");
        assert_string_equal(v->peers[i].stats.bus, "");
    }
    leave();
}

/* ---- rendezvous ---- */

static struct node_peer peers[] = {
    {.incarnation = 1000, .stats = {.role = ROLE_DISPATCHER}},
    {.incarnation = 1001, .stats = {.role = ROLE_COURIER, .capacity = 100}},
    {.incarnation = 1002, .stats = {.role = ROLE_DISPATCHER}},
    {.incarnation = 1003, .stats = {.role = ROLE_COURIER, .capacity = 300}},
    {.incarnation = 1004, .stats = {.role = ROLE_DISPATCHER}},
};

static void partitions_are_shared_and_move_only_from_the_lost(void **state)
{
    struct node_view v = {.peers = peers, .count = ARRAY_LEN(peers)}, empty = {.peers = NULL};
    unsigned counts[ARRAY_LEN(peers)] = {0};
    size_t owners[PARTITION_COUNT];

    (void) state;
    assert_null(node_for_partition(&empty, 0));
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        const struct node_peer *owner = node_for_partition(&v, p);
        assert_int_equal(owner->stats.role, ROLE_DISPATCHER);
        owners[p] = (size_t) (owner - peers);
        counts[owners[p]]++;
    }
    for (size_t i = 0; i < ARRAY_LEN(peers); i += 2)
        assert_in_range(counts[i], 60, 110);
    peers[2].stats.is_draining = true;
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        size_t owner = (size_t) (node_for_partition(&v, p) - peers);
        assert_int_not_equal(owner, 2);
        if (owners[p] != 2)
            assert_int_equal(owner, owners[p]);
    }
    peers[2].stats.is_draining = false;
}

static void couriers_are_chosen_by_capacity(void **state)
{
    struct node_view v = {.peers = peers, .count = ARRAY_LEN(peers)};
    unsigned larger = 0;

    (void) state;
    for (int i = 0; i < 4000; i++) {
        char queue[32];
        int len = snprintf(queue, sizeof queue, "d%d.example", i);
        const struct node_peer *courier = node_choose(&v, ROLE_COURIER,
                                                      (struct span){.at = queue, .len = (size_t) len});
        assert_int_equal(courier->stats.role, ROLE_COURIER);
        larger += courier->incarnation == 1003;
    }
    assert_in_range(larger, 2850, 3150); /* three quarters */
    assert_null(node_choose(&v, ROLE_INGRESS, SPAN("x")));
}

static void roles_have_names(void **state)
{
    (void) state;
    assert_string_equal(role_name(ROLE_INGRESS), "ingress");
    assert_string_equal(role_name(ROLE_DISPATCHER), "dispatcher");
    assert_string_equal(role_name(ROLE_COURIER), "courier");
    assert_string_equal(role_name(ROLE_COUNT), "unknown");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_joins_beats_and_leaves),
        TEST(beats_count_up_and_bring_a_view),
        TEST(a_dispatcher_looks_more_often_than_it_beats),
        TEST(the_buried_are_told_and_join_anew),
        TEST(an_old_count_confirms_nothing),
        TEST(three_seconds_without_a_beat_forbid_the_dot),
        TEST(leaving_in_an_outage_ends_in_time),
        TEST(leaving_before_it_joined_ends_at_once),
        TEST(an_order_is_known_before_the_first_life_begins),
        TEST(an_order_comes_once_and_goes_once),
        TEST(spoiled_orders_change_nothing_and_stop_no_beat),
        TEST(only_a_silent_node_is_buried),
        TEST(peers_without_readable_stats_are_kept),
        cmocka_unit_test(partitions_are_shared_and_move_only_from_the_lost),
        cmocka_unit_test(couriers_are_chosen_by_capacity),
        cmocka_unit_test(roles_have_names),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
