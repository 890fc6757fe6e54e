/* Counters, gauges and histograms of the process, on cache lines of their own. */
#include "base/metric.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"

enum metric_kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM, KIND_LABELLED };

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
    const char *label;
    const char *const *words;
    size_t count;
    _Atomic int64_t values[METRIC_WORDS_MAX];
} families[METRIC_COUNT];

static const struct {
    const char *name;
    const char *help;
    enum metric_kind kind;
} rows[] = {
#define METRIC(name_, kind_, help_) [METRIC_##name_] = {#name_, help_, KIND_##kind_},
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

void metric_label(enum metric m, const char *label, const char *const *words, size_t count)
{
    must(rows[m].kind == KIND_LABELLED && count <= METRIC_WORDS_MAX);
    families[m].label = label;
    families[m].words = words;
    families[m].count = count;
}

void metric_add_labelled(enum metric m, size_t word, int64_t n)
{
    must(word < families[m].count);
    atomic_fetch_add_explicit(&families[m].values[word], n, memory_order_relaxed);
    metric_add(m, n);
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

static void print_histogram(struct buf *out, size_t m)
{
    uint64_t total = 0;

    for (size_t i = 0; i <= BOUNDS; i++) {
        total += atomic_load_explicit(&histograms[m].counts[i], memory_order_relaxed);
        add_name(out, rows[m].name);
        buf_add_text(out, "_bucket{le=\"");
        if (i < BOUNDS)
            add_seconds(out, bounds_us[i]);
        else
            buf_add_text(out, "+Inf");
        buf_add_text(out, "\"} ");
        buf_add_number(out, total);
        buf_add_char(out, '\n');
    }
    add_name(out, rows[m].name);
    buf_add_text(out, "_sum ");
    add_seconds(out, atomic_load_explicit(&histograms[m].sum_us, memory_order_relaxed));
    buf_add_char(out, '\n');
    add_name(out, rows[m].name);
    buf_add_text(out, "_count ");
    buf_add_number(out, total);
    buf_add_char(out, '\n');
}

static void print_family(struct buf *out, size_t m)
{
    const struct family *f = &families[m];

    for (size_t i = 0; i < f->count; i++) {
        add_name(out, rows[m].name);
        buf_printf(out, "{%s=\"%s\"} %lld\n", f->label, f->words[i],
                   (long long) atomic_load_explicit(&f->values[i], memory_order_relaxed));
    }
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
            continue;
        }
        if (rows[m].kind == KIND_LABELLED) {
            print_family(out, m);
            continue;
        }
        add_name(out, rows[m].name);
        buf_printf(out, " %lld\n", (long long) metric_get((enum metric) m));
    }
}
