/* Buckets: what is held of them here, and what goes back because nobody uses it. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/limit_private.h"
#include "io/hash.h"

static void on_sweep(struct timer *t);

static size_t bucket_count(const struct limiter *l)
{
    return l->buckets[false].count + l->buckets[true].count;
}

struct bucket *bucket_of(struct limiter *l, const struct limit_want *want)
{
    bool is_slots = want->rule.per_ms == 0;
    struct bucket *b = map_get(&l->buckets[is_slots], want->key);

    must(want->key.len > 0 && want->key.len <= LIMIT_KEY_MAX);
    if (!b && bucket_count(l) >= BUCKETS_MAX)
        return NULL;
    if (!b) {
        b = mem_alloc(sizeof *b + want->key.len);
        b->limiter = l;
        list_init(&b->waiters);
        b->is_slots = is_slots;
        b->partition = (unsigned) (hash64(want->key) % PARTITION_COUNT);
        b->key_len = want->key.len;
        memcpy(b->key, want->key.at, want->key.len);
        if (bucket_count(l) == 0)
            timer_start(l->loop, &l->sweep, SWEEP_MS, on_sweep);
        (void) map_set(&l->buckets[is_slots], want->key, b); /* there was none */
    }
    b->rule = want->rule;
    return b;
}

bool bucket_refuses(const struct bucket *b, uint64_t count, uint64_t now)
{
    bool is_fresh = now < b->refused_until_ms;

    if (b->is_slots)
        return b->used >= b->rule.count || (is_fresh && b->used >= b->slice);
    if (count == 0)
        count = 1; /* a look */
    return count > b->rule.burst || (is_fresh && count >= b->refused_min && count > b->slice);
}

void bucket_give(struct bucket *b, uint64_t count)
{
    must(b->is_slots ? b->used < b->slice : count <= b->slice);
    if (!b->is_slots)
        b->slice -= count;
    b->used += count;
    if (b->is_slots && b->used > b->pace)
        b->pace = b->used;
}

bool bucket_take(struct bucket *b, uint64_t count, uint64_t now)
{
    if (!list_is_empty(&b->waiters))
        return false;
    if (b->is_slots) {
        if (b->used >= b->slice || b->used >= b->rule.count)
            return false;
        bucket_give(b, 1);
        return true;
    }
    if (count == 0)
        return b->slice > 0 || (b->left >= PLENTY && now < b->seen_ms + LOOK_MS);
    if (b->slice < count)
        return false;
    bucket_give(b, count);
    if (b->slice < bucket_wish(b) / 4 && b->left >= PLENTY)
        bucket_ask(b); /* before anybody has to wait for it */
    return true;
}

void bucket_put_back(struct bucket *b, uint64_t count)
{
    if (b->is_slots) {
        must(b->used > 0);
        b->used--;
        return;
    }
    b->slice = count < b->rule.burst - b->slice || b->slice > b->rule.burst ? b->slice + count
                                                                            : b->rule.burst;
    b->used -= count < b->used ? count : b->used;
    b->refused_until_ms = 0;
    if (b->left < PLENTY)
        bucket_ask(b); /* near the limit others may need it */
}

/* ---- what is not used goes back */

/* True: nothing is known or held any more. */
static bool bucket_sweep(struct bucket *b, uint64_t now)
{
    if (b->is_under_way || list_is_linked(&b->link) || !list_is_empty(&b->waiters))
        return false;
    if (b->is_slots) {
        bool is_low = b->pace < b->slice, is_old = now >= b->seen_ms + SLOT_RENEW_MS;
        if (!b->slice && !b->used)
            return now >= b->refused_until_ms;
        if (is_low || is_old)
            bucket_ask(b);
        else
            b->pace = b->used;
        return false;
    }
    bool is_idle = b->used == 0;
    b->pace = is_idle ? 0 : (b->pace + b->used * (1000 / SWEEP_MS)) / 2;
    b->used = 0;
    if (b->slice > bucket_wish(b) + bucket_wish(b) / 2)
        bucket_ask(b);
    return is_idle && b->slice == 0 && now >= b->refused_until_ms && !list_is_linked(&b->link);
}

static void on_sweep(struct timer *t)
{
    struct limiter *l = CONTAINER_OF(t, struct limiter, sweep);
    uint64_t now = clock_ms();
    struct span key;
    void *value;

    for (size_t i = 0; i < ARRAY_LEN(l->buckets); i++) {
        size_t cursor = 0;
        while (map_next(&l->buckets[i], &cursor, &key, &value)) {
            if (!bucket_sweep(value, now))
                continue;
            (void) map_remove(&l->buckets[i], key); /* it is value */
            mem_free(value);
        }
    }
    if (bucket_count(l))
        timer_start(l->loop, &l->sweep, SWEEP_MS, on_sweep);
}
