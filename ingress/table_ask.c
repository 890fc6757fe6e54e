/*
 * Questions to the tables in Redis. An answer is cached under the version that was known when it was asked for, and only if that is still
 * the one known when it comes: an older value cannot be kept under a newer version.
 */
#include "ingress/table_ask.h"

#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/change.h"

struct cached {
    uint64_t version, until_ms;
    enum table_answer answer;
    size_t which, len;
    char value[];
};

struct table_asker {
    struct store *store;
    struct map cache[TABLE_COUNT];
    size_t cached_bytes;
    struct list asks;
};

struct table_ask {
    struct list link;
    struct table_asker *asker; /* NULL: it has gone */
    table_on_found *on_found;  /* NULL: cancelled */
    void *owner;
    enum table table;
    uint64_t version; /* known when it was asked */
    struct buf key;
};

struct table_asker *table_asker_new(struct store *s)
{
    struct table_asker *a = NEW(struct table_asker);

    a->store = s;
    list_init(&a->asks);
    return a;
}

static void cache_clear(struct table_asker *a)
{
    for (unsigned i = 0; i < TABLE_COUNT; i++) {
        struct span key;
        void *value;
        size_t cursor = 0;
        while (map_next(&a->cache[i], &cursor, &key, &value))
            mem_free(value);
        map_done(&a->cache[i]);
    }
    a->cached_bytes = 0;
}

struct table_asker *table_asker_free(struct table_asker *a)
{
    if (!a)
        return NULL;
    cache_clear(a);
    LIST_EACH(&a->asks, it, save) {
        struct table_ask *q = LIST_ENTRY(it, struct table_ask, link);
        list_remove(it);
        q->asker = NULL;
        q->on_found = NULL;
    }
    return mem_free(a);
}

static void cache_add(struct table_asker *a, const struct table_ask *q, const struct table_found *found)
{
    size_t size = sizeof(struct cached) + found->value.len;
    struct cached *c;

    if (!q->version || q->version != change_version(q->table))
        return;
    if (a->cached_bytes + size + q->key.len > TABLE_CACHE_BYTES)
        cache_clear(a);
    c = mem_alloc(size);
    *c = (struct cached){.version = q->version,
                         .until_ms = clock_ms() + TABLE_CACHE_MS,
                         .answer = found->answer,
                         .which = found->which,
                         .len = found->value.len};
    if (found->value.len)
        memcpy(c->value, found->value.at, found->value.len);
    mem_free(map_set(&a->cache[q->table], buf_span(&q->key), c));
    a->cached_bytes += size + q->key.len; /* what is replaced counts until all is cleared */
}

static void on_find(void *context, enum table_answer answer, size_t which, struct span value)
{
    struct table_ask *q = context;
    const struct table_found found = {.answer = answer, .which = which, .value = value};

    list_remove(&q->link);
    if (q->asker && answer != TABLE_UNKNOWN)
        cache_add(q->asker, q, &found);
    if (q->on_found)
        q->on_found(q->owner, &found);
    buf_done(&q->key);
    mem_free(q);
}

struct table_ask *table_ask(struct table_asker *a, enum table table, const struct span *keys, size_t count,
                            table_on_found *on_found, void *owner, struct table_found *ret_found)
{
    const struct cached *c = map_get(&a->cache[table], keys[0]);
    struct table_ask *q;

    if (c && c->version == change_version(table) && c->until_ms > clock_ms()) {
        *ret_found = (struct table_found){
            .answer = c->answer, .which = c->which, .value = {.at = c->value, .len = c->len}};
        return NULL;
    }
    q = NEW(struct table_ask);
    q->asker = a;
    q->on_found = on_found;
    q->owner = owner;
    q->table = table;
    q->version = change_version(table);
    buf_add_span(&q->key, keys[0]);
    list_append(&a->asks, &q->link);
    metric_add(METRIC_TABLE_ASKS_TOTAL, 1);
    table_find(a->store, table, keys, count, TABLE_ASK_TIME_MS, on_find, q);
    return q;
}

struct table_ask *table_ask_cancel(struct table_ask *q)
{
    if (q)
        q->on_found = NULL;
    return NULL;
}
