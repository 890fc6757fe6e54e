/*
 * Does: what the operator orders nodes to do, as kept in KEY_ORDERS: drain, make a new bus key, refuse a bus key. Reads all, finds one, names one.
 * Does not: obey (node.h tells each node of its own), write (table.h, TABLE_ORDERS).
 * Owns: the names, until node_orders_done().
 * Fails: -EBADMSG: not a list of pairs. A field that no order of ours has is passed over: it is a later version's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/redis.h"

/* A field of the hash is "<word>:<of>", or the word alone where it is of no one; its value is when it was given, Redis TIME in ms. */
enum node_order_kind {
    NODE_ORDER_DRAIN, /* of: the name of a node; it gives its work back and takes no more, through restarts, until the order is gone */
    NODE_ORDER_REKEY, /* of the name of a node, or of none: all; nodes whose bus key is older make a new one */
    NODE_ORDER_BAR,   /* of: a bus key, z85; nobody talks to who has it */
    NODE_ORDER_COUNT
};
enum { NODE_ORDER_OF_MAX = 255 };

struct node_order {
    enum node_order_kind kind;
    char *of; /* "" for none */
    uint64_t since_ms;
};
struct node_orders { /* by kind, then by name */
    struct node_order *items;
    size_t count;
};

/* From HGETALL of KEY_ORDERS. */
int node_orders_read(const struct redis_value *value, struct node_orders *ret_orders);
void node_orders_done(struct node_orders *o);
/* NULL: there is none. of: empty for NODE_ORDER_REKEY. */
const struct node_order *node_orders_find(const struct node_orders *o, enum node_order_kind kind,
                                          struct span of);
/* Appends the field that an order is kept in. */
void node_order_field(enum node_order_kind kind, struct span of, struct buf *out);
