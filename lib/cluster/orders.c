/* Orders to nodes: few, so they are looked for one by one. */
#include "cluster/orders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const words[NODE_ORDER_COUNT] = {
    [NODE_ORDER_DRAIN] = "drain", [NODE_ORDER_REKEY] = "rekey", [NODE_ORDER_BAR] = "bar"};

static bool order_read(struct span field, struct span value, struct node_order *ret_order)
{
    struct span of = field, word = span_cut(&of, ':');
    unsigned kind = 0;

    while (kind < NODE_ORDER_COUNT && !span_equal(word, span_of(words[kind])))
        kind++;
    bool is_of_one = of.len > 0 && of.len <= NODE_ORDER_OF_MAX && !memchr(of.at, '\0', of.len);
    if (kind == NODE_ORDER_COUNT || !(is_of_one || (kind == NODE_ORDER_REKEY && of.len == 0)))
        return false;
    *ret_order = (struct node_order){.kind = (enum node_order_kind) kind};
    ret_order->of = mem_text(of.len ? of.at : "", of.len);
    (void) span_number(value, INT64_MAX, &ret_order->since_ms); /* no number: it is an order all the same */
    return true;
}

static int order_compare(const void *left, const void *right)
{
    const struct node_order *a = left, *b = right;

    return a->kind != b->kind ? (int) a->kind - (int) b->kind : strcmp(a->of, b->of);
}

int node_orders_read(const struct redis_value *value, struct node_orders *ret_orders)
{
    struct node_orders o = {.items = NULL};

    if (value->type != REDIS_ARRAY || value->count % 2)
        return -EBADMSG;
    if (value->count)
        o.items = mem_array(value->count / 2, sizeof *o.items);
    for (size_t i = 0; i < value->count; i += 2)
        if (order_read(redis_text(&value->items[i]), redis_text(&value->items[i + 1]), &o.items[o.count]))
            o.count++;
    if (o.count)
        qsort(o.items, o.count, sizeof *o.items, order_compare);
    *ret_orders = o;
    return 0;
}

void node_orders_done(struct node_orders *o)
{
    for (size_t i = 0; i < o->count; i++)
        mem_free(o->items[i].of);
    mem_free(o->items);
    *o = (struct node_orders){.items = NULL};
}

const struct node_order *node_orders_find(const struct node_orders *o, enum node_order_kind kind,
                                          struct span of)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->items[i].kind == kind && span_equal(span_of(o->items[i].of), of))
            return &o->items[i];
    return NULL;
}

void node_order_field(enum node_order_kind kind, struct span of, struct buf *out)
{
    must(of.len > 0 || kind == NODE_ORDER_REKEY);
    buf_add_text(out, words[kind]);
    if (of.len) {
        buf_add_char(out, ':');
        buf_add_span(out, of);
    }
}
