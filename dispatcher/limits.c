/* Limits of queues, and the bucket that keeps a rate. */
#include "dispatcher/limits.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "cluster/keys.h"

enum { MESSAGE = 1000000, FANOUT_CONNECTIONS = 8, CONNECTIONS_MAX = 10000, RATE_MAX = 100000000 };
/* A bucket is never further behind than this many times its size: a wrong report cannot stop a queue for ever. */
enum { DEBT_MAX = 10 };

struct limits {
    struct limit general;
    struct map rows;   /* queue, domain or .parent -> struct limit */
    struct map orders; /* the same -> struct limit_order */
};

static uint64_t per_second(uint64_t per_minute)
{
    return per_minute * MESSAGE / 60;
}

/* "connections=5 rate=100" */
static int parse_limit(struct span text, struct limit *limit)
{
    while (text.len) {
        struct span word = span_trim(span_cut(&text, ' ')), value = word;
        uint64_t number;
        if (!word.len)
            continue;
        struct span key = span_cut(&value, '=');
        bool is_connections = span_equal(key, SPAN("connections"));
        if (!is_connections && !span_equal(key, SPAN("rate")))
            return -EINVAL;
        if (span_number(value, is_connections ? CONNECTIONS_MAX : RATE_MAX, &number) < 0)
            return -EINVAL;
        if (!is_connections)
            limit->rate_micro = per_second(number);
        else if (number)
            limit->connections = (uint32_t) number;
        else
            return -EINVAL;
    }
    return 0;
}

static int take_rows(struct limits *l, const struct conf_map *rows, const char *setting, char **ret_error)
{
    for (size_t i = 0; i < rows->count; i++) {
        const char *name = rows->keys[i], *value = rows->values[i];
        struct limit limit = l->general;
        if (parse_limit(span_of(value), &limit) < 0) {
            *ret_error = mem_format("dispatcher.%s: %s: \"%s\": expected \"connections=<1 to %d> "
                                    "rate=<messages per minute, 0 for no limit>\", or one of the two",
                                    setting, name, value, CONNECTIONS_MAX);
            return -EINVAL;
        }
        mem_free(map_set(&l->rows, span_of(name), mem_copy(&limit, sizeof(limit))));
    }
    return 0;
}

int limits_new(const struct conf *c, struct limits **ret_limits, char **ret_error)
{
    struct limits *l = NEW(struct limits);

    l->general = (struct limit){
        .connections = (uint32_t) c->dispatcher.queue_connections,
        .rate_micro = per_second(c->dispatcher.queue_rate),
    };
    int r = take_rows(l, &c->dispatcher.limits, "limits", ret_error);
    if (r < 0)
        limits_free(l);
    else
        *ret_limits = l;
    return r;
}

int limits_new_sites(const struct conf *c, struct limits **ret_limits, char **ret_error)
{
    struct limits *l = NEW(struct limits);

    l->general.connections = (uint32_t) c->dispatcher.queue_connections;
    int r = take_rows(l, &c->dispatcher.site_limits, "site_limits", ret_error);
    if (r < 0)
        limits_free(l);
    else
        *ret_limits = l;
    return r;
}

int limits_read(const struct conf *c, struct limits **ret_queues, struct limits **ret_sites, char **ret_error)
{
    struct limits *queues, *sites;
    int r = limits_new(c, &queues, ret_error);

    if (r < 0)
        return r;
    r = limits_new_sites(c, &sites, ret_error);
    if (r < 0) {
        limits_free(queues);
        return r;
    }
    *ret_queues = queues;
    *ret_sites = sites;
    return 0;
}

struct limits *limits_free(struct limits *l)
{
    size_t cursor = 0;
    struct span name;
    void *limit;

    if (!l)
        return NULL;
    while (map_next(&l->rows, &cursor, &name, &limit))
        mem_free(limit);
    map_done(&l->rows);
    cursor = 0;
    while (map_next(&l->orders, &cursor, &name, &limit))
        mem_free(limit);
    map_done(&l->orders);
    return mem_free(l);
}

/* ---- what the operator orders ---- */

void limits_order(struct limits *l, struct span name, const struct limit_order *order)
{
    struct limit_order *o = map_get(&l->orders, name);

    if (!o) {
        o = NEW(struct limit_order);
        must(!map_set(&l->orders, name, o));
    }
    if (order->has_connections)
        o->limit.connections = order->limit.connections;
    if (order->has_rate)
        o->limit.rate_micro = order->limit.rate_micro;
    o->has_connections |= order->has_connections;
    o->has_rate |= order->has_rate;
}

bool limits_is_empty(const struct limits *l)
{
    return l->rows.count == 0 && l->orders.count == 0;
}

static bool obey_one(const struct limits *l, struct span name, struct limit *limit)
{
    const struct limit_order *o = map_get(&l->orders, name);

    if (!o)
        return false;
    if (o->has_connections)
        limit->connections = o->limit.connections;
    if (o->has_rate)
        limit->rate_micro = o->limit.rate_micro;
    return true;
}

/* "*" and the lane: what it may in every domain that has no row of its own. The name is in space; false: no lane has such a name. */
static bool any_domain(struct span lane, char space[static LANE_MAX + 2], struct span *ret_name)
{
    if (lane.len == 0 || lane.len > LANE_MAX)
        return false;
    memcpy(space, "*/", 2);
    memcpy(space + 2, lane.at, lane.len);
    *ret_name = (struct span){.at = space, .len = 2 + lane.len};
    return true;
}

/* The least particular name first, so that the most particular one has the last word. */
static bool obey(const struct limits *l, struct span queue, struct limit *limit)
{
    struct span lane = queue, domain = span_cut(&lane, '/'), name;
    char space[LANE_MAX + 2];
    bool is_ordered = obey_one(l, SPAN("*"), limit);

    if (any_domain(lane, space, &name))
        is_ordered |= obey_one(l, name, limit);
    for (size_t i = domain.len; i-- > 0;) {
        if (i > 0 && domain.at[i] != '.')
            continue;
        is_ordered |= obey_one(l, (struct span){.at = domain.at + i, .len = domain.len - i}, limit);
        if (lane.len > 0)
            is_ordered |= obey_one(l, (struct span){.at = queue.at + i, .len = queue.len - i}, limit);
    }
    return is_ordered;
}

/* ---- what is in force ---- */

static bool find_row(const struct limits *l, struct span name, struct limit *ret_limit)
{
    const struct limit *found = map_get(&l->rows, name);

    for (size_t i = 1; !found && i < name.len; i++)
        if (name.at[i] == '.')
            found = map_get(&l->rows, (struct span){.at = name.at + i, .len = name.len - i});
    if (found)
        *ret_limit = *found;
    return found != NULL;
}

bool limits_find(const struct limits *l, struct span name, struct limit *ret_limit)
{
    struct limit limit = l->general;
    bool is_found = find_row(l, name, &limit);

    if (l->orders.count > 0)
        is_found |= obey(l, name, &limit);
    if (is_found)
        *ret_limit = limit;
    return is_found;
}

static bool find_lane(const struct limits *l, struct span lane, struct limit *ret_limit)
{
    char space[LANE_MAX + 2];
    struct span name;
    const struct limit *found = any_domain(lane, space, &name) ? map_get(&l->rows, name) : NULL;

    if (found)
        *ret_limit = *found;
    return found != NULL;
}

static struct limit by_settings(const struct limits *l, struct span queue)
{
    struct span lane = queue;
    struct limit limit = l->general;

    if (!l->rows.count)
        return limit;
    struct span domain = span_cut(&lane, '/');
    const struct limit *found = map_get(&l->rows, queue);
    if (found)
        return *found;
    if (!find_row(l, domain, &limit) && lane.len > 0)
        (void) find_lane(l, lane, &limit); /* else the general one */
    return limit;
}

struct limit limits_of(const struct limits *l, struct span queue)
{
    if (span_equal(queue, SPAN(QUEUE_FANOUT)))
        return (struct limit){.connections = FANOUT_CONNECTIONS};
    struct limit limit = by_settings(l, queue);
    if (l->orders.count > 0)
        (void) obey(l, queue, &limit); /* else as the settings say */
    return limit;
}

/* ---- bucket ---- */

static int64_t room(uint64_t rate_micro)
{
    return rate_micro > MESSAGE ? (int64_t) rate_micro : MESSAGE;
}

static void fill(struct bucket *b, uint64_t rate_micro, uint64_t now_ms)
{
    static const uint64_t gap_max_ms = UINT64_C(3600) *
                                       1000; /* every bucket is full by then, and nothing overflows */

    if (now_ms <= b->at_ms)
        return;
    uint64_t gap_ms = now_ms - b->at_ms;
    if (gap_ms > gap_max_ms)
        gap_ms = gap_max_ms;
    int64_t gained = (int64_t) (rate_micro * gap_ms / 1000);
    if (!gained && rate_micro)
        return; /* not even a millionth: the time is not lost */
    b->at_ms = now_ms;
    b->level_micro += gained;
    if (b->level_micro > room(rate_micro))
        b->level_micro = room(rate_micro);
}

void bucket_start(struct bucket *b, uint64_t now_ms)
{
    *b = (struct bucket){.at_ms = now_ms};
}

bool bucket_has_one(struct bucket *b, uint64_t rate_micro, uint64_t now_ms)
{
    if (!rate_micro)
        return true;
    fill(b, rate_micro, now_ms);
    return b->level_micro >= MESSAGE;
}

bool bucket_is_full(struct bucket *b, uint64_t rate_micro, uint64_t now_ms)
{
    if (!rate_micro)
        return true;
    fill(b, rate_micro, now_ms);
    return b->level_micro >= room(rate_micro);
}

void bucket_take(struct bucket *b, uint64_t rate_micro, uint32_t count, uint64_t now_ms)
{
    int64_t debt_max = -DEBT_MAX * room(rate_micro);

    fill(b, rate_micro, now_ms);
    b->level_micro -= (int64_t) count * MESSAGE;
    if (b->level_micro < debt_max)
        b->level_micro = debt_max;
}
