/* tenant set, show, list, rm. */
#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/tenant.h"
#include "ctl/print.h"
#include "ctl/table_link.h"
#include "io/loop.h"

enum { USES_TIME_MS = 10000 };

/* ---- records */

/* A new one where there is none and that may be; *record: as it was read, empty for a new one. */
static int find(struct table_link *l, const char *name, bool may_be_new, struct tenant **ret_tenant,
                struct buf *record)
{
    if (tenant_name_check(span_of(name)) < 0)
        return say_usage("a tenant's name has 1 to %d bytes of UTF-8, without control characters",
                         TENANT_NAME_MAX);
    switch (table_link_get(l, TABLE_TENANTS, span_of(name), record)) {
    case TABLE_OK: break;
    case TABLE_UNKNOWN: return table_say_unknown(TABLE_TENANTS);
    default:
        if (!may_be_new)
            return say_failed("there is no tenant %s", name);
        *ret_tenant = tenant_new(span_of(name));
        return EXIT_OK;
    }
    if (tenant_decode(buf_span(record), ret_tenant) < 0)
        return say_failed("the record of %s cannot be read; baridctl tenant rm removes it", name);
    return EXIT_OK;
}

/* ---- uses */

struct reading {
    struct loop *loop;
    struct tenant_use *uses;
    bool is_read;
};

static void on_uses(void *context, const struct tenant_use *uses, size_t count)
{
    struct reading *r = context;

    r->is_read = uses != NULL;
    if (uses)
        memcpy(r->uses, uses, count * sizeof *uses);
    loop_stop(r->loop);
}

static int read_uses(struct table_link *l, const struct span *names, size_t count,
                     struct tenant_use *ret_uses)
{
    struct store *store = table_link_store(l);

    for (size_t from = 0; from < count; from += TENANT_USES_MAX) {
        struct reading r = {.loop = store_loop(store), .uses = ret_uses + from};
        size_t some = count - from < TENANT_USES_MAX ? count - from : TENANT_USES_MAX;
        tenant_uses(store, names + from, some, USES_TIME_MS, on_uses, &r);
        loop_run(r.loop);
        if (!r.is_read)
            return say_failed("Redis does not answer");
    }
    return EXIT_OK;
}

/* ---- set */

/* "messages_per_hour=100", "queue_bytes=10GiB"; 0 takes a limit away. */
static int set_limit(struct tenant *t, const char *text)
{
    struct span value = span_of(text), name = span_cut(&value, '=');
    uint64_t number;

    for (size_t i = 0; i < tenant_row_count; i++) {
        if (!span_equal(name, span_of(tenant_rows[i].name)))
            continue;
        bool is_number = value.at && (span_number(value, TENANT_LIMIT_MAX, &number) == 0 ||
                                      (conf_parse_size(value, &number) == 0 && number <= TENANT_LIMIT_MAX));
        if (!is_number)
            return say_usage("%s: expected %s=<number>, which may have a unit such as MiB; 0: no limit", text,
                             tenant_rows[i].name);
        *tenant_limit(t, i) = number;
        return EXIT_OK;
    }
    AUTO_BUF struct buf names = {0};
    for (size_t i = 0; i < tenant_row_count; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", tenant_rows[i].name);
    return say_usage("%s: a tenant has no such limit; there are %.*s", text, SPAN_ARG(buf_span(&names)));
}

static int write_tenant(struct table_link *l, struct tenant *t, const struct buf *was)
{
    AUTO_BUF struct buf record = {0};
    struct span expected = buf_span(was);

    t->changed_ms = store_redis_ms(table_link_store(l));
    tenant_encode(t, &record);
    switch (table_link_put(l, TABLE_TENANTS, span_of(t->name), buf_span(&record), &expected)) {
    case TABLE_OK: return EXIT_OK;
    case TABLE_UNKNOWN: return table_say_unknown(TABLE_TENANTS);
    default: return say_failed("somebody else has changed %s meanwhile; try again", t->name);
    }
}

int verb_tenant_set(const struct arguments *a)
{
    struct table_link *l;
    struct tenant *t = NULL;
    AUTO_BUF struct buf record = {0};
    int status = table_link_open(a, &l);

    if (status != EXIT_OK)
        return status;
    status = find(l, a->operands[0], true, &t, &record);
    for (size_t i = 1; status == EXIT_OK && i < a->operand_count; i++)
        status = set_limit(t, a->operands[i]);
    if (status == EXIT_OK)
        status = write_tenant(l, t, &record);
    if (status == EXIT_OK)
        print_done(a->operands[0], "its limits count from now on", a->is_json);
    (void) tenant_unref(t);     /* always NULL */
    (void) table_link_close(l); /* always NULL */
    return status;
}

int verb_tenant_rm(const struct arguments *a)
{
    struct table_link *l;
    int status = table_link_open(a, &l);

    if (status != EXIT_OK)
        return status;
    if (tenant_name_check(span_of(a->operands[0])) < 0)
        status = say_usage("that is no tenant's name");
    else
        switch (table_link_remove(l, TABLE_TENANTS, span_of(a->operands[0]), NULL)) {
        case TABLE_OK:
            print_done(a->operands[0], "removed; its users have no tenant's limits any more", a->is_json);
            break;
        case TABLE_NONE: status = say_failed("there is no tenant %s", a->operands[0]); break;
        default: status = table_say_unknown(TABLE_TENANTS); break;
        }
    (void) table_link_close(l); /* always NULL */
    return status;
}

/* ---- show and list */

static struct json *tenant_json(struct tenant *t, const struct tenant_use *use)
{
    struct json *json = json_new_object(), *in_queue = json_new_object();

    json_put_text(json, "name", span_of(t->name));
    for (size_t i = 0; i < tenant_row_count; i++)
        json_put_number(json, tenant_rows[i].name, (int64_t) *tenant_limit(t, i));
    json_put_number(json, "changed_ms", (int64_t) t->changed_ms);
    json_put_number(in_queue, "messages", (int64_t) use->messages);
    json_put_number(in_queue, "bytes", (int64_t) use->bytes);
    json_put(json, "in_queue", in_queue);
    return json;
}

static void print_tenant(struct tenant *t, const struct tenant_use *use)
{
    AUTO_BUF struct buf bytes = {0};

    printf("tenant               ");
    print_safe(span_of(t->name));
    add_bytes(&bytes, use->bytes);
    printf("\nin the queue         %llu messages, %.*s\n", (unsigned long long) use->messages,
           SPAN_ARG(buf_span(&bytes)));
    for (size_t i = 0; i < tenant_row_count; i++)
        if (*tenant_limit(t, i))
            printf("%-20s %llu\n", tenant_rows[i].name, (unsigned long long) *tenant_limit(t, i));
}

int verb_tenant_show(const struct arguments *a)
{
    struct table_link *l;
    struct tenant *t = NULL;
    struct tenant_use use;
    AUTO_BUF struct buf record = {0};
    int status = table_link_open(a, &l);

    if (status != EXIT_OK)
        return status;
    status = find(l, a->operands[0], false, &t, &record);
    if (status == EXIT_OK)
        status = read_uses(l, &(struct span){.at = t->name, .len = strlen(t->name)}, 1, &use);
    if (status == EXIT_OK && a->is_json)
        print_json(tenant_json(t, &use));
    else if (status == EXIT_OK)
        print_tenant(t, &use);
    (void) tenant_unref(t);     /* always NULL */
    (void) table_link_close(l); /* always NULL */
    return status;
}

static void add_row(struct grid *grid, struct tenant *t, const struct tenant_use *use)
{
    AUTO_BUF struct buf bytes = {0}, limits = {0};

    add_bytes(&bytes, use->bytes);
    for (size_t i = 0; i < tenant_row_count; i++)
        if (*tenant_limit(t, i))
            buf_printf(&limits, "%s%s=%llu", limits.len ? " " : "", tenant_rows[i].name,
                       (unsigned long long) *tenant_limit(t, i));
    grid_cell_safe(grid, span_of(t->name));
    grid_cell(grid, "%llu", (unsigned long long) use->messages);
    grid_cell_safe(grid, buf_span(&bytes));
    grid_cell_safe(grid, limits.len ? buf_span(&limits) : SPAN("-"));
}

/* Tells all; how many records could not be read. */
static size_t tell_all(const struct table_rows *rows, const struct tenant_use *uses, struct json *json,
                       struct grid *grid)
{
    size_t unreadable = 0;

    for (size_t i = 0; i < rows->count; i++) {
        struct tenant *t = NULL;
        if (tenant_decode(rows->rows[i].value, &t) < 0 ||
            !span_equal(span_of(t->name), rows->rows[i].field)) {
            AUTO_BUF struct buf name = {0};
            buf_add_printable(&name, rows->rows[i].field, TENANT_NAME_MAX);
            fprintf(stderr, "the record of %.*s cannot be read\n", SPAN_ARG(buf_span(&name)));
            unreadable++;
        } else {
            json_put(json, NULL, tenant_json(t, &uses[i]));
            add_row(grid, t, &uses[i]);
        }
        (void) tenant_unref(t); /* always NULL */
    }
    return unreadable;
}

static int list(struct table_link *l, bool is_json)
{
    struct table_rows rows = {0};
    struct grid grid;
    int status = table_link_list(l, TABLE_TENANTS, &rows);

    if (status != EXIT_OK)
        return status;
    struct tenant_use *uses = mem_array(rows.count + 1, sizeof *uses);
    struct span *names = mem_array(rows.count + 1, sizeof *names);
    for (size_t i = 0; i < rows.count; i++)
        names[i] = rows.rows[i].field;
    status = read_uses(l, names, rows.count, uses);
    if (status == EXIT_OK) {
        struct json *json = json_new_array();
        grid_init(&grid, "tenant|>jobs|>bytes|limits");
        if (tell_all(&rows, uses, json, &grid))
            status = EXIT_ASKED_FAILED;
        if (is_json)
            print_json(STEAL(json));
        else if (grid.rows)
            grid_print(&grid);
        else
            printf("no tenants\n");
        grid_done(&grid);
        (void) json_free(json); /* always NULL */
    }
    mem_free(names);
    mem_free(uses);
    table_rows_done(&rows);
    return status;
}

int verb_tenant_list(const struct arguments *a)
{
    struct table_link *l;
    int status = table_link_open(a, &l);

    if (status != EXIT_OK)
        return status;
    status = list(l, a->is_json);
    (void) table_link_close(l); /* always NULL */
    return status;
}
