/* Keys of the bus: when they change, whose they are. Time is an argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/keyring.h"

enum { ME = 1001, OTHER = 1002, AGE = 100000, REDIS = 1000000, VIEW_MS = 250 };

static struct keyring k;
static struct node_peer peers[4];
static struct node_order orders[4];
static struct node_view view;
static struct bus_keys others, thirds;
static uint64_t now;
static char name[] = "me.test", other_name[] = "other.test", none[] = "";

static int setup(void **state)
{
    (void) state;
    k = (struct keyring){.made_ms = 0};
    now = 1000;
    keyring_begin(&k, now);
    bus_keys_make(&others);
    bus_keys_make(&thirds);
    peers[0] = (struct node_peer){.incarnation = ME, .stats = {.name = name, .bus_key = k.keys.public_key}};
    peers[1] = (struct node_peer){.incarnation = OTHER,
                                  .stats = {.name = other_name, .bus_key = others.public_key}};
    view = (struct node_view){.peers = peers, .count = 2, .orders = {.items = orders}};
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    keyring_done(&k);
    return 0;
}

/* One read; Redis' clock runs with ours. Whether other keys are in force. */
static bool look(void)
{
    now += VIEW_MS;
    keyring_learn(&k, &view, now);
    return keyring_look(&k, &view, ME, REDIS + now, AGE, now);
}

static char told[BUS_KEY_LEN + 1];

/* A beat: the view shows what is told from now on. */
static void beat(void)
{
    struct node_stats s = {.name = NULL};
    keyring_tell(&k, &s, REDIS + now, now);
    snprintf(told, sizeof(told), "%s", s.bus_key);
    peers[0].stats.bus_key = told;
    peers[0].stats.bus_key_ms = s.bus_key_ms;
    mem_free(s.bus_key);
}

static void order(enum node_order_kind kind, char *of, uint64_t at_ms)
{
    orders[view.orders.count++] = (struct node_order){.kind = kind, .of = of, .since_ms = REDIS + at_ms};
}

/* How many times other keys come into force in so long. */
static unsigned changes_in(uint64_t ms)
{
    unsigned count = 0;
    for (uint64_t end = now + ms; now < end;) {
        count += look();
        beat();
    }
    return count;
}

static void keys_serve_until_they_are_old(void **state)
{
    (void) state;
    struct bus_keys first = k.keys;
    assert_int_equal(changes_in(AGE - AGE / 8 - 1000), 0);
    assert_memory_equal(&first, &k.keys, sizeof(first));
    assert_int_equal(changes_in(AGE / 8 + 5000), 1);
    assert_memory_not_equal(&first, &k.keys, sizeof(first));
    explicit_bzero(&first, sizeof(first));
}

static void new_keys_are_in_force_once_everybody_has_had_the_time_to_read_them(void **state)
{
    (void) state;
    struct bus_keys first = k.keys;
    order(NODE_ORDER_REKEY, none, now + 10);
    assert_false(look());
    for (int i = 0; i < 100; i++) /* no beat: Redis is slow */
        assert_false(look());
    beat();
    assert_string_not_equal(told, first.public_key);
    uint64_t seen = now;
    while (!look())
        assert_memory_equal(&first, &k.keys, sizeof(first));
    assert_true(now >= seen + KEYRING_KNOWN_MS);
    assert_string_equal(told, k.keys.public_key);
    explicit_bzero(&first, sizeof(first));
}

static void an_order_is_obeyed_once(void **state)
{
    (void) state;
    order(NODE_ORDER_REKEY, none, now + 10);
    assert_int_equal(changes_in(20000), 1);
    view.orders.count = 0;
    order(NODE_ORDER_REKEY, name, now + 10);
    assert_int_equal(changes_in(20000), 1);
    view.orders.count = 0;
    order(NODE_ORDER_REKEY, none,
          now + 1000000); /* the clock of another Redis: it is ahead, and comes back */
    assert_int_equal(changes_in(20000), 1);
    order(NODE_ORDER_REKEY, name, now + 2000000); /* beside it one more */
    assert_int_equal(changes_in(20000), 1);
    view.orders.count = 1;
    orders[0].since_ms = REDIS + now + 10; /* given anew, by a clock that went back */
    assert_int_equal(changes_in(20000), 1);
}

static void orders_to_others_and_of_before_are_none(void **state)
{
    (void) state;
    order(NODE_ORDER_REKEY, other_name, now + 10);
    order(NODE_ORDER_REKEY, none, now - 500);
    order(NODE_ORDER_BAR, others.public_key, now + 10);
    assert_int_equal(changes_in(20000), 0);
}

static void a_node_whose_key_is_barred_makes_another(void **state)
{
    (void) state;
    char mine[BUS_KEY_LEN + 1];
    memcpy(mine, k.keys.public_key, sizeof(mine));
    order(NODE_ORDER_BAR, mine, now);
    assert_int_equal(changes_in(20000), 1);
    assert_int_equal(keyring_node_of(&k, span_of(mine), now), 0);
    assert_int_equal(keyring_node_of(&k, span_of(k.keys.public_key), now), ME);
}

static void a_new_life_has_new_keys_at_once(void **state)
{
    (void) state;
    struct bus_keys first = k.keys;
    order(NODE_ORDER_REKEY, none, now + 10);
    assert_false(look()); /* one is on its way already */
    keyring_begin(&k, now);
    assert_memory_not_equal(&first, &k.keys, sizeof(first));
    beat();
    assert_string_equal(told, k.keys.public_key);
    explicit_bzero(&first, sizeof(first));
}

static void keys_are_those_of_the_nodes(void **state)
{
    (void) state;
    struct bus_keys stranger;
    bus_keys_make(&stranger);
    assert_int_equal(keyring_node_of(&k, span_of(others.public_key), now), 0); /* nothing was read yet */
    (void) look();
    assert_int_equal(keyring_node_of(&k, span_of(k.keys.public_key), now), ME);
    assert_int_equal(keyring_node_of(&k, span_of(others.public_key), now), OTHER);
    assert_int_equal(keyring_node_of(&k, span_of(stranger.public_key), now), 0);
    assert_int_equal(keyring_node_of(&k, SPAN(""), now), 0);
    order(NODE_ORDER_BAR, others.public_key, now);
    (void) look();
    assert_int_equal(keyring_node_of(&k, span_of(others.public_key), now), 0);
    view.orders.count = 0;
    (void) look();
    assert_int_equal(keyring_node_of(&k, span_of(others.public_key), now), OTHER);
    view.count = 1; /* it has left */
    (void) look();
    assert_int_equal(keyring_node_of(&k, span_of(others.public_key), now), 0);
    explicit_bzero(&stranger, sizeof(stranger));
}

static void a_former_key_is_let_in_for_a_while(void **state)
{
    (void) state;
    (void) look();
    peers[1].stats.bus_key = thirds.public_key;
    (void) look();
    uint64_t changed = now;
    assert_int_equal(keyring_node_of(&k, span_of(thirds.public_key), now), OTHER);
    while (keyring_node_of(&k, span_of(others.public_key), now) == OTHER)
        (void) look();
    assert_in_range(now - changed, KEYRING_FORMER_MS, KEYRING_FORMER_MS + VIEW_MS);
    peers[1].stats.bus_key = others.public_key; /* and back again: it is as good as any */
    (void) look();
    assert_int_equal(keyring_node_of(&k, span_of(others.public_key), now), OTHER);
}

static void a_former_key_that_is_barred_is_not_let_in(void **state)
{
    (void) state;
    (void) look();
    peers[1].stats.bus_key = thirds.public_key;
    (void) look();
    order(NODE_ORDER_BAR, others.public_key, now);
    (void) look();
    assert_int_equal(keyring_node_of(&k, span_of(others.public_key), now), 0);
}

static void a_key_that_two_nodes_tell_is_that_of_the_first(void **state)
{
    (void) state;
    peers[1].stats.bus_key = k.keys.public_key;
    (void) look();
    assert_int_equal(keyring_node_of(&k, span_of(k.keys.public_key), now), ME);
}

static void what_is_no_key_is_passed_over(void **state)
{
    (void) state;
    static char bad[][BUS_KEY_LEN + 2] = {"", "x", "0123456789012345678901234567890123456789x", "\x01\x02"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        peers[1].stats.bus_key = bad[i];
        (void) look();
        assert_int_equal(keyring_node_of(&k, span_of(bad[i]), now), 0);
    }
    peers[1].stats.bus_key = NULL;
    (void) look();
    view.count = 0;
    (void) look();
    assert_int_equal(k.known.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_serve_until_they_are_old, setup, teardown),
        cmocka_unit_test_setup_teardown(new_keys_are_in_force_once_everybody_has_had_the_time_to_read_them,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_order_is_obeyed_once, setup, teardown),
        cmocka_unit_test_setup_teardown(orders_to_others_and_of_before_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_whose_key_is_barred_makes_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_life_has_new_keys_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_those_of_the_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_former_key_is_let_in_for_a_while, setup, teardown),
        cmocka_unit_test_setup_teardown(a_former_key_that_is_barred_is_not_let_in, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_two_nodes_tell_is_that_of_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_key_is_passed_over, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
