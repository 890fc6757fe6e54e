/* Calls to the cluster-wide tables, and the loop that runs until they are answered. */
#include "ctl/table_link.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/ask.h"
#include "ctl/reach.h"

enum { LINK_TIME_MS = 10000, WINDOW = 1000 };

struct table_link {
    struct ask *ask;
    struct store *store;
    size_t open; /* writes under way */
    size_t most; /* so many may be when it stops waiting */
};

/* A call that is waited for. */
struct waited {
    struct table_link *link;
    enum table_answer answer;
    struct buf *out;         /* get */
    struct table_rows *rows; /* list */
};

struct counted {
    struct table_link *link;
    uint64_t *tally;
};

int table_link_open(const struct arguments *a, struct table_link **ret_link)
{
    struct ask *ask;
    struct store *store;
    int status = ask_open(a, &ask);

    if (status != EXIT_OK)
        return status;
    status = store_reach(ask, REACH_FOR_ORDERS, &store);
    if (status != EXIT_OK) {
        ask_close(ask);
        return status;
    }
    *ret_link = NEW(struct table_link);
    **ret_link = (struct table_link){.ask = ask, .store = store, .most = SIZE_MAX};
    return EXIT_OK;
}

struct table_link *table_link_close(struct table_link *l)
{
    if (!l)
        return NULL;
    must(l->open == 0);
    l->store = store_close(l->store);
    l->ask = ask_close(l->ask);
    return mem_free(l);
}

struct store *table_link_store(struct table_link *l)
{
    return l->store;
}

struct ask *table_link_ask(struct table_link *l)
{
    return l->ask;
}

/* ---- one by one */

static void on_value(void *context, enum table_answer answer, struct span value)
{
    struct waited *w = context;

    w->answer = answer;
    if (w->out)
        buf_add_span(w->out, value);
    loop_stop(ask_loop(w->link->ask));
}

static enum table_answer wait_for(struct waited *w)
{
    loop_run(ask_loop(w->link->ask));
    return w->answer;
}

enum table_answer table_link_get(struct table_link *l, enum table table, struct span field, struct buf *out)
{
    struct waited w = {.link = l, .out = out};

    table_get(l->store, table, field, LINK_TIME_MS, on_value, &w);
    return wait_for(&w);
}

enum table_answer table_link_put(struct table_link *l, enum table table, struct span field, struct span value,
                                 const struct span *expected)
{
    struct waited w = {.link = l};

    table_put(l->store, table, field, value, expected, LINK_TIME_MS, on_value, &w);
    return wait_for(&w);
}

enum table_answer table_link_remove(struct table_link *l, enum table table, struct span field,
                                    const struct span *expected)
{
    struct waited w = {.link = l};

    table_remove(l->store, table, field, expected, LINK_TIME_MS, on_value, &w);
    return wait_for(&w);
}

/* ---- all rows */

static struct span copy_of(struct span s)
{
    return (struct span){.at = mem_text(s.at ? s.at : "", s.len), .len = s.len};
}

static void row_done(struct table_row *row)
{
    mem_free((char *) (uintptr_t) row->field.at);
    mem_free((char *) (uintptr_t) row->value.at);
}

void table_rows_add(struct table_rows *r, struct span field, struct span value)
{
    if (r->count == r->room) {
        r->room = r->room ? 2 * r->room : 64;
        r->rows = mem_resize(r->rows, r->room * sizeof r->rows[0]);
    }
    r->rows[r->count++] = (struct table_row){.field = copy_of(field), .value = copy_of(value)};
}

static int compare(const void *a, const void *b)
{
    const struct table_row *x = a, *y = b;
    size_t len = x->field.len < y->field.len ? x->field.len : y->field.len;
    int order = memcmp(x->field.at, y->field.at, len);

    return order ? order : x->field.len < y->field.len ? -1 : x->field.len > y->field.len;
}

/* A row may come twice while others write: the first will do. */
void table_rows_sort(struct table_rows *r)
{
    size_t kept = 0;

    if (r->count)
        qsort(r->rows, r->count, sizeof r->rows[0], compare);
    for (size_t i = 0; i < r->count; i++) {
        if (kept && compare(&r->rows[i], &r->rows[kept - 1]) == 0)
            row_done(&r->rows[i]);
        else
            r->rows[kept++] = r->rows[i];
    }
    r->count = kept;
}

const struct table_row *table_rows_find(const struct table_rows *r, struct span field)
{
    const struct table_row key = {.field = field};

    return r->count ? bsearch(&key, r->rows, r->count, sizeof r->rows[0], compare) : NULL;
}

void table_rows_done(struct table_rows *r)
{
    for (size_t i = 0; i < r->count; i++)
        row_done(&r->rows[i]);
    mem_free(r->rows);
    *r = (struct table_rows){.rows = NULL};
}

static void on_row(void *context, struct span field, struct span value)
{
    const struct waited *w = context;

    table_rows_add(w->rows, field, value);
}

static void on_end(void *context, enum table_answer answer)
{
    on_value(context, answer, (struct span){.at = NULL});
}

int table_link_list(struct table_link *l, enum table table, struct table_rows *ret_rows)
{
    struct waited w = {.link = l, .rows = ret_rows};

    *ret_rows = (struct table_rows){.rows = NULL};
    table_list(l->store, table, LINK_TIME_MS, on_row, on_end, &w);
    if (wait_for(&w) != TABLE_OK) {
        table_rows_done(ret_rows);
        return say_failed("the table of %s cannot be read: Redis does not answer, or its key is not a hash",
                          table_name(table));
    }
    table_rows_sort(ret_rows);
    return EXIT_OK;
}

/* ---- many writes */

static void on_written(void *context, enum table_answer answer, struct span value UNUSED)
{
    struct counted *c = context;
    struct table_link *l = c->link;

    c->tally[answer]++;
    mem_free(c);
    if (--l->open == l->most)
        loop_stop(ask_loop(l->ask));
}

static void wait_until(struct table_link *l, size_t most)
{
    l->most = most;
    if (l->open > most)
        loop_run(ask_loop(l->ask));
    l->most = SIZE_MAX;
}

void table_link_write(struct table_link *l, enum table table, struct span field, const struct span *value,
                      const struct span *expected, uint64_t *tally)
{
    struct counted *c = NEW(struct counted);

    *c = (struct counted){.link = l, .tally = tally};
    l->open++;
    if (value)
        table_put(l->store, table, field, *value, expected, LINK_TIME_MS, on_written, c);
    else
        table_remove(l->store, table, field, expected, LINK_TIME_MS, on_written, c);
    if (l->open > WINDOW)
        wait_until(l, WINDOW / 2);
}

void table_link_wait(struct table_link *l)
{
    wait_until(l, 0);
}

int table_say_unknown(enum table table)
{
    return say_failed(
        "Redis does not answer, or barid:{c}:%s is not what it should be; a change may have happened",
        table_name(table));
}
