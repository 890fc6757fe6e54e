/* Stress begins above 90 percent of what is allowed and ends below 80, so that it does not come and go with each session. */
#include "ingress/overload.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

enum { LOOK_EVERY_MS = 500, STRESS_PERCENT = 90, CALM_PERCENT = 80, STORE_NEAR = 2, STORE_CALM = 5 };

static struct {
    struct loop *loop;
    struct timer timer;
    void (*on_change)(void);
    _Atomic bool is_stressed, is_full;
} overload;

bool overload_is_stressed(void)
{
    return atomic_load_explicit(&overload.is_stressed, memory_order_relaxed);
}

bool overload_is_full(void)
{
    return atomic_load_explicit(&overload.is_full, memory_order_relaxed);
}

/* What is too much, or NULL. percent: of what is allowed, from where on it is. */
static const char *find_stress(const struct conf *conf, uint64_t memory_bytes, uint64_t percent,
                               uint64_t near)
{
    uint64_t store = (uint64_t) metric_get(METRIC_STORE_MEMORY_PERCENT);
    if ((uint64_t) metric_get(METRIC_SESSIONS) * 100 > conf->ingress.max_sessions * percent)
        return "sessions";
    if (conf->ingress.max_memory_bytes > 0 && memory_bytes > conf->ingress.max_memory_bytes / 100 * percent)
        return "memory";
    return store + near > conf->store.soft_watermark ? "the store's memory" : NULL;
}

static void look(void)
{
    const struct conf *conf = conf_get();
    bool was = overload_is_stressed();
    uint64_t memory_bytes = conf->ingress.max_memory_bytes > 0 ? mem_resident_bytes() : 0;
    const char *why = was ? find_stress(conf, memory_bytes, CALM_PERCENT, STORE_CALM)
                          : find_stress(conf, memory_bytes, STRESS_PERCENT, STORE_NEAR);
    atomic_store(&overload.is_full,
                 conf->ingress.max_memory_bytes > 0 && memory_bytes > conf->ingress.max_memory_bytes);
    if (!why == !was)
        return;
    atomic_store(&overload.is_stressed, why != NULL);
    metric_set(METRIC_STRESS, why != NULL);
    log_event(why ? LOG_STRESS : LOG_STRESS_OVER, F("why", why), FN("sessions", metric_get(METRIC_SESSIONS)),
              FN("memory", memory_bytes), FN("store_percent", metric_get(METRIC_STORE_MEMORY_PERCENT)));
    overload.on_change();
}

static void on_look(struct timer *t)
{
    look();
    timer_start(overload.loop, t, LOOK_EVERY_MS, on_look);
}

void overload_open(struct loop *l, void (*on_change)(void))
{
    overload.loop = l;
    overload.on_change = on_change;
    timer_start(l, &overload.timer, LOOK_EVERY_MS, on_look);
}

void overload_close(void)
{
    timer_stop(&overload.timer);
}
