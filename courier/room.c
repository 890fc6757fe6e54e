/* Connections and jobs of one courier, shared among its queues. */
#include "courier/room.h"

#include "base/conf.h"
#include "courier/pool.h"

size_t room_left(size_t most, size_t used, size_t has)
{
    size_t left = used < most ? most - used : 0, bound = left / 4;

    if (bound == 0 && left > 0)
        bound = 1;
    bound = has < bound ? bound - has : 0;
    return used < most / 2 && most / 2 - used > bound ? most / 2 - used : bound;
}

size_t room_part(size_t most, size_t users)
{
    return users > 0 && users < most ? most / users : 1;
}

/* Queues that have jobs, this one included. */
static size_t users(const struct work *w)
{
    return w->courier->user_count + (w->job_count == 0);
}

static void stand_in(struct list *line, struct list *link)
{
    if (!list_is_linked(link))
        list_append(line, link);
}

/* ---- jobs ---- */

static size_t jobs_left(const struct work *w)
{
    const struct courier *c = w->courier;

    return room_left(conf_get()->courier.max_claimed, c->job_count, w->job_count);
}

size_t room_for_jobs(struct work *w)
{
    size_t left = jobs_left(w);

    if (left == 0 && w->job_count < room_part(conf_get()->courier.max_claimed, users(w)))
        stand_in(&w->courier->short_of_jobs, &w->jobs_link);
    return left;
}

/* ---- connections ---- */

static size_t connections_in_use(const struct courier *c)
{
    return c->connection_count - c->idle_count;
}

static bool has_nothing_up(const struct work *w)
{
    return w->connection_count - w->leaving == w->connecting;
}

/* Hosts that are away would fill all there are with time-outs: once half are taken, one connection finds out for each queue. */
static bool may_connect(const struct work *w)
{
    size_t most = conf_get()->courier.connections, used = connections_in_use(w->courier);

    if (used >= most / 2 && w->connection_count > 0 && has_nothing_up(w))
        return false;
    return room_left(most, used, w->connection_count) > 0;
}

static bool is_place_free(const struct courier *c)
{
    return c->connection_count < conf_get()->courier.connections;
}

bool room_for_connection(struct work *w)
{
    struct courier *c = w->courier;

    if (may_connect(w) && is_place_free(c))
        return true;
    if (w->connection_count < room_part(conf_get()->courier.connections, users(w)))
        stand_in(&c->short_of_connections, &w->connections_link);
    if (!is_place_free(c))
        pool_make_room(c);
    return false;
}

bool room_is_owed(const struct work *w)
{
    return !list_is_empty(&w->courier->short_of_connections) &&
           w->connection_count - w->leaving > room_part(conf_get()->courier.connections, users(w));
}

/* ---- lines ---- */

void room_leave(struct work *w)
{
    list_remove(&w->jobs_link);
    list_remove(&w->connections_link);
}

void room_wake(struct courier *c)
{
    struct work *w = LIST_FIRST(&c->short_of_jobs, struct work, jobs_link);

    if (w && jobs_left(w) > 0) {
        list_remove(&w->jobs_link);
        work_wake(w);
    }
    w = LIST_FIRST(&c->short_of_connections, struct work, connections_link);
    if (w && may_connect(w) && is_place_free(c)) {
        list_remove(&w->connections_link);
        work_wake(w);
    }
}

uint32_t room_free_jobs(const struct courier *c)
{
    size_t most = conf_get()->courier.max_claimed;

    return c->job_count < most ? (uint32_t) (most - c->job_count) : 0;
}

uint32_t room_free_connections(const struct courier *c)
{
    size_t most = conf_get()->courier.connections, used = connections_in_use(c);

    return used < most ? (uint32_t) (most - used) : 0;
}
