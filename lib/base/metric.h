/*
 * Does: counters and gauges, one row each in metric.def; printed in Prometheus' text format.
 * Does not: label by anything a peer can choose.
 * Owns: the values, atomic and process-wide.
 * Fails: never.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

enum metric {
#define METRIC(name, kind, help) METRIC_##name,
#include "base/metric.def"
#undef METRIC
    METRIC_COUNT
};

void metric_add(enum metric m, int64_t n);
void metric_set(enum metric m, int64_t value);
int64_t metric_get(enum metric m);
/* A latency: adds to a histogram row (kind HISTOGRAM), in microseconds. */
void metric_observe_us(enum metric m, uint64_t us);
void metric_print(struct buf *out);
