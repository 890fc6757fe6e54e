/* Looking for due queues and for claims of the dead. */
#include "dispatcher/look.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

enum { FIRST_SPREAD_MS = 200, SOONEST_MS = 5 };

void looks_begin(struct looks *l, unsigned partition, uint64_t now_ms)
{
    struct look *k = &l->of[partition];

    k->look_ms = now_ms + FIRST_SPREAD_MS * partition / PARTITION_COUNT;
    k->reap_ms = now_ms + REAP_EVERY_MS * partition / PARTITION_COUNT;
    k->deep_ms = now_ms;
}

void looks_deepen(struct looks *l, uint64_t now_ms)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        struct look *k = &l->of[i];
        k->look_ms = now_ms + FIRST_SPREAD_MS * i / PARTITION_COUNT;
        k->deep_ms = now_ms;
    }
}

void looks_view(struct looks *l, const struct node_view *view, bool is_vanished)
{
    l->last = view->last;
    l->live = mem_resize(l->live, (view->count + 1) * sizeof(*l->live));
    for (size_t i = 0; i < view->count; i++)
        l->live[i] = view->peers[i].incarnation;
    l->live_count = view->count;
    if (is_vanished)
        for (unsigned i = 0; i < PARTITION_COUNT; i++)
            l->of[i].is_reap_urgent = true;
}

void looks_done(struct looks *l)
{
    l->live = mem_free(l->live);
    l->live_count = 0;
    l->last = 0;
}

/* ---- due ---- */

static void on_due(void *context, unsigned i, bool ok, const struct queue_due *queues, size_t count,
                   uint64_t in_ms, bool is_empty)
{
    struct looks *l = context;
    struct look *k = &l->of[i];
    uint64_t now = clock_ms();

    k->is_looking = false;
    if (!ok) {
        k->deep_ms = now;
        k->look_ms = now + LOOK_EVERY_MS;
        return;
    }
    if (count > 0)
        FAULT_POINT(due_found);
    for (size_t q = 0; q < count; q++)
        if (queues[q].ready)
            l->on_queue(l->owner, i, &queues[q]);
    if (k->deep_ms && !k->is_deep)
        return; /* ordered meanwhile: the next one is */
    /* Deep: what was found is put off by the park time; below that there is more to be paged through. */
    if (k->deep_ms && count == LOOK_COUNT_DEEP && in_ms + (now - k->deep_ms) < LOOK_PARK_MS) {
        k->look_ms = now;
        return;
    }
    k->deep_ms = 0;
    if (!is_empty && in_ms < LOOK_EVERY_MS && now + in_ms < k->look_ms)
        k->look_ms = now + (in_ms > SOONEST_MS ? in_ms : SOONEST_MS);
}

static void look(struct looks *l, unsigned i, uint64_t now_ms)
{
    struct look *k = &l->of[i];
    struct partition *p = &l->partitions->of[i];

    /* A queue put off while it had due work may have later work that falls due before the park time ends. */
    if (p->was_emptied && !k->deep_ms)
        k->deep_ms = now_ms;
    p->was_emptied = false;
    k->is_looking = true;
    k->is_deep = k->deep_ms != 0;
    k->look_ms = now_ms + LOOK_EVERY_MS;
    queue_due(l->partitions->store, i, k->deep_ms ? LOOK_COUNT_DEEP : LOOK_COUNT,
              k->deep_ms ? LOOK_PARK_MS : 0, LOOK_PARK_MS, on_due, l);
}

/* ---- reap ---- */

static void on_reap(void *context, unsigned i, bool ok, uint32_t reaped, const struct queue_put_aside *held,
                    size_t held_count)
{
    struct looks *l = context;
    struct look *k = &l->of[i];
    uint64_t now = clock_ms();

    k->is_reaping = false;
    if (!ok || !reaped)
        return;
    FAULT_POINT(reaped);
    metric_add(METRIC_REAPED_TOTAL, reaped);
    log_event(LOG_REAPED, FN("partition", i), FN("jobs", reaped));
    metric_add(METRIC_HELD_TOTAL, (int64_t) held_count);
    for (size_t j = 0; j < held_count; j++)
        log_event(LOG_HELD, FS("job", held[j].job), FN("partition", i), FS("why", held[j].why));
    k->look_ms = now;
    if (reaped >= REAP_BATCH)
        k->is_reap_urgent = true;
}

static void reap(struct looks *l, unsigned i, uint64_t now_ms)
{
    struct look *k = &l->of[i];

    k->is_reaping = true;
    k->is_reap_urgent = false;
    while (k->reap_ms <= now_ms) /* the spread over the second stays */
        k->reap_ms += REAP_EVERY_MS;
    queue_reap(l->partitions->store, i, l->last, l->live, l->live_count, on_reap, l);
    FAULT_SENT(reap_sent);
}

void looks_work(struct looks *l, uint64_t now_ms)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        struct look *k = &l->of[i];
        if (!partition_is_usable(&l->partitions->of[i], now_ms))
            continue;
        if (!k->is_looking && now_ms >= k->look_ms)
            look(l, i, now_ms);
        if (!k->is_reaping && l->last && (k->is_reap_urgent || now_ms >= k->reap_ms))
            reap(l, i, now_ms);
    }
}
