/* Counters, gauges and histograms of the process, on cache lines of their own. */
#include "base/metric.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/busiest.h"
#include "base/clock.h"
#include "base/mem.h"

enum metric_kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM, KIND_BUSIEST };
enum metric_unit { UNIT_NUMBER, UNIT_SECONDS, UNIT_BYTES, UNIT_PERCENT, UNIT_FLAG, UNIT_TIME };

/* Upper bounds of the buckets in microseconds, from what a fast local reply takes to a retry of the next hour. */
static const uint64_t bounds_us[] = {100,     250,      500,      1000,     2500,      5000,      10000,
                                     25000,   50000,    100000,   250000,   500000,    1000000,   2500000,
                                     5000000, 10000000, 30000000, 60000000, 300000000, 3600000000};
enum { BOUNDS = ARRAY_LEN(bounds_us) };

static struct cell {
    _Alignas(64) _Atomic int64_t value; /* of a histogram: how many observations */
} cells[METRIC_COUNT];

static struct histogram {
    _Alignas(64) _Atomic uint64_t sum_us;
    _Atomic uint64_t counts[BOUNDS + 1]; /* each observation in one bucket only; added up when printed */
} histograms[METRIC_COUNT];

static struct family {
    const char *const *words;
    size_t count;
    _Atomic int64_t values[METRIC_WORDS_MAX];
} families[METRIC_COUNT];

static struct busiest busiest[METRIC_COUNT]; /* a lock and an empty table, in all other rows */

static const struct {
    const char *name, *labels, *help;
    enum metric_kind kind;
    enum metric_unit unit;
} rows[] = {
#define METRIC(name_, kind_, unit_, labels_, help_) \
    [METRIC_##name_] = {#name_, labels_, help_, KIND_##kind_, UNIT_##unit_},
#include "base/metric.def"
#undef METRIC
};

void metric_add(enum metric m, int64_t n)
{
    atomic_fetch_add_explicit(&cells[m].value, n, memory_order_relaxed);
}

void metric_set(enum metric m, int64_t value)
{
    atomic_store_explicit(&cells[m].value, value, memory_order_relaxed);
}

int64_t metric_get(enum metric m)
{
    return atomic_load_explicit(&cells[m].value, memory_order_relaxed);
}

void metric_observe_us(enum metric m, uint64_t us)
{
    size_t bucket = 0;

    must(rows[m].kind == KIND_HISTOGRAM);
    while (bucket < BOUNDS && us > bounds_us[bucket])
        bucket++;
    atomic_fetch_add_explicit(&histograms[m].counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histograms[m].sum_us, us, memory_order_relaxed);
    metric_add(m, 1);
}

void metric_label(enum metric m, const char *const *words, size_t count)
{
    must(*rows[m].labels && count <= METRIC_WORDS_MAX);
    families[m].words = words;
    families[m].count = count;
}

void metric_add_labelled(enum metric m, size_t word, int64_t n)
{
    must(word < families[m].count);
    atomic_fetch_add_explicit(&families[m].values[word], n, memory_order_relaxed);
    metric_add(m, n);
}

void metric_set_labelled(enum metric m, size_t word, int64_t value)
{
    must(word < families[m].count);
    metric_add(m, value - atomic_exchange_explicit(&families[m].values[word], value, memory_order_relaxed));
}

void metric_add_busiest(enum metric m, struct span name, size_t word, int64_t n)
{
    must(rows[m].kind == KIND_BUSIEST && word < families[m].count);
    busiest_add(&busiest[m], name, word, n, clock_ms());
    metric_add(m, n);
}

int64_t metric_get_labelled(enum metric m, size_t word)
{
    must(word < families[m].count);
    return atomic_load_explicit(&families[m].values[word], memory_order_relaxed);
}

static void add_name(struct buf *out, const char *name)
{
    buf_add_text(out, "barid_");
    for (; *name; name++)
        buf_add_char(out, *name >= 'A' && *name <= 'Z' ? (char) (*name | 0x20) : *name);
}

/* Seconds with as many decimals as are needed. */
static void add_seconds(struct buf *out, uint64_t us)
{
    char digits[8];

    buf_add_number(out, us / 1000000);
    unsigned rest = (unsigned) (us % 1000000);
    if (!rest)
        return;
    (void) snprintf(digits, sizeof(digits), "%06u", rest); /* always six digits */
    size_t len = 6;
    while (digits[len - 1] == '0')
        len--;
    buf_add_char(out, '.');
    buf_add(out, digits, len);
}

static void print_value(struct buf *out, size_t m, int64_t value)
{
    if ((rows[m].unit == UNIT_SECONDS || rows[m].unit == UNIT_TIME) && value > 0)
        add_seconds(out, (uint64_t) value * 1000);
    else
        buf_printf(out, "%lld", (long long) value);
    buf_add_char(out, '\n');
}

/* The label of a histogram, with what joins it to the next: nothing, or `durability="fsync",`. */
static void add_constant(struct buf *out, size_t m, const char *before, const char *after)
{
    if (families[m].count)
        buf_printf(out, "%s%s=\"%s\"%s", before, rows[m].labels, families[m].words[0], after);
}

static void print_histogram(struct buf *out, size_t m)
{
    uint64_t total = 0;

    for (size_t i = 0; i <= BOUNDS; i++) {
        total += atomic_load_explicit(&histograms[m].counts[i], memory_order_relaxed);
        add_name(out, rows[m].name);
        buf_add_text(out, "_bucket{");
        add_constant(out, m, "", ",");
        buf_add_text(out, "le=\"");
        if (i < BOUNDS)
            add_seconds(out, bounds_us[i]);
        else
            buf_add_text(out, "+Inf");
        buf_add_text(out, "\"} ");
        buf_add_number(out, total);
        buf_add_char(out, '\n');
    }
    add_name(out, rows[m].name);
    buf_add_text(out, "_sum");
    add_constant(out, m, "{", "}");
    buf_add_char(out, ' ');
    add_seconds(out, atomic_load_explicit(&histograms[m].sum_us, memory_order_relaxed));
    buf_add_char(out, '\n');
    add_name(out, rows[m].name);
    buf_add_text(out, "_count");
    add_constant(out, m, "{", "}");
    buf_add_char(out, ' ');
    buf_add_number(out, total);
    buf_add_char(out, '\n');
}

static void print_family(struct buf *out, size_t m)
{
    const struct family *f = &families[m];

    for (size_t i = 0; i < f->count; i++) {
        add_name(out, rows[m].name);
        buf_printf(out, "{%s=\"%s\"} ", rows[m].labels, f->words[i]);
        print_value(out, m, atomic_load_explicit(&f->values[i], memory_order_relaxed));
    }
}

struct printing {
    struct buf *out;
    size_t m;
};

/* A label's value: what is no plain ASCII a scraper would refuse, and all our metrics with it. */
static void on_busy(void *context, struct span name, const int64_t *counts)
{
    const struct printing *p = context;
    struct span label = span_of(rows[p->m].labels), open = span_cut(&label, ' ');

    for (size_t word = 0; word < families[p->m].count; word++) {
        add_name(p->out, rows[p->m].name);
        buf_printf(p->out, "{%.*s=\"", SPAN_ARG(open));
        for (size_t i = 0; i < name.len; i++) {
            char c = name.at[i];
            buf_add_char(p->out, c > ' ' && c < 0x7f && c != '"' && c != '\\' ? c : '?');
        }
        buf_printf(p->out, "\",%.*s=\"%s\"} %lld\n", SPAN_ARG(label), families[p->m].words[word],
                   (long long) counts[word]);
    }
}

static void print_busiest(struct buf *out, size_t m)
{
    struct printing p = {.out = out, .m = m};

    if (families[m].count)
        busiest_each(&busiest[m], on_busy, &p);
}

void metric_print(struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram", "counter"};

    for (size_t m = 0; m < METRIC_COUNT; m++) {
        buf_add_text(out, "# HELP ");
        add_name(out, rows[m].name);
        buf_printf(out, " %s\n# TYPE ", rows[m].help);
        add_name(out, rows[m].name);
        buf_printf(out, " %s\n", kinds[rows[m].kind]);
        if (rows[m].kind == KIND_HISTOGRAM) {
            print_histogram(out, m);
        } else if (rows[m].kind == KIND_BUSIEST) {
            print_busiest(out, m);
        } else if (*rows[m].labels) {
            print_family(out, m);
        } else {
            add_name(out, rows[m].name);
            buf_add_char(out, ' ');
            print_value(out, m, metric_get((enum metric) m));
        }
    }
}
