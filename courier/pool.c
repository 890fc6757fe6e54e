/* Idle connections. */
#include "courier/pool.h"

#include "courier/work.h"

bool pool_has(const struct connection *k)
{
    return list_is_linked(&k->idle_link);
}

void pool_add(struct connection *k)
{
    must(!pool_has(k));
    list_append(&k->courier->idle, &k->idle_link);
    k->courier->idle_count++;
}

void pool_remove(struct connection *k)
{
    if (!pool_has(k))
        return;
    list_remove(&k->idle_link);
    k->courier->idle_count--;
}

struct connection *pool_take(const struct work *w, const struct way *way)
{
    LIST_EACH(&w->courier->idle, it, save) {
        struct connection *k = LIST_ENTRY(it, struct connection, idle_link);

        if (k->work == w || !connection_is_for(k, w, way))
            continue;
        pool_remove(k);
        return k;
    }
    return NULL;
}

void pool_make_room(struct courier *c)
{
    if (!list_is_empty(&c->idle))
        connection_quit(LIST_FIRST(&c->idle, struct connection, idle_link));
}
