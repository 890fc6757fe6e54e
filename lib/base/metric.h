/*
 * Does: counters, gauges and histograms, one row each in metric.def; printed in Prometheus' text format.
 * Does not: label by anything a peer can choose: a label has the words of a table; but for BUSIEST rows, which show few of its names (busiest.h).
 * Owns: the values, atomic and process-wide.
 * Fails: never.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

enum metric {
#define METRIC(name, kind, unit, labels, help) METRIC_##name,
#include "base/metric.def"
#undef METRIC
    METRIC_COUNT
};

void metric_add(enum metric m, int64_t n);
void metric_set(enum metric m, int64_t value); /* a gauge in SECONDS, or a TIME: milliseconds */
int64_t metric_get(enum metric m);
int64_t metric_get_labelled(enum metric m, size_t word);
/* A latency: adds to a histogram row (kind HISTOGRAM), in microseconds. */
void metric_observe_us(enum metric m, uint64_t us);
/*
 * Rows with a label: its words, told once, before threads; they stay valid, METRIC_WORDS_MAX at most. metric_get() is the sum. Without
 * words (in programs that never add to it) a row prints no value. A histogram has one word.
 */
enum { METRIC_WORDS_MAX = 32 };
void metric_label(enum metric m, const char *const *words, size_t count);
void metric_add_labelled(enum metric m, size_t word, int64_t n);
void metric_set_labelled(enum metric m, size_t word, int64_t value);
/* BUSIEST rows: name is of an open set, also one that a peer chose. */
void metric_add_busiest(enum metric m, struct span name, size_t word, int64_t n);
void metric_print(struct buf *out);
