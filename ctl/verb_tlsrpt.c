/* tlsrpt list, send. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/tlsrpt_store.h"
#include "ctl/print.h"
#include "ctl/table_link.h"
#include "io/idn.h"
#include "io/loop.h"

enum { TIME_MS = 10000, DATE_LEN = 10, DAYS = 8, ROWS = 30, ROWS_MAX = 1000000 };
#define DAY_MS (24ull * 3600 * 1000)

static int say_unknown(void)
{
    return say_failed("Redis does not answer, or barid:{c}:tlsrpt:due is not what it should be");
}

/* ---- list */

struct listing {
    struct loop *loop;
    uint64_t now_ms;
    bool is_json, ok;
};

static void print_rows(const struct listing *l, const struct tlsrpt_waiting *waiting, size_t count,
                       uint64_t total)
{
    struct grid grid;

    grid_init(&grid, "day|domain|due in");
    for (size_t i = 0; i < count; i++) {
        AUTO_BUF struct buf due = {.data = NULL};
        struct span domain = waiting[i].name, day = span_cut(&domain, ' ');

        add_duration(&due, later_by(waiting[i].due_ms, l->now_ms));
        grid_cell_safe(&grid, day);
        grid_cell_safe(&grid, domain);
        grid_cell_safe(&grid, buf_span(&due));
    }
    grid_print(&grid);
    grid_done(&grid);
    if (total > count)
        printf("%llu more\n", (unsigned long long) (total - count));
}

static void print_as_json(const struct tlsrpt_waiting *waiting, size_t count, uint64_t total)
{
    struct json *json = json_new_object(), *list = json_new_array();

    for (size_t i = 0; i < count; i++) {
        struct span domain = waiting[i].name, day = span_cut(&domain, ' ');
        struct json *row = json_new_object();

        json_put_text(row, "day", day);
        json_put_text(row, "domain", domain);
        json_put_number(row, "due_ms", (int64_t) waiting[i].due_ms);
        json_put(list, NULL, row);
    }
    json_put_number(json, "total", (int64_t) total);
    json_put(json, "reports", list);
    print_json(json);
}

static void on_list(void *context, bool ok, const struct tlsrpt_waiting *waiting, size_t count,
                    uint64_t total)
{
    struct listing *l = context;

    l->ok = ok;
    if (ok && l->is_json)
        print_as_json(waiting, count, total);
    else if (ok)
        print_rows(l, waiting, count, total);
    loop_stop(l->loop);
}

int verb_tlsrpt_list(const struct arguments *a)
{
    struct table_link *l;
    uint64_t limit;
    int status;

    if (argument_number(a, "limit", 0, ROWS_MAX, ROWS, &limit) < 0)
        return EXIT_BAD_USAGE;
    status = table_link_open(a, &l);
    if (status != EXIT_OK)
        return status;
    struct store *store = table_link_store(l);
    struct listing listing = {
        .loop = store_loop(store), .now_ms = store_redis_ms(store), .is_json = a->is_json};
    tlsrpt_store_list(store, limit, TIME_MS, on_list, &listing);
    loop_run(listing.loop);
    (void) table_link_close(l); /* always NULL */
    return listing.ok ? EXIT_OK : say_unknown();
}

/* ---- send */

struct hurry {
    struct loop *loop;
    bool ok;
    size_t found;
};

static void on_hurry(void *context, bool ok, size_t found)
{
    struct hurry *h = context;

    h->ok = ok;
    h->found = found;
    loop_stop(h->loop);
}

/* The days of which there can be one, or the one that was named. */
static size_t names_of(const char *domain, const char *day, uint64_t now_ms, char *names[static DAYS])
{
    if (day) {
        names[0] = mem_format("%s %s", day, domain);
        return 1;
    }
    for (size_t i = 0; i < DAYS; i++) {
        AUTO_BUF struct buf stamp = {.data = NULL};

        clock_add_stamp(&stamp, now_ms - i * DAY_MS);
        names[i] = mem_format("%.*s %s", DATE_LEN, stamp.data, domain);
    }
    return DAYS;
}

static int hurry(struct table_link *l, const char *domain, const char *day, size_t *ret_found)
{
    struct store *store = table_link_store(l);
    struct hurry h = {.loop = store_loop(store)};
    char *names[DAYS];
    size_t count = names_of(domain, day, store_redis_ms(store), names);

    tlsrpt_store_hurry(store, (const char *const *) names, count, TIME_MS, on_hurry, &h);
    loop_run(h.loop);
    for (size_t i = 0; i < count; i++)
        mem_free(names[i]);
    *ret_found = h.found;
    return h.ok ? EXIT_OK : say_unknown();
}

static bool is_day(const char *day)
{
    AUTO_FREE char *stamp = mem_format("%sT00:00:00Z", day);
    uint64_t ms;

    return clock_parse_stamp(span_of(stamp), &ms) == 0;
}

int verb_tlsrpt_send(const struct arguments *a)
{
    const char *day = argument_text(a, "day", NULL);
    char domain[DOMAIN_MAX + 1];
    struct table_link *l;
    size_t found = 0;
    int status;

    if (idn_domain(span_of(a->operands[0]), domain) < 0)
        return say_usage("%s is no domain", a->operands[0]);
    if (day && !is_day(day))
        return say_usage("%s is no day such as 2026-11-22", day);
    status = table_link_open(a, &l);
    if (status != EXIT_OK)
        return status;
    status = hurry(l, domain, day, &found);
    if (status == EXIT_OK && found == 0)
        status = say_failed("no report about %s is to be sent", domain);
    else if (status == EXIT_OK && !a->is_json)
        printf("%zu to be sent within tlsrpt.interval\n", found);
    (void) table_link_close(l); /* always NULL */
    return status;
}
