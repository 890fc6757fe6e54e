/* Pauses as the store keeps them. */
#include "dispatcher/pause.h"

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/queue.h"

enum { PAUSE_TIME_MS = 5000 };

static void on_written(void *context UNUSED, enum act_answer answer UNUSED)
{
}

/* About that long: many that stopped together do not come back together. */
static uint64_t spread(uint64_t ms)
{
    uint64_t random = clock_us() * UINT64_C(6364136223846793005) >> 33;
    return ms + ms / 8 * (random % 1000) / 1000;
}

void pause_begin(void *store, unsigned partition, struct span queue, struct span error)
{
    const struct conf *conf = conf_get();
    AUTO_FREE char *name = mem_text(queue.at, queue.len), *why = mem_text(error.at, error.len);
    const struct queue_pause pause = {
        .partition = partition,
        .queue = name,
        .pause_ms = spread(conf->dispatcher.pause_first_ms),
        .longest_ms = spread(conf->dispatcher.pause_longest_ms),
        .error = why,
    };

    queue_pause(store, &pause, PAUSE_TIME_MS, on_written, NULL);
    metric_add(METRIC_QUEUES_PAUSED_TOTAL, 1);
    log_event(LOG_QUEUE_PAUSED, FS("queue", queue), FS("why", error));
}

void pause_end(void *store, unsigned partition, struct span queue)
{
    AUTO_FREE char *name = mem_text(queue.at, queue.len);

    queue_pause(store, &(struct queue_pause){.partition = partition, .queue = name}, PAUSE_TIME_MS,
                on_written, NULL);
    metric_add(METRIC_QUEUES_RESUMED_TOTAL, 1);
    log_event(LOG_QUEUE_RESUMED, FS("queue", queue));
}
