/*
 * Does: pages made of metric.def and alert.def: the reference, Prometheus' alerts, a dashboard for Grafana.
 * Does not: ask anybody for figures.
 * Owns: nothing. Fails: never.
 */
#pragma once

#include <stddef.h>

#include "base/buf.h"

enum metric_kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM, KIND_BUSIEST };
enum metric_unit { UNIT_NUMBER, UNIT_SECONDS, UNIT_BYTES, UNIT_PERCENT, UNIT_FLAG, UNIT_TIME };

struct metric_row {      /* in the order of metric.def; a subject stands before its metrics */
    const char *subject; /* NULL: a metric */
    const char *name, *labels, *help;
    enum metric_kind kind;
    enum metric_unit unit;
};
struct alert_row {
    const char *name, *expression, *for_, *severity, *summary;
};
extern const struct metric_row metric_rows[];
extern const size_t metric_row_count;
extern const struct alert_row alert_rows[];
extern const size_t alert_row_count;

/* "barid_" and the name in lower case. */
void add_metric_name(struct buf *out, const struct metric_row *row);
void metrics_print_markdown(struct buf *out);
void metrics_print_alerts(struct buf *out);    /* YAML */
void metrics_print_dashboard(struct buf *out); /* JSON */
