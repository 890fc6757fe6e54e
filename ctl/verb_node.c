/* node list, show, drain, undrain. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ctl/members.h"
#include "ctl/order.h"
#include "ctl/print.h"
#include "ctl/table_link.h"

enum { WAIT_S = 600, LOOK_EVERY_MS = 250 };

/* ---- telling */

static void add_left(struct buf *out, const struct member *m)
{
    static const char *const units[] = {
        [ROLE_INGRESS] = "sessions", [ROLE_DISPATCHER] = "partitions", [ROLE_COURIER] = "claims"};

    if (m->peer->stats.role != ROLE_COUNT)
        buf_printf(out, "%llu %s", (unsigned long long) member_left(m), units[m->peer->stats.role]);
}

static struct json *member_json(const struct members *all, const struct member *m)
{
    struct json *json = json_new_object();
    const struct node_stats *s = &m->peer->stats;

    json_put_text(json, "role", span_of(s->role == ROLE_COUNT ? "unknown" : role_name(s->role)));
    json_put_text(json, "name", span_of(s->name));
    json_put_number(json, "incarnation", (int64_t) m->peer->incarnation);
    json_put_text(json, "version", span_of(s->version));
    json_put_text(json, "state", span_of(member_state_name(m->state)));
    json_put_flag(json, "ordered_to_drain", m->order != NULL);
    if (m->order)
        json_put_number(json, "ordered_ms", (int64_t) m->order->since_ms);
    else
        json_put_null(json, "ordered_ms");
    json_put_number(json, "beat_age_ms", (int64_t) beat_age_ms(&all->health, m->peer));
    json_put_number(json, "started_ms", (int64_t) s->started_ms);
    json_put_text(json, "http", span_of(s->http));
    json_put_number(json, "left", (int64_t) member_left(m));
    json_put_number(json, "claims", (int64_t) m->claims);
    json_put_number(json, "sessions", (int64_t) s->sessions);
    json_put_number(json, "partitions", (int64_t) s->partitions);
    return json;
}

static void add_row(struct grid *t, const struct members *all, const struct member *m)
{
    const struct node_stats *s = &m->peer->stats;
    AUTO_BUF struct buf up = {.data = NULL}, since = {.data = NULL}, left = {.data = NULL};

    if (s->started_ms > 0)
        add_duration(&up, later_by(all->health.now_ms, s->started_ms));
    if (m->order) {
        add_duration(&since, later_by(all->health.now_ms, m->order->since_ms));
        buf_add_text(&since, " ago");
    }
    add_left(&left, m);
    grid_cell(t, "%s", s->role == ROLE_COUNT ? "" : role_name(s->role));
    grid_cell_safe(t, span_of(s->name));
    grid_cell(t, "%s", member_state_name(m->state));
    grid_cell_safe(t, buf_span(&left));
    grid_cell_safe(t, buf_span(&since));
    grid_cell_safe(t, span_of(s->version));
    grid_cell_safe(t, buf_span(&up));
    grid_cell(t, "%llu", (unsigned long long) m->peer->incarnation);
}

/* An order of the past whose node has another name now, or is no more. */
static bool is_idle(const struct members *all, const struct node_order *o)
{
    return o->kind == NODE_ORDER_DRAIN && members_named(all, o->of) == 0;
}

static void tell_json(const struct arguments *a, const struct members *all)
{
    const struct node_orders *orders = &all->health.view.orders;
    struct json *json = json_new_object(), *nodes = json_new_array(), *idle = json_new_array();

    for (size_t i = 0; i < all->count; i++)
        if (argument_names(a, all->all[i].peer->stats.name))
            json_put(nodes, NULL, member_json(all, &all->all[i]));
    for (size_t i = 0; i < orders->count; i++) {
        if (!is_idle(all, &orders->items[i]) || !argument_names(a, orders->items[i].of))
            continue;
        struct json *order = json_new_object();
        json_put_text(order, "name", span_of(orders->items[i].of));
        json_put_number(order, "ordered_ms", (int64_t) orders->items[i].since_ms);
        json_put(idle, NULL, order);
    }
    json_put(json, "nodes", nodes);
    json_put(json, "orders_without_node", idle);
    print_json(json);
}

static void tell_text(const struct arguments *a, const struct members *all)
{
    const struct node_orders *orders = &all->health.view.orders;
    struct grid t;

    grid_init(&t, "role|name|state|work|ordered to drain|version|up|incarnation");
    for (size_t i = 0; i < all->count; i++)
        if (argument_names(a, all->all[i].peer->stats.name))
            add_row(&t, all, &all->all[i]);
    if (t.rows)
        grid_print(&t);
    grid_done(&t);
    for (size_t i = 0; i < orders->count; i++) {
        const struct node_order *o = &orders->items[i];
        AUTO_BUF struct buf since = {.data = NULL};
        if (!is_idle(all, o) || !argument_names(a, o->of))
            continue;
        add_duration(&since, later_by(all->health.now_ms, o->since_ms));
        print_safe(span_of(o->of));
        printf(
            ": ordered to drain %.*s ago, and no node has that name now; it will drain when it starts, unless `baridctl node undrain` "
            "takes the order back\n",
            SPAN_ARG(buf_span(&since)));
    }
}

static void tell(const struct arguments *a, const struct members *all)
{
    if (a->is_json)
        tell_json(a, all);
    else
        tell_text(a, all);
}

static bool is_known(const struct members *all, const char *name)
{
    return members_named(all, name) > 0 ||
           node_orders_find(&all->health.view.orders, NODE_ORDER_DRAIN, span_of(name));
}

static int list(const struct arguments *a)
{
    struct members all;
    struct ask *k;
    int status = ask_open_partly(a, &k);

    if (status != EXIT_OK)
        return status;
    status = members_read(k, &all);
    ask_close(k);
    if (status != EXIT_OK)
        return status;
    if (a->operand_count > 0 && !is_known(&all, a->operands[0]))
        status = say_failed("there is no node %s, and no order for one", a->operands[0]);
    else
        tell(a, &all);
    members_done(&all);
    return status;
}

int verb_node_list(const struct arguments *a)
{
    return list(a);
}

int verb_node_show(const struct arguments *a)
{
    return list(a);
}

/* ---- ordering */

static int check_names(const struct arguments *a)
{
    for (size_t i = 0; i < a->operand_count; i++)
        if (!*a->operands[i] || strlen(a->operands[i]) > NODE_ORDER_OF_MAX)
            return say_usage("a node's name has 1 to %d bytes", NODE_ORDER_OF_MAX);
    return EXIT_OK;
}

/* Appends what a careful operator would ask about first: names of nobody, roles that nobody would be left for. */
static void add_doubts(const struct arguments *a, const struct members *all, struct buf *out)
{
    for (size_t i = 0; i < a->operand_count; i++)
        if (members_named(all, a->operands[i]) == 0)
            add_cause(out, "no node has the name %s now", a->operands[i]);
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        unsigned lost = 0, kept = 0;
        for (size_t i = 0; i < all->count; i++) {
            const struct member *m = &all->all[i];
            if (m->peer->stats.role != role || m->state != MEMBER_WORKING)
                continue;
            if (argument_names(a, m->peer->stats.name))
                lost++;
            else
                kept++;
        }
        if (lost > 0 && kept == 0)
            add_cause(out, "no %s would be left that works", role_name(role));
    }
}

static int check_doubts(const struct arguments *a, const struct members *all)
{
    AUTO_BUF struct buf doubts = {.data = NULL};
    int status = EXIT_OK;

    add_doubts(a, all, &doubts);
    if (doubts.len == 0)
        return EXIT_OK;
    fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&doubts)));
    if (argument_is_given(a, "yes") || argument_is_given(a, "dry-run"))
        return EXIT_OK;
    status = order_check_consent(a);
    return status == EXIT_OK ? order_confirm("Order it all the same?") : status;
}

/* One order more, or less. An order that stands keeps its time. */
static int write_order(struct table_link *l, const char *name, bool is_given)
{
    static const struct span none = {.at = ""};
    AUTO_BUF struct buf field = {.data = NULL}, value = {.data = NULL};
    enum table_answer answer;

    node_order_field(NODE_ORDER_DRAIN, span_of(name), &field);
    buf_printf(&value, "%llu", (unsigned long long) store_redis_ms(table_link_store(l)));
    if (is_given)
        answer = table_link_put(l, TABLE_ORDERS, buf_span(&field), buf_span(&value), &none);
    else
        answer = table_link_remove(l, TABLE_ORDERS, buf_span(&field), NULL);
    switch (answer) {
    case TABLE_OK:
    case TABLE_EXISTS: return EXIT_OK;
    case TABLE_NONE: return say_failed("%s was not ordered to drain", name);
    default: return table_say_unknown(TABLE_ORDERS);
    }
}

static bool is_all_drained(const struct arguments *a, const struct members *all)
{
    for (size_t i = 0; i < all->count; i++)
        if (argument_names(a, all->all[i].peer->stats.name) && all->all[i].state != MEMBER_DRAINED)
            return false;
    return true;
}

/* Until nothing is left with them, or the time is over; what was read last is told. */
static int wait_drained(const struct arguments *a, struct table_link *l, uint64_t seconds,
                        struct members *ret_all)
{
    uint64_t end_ms = clock_ms() + seconds * 1000;

    for (;;) {
        int status = members_read(table_link_ask(l), ret_all);
        if (status != EXIT_OK || is_all_drained(a, ret_all))
            return status;
        if (clock_ms() >= end_ms)
            break;
        members_done(ret_all);
        ask_pause(table_link_ask(l), LOOK_EVERY_MS);
    }
    return say_failed("not drained within %llu s; the order stays", (unsigned long long) seconds);
}

static int drain(const struct arguments *a, struct table_link *l, uint64_t seconds)
{
    struct members all;
    bool is_dry = argument_is_given(a, "dry-run"), waits = argument_is_given(a, "wait");
    int status = members_read(table_link_ask(l), &all);

    if (status == EXIT_OK)
        status = check_doubts(a, &all);
    for (size_t i = 0; status == EXIT_OK && !is_dry && i < a->operand_count; i++)
        status = write_order(l, a->operands[i], true);
    if (status == EXIT_OK && !is_dry) {
        members_done(&all);
        status = waits ? wait_drained(a, l, seconds, &all) : members_read(table_link_ask(l), &all);
    }
    if (status == EXIT_OK || all.count > 0)
        tell(a, &all);
    if (status == EXIT_OK && !is_dry && !a->is_json && !is_all_drained(a, &all))
        printf("ordered; `baridctl node show` tells when nothing is left\n");
    members_done(&all);
    return status;
}

int verb_node_drain(const struct arguments *a)
{
    struct table_link *l;
    uint64_t seconds;
    int status = check_names(a);

    if (status != EXIT_OK)
        return status;
    if (argument_number(a, "timeout", 1, 86400, WAIT_S, &seconds) < 0)
        return EXIT_BAD_USAGE;
    status = table_link_open(a, &l);
    if (status != EXIT_OK)
        return status;
    status = drain(a, l, seconds);
    table_link_close(l);
    return status;
}

static int undrain(const struct arguments *a, struct table_link *l)
{
    struct members all;
    int status = members_read(table_link_ask(l), &all);

    for (size_t i = 0; status == EXIT_OK && i < a->operand_count; i++) {
        const char *name = a->operands[i];
        if (!node_orders_find(&all.health.view.orders, NODE_ORDER_DRAIN, span_of(name)))
            status = say_failed("%s was not ordered to drain", name);
        else if (!argument_is_given(a, "dry-run"))
            status = write_order(l, name, false);
        if (status == EXIT_OK && !a->is_json)
            printf("%s: %s%s\n", name, argument_is_given(a, "dry-run") ? "would be undrained" : "undrained",
                   members_named(&all, name) ? "" : "; no node has that name now");
    }
    if (status == EXIT_OK && a->is_json)
        tell(a, &all);
    members_done(&all);
    return status;
}

int verb_node_undrain(const struct arguments *a)
{
    struct table_link *l;
    int status = check_names(a);

    if (status == EXIT_OK)
        status = table_link_open(a, &l);
    if (status != EXIT_OK)
        return status;
    status = undrain(a, l);
    table_link_close(l);
    return status;
}
