/* Shards with claims of ours that do not answer. Looked at each second; with nothing away a look is one pass over the works. */
#include "courier/away.h"

#include "base/clock.h"
#include "base/conf.h"
#include "base/id.h"
#include "base/log.h"
#include "courier/settle.h"
#include "courier/work.h"

enum { LOOK_EVERY_MS = 1000, SPREAD = 256 };

static uint64_t since[PARTITION_COUNT]; /* ms; 0: it is not away, or has no claims */
static uint64_t share;                  /* of a quarter, in SPREADths: this courier's own */

/* Couriers that wait for one shard do not end, and start, all at once: each is a little more patient than the others. */
static uint64_t patience_ms(void)
{
    uint64_t time_ms = conf_get()->courier.away_time_ms;

    return time_ms + time_ms * share / (4 * SPREAD);
}

static bool is_away(const struct courier *c, unsigned partition)
{
    return !store_partition_is_ready(c->store, partition);
}

size_t away_jobs(const struct courier *c)
{
    size_t cursor = 0, count = 0;
    struct span key;
    void *value;

    while (map_next(&c->works, &cursor, &key, &value)) {
        const struct work *w = value;
        if (w->job_count > 0 && is_away(c, w->partition))
            count += w->job_count;
    }
    return count;
}

size_t away_verdicts(const struct courier *c)
{
    size_t count = 0;

    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
        size_t pending = settler_pending_in(c->settler, partition);
        if (pending > 0 && is_away(c, partition))
            count += pending;
    }
    return count;
}

static void mark(const struct courier *c, bool has_claims[static PARTITION_COUNT])
{
    size_t cursor = 0;
    struct span key;
    void *value;

    while (map_next(&c->works, &cursor, &key, &value)) {
        const struct work *w = value;
        /* Who was not answered may have claimed: while it beats, nobody takes such a claim from it. */
        has_claims[w->partition] |= w->job_count > 0 || w->is_claiming;
    }
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++)
        has_claims[partition] |= settler_pending_in(c->settler, partition) > 0;
}

static void on_look(struct timer *t)
{
    struct courier *c = CONTAINER_OF(t, struct courier, away_timer);
    bool has_claims[PARTITION_COUNT] = {false};
    uint64_t now = clock_ms();
    bool is_over = false;

    if (c->is_leaving)
        return;
    timer_start(c->loop, t, LOOK_EVERY_MS, on_look);
    /* While the common keys are away too it does not beat: who is connected to them buries it, and when nobody is, nobody waits for its claims. */
    if (store_is_ready(c->store))
        mark(c, has_claims);
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
        uint64_t *since_ms = &since[partition];
        if (!has_claims[partition] || !is_away(c, partition))
            *since_ms = 0;
        else if (!*since_ms)
            *since_ms = now;
        is_over |= *since_ms && now - *since_ms >= patience_ms();
    }
    if (is_over)
        courier_give_up(c);
}

void away_start(struct courier *c)
{
    share = id_new(0, 0).bytes[8] % SPREAD;
    timer_start(c->loop, &c->away_timer, LOOK_EVERY_MS, on_look);
}
