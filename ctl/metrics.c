/* The rows of metric.def and alert.def, and what is printed of them but for the dashboard. */
#include "ctl/metrics.h"

#include "base/mem.h"

const struct metric_row metric_rows[] = {
#define SUBJECT(title) {.subject = (title)},
#define METRIC(name_, kind_, unit_, labels_, help_) \
    {.name = #name_, .labels = (labels_), .help = (help_), .kind = KIND_##kind_, .unit = UNIT_##unit_},
#include "base/metric.def"
#undef METRIC
};
const size_t metric_row_count = ARRAY_LEN(metric_rows);

const struct alert_row alert_rows[] = {
#define ALERT(name_, expression_, for__, severity_, summary_) \
    {.name = #name_,                                          \
     .expression = (expression_),                             \
     .for_ = (for__),                                         \
     .severity = (severity_),                                 \
     .summary = (summary_)},
#include "base/alert.def"
#undef ALERT
};
const size_t alert_row_count = ARRAY_LEN(alert_rows);

static void add_lower(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_add_char(out, *text >= 'A' && *text <= 'Z' ? (char) (*text | 0x20) : *text);
}

void add_metric_name(struct buf *out, const struct metric_row *row)
{
    buf_add_text(out, "barid_");
    add_lower(out, row->name);
}

/* ---- the reference page ---- */

/* "site verdict" as `site`, `verdict`. */
static void add_labels(struct buf *out, const char *labels)
{
    struct span rest = span_of(labels);

    for (bool is_first = true; rest.len > 0; is_first = false) {
        struct span label = span_cut(&rest, ' ');
        buf_printf(out, "%s`%.*s`", is_first ? "" : ", ", SPAN_ARG(label));
    }
}

/* A cell of a table: a bar would end it. */
static void add_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
}

static void add_metric_row(struct buf *out, const struct metric_row *row)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram", "counter"};
    static const char *const units[] = {"", "seconds", "bytes", "percent", "1 or 0", "seconds since 1970"};

    buf_add_text(out, "| `");
    add_metric_name(out, row);
    buf_printf(out, "` | %s | %s | ", kinds[row->kind], units[row->unit]);
    add_labels(out, row->labels);
    buf_add_text(out, " | ");
    add_cell(out, row->help);
    buf_add_text(out, " |\n");
}

static void add_alert_row(struct buf *out, const struct alert_row *row)
{
    buf_printf(out, "| [%s](runbook.md#", row->name);
    add_lower(out, row->name);
    buf_printf(out, ") | %s | %s | ", row->severity, row->for_);
    add_cell(out, row->summary);
    buf_add_text(out, " | `");
    add_cell(out, row->expression);
    buf_add_text(out, "` |\n");
}

void metrics_print_markdown(struct buf *out)
{
    buf_add_text(
        out,
        "# Metrics\n\nMade by `baridctl metrics` from `lib/base/metric.def` and `lib/base/alert.def`.\n\n"
        "Every node serves them at `/metrics` of `node.http_listen`, in Prometheus' text format. A scrape asks Redis nothing: the figures of the queue come from "
        "a slow round of the\ndispatchers over their partitions, which takes ten seconds, or as long as it takes at fifty pages of a hundred queues a second; they are the cluster's when "
        "all dispatchers are\nadded up. Ages are of the jobs that are due first and last in each queue: nearly those of the oldest. A program prints metrics that it has no part in as 0, or, "
        "where they have\na label, not at all. A label has the words of a table; the only open one is `site`, of which a courier shows the 32 that it is busiest with.\n");
    for (size_t i = 0; i < metric_row_count; i++) {
        const struct metric_row *row = &metric_rows[i];
        if (row->subject)
            buf_printf(out, "\n## %s\n\n| metric | kind | unit | labels | |\n|---|---|---|---|---|\n",
                       row->subject);
        else
            add_metric_row(out, row);
    }
    buf_add_text(
        out,
        "\n## Alerts\n\nIn `deploy/prometheus/alerts.yml`, printed from the same table; what to do is told by the runbook. "
        "`page`: somebody is called now; `ticket`: in working hours.\n\n"
        "| alert | severity | true for | | expression |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < alert_row_count; i++)
        add_alert_row(out, &alert_rows[i]);
}

/* ---- alerts ---- */

void metrics_print_alerts(struct buf *out)
{
    buf_add_text(out, "# Made by `baridctl metrics --alerts` from lib/base/alert.def.\n"
                      "groups:\n  - name: barid\n    rules:\n");
    for (size_t i = 0; i < alert_row_count; i++) {
        const struct alert_row *row = &alert_rows[i];
        buf_printf(
            out,
            "      - alert: %s\n        expr: '%s'\n        for: %s\n        labels:\n          severity: %s\n"
            "        annotations:\n          summary: '%s'\n          runbook: 'docs/runbook.md#",
            row->name, row->expression, row->for_, row->severity, row->summary);
        add_lower(out, row->name);
        buf_add_text(out, "'\n");
    }
}
