/* The cache of DNS answers. */
#include "io/dns_cache.h"

#include "base/metric.h"

struct entry {
    struct list link;
    char *key;
    struct dns_answer answer;
    uint64_t until_ms;
    size_t bytes;
};

void dns_cache_init(struct dns_cache *c, size_t max)
{
    list_init(&c->order);
    c->max = max;
}

static void entry_free(struct dns_cache *c, struct entry *e)
{
    must(map_remove(&c->entries, span_of(e->key)) == e);
    list_remove(&e->link);
    c->bytes -= e->bytes;
    dns_answer_done(&e->answer);
    mem_free(e->key);
    mem_free(e);
    metric_add(METRIC_DNS_CACHE, -1);
}

void dns_cache_done(struct dns_cache *c)
{
    while (!list_is_empty(&c->order))
        entry_free(c, LIST_FIRST(&c->order, struct entry, link));
    map_done(&c->entries);
}

const struct dns_answer *dns_cache_get(struct dns_cache *c, struct span key, uint64_t now_ms,
                                       uint64_t *ret_left_ms)
{
    struct entry *e = map_get(&c->entries, key);
    if (!e)
        return NULL;
    if (e->until_ms <= now_ms) {
        entry_free(c, e);
        return NULL;
    }
    list_remove(&e->link);
    list_append(&c->order, &e->link);
    *ret_left_ms = e->until_ms - now_ms;
    return &e->answer;
}

static size_t bytes_of(struct span key, const struct dns_answer *a)
{
    size_t bytes = sizeof(struct entry) + 2 * key.len + a->count * sizeof(*a->records);
    for (size_t i = 0; i < a->count; i++)
        bytes += a->records[i].data.len;
    return bytes;
}

void dns_cache_put(struct dns_cache *c, struct span key, struct dns_answer *answer, uint64_t until_ms)
{
    struct entry *old = map_get(&c->entries, key);
    if (old)
        entry_free(c, old);
    size_t bytes = bytes_of(key, answer), bytes_max = c->max * DNS_CACHE_ENTRY_BYTES;
    bool is_kept = bytes <= bytes_max / DNS_CACHE_SHARE;
    while (is_kept && c->entries.count > 0 && (c->entries.count >= c->max || c->bytes + bytes > bytes_max))
        entry_free(c, LIST_FIRST(&c->order, struct entry, link));
    if (is_kept) {
        struct entry *e = NEW(struct entry);
        e->bytes = bytes;
        c->bytes += bytes;
        e->key = mem_text(key.at, key.len);
        e->answer = *answer;
        e->until_ms = until_ms;
        must(!map_set(&c->entries, key, e));
        list_append(&c->order, &e->link);
        metric_add(METRIC_DNS_CACHE, 1);
    } else {
        dns_answer_done(answer);
    }
    *answer = (struct dns_answer){.result = DNS_AWAY};
}
