/* Orders to nodes as they stand in Redis: what is one of ours is read, what is not is passed over. */
#include "cluster/orders.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static struct redis_value text(const char *s)
{
    return (struct redis_value){.type = REDIS_STRING, .text = span_of(s)};
}

static int read_pairs(const struct redis_value *items, size_t count, struct node_orders *ret_orders)
{
    const struct redis_value value = {.type = REDIS_ARRAY, .items = items, .count = count};

    return node_orders_read(&value, ret_orders);
}

static void orders_are_found_by_kind_and_name(void **state UNUSED)
{
    const struct redis_value items[] = {text("drain:two.test"), text("17"), text("rekey"),       text("18"),
                                        text("bar:kEy{:}"),     text("19"), text("drain:a:b.c"), text("20")};
    struct node_orders o;

    assert_int_equal(read_pairs(items, ARRAY_LEN(items), &o), 0);
    assert_int_equal(o.count, 4);
    assert_int_equal(node_orders_find(&o, NODE_ORDER_DRAIN, SPAN("two.test"))->since_ms, 17);
    assert_int_equal(node_orders_find(&o, NODE_ORDER_DRAIN, SPAN("a:b.c"))->since_ms, 20);
    assert_int_equal(node_orders_find(&o, NODE_ORDER_REKEY, SPAN(""))->since_ms, 18);
    assert_int_equal(node_orders_find(&o, NODE_ORDER_BAR, SPAN("kEy{:}"))->since_ms, 19);
    assert_null(node_orders_find(&o, NODE_ORDER_DRAIN, SPAN("two")));
    assert_null(node_orders_find(&o, NODE_ORDER_BAR, SPAN("two.test")));
    for (size_t i = 0; i < o.count; i++) {
        AUTO_BUF struct buf field = {.data = NULL};
        node_order_field(o.items[i].kind, span_of(o.items[i].of), &field);
        bool is_there = false;
        for (size_t k = 0; k < ARRAY_LEN(items); k += 2)
            is_there |= span_equal(items[k].text, buf_span(&field));
        assert_true(is_there);
    }
    node_orders_done(&o);
    assert_int_equal(o.count, 0);
}

static void what_is_no_order_of_ours_is_passed_over(void **state UNUSED)
{
    char endless[NODE_ORDER_OF_MAX + 8];
    const struct redis_value items[] = {text("drain:"),
                                        text("1"),
                                        text("drain"),
                                        text("1"),
                                        text(""),
                                        text("1"),
                                        text("later"),
                                        text("1"),
                                        text("Drain:x"),
                                        text("1"),
                                        text(endless),
                                        text("1"),
                                        text("bar"),
                                        text("1"),
                                        {.type = REDIS_STRING, .text = SPAN("drain:a\0b")},
                                        text("1"),
                                        {.type = REDIS_NIL},
                                        text("1")};
    struct node_orders o;

    memset(endless, 'x', sizeof endless - 1);
    memcpy(endless, "drain:", 6);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(read_pairs(items, ARRAY_LEN(items), &o), 0);
    assert_int_equal(o.count, 0);
    node_orders_done(&o);
}

static void an_order_without_a_time_is_an_order(void **state UNUSED)
{
    const struct redis_value items[] = {text("drain:x"), text("soon"), text("drain:y"), {.type = REDIS_NIL}};
    struct node_orders o;

    assert_int_equal(read_pairs(items, ARRAY_LEN(items), &o), 0);
    assert_int_equal(node_orders_find(&o, NODE_ORDER_DRAIN, SPAN("x"))->since_ms, 0);
    assert_non_null(node_orders_find(&o, NODE_ORDER_DRAIN, SPAN("y")));
    node_orders_done(&o);
}

static void what_is_no_hash_is_refused(void **state UNUSED)
{
    const struct redis_value odd[] = {text("drain:x")};
    struct node_orders o;

    assert_int_equal(read_pairs(odd, 1, &o), -EBADMSG);
    assert_int_equal(node_orders_read(&odd[0], &o), -EBADMSG);
    assert_int_equal(
        node_orders_read(&(struct redis_value){.type = REDIS_ERROR_REPLY, .text = SPAN("WRONGTYPE")}, &o),
        -EBADMSG);
    assert_int_equal(read_pairs(odd, 0, &o), 0);
    node_orders_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_found_by_kind_and_name),
        cmocka_unit_test(what_is_no_order_of_ours_is_passed_over),
        cmocka_unit_test(an_order_without_a_time_is_an_order),
        cmocka_unit_test(what_is_no_hash_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
