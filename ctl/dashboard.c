/* A dashboard for Grafana: a row for each subject of metric.def, a panel for each metric, in its unit. */
#include "ctl/metrics.h"

#include "base/mem.h"
#include "io/json.h"

enum {
    GRID_WIDTH = 24,
    PANELS_ABREAST = 3,
    PANEL_WIDTH = GRID_WIDTH / PANELS_ABREAST,
    PANEL_HEIGHT = 7,
    GRAFANA_SCHEMA = 37
};

static void put(struct json *to, const char *key, const char *text)
{
    json_put_text(to, key, span_of(text));
}

static void put_place(struct json *panel, unsigned x, unsigned y, unsigned width, unsigned height)
{
    struct json *place = json_new_object();

    json_put_number(place, "x", x);
    json_put_number(place, "y", y);
    json_put_number(place, "w", width);
    json_put_number(place, "h", height);
    json_put(panel, "gridPos", place);
}

static void put_source(struct json *to)
{
    struct json *source = json_new_object();

    put(source, "type", "prometheus");
    put(source, "uid", "${datasource}");
    json_put(to, "datasource", source);
}

/* ---- what a panel asks ---- */

static void add_query(struct json *queries, const char *letter, const struct buf *expression,
                      const char *legend)
{
    struct json *query = json_new_object();

    put(query, "refId", letter);
    json_put_text(query, "expr", buf_span(expression));
    put(query, "legendFormat", legend);
    put_source(query);
    json_put(queries, NULL, query);
}

static void add_quantiles(struct json *queries, const struct metric_row *row)
{
    static const char *const quantiles[] = {"0.5", "0.95", "0.99"}, *const letters[] = {"A", "B", "C"};

    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        AUTO_BUF struct buf expression = {.data = NULL};
        AUTO_FREE char *legend = *row->labels ? mem_format("%s {{%s}}", quantiles[i], row->labels)
                                              : mem_string(quantiles[i]);
        buf_printf(&expression, "histogram_quantile(%s, sum by (le%s%s) (rate(", quantiles[i],
                   *row->labels ? ", " : "", row->labels);
        add_metric_name(&expression, row);
        buf_add_text(&expression, "_bucket{instance=~\"$instance\"}[$__rate_interval])))");
        add_query(queries, letters[i], &expression, legend);
    }
}

/* "site verdict" as "site, verdict" and "{{site}} {{verdict}}". */
static void add_labels(struct buf *by, struct buf *legend, const char *labels)
{
    struct span rest = span_of(labels);

    while (rest.len > 0) {
        struct span label = span_cut(&rest, ' ');
        buf_printf(by, "%s%.*s", by->len ? ", " : "", SPAN_ARG(label));
        buf_printf(legend, "%s{{%.*s}}", legend->len ? " " : "", SPAN_ARG(label));
    }
}

/* Numbers of nodes are added up; of ages, shares and flags the worst counts. */
static void add_sum(struct json *queries, const struct metric_row *row)
{
    AUTO_BUF struct buf expression = {.data = NULL}, by = {.data = NULL}, legend = {.data = NULL};
    bool is_counter = row->kind == KIND_COUNTER || row->kind == KIND_BUSIEST;
    bool is_sum = is_counter || row->unit == UNIT_NUMBER || row->unit == UNIT_BYTES;

    add_labels(&by, &legend, row->labels);
    if (!by.len) {
        buf_add_text(&by, "instance");
        buf_add_text(&legend, "{{instance}}");
    }
    buf_printf(&expression, "%s by (%.*s) (%s", is_sum ? "sum" : "max", SPAN_ARG(buf_span(&by)),
               is_counter ? "rate(" : "");
    add_metric_name(&expression, row);
    buf_printf(&expression, "{instance=~\"$instance\"}%s)", is_counter ? "[$__rate_interval])" : "");
    AUTO_FREE char *text = buf_steal_text(&legend);
    add_query(queries, "A", &expression, text);
}

/* A time that comes: how long it is until then; who has none says 0. */
static void add_wait(struct json *queries, const struct metric_row *row)
{
    AUTO_BUF struct buf expression = {.data = NULL};

    buf_add_text(&expression, "min by (instance) (");
    add_metric_name(&expression, row);
    buf_add_text(&expression, "{instance=~\"$instance\"} > 0) - time()");
    add_query(queries, "A", &expression, "{{instance}}");
}

/* ---- panels ---- */

static const char *unit_of(const struct metric_row *row)
{
    static const char *const units[] = {"short", "s", "bytes", "percent", "bool", "s"};
    static const char *const rates[] = {"ops", "s", "Bps", "percent", "bool", "s"};

    return row->kind == KIND_COUNTER || row->kind == KIND_BUSIEST ? rates[row->unit] : units[row->unit];
}

static struct json *panel_of(const struct metric_row *row, int64_t id, unsigned x, unsigned y)
{
    struct json *panel = json_new_object(), *queries = json_new_array(), *fields = json_new_object(),
                *defaults = json_new_object();
    AUTO_BUF struct buf title = {.data = NULL};

    add_metric_name(&title, row);
    json_put_number(panel, "id", id);
    put(panel, "type", "timeseries");
    json_put_text(panel, "title",
                  (struct span){.at = title.data + 6, .len = title.len - 6}); /* without barid_ */
    put(panel, "description", row->help);
    put_source(panel);
    put_place(panel, x, y, PANEL_WIDTH, PANEL_HEIGHT);
    put(defaults, "unit", unit_of(row));
    json_put_number(defaults, "min", 0);
    json_put(fields, "defaults", defaults);
    json_put(panel, "fieldConfig", fields);
    if (row->kind == KIND_HISTOGRAM)
        add_quantiles(queries, row);
    else if (row->unit == UNIT_TIME)
        add_wait(queries, row);
    else
        add_sum(queries, row);
    json_put(panel, "targets", queries);
    return panel;
}

/* The metrics behind metric_rows[from], a subject; returns where the next one is. y: below its row. */
static size_t add_panels(struct json *panels, size_t from, int64_t *id, unsigned *y)
{
    size_t i = from + 1, abreast = 0;

    for (; i < metric_row_count && !metric_rows[i].subject; i++) {
        json_put(panels, NULL, panel_of(&metric_rows[i], (*id)++, (unsigned) abreast * PANEL_WIDTH, *y));
        abreast = (abreast + 1) % PANELS_ABREAST;
        *y += abreast == 0 ? PANEL_HEIGHT : 0;
    }
    *y += abreast ? PANEL_HEIGHT : 0;
    return i;
}

/* The first row is open: its panels stand behind it. The others have theirs inside: they open with a click, and ask nothing before. */
static struct json *all_panels(void)
{
    struct json *panels = json_new_array();
    int64_t id = 1;
    unsigned y = 0;

    for (size_t i = 0; i < metric_row_count;) {
        bool is_open = i == 0;
        struct json *row = json_new_object(), *inside = json_new_array();
        json_put_number(row, "id", id++);
        put(row, "type", "row");
        put(row, "title", metric_rows[i].subject);
        json_put_flag(row, "collapsed", !is_open);
        put_place(row, 0, y++, GRID_WIDTH, 1);
        if (is_open) {
            json_put(row, "panels", inside);
            json_put(panels, NULL, row);
            i = add_panels(panels, i, &id, &y);
        } else {
            unsigned below = y;
            i = add_panels(inside, i, &id, &below);
            json_put(row, "panels", inside);
            json_put(panels, NULL, row);
        }
    }
    return panels;
}

/* ---- the whole ---- */

static struct json *variable(const char *name, const char *type, const char *query)
{
    struct json *v = json_new_object();

    put(v, "name", name);
    put(v, "label", name);
    put(v, "type", type);
    put(v, "query", query);
    json_put_number(v, "refresh", 1);
    return v;
}

static struct json *variables(void)
{
    struct json *all = json_new_object(), *list = json_new_array();
    struct json *instance = variable("instance", "query", "label_values(barid_store_ready, instance)");

    json_put(list, NULL, variable("datasource", "datasource", "prometheus"));
    put_source(instance);
    json_put_flag(instance, "multi", true);
    json_put_flag(instance, "includeAll", true);
    put(instance, "allValue", ".*");
    json_put(list, NULL, instance);
    json_put(all, "list", list);
    return all;
}

void metrics_print_dashboard(struct buf *out)
{
    struct json *all = json_new_object(), *time = json_new_object();

    put(all, "uid", "barid");
    put(all, "title", "barid");
    put(all, "description", "Made by `baridctl metrics --dashboard` from lib/base/metric.def.");
    json_put_number(all, "schemaVersion", GRAFANA_SCHEMA);
    json_put_flag(all, "editable", true);
    put(all, "refresh", "30s");
    put(time, "from", "now-6h");
    put(time, "to", "now");
    json_put(all, "time", time);
    json_put(all, "templating", variables());
    json_put(all, "panels", all_panels());
    json_print(all, out);
    json_free(all);
}
