/* A chained hash table keyed with SipHash-1-3 and a seed drawn once per process. */
#include "base/map.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

enum { FIRST_BUCKETS = 16 };

struct map_entry {
    struct map_entry *next;
    uint64_t hash;
    void *value;
    size_t len;
    char key[];
};

static uint64_t seed[2];
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void draw_seed(void)
{
    ssize_t got;
    do
        got = getrandom(seed, sizeof(seed), 0);
    while (got < 0 && errno == EINTR);
    must(got == (ssize_t) sizeof(seed));
}

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(uint64_t v[static 4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

/* Values stay inside one process, so the byte order of the machine does not matter. */
static uint64_t hash_of(struct span key)
{
    uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
                     seed[0] ^ UINT64_C(0x6c7967656e657261), seed[1] ^ UINT64_C(0x7465646279746573)};
    const char *at = key.at;
    size_t left = key.len;
    uint64_t word;

    for (; left >= 8; at += 8, left -= 8) {
        memcpy(&word, at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = 0;
    if (left)
        memcpy(&word, at, left);
    word |= (uint64_t) key.len << 56;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The link that points to the key's entry, or to NULL at the end of its chain. */
static struct map_entry **find(const struct map *m, struct span key, uint64_t hash)
{
    struct map_entry **link = &m->buckets[hash & (m->bucket_count - 1)];
    while (*link) {
        struct map_entry *entry = *link;
        if (entry->hash == hash && entry->len == key.len && memcmp(entry->key, key.at, key.len) == 0)
            break;
        link = &entry->next;
    }
    return link;
}

static void grow(struct map *m)
{
    size_t count = m->bucket_count ? m->bucket_count * 2 : FIRST_BUCKETS;
    struct map_entry **buckets = mem_array(count, sizeof(*buckets));

    for (size_t i = 0; i < m->bucket_count; i++) {
        struct map_entry *next;
        for (struct map_entry *entry = m->buckets[i]; entry; entry = next) {
            next = entry->next;
            entry->next = buckets[entry->hash & (count - 1)];
            buckets[entry->hash & (count - 1)] = entry;
        }
    }
    mem_free(m->buckets);
    m->buckets = buckets;
    m->bucket_count = count;
}

/* memcmp() and memcpy() want a pointer even for no bytes. */
static struct span checked(struct span key)
{
    return key.len ? key : SPAN("");
}

void *map_get(const struct map *m, struct span key)
{
    if (!m->count)
        return NULL;
    key = checked(key);
    struct map_entry *entry = *find(m, key, hash_of(key));
    return entry ? entry->value : NULL;
}

void *map_set(struct map *m, struct span key, void *value)
{
    must(value);
    must(pthread_once(&seeded, draw_seed) == 0);
    key = checked(key);
    uint64_t hash = hash_of(key);

    if (m->bucket_count) {
        struct map_entry *entry = *find(m, key, hash);
        if (entry) {
            void *old = entry->value;
            entry->value = value;
            return old;
        }
    }
    if (m->count >= m->bucket_count)
        grow(m);
    struct map_entry *entry = mem_alloc(sizeof(*entry) + key.len);
    entry->hash = hash;
    entry->value = value;
    entry->len = key.len;
    memcpy(entry->key, key.at, key.len);
    struct map_entry **bucket = &m->buckets[hash & (m->bucket_count - 1)];
    entry->next = *bucket;
    *bucket = entry;
    m->count++;
    return NULL;
}

void *map_remove(struct map *m, struct span key)
{
    if (!m->count)
        return NULL;
    key = checked(key);
    struct map_entry **link = find(m, key, hash_of(key));
    struct map_entry *entry = *link;
    if (!entry)
        return NULL;
    void *value = entry->value;
    *link = entry->next;
    mem_free(entry);
    m->count--;
    return value;
}

/*
 * The cursor holds bucket number and place in the chain, the place counted from the chain's end: removing the entry just returned
 * does not change how many follow it.
 */
enum { PLACE_BITS = 20 };
#define PLACE_MASK ((UINT64_C(1) << PLACE_BITS) - 1)

static size_t chain_len(const struct map_entry *entry)
{
    size_t len = 0;
    for (; entry; entry = entry->next)
        len++;
    return len;
}

bool map_next(const struct map *m, size_t *cursor, struct span *ret_key, void **ret_value)
{
    size_t bucket = *cursor >> PLACE_BITS;
    size_t following = *cursor &
                       PLACE_MASK; /* entries of this chain not yet walked, plus one; 0: the whole chain */

    for (; bucket < m->bucket_count; bucket++, following = 0) {
        const struct map_entry *entry = m->buckets[bucket];
        size_t len = chain_len(entry);
        size_t rest = following ? following - 1 : len;
        if (!rest)
            continue;
        must(rest <= len && rest < PLACE_MASK);
        for (; len > rest; len--)
            entry = entry->next;
        *ret_key = (struct span){.at = entry->key, .len = entry->len};
        *ret_value = entry->value;
        *cursor = bucket << PLACE_BITS | rest; /* (rest - 1) left, plus one */
        return true;
    }
    *cursor = bucket << PLACE_BITS;
    return false;
}

void map_done(struct map *m)
{
    for (size_t i = 0; i < m->bucket_count; i++) {
        struct map_entry *next;
        for (struct map_entry *entry = m->buckets[i]; entry; entry = next) {
            next = entry->next;
            mem_free(entry);
        }
    }
    mem_free(m->buckets);
    *m = (struct map){.buckets = NULL};
}
