/* Once a second: one walk over the works, that keeps the busiest. */
#include "courier/busy.h"

#include "base/mem.h"
#include "base/metric.h"
#include "cluster/wire.h"
#include "courier/work.h"

enum { MICRO_A_SECOND = 1000000, SECONDS_A_MINUTE = 60 };

static bool is_busier(const struct work *a, const struct work *b)
{
    return a->connection_count > b->connection_count ||
           (a->connection_count == b->connection_count && a->job_count > b->job_count);
}

/* Busiest first; returns how many. */
static size_t find_busiest(const struct courier *c, const struct work *found[static NODE_BUSY_MAX])
{
    size_t count = 0, cursor = 0;
    struct span key;
    void *value;

    while (map_next(&c->works, &cursor, &key, &value)) {
        const struct work *w = value;
        if (w->is_fanout || (w->connection_count == 0 && w->job_count == 0))
            continue;
        size_t at = count < NODE_BUSY_MAX ? count++ : NODE_BUSY_MAX;
        for (; at > 0 && is_busier(w, found[at - 1]); at--)
            if (at < NODE_BUSY_MAX)
                found[at] = found[at - 1];
        if (at < NODE_BUSY_MAX)
            found[at] = w;
    }
    return count;
}

static void tell_works(const struct courier *c, struct node_stats *s)
{
    const struct work *found[NODE_BUSY_MAX];
    size_t count = find_busiest(c, found);

    node_stats_drop_busy(s);
    s->busy = mem_array(count + 1, sizeof(*s->busy));
    s->busy_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct work *w = found[i];
        s->busy[i] = (struct node_busy){.queue = mem_string(w->queue),
                                        .site = mem_string(w->best_host ? w->best_host : ""),
                                        .connections = (uint32_t) w->connection_count,
                                        .granted = w->connections_max,
                                        .rate = (w->rate_micro * SECONDS_A_MINUTE + MICRO_A_SECOND / 2) /
                                                MICRO_A_SECOND,
                                        .jobs = w->job_count};
    }
}

void busy_tell(const struct courier *c, struct node_stats *s)
{
    tell_works(c, s);
    for (size_t i = 1; i < BOUNCE_COUNT; i++) { /* labels have no word for "none" */
        s->deferred_as[i] = (uint64_t) metric_get_labelled(METRIC_DEFERRED_TOTAL, i - 1);
        s->failed_as[i] = (uint64_t) metric_get_labelled(METRIC_FAILED_TOTAL, i - 1);
    }
}
