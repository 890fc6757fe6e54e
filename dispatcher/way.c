/* Ways by pool, route and lane. */
#include "dispatcher/way.h"

#include "base/mem.h"
#include "cluster/lane.h"
#include "cluster/transport.h"

const char *way_pool(struct span queue)
{
    const struct conf_pool *pool = pool_of(conf_get(), queue);

    return pool ? pool->name : NULL;
}

static bool is_same_pool(const struct conf *before, struct span queue)
{
    const struct conf_pool *was = pool_of(before, queue), *is = pool_of(conf_get(), queue);

    return !was == !is && (!was || span_equal(span_of(was->name), span_of(is->name)));
}

/* Whose lane is no more is moved by the courier that claims it. */
static bool is_lane_gone(struct span queue)
{
    struct span domain, lane;

    queue_split(queue, &domain, &lane);
    return lane.len > 0 && !lane_find(conf_get(), lane);
}

bool way_has_changed(const void *before, struct span queue)
{
    AUTO_FREE char *name = mem_text(queue.at, queue.len);
    struct transport was, is;

    transport_find(before, name, &was);
    transport_find(conf_get(), name, &is);
    bool is_same = transport_equal(&was, &is) && is_same_pool(before, queue) && !is_lane_gone(queue);
    transport_done(&was);
    transport_done(&is);
    return !is_same;
}
