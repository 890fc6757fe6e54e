/* keys list, rotate, bar, unbar: the keys of the nodes on the bus. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ctl/health.h"
#include "ctl/print.h"
#include "ctl/table_link.h"
#include "io/bus.h"

enum { WAIT_S = 60, LOOK_EVERY_MS = 250, BAR_KEPT_MS = 86400000 };

static int read_health(struct ask *k, struct health *h)
{
    *h = (struct health){0};
    health_ask(k, h);
    return ask_wait(k);
}

static bool has_node(const struct health *h, const char *name)
{
    for (size_t i = 0; i < h->view.count; i++)
        if (strcmp(h->view.peers[i].stats.name, name) == 0)
            return true;
    return false;
}

/* ---- telling */

/* "" : it has none. */
static const char *key_of(const struct node_peer *p)
{
    return p->stats.bus_key ? p->stats.bus_key : "";
}

static const struct node_order *bar_of(const struct health *h, const char *key)
{
    return *key ? node_orders_find(&h->view.orders, NODE_ORDER_BAR, span_of(key)) : NULL;
}

static void tell_json(const struct health *h)
{
    struct json *json = json_new_object(), *nodes = json_new_array(), *barred = json_new_array();

    for (size_t i = 0; i < h->view.count; i++) {
        const struct node_peer *p = &h->view.peers[i];
        struct json *node = json_new_object();
        json_put_text(node, "role", span_of(role_name(p->stats.role)));
        json_put_text(node, "name", span_of(p->stats.name));
        json_put_number(node, "incarnation", (int64_t) p->incarnation);
        json_put_text(node, "key", span_of(key_of(p)));
        json_put_number(node, "made_ms", (int64_t) p->stats.bus_key_ms);
        json_put_flag(node, "barred", bar_of(h, key_of(p)) != NULL);
        json_put(nodes, NULL, node);
    }
    for (size_t i = 0; i < h->view.orders.count; i++) {
        const struct node_order *o = &h->view.orders.items[i];
        if (o->kind != NODE_ORDER_BAR)
            continue;
        struct json *bar = json_new_object();
        json_put_text(bar, "key", span_of(o->of));
        json_put_number(bar, "since_ms", (int64_t) o->since_ms);
        json_put(barred, NULL, bar);
    }
    json_put(json, "nodes", nodes);
    json_put(json, "barred", barred);
    print_json(json);
}

static void tell_text(const struct health *h)
{
    struct grid t;

    grid_init(&t, "role|name|key|age|incarnation");
    for (size_t i = 0; i < h->view.count; i++) {
        const struct node_peer *p = &h->view.peers[i];
        AUTO_BUF struct buf age = {0};
        if (*key_of(p) && p->stats.bus_key_ms)
            add_duration(&age, later_by(h->now_ms, p->stats.bus_key_ms));
        grid_cell(&t, "%s", role_name(p->stats.role));
        grid_cell_safe(&t, span_of(p->stats.name));
        grid_cell_safe(&t, span_of(*key_of(p) ? key_of(p) : "none: a former version"));
        grid_cell_safe(&t, bar_of(h, key_of(p)) ? SPAN("BARRED") : buf_span(&age));
        grid_cell(&t, "%llu", (unsigned long long) p->incarnation);
    }
    grid_print(&t);
    grid_done(&t);
    for (size_t i = 0; i < h->view.orders.count; i++) {
        const struct node_order *o = &h->view.orders.items[i];
        AUTO_BUF struct buf since = {0};
        if (o->kind != NODE_ORDER_BAR)
            continue;
        add_duration(&since, later_by(h->now_ms, o->since_ms));
        print_safe(span_of(o->of));
        printf(": barred %.*s ago\n", SPAN_ARG(buf_span(&since)));
    }
}

int verb_keys_list(const struct arguments *a)
{
    struct health h;
    struct ask *k;
    int status = ask_open(a, &k);

    if (status != EXIT_OK)
        return status;
    status = read_health(k, &h);
    (void) ask_close(k); /* always NULL */
    if (status == EXIT_OK && a->is_json)
        tell_json(&h);
    else if (status == EXIT_OK)
        tell_text(&h);
    health_done(&h);
    return status;
}

/* ---- ordering */

/* The order as of now, also where there was one. *ret_ms: when. */
static int give_order(struct table_link *l, enum node_order_kind kind, const char *of, uint64_t *ret_ms)
{
    AUTO_BUF struct buf field = {0}, value = {0};
    uint64_t now_ms = store_redis_ms(table_link_store(l));

    node_order_field(kind, span_of(of), &field);
    buf_add_number(&value, now_ms);
    if (ret_ms)
        *ret_ms = now_ms;
    return table_link_put(l, TABLE_ORDERS, buf_span(&field), buf_span(&value), NULL) == TABLE_OK
               ? EXIT_OK
               : table_say_unknown(TABLE_ORDERS);
}

/*
 * A bar is over when nobody has told its key for a day: a key that no node tells is let in nowhere. An order to make new keys is, when all whom it
 * concerns have newer ones.
 */
static bool is_done(const struct health *h, const struct node_order *o)
{
    for (size_t i = 0; i < h->view.count; i++) {
        const struct node_peer *p = &h->view.peers[i];
        if (o->kind == NODE_ORDER_BAR && strcmp(key_of(p), o->of) == 0)
            return false;
        if (o->kind == NODE_ORDER_REKEY && (!*o->of || strcmp(o->of, p->stats.name) == 0) && *key_of(p) &&
            p->stats.bus_key_ms <= o->since_ms)
            return false;
    }
    return o->kind == NODE_ORDER_REKEY ||
           (o->kind == NODE_ORDER_BAR && later_by(h->now_ms, o->since_ms) >= BAR_KEPT_MS);
}

/* Whoever gives an order removes those that are over, unless they were given anew meanwhile. */
static int tidy_orders(struct table_link *l)
{
    struct health h;
    uint64_t tally[TABLE_UNKNOWN + 1] = {0};
    int status = read_health(table_link_ask(l), &h);

    for (size_t i = 0; status == EXIT_OK && i < h.view.orders.count; i++) {
        const struct node_order *o = &h.view.orders.items[i];
        AUTO_BUF struct buf field = {0}, value = {0};
        if (!is_done(&h, o))
            continue;
        node_order_field(o->kind, span_of(o->of), &field);
        buf_add_number(&value, o->since_ms);
        struct span expected = buf_span(&value);
        table_link_write(l, TABLE_ORDERS, buf_span(&field), NULL, &expected, tally);
    }
    table_link_wait(l); /* what was not removed now is met by the next */
    health_done(&h);
    return status;
}

static bool is_all_new(const struct arguments *a, const struct health *h, uint64_t since_ms)
{
    for (size_t i = 0; i < h->view.count; i++) {
        const struct node_peer *p = &h->view.peers[i];
        if (argument_names(a, p->stats.name) && *key_of(p) && p->stats.bus_key_ms < since_ms)
            return false;
    }
    return true;
}

static int wait_new(const struct arguments *a, struct table_link *l, uint64_t since_ms)
{
    uint64_t end_ms = clock_ms() + WAIT_S * 1000;

    for (;;) {
        struct health h;
        int status = read_health(table_link_ask(l), &h);
        bool is_over = status != EXIT_OK || is_all_new(a, &h, since_ms);
        health_done(&h);
        if (is_over)
            return status;
        if (clock_ms() >= end_ms)
            return say_failed("some nodes have no new keys after %d s; the order stays", WAIT_S);
        ask_pause(table_link_ask(l), LOOK_EVERY_MS);
    }
}

static int check_nodes(const struct arguments *a, const struct health *h)
{
    for (size_t i = 0; i < a->operand_count; i++)
        if (!has_node(h, a->operands[i]))
            return say_failed("there is no node %s", a->operands[i]);
    return EXIT_OK;
}

static int rotate(const struct arguments *a, struct table_link *l)
{
    struct health h;
    uint64_t since_ms = 0;
    int status = read_health(table_link_ask(l), &h);

    if (status == EXIT_OK)
        status = check_nodes(a, &h);
    health_done(&h);
    if (status == EXIT_OK)
        status = tidy_orders(l);
    if (status == EXIT_OK && a->operand_count == 0)
        status = give_order(l, NODE_ORDER_REKEY, "", &since_ms);
    for (size_t i = 0; status == EXIT_OK && i < a->operand_count; i++)
        status = give_order(l, NODE_ORDER_REKEY, a->operands[i], &since_ms);
    if (status == EXIT_OK && argument_is_given(a, "wait"))
        status = wait_new(a, l, since_ms);
    if (status == EXIT_OK)
        print_done("",
                   argument_is_given(a, "wait") ? "new keys are told"
                                                : "ordered; `baridctl keys list` shows how old keys are",
                   a->is_json);
    return status;
}

int verb_keys_rotate(const struct arguments *a)
{
    struct table_link *l;
    int status = table_link_open(a, &l);

    if (status != EXIT_OK)
        return status;
    status = rotate(a, l);
    (void) table_link_close(l); /* always NULL */
    return status;
}

static int open_for_key(const struct arguments *a, struct table_link **ret_link)
{
    if (!bus_is_key(span_of(a->operands[0])))
        return say_usage("that is no key: %d characters, as `baridctl keys list` shows them", BUS_KEY_LEN);
    return table_link_open(a, ret_link);
}

int verb_keys_bar(const struct arguments *a)
{
    struct table_link *l;
    int status = open_for_key(a, &l);

    if (status != EXIT_OK)
        return status;
    status = tidy_orders(l);
    if (status == EXIT_OK)
        status = give_order(l, NODE_ORDER_BAR, a->operands[0], NULL);
    (void) table_link_close(l); /* always NULL */
    if (status == EXIT_OK)
        print_done("",
                   "barred: nobody is heard under it any more; the node whose key it is makes another one",
                   a->is_json);
    return status;
}

int verb_keys_unbar(const struct arguments *a)
{
    AUTO_BUF struct buf field = {0};
    struct table_link *l;
    int status = open_for_key(a, &l);

    if (status != EXIT_OK)
        return status;
    node_order_field(NODE_ORDER_BAR, span_of(a->operands[0]), &field);
    switch (table_link_remove(l, TABLE_ORDERS, buf_span(&field), NULL)) {
    case TABLE_OK: print_done("", "not barred any more", a->is_json); break;
    case TABLE_NONE: status = say_failed("that key is not barred"); break;
    default: status = table_say_unknown(TABLE_ORDERS); break;
    }
    (void) table_link_close(l); /* always NULL */
    return status;
}
