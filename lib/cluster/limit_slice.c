/* Slices of buckets: what is held here, and what goes back because nobody uses it. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/limit_private.h"
#include "io/hash.h"

static void on_sweep(struct timer *t);

static size_t slice_count(const struct limiter *l)
{
    return l->slices[false].count + l->slices[true].count;
}

struct slice *slice_of(struct limiter *l, const struct limit_want *want)
{
    bool is_slots = want->rule.per_ms == 0;
    struct slice *s = map_get(&l->slices[is_slots], want->key);

    must(want->key.len > 0 && want->key.len <= LIMIT_KEY_MAX);
    if (!s && slice_count(l) >= SLICES_MAX)
        return NULL;
    if (!s) {
        s = mem_alloc(sizeof *s + want->key.len);
        s->limiter = l;
        list_init(&s->waiters);
        s->is_slots = is_slots;
        s->partition = (unsigned) (hash64(want->key) % PARTITION_COUNT);
        s->key_len = want->key.len;
        memcpy(s->key, want->key.at, want->key.len);
        if (slice_count(l) == 0)
            timer_start(l->loop, &l->sweep, SWEEP_MS, on_sweep);
        (void) map_set(&l->slices[is_slots], want->key, s); /* there was none */
    }
    s->rule = want->rule;
    return s;
}

bool slice_refuses(const struct slice *s, uint64_t count, uint64_t now)
{
    bool is_fresh = now < s->refused_until_ms;

    if (s->is_slots)
        return s->used >= s->rule.count || (is_fresh && s->used >= s->held);
    if (count == 0)
        count = 1; /* a look */
    return count > s->rule.burst || (is_fresh && count >= s->refused_min && count > s->held);
}

void slice_give(struct slice *s, uint64_t count)
{
    must(s->is_slots ? s->used < s->held : count <= s->held);
    if (!s->is_slots)
        s->held -= count;
    s->used += count;
    if (s->is_slots && s->used > s->pace)
        s->pace = s->used;
}

bool slice_take(struct slice *s, uint64_t count, uint64_t now)
{
    if (!list_is_empty(&s->waiters))
        return false;
    if (s->is_slots) {
        if (s->used >= s->held || s->used >= s->rule.count)
            return false;
        slice_give(s, 1);
        return true;
    }
    if (count == 0)
        return s->held > 0 || (s->left >= PLENTY && now < s->seen_ms + LOOK_MS);
    if (s->held < count)
        return false;
    slice_give(s, count);
    if (s->held < slice_wish(s) / 4 && s->left >= PLENTY)
        slice_ask(s); /* before anybody has to wait for it */
    return true;
}

void slice_put_back(struct slice *s, uint64_t count)
{
    if (s->is_slots) {
        must(s->used > 0);
        s->used--;
        return;
    }
    s->held = count < s->rule.burst - s->held || s->held > s->rule.burst ? s->held + count : s->rule.burst;
    s->used -= count < s->used ? count : s->used;
    s->refused_until_ms = 0;
    if (s->left < PLENTY)
        slice_ask(s); /* near the limit others may need it */
}

/* ---- what is not used goes back */

/* True: nothing is known or held any more. */
static bool slice_sweep(struct slice *s, uint64_t now)
{
    if (s->is_under_way || list_is_linked(&s->link) || s->calls > 0)
        return false;
    if (s->is_slots) {
        bool is_low = s->pace < s->held, is_old = now >= s->seen_ms + SLOT_RENEW_MS;
        if (!s->held && !s->used)
            return now >= s->refused_until_ms;
        if (is_low || is_old)
            slice_ask(s);
        else
            s->pace = s->used;
        return false;
    }
    bool is_idle = s->used == 0;
    s->pace = is_idle ? 0 : (s->pace + s->used * (1000 / SWEEP_MS)) / 2;
    s->used = 0;
    if (s->held > slice_wish(s) + slice_wish(s) / 2)
        slice_ask(s);
    return is_idle && s->held == 0 && now >= s->refused_until_ms && !list_is_linked(&s->link);
}

static void on_sweep(struct timer *t)
{
    struct limiter *l = CONTAINER_OF(t, struct limiter, sweep);
    uint64_t now = clock_ms();
    struct span key;
    void *value;

    for (size_t i = 0; i < ARRAY_LEN(l->slices); i++) {
        size_t cursor = 0;
        while (map_next(&l->slices[i], &cursor, &key, &value)) {
            if (!slice_sweep(value, now))
                continue;
            (void) map_remove(&l->slices[i], key); /* it is value */
            mem_free(value);
        }
    }
    if (slice_count(l))
        timer_start(l->loop, &l->sweep, SWEEP_MS, on_sweep);
}
