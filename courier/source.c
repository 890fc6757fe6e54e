/* Which addresses of the pools this courier can bind: the others belong to other couriers' hosts. */
#include "courier/source.h"

#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "cluster/lane.h"
#include "io/socket.h"

enum { AGAIN_MS = 60000 };

/* Of one family, in turn. */
struct turn {
    struct ip *all;
    size_t count, next;
};

struct bound { /* a pool of which something can be bound */
    char *name;
    struct turn v4, v6;
};

struct sources {
    struct courier *courier;
    struct bound *pools;
    size_t count;
    char *names; /* of them, separated by commas */
    struct timer timer;
};

static void forget(struct sources *s)
{
    for (size_t i = 0; i < s->count; i++) {
        mem_free(s->pools[i].name);
        mem_free(s->pools[i].v4.all);
        mem_free(s->pools[i].v6.all);
    }
    s->pools = mem_free(s->pools);
    s->count = 0;
}

static void add(struct turn *t, const struct ip *ip)
{
    t->all = mem_resize(t->all, (t->count + 1) * sizeof(*t->all));
    t->all[t->count++] = *ip;
}

static void try_pool(struct sources *s, const struct conf_pool *pool)
{
    struct bound found = {.name = NULL};

    for (size_t i = 0; i < pool->addresses.count; i++) {
        struct ip ip;
        if (ip_parse(span_of(pool->addresses.items[i]), &ip) == 0 && socket_try_bind(&ip) == 0)
            add(ip.is_v4 ? &found.v4 : &found.v6, &ip);
    }
    if (found.v4.count + found.v6.count == 0)
        return;
    found.name = mem_string(pool->name);
    s->pools[s->count++] = found;
}

static char *names_of(const struct sources *s)
{
    struct buf names = {.data = NULL};

    for (size_t i = 0; i < s->count; i++)
        buf_printf(&names, "%s%s", i > 0 ? "," : "", s->pools[i].name);
    return buf_steal_text(&names);
}

static void try_all(struct sources *s)
{
    const struct conf *conf = conf_get();
    char *before = s->names;

    forget(s);
    s->pools = mem_array(conf->pool_count + 1, sizeof(*s->pools));
    for (size_t i = 0; i < conf->pool_count; i++)
        try_pool(s, &conf->pools[i]);
    s->names = names_of(s);
    if (before ? strcmp(before, s->names) != 0 : conf->pool_count > 0)
        log_event(LOG_POOLS, F("pools", s->names), FN("of", conf->pool_count));
    mem_free(before);
}

static void on_again(struct timer *t)
{
    struct sources *s = CONTAINER_OF(t, struct sources, timer);

    timer_start(s->courier->loop, t, AGAIN_MS, on_again);
    if (conf_get()->pool_count > 0)
        try_all(s);
}

struct sources *sources_new(struct courier *c)
{
    struct sources *s = NEW(struct sources);

    s->courier = c;
    try_all(s);
    timer_start(c->loop, &s->timer, AGAIN_MS, on_again);
    return s;
}

struct sources *sources_free(struct sources *s)
{
    if (!s)
        return NULL;
    timer_stop(&s->timer);
    forget(s);
    mem_free(s->names);
    return mem_free(s);
}

void sources_reload(struct sources *s)
{
    try_all(s);
}

const char *sources_pools(const struct sources *s)
{
    return s->names;
}

static bool take_turn(struct turn *t, struct ip *ret_ip)
{
    if (t->count == 0)
        return false;
    *ret_ip = t->all[t->next++ % t->count];
    return true;
}

/* NULL: nothing of it can be bound. */
static struct bound *bound_of(const struct sources *s, const char *pool)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->pools[i].name, pool) == 0)
            return &s->pools[i];
    return NULL;
}

bool source_is_here(const struct courier *c, const char *queue, const char **ret_pool)
{
    const struct conf_pool *pool = pool_of(conf_get(), span_of(queue));

    *ret_pool = pool ? pool->name : NULL;
    return !pool || bound_of(c->sources, pool->name);
}

bool source_of(struct courier *c, const char *queue, struct source *ret_source)
{
    const struct conf_pool *pool = pool_of(conf_get(), span_of(queue));
    struct bound *b = pool ? bound_of(c->sources, pool->name) : NULL;

    if (!pool)
        return false;
    *ret_source = (struct source){.pool = pool->name, .helo_name = *pool->helo_name ? pool->helo_name : NULL};
    ret_source->has_v4 = b && take_turn(&b->v4, &ret_source->v4);
    ret_source->has_v6 = b && take_turn(&b->v6, &ret_source->v6);
    return true;
}
