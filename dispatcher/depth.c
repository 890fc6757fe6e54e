/* How much mail waits: a round over the partitions held, a page of queues at a time. */
#include "dispatcher/depth.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "dispatcher/obey.h"

static const char *const state_words[] = {
    [DEPTH_WAITING] = "waiting", [DEPTH_DUE] = "due", [DEPTH_CLAIMED] = "claimed", [DEPTH_HELD] = "held"};

static uint64_t age_of(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms && then_ms < now_ms ? now_ms - then_ms : 0;
}

static void raise(uint64_t *most, uint64_t value)
{
    if (value > *most)
        *most = value;
}

/* ---- one partition ---- */

static void add_queue(struct depth *d, const struct queue_depth *q, uint64_t now_ms,
                      const struct rules *rules)
{
    uint64_t due = q->due < q->jobs ? q->due : q->jobs;

    d->queues += q->jobs > 0;
    d->jobs[DEPTH_DUE] += due;
    d->jobs[DEPTH_WAITING] += q->jobs - due;
    raise(&d->oldest_ms[due ? DEPTH_DUE : DEPTH_WAITING], age_of(q->first_made_ms, now_ms));
    raise(&d->oldest_ms[due == q->jobs ? DEPTH_DUE : DEPTH_WAITING], age_of(q->last_made_ms, now_ms));
    if (due && q->paused_until_ms <= now_ms && !(rules && rules_suspend(rules, q->queue)))
        raise(&d->tardy_ms, age_of(q->first_due_ms, now_ms));
}

void depth_add(struct depth *d, const struct queue_page *page, const struct rules *rules)
{
    for (size_t i = 0; i < page->count; i++)
        add_queue(d, &page->queues[i], page->now_ms, rules);
    d->jobs[DEPTH_CLAIMED] += page->claimed;
    d->jobs[DEPTH_HELD] += page->held;
    raise(&d->oldest_ms[DEPTH_CLAIMED], age_of(page->claimed_made_ms, page->now_ms));
    raise(&d->oldest_ms[DEPTH_HELD], age_of(page->held_since_ms, page->now_ms));
}

static void on_page(void *context, unsigned partition, bool ok, const struct queue_page *page)
{
    struct depths *all = context;
    uint64_t now = clock_ms();

    all->is_asking = false;
    if (partition != all->place || !all->look_ms[partition]) /* somebody else's by now */
        return;
    if (ok)
        depth_add(&all->next, page, all->rules);
    if (ok && page->cursor) {
        all->cursor = page->cursor;
        return;
    }
    if (ok) {
        all->next.seen_ms = now;
        all->of[partition] = all->next;
    }
    all->cursor = 0;
    all->look_ms[partition] = now + DEPTH_EVERY_MS;
}

/* ---- all of them ---- */

static void publish(const struct depths *all, uint64_t now_ms)
{
    struct depth sum = {.seen_ms = 0};
    uint64_t behind_ms = 0;

    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        const struct depth *d = &all->of[p];
        for (unsigned state = 0; state < DEPTH_STATES; state++) {
            sum.jobs[state] += d->jobs[state];
            raise(&sum.oldest_ms[state], d->oldest_ms[state]);
        }
        raise(&sum.tardy_ms, d->tardy_ms);
        sum.queues += d->queues;
        if (d->seen_ms)
            raise(&behind_ms, now_ms - d->seen_ms);
    }
    for (unsigned state = 0; state < DEPTH_STATES; state++) {
        metric_set_labelled(METRIC_QUEUE_JOBS, state, (int64_t) sum.jobs[state]);
        metric_set_labelled(METRIC_QUEUE_OLDEST_SECONDS, state, (int64_t) sum.oldest_ms[state]);
    }
    metric_set(METRIC_QUEUE_TARDINESS_SECONDS, (int64_t) sum.tardy_ms);
    metric_set(METRIC_QUEUE_QUEUES, (int64_t) sum.queues);
    metric_set(METRIC_QUEUE_LOOK_SECONDS, (int64_t) behind_ms);
}

/* What is ours by now is looked at, what is not any more is told by its owner. */
static void take_stock(struct depths *all, uint64_t now_ms)
{
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        bool is_held = all->partitions->of[p].is_held;
        if (is_held == (all->look_ms[p] != 0))
            continue;
        all->of[p] = (struct depth){.seen_ms = is_held ? now_ms : 0};
        all->look_ms[p] = is_held ? now_ms + DEPTH_FIRST_MS : 0;
    }
}

/* The partition that waits longest; PARTITION_COUNT: it is nobody's turn. */
static unsigned whose_turn(const struct depths *all, uint64_t now_ms)
{
    unsigned first = PARTITION_COUNT;

    for (unsigned p = 0; p < PARTITION_COUNT; p++)
        if (all->look_ms[p] && all->look_ms[p] <= now_ms &&
            (first == PARTITION_COUNT || all->look_ms[p] < all->look_ms[first]))
            first = p;
    return first;
}

void depths_work(struct depths *all, uint64_t now_ms)
{
    if (now_ms >= all->publish_ms) {
        all->publish_ms = now_ms + DEPTH_PUBLISH_MS;
        take_stock(all, now_ms);
        publish(all, now_ms);
    }
    if (all->is_asking || now_ms < all->step_ms)
        return;
    if (!all->cursor || !all->look_ms[all->place]) {
        unsigned place = whose_turn(all, now_ms);
        if (place == PARTITION_COUNT)
            return;
        all->place = place;
        all->cursor = 0;
        all->next = (struct depth){.seen_ms = 0};
    }
    all->is_asking = true;
    all->step_ms = now_ms + DEPTH_STEP_MS;
    queue_depths(all->partitions->store, all->place, all->cursor, on_page, all);
}

void depths_init(struct depths *all, struct partitions *partitions)
{
    *all = (struct depths){.partitions = partitions};
    metric_label(METRIC_QUEUE_JOBS, state_words, DEPTH_STATES);
    metric_label(METRIC_QUEUE_OLDEST_SECONDS, state_words, DEPTH_STATES);
}
