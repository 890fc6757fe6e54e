/* alias and recipient: the address tables in Redis. */
#include "base/mem.h"
#include "cluster/address_text.h"
#include "ctl/order.h"
#include "ctl/print.h"
#include "ctl/table_plan.h"

/* ---- operands */

/* The normalised key of an operand. EXIT_OK, or EXIT_BAD_USAGE and said. */
static int key_of(const char *operand, struct buf *ret_key)
{
    buf_clear(ret_key);
    if (address_key(span_of(operand), ret_key) == 0)
        return EXIT_OK;
    return say_usage("%s: expected an address, or @domain", operand);
}

/* What is there now: a row of `rows`, to which it is added; NULL at: nothing. */
static int read_row(struct table_link *l, enum table table, struct span key, struct table_rows *rows,
                    struct span *ret_value)
{
    AUTO_BUF struct buf value = {.data = NULL};
    enum table_answer answer = table_link_get(l, table, key, &value);

    if (answer == TABLE_UNKNOWN)
        return say_failed("the table of %s cannot be read: Redis does not answer, or its key is not a hash",
                          table_name(table));
    table_rows_add(rows, key, buf_span(&value));
    *ret_value = answer == TABLE_OK ? rows->rows[rows->count - 1].value : (struct span){.at = NULL};
    return EXIT_OK;
}

static int begin(const struct arguments *a, struct table_link **ret_link)
{
    int status = order_check_consent(a);

    return status == EXIT_OK ? table_link_open(a, ret_link) : status;
}

/* ---- showing */

static bool is_matched(const struct table_row *row, const char *match)
{
    struct span words = span_of(match);

    if (!match)
        return true;
    for (struct span at = row->field; at.len >= words.len; at.at++, at.len--)
        if (span_starts_nocase(at, words))
            return true;
    for (struct span at = row->value; at.len >= words.len; at.at++, at.len--)
        if (span_starts_nocase(at, words))
            return true;
    return false;
}

static void put_targets(struct json *json, struct span value)
{
    struct json *targets = json_new_array();
    struct span one;

    while (address_next(&value, &one))
        json_put_text(targets, NULL, one);
    json_put(json, "targets", targets);
}

static void add_row_json(struct json *list, enum table table, const struct table_row *row)
{
    struct json *json = json_new_object();

    json_put_text(json, "address", row->field);
    if (table == TABLE_ALIASES)
        put_targets(json, row->value);
    else
        json_put_text(json, "known", row->value);
    json_put(list, NULL, json);
}

static struct span in_words(enum table table, struct span value)
{
    if (table == TABLE_ALIASES)
        return value;
    if (span_equal(value, SPAN(RECIPIENT_KNOWN)))
        return SPAN("known");
    if (span_equal(value, SPAN(RECIPIENT_ALL)))
        return SPAN("all of the domain are");
    if (span_equal(value, SPAN(RECIPIENT_LISTED)))
        return SPAN("only those listed are");
    return value;
}

static void print_rows(const struct arguments *a, enum table table, const struct table_rows *rows)
{
    const char *match = argument_text(a, "match", NULL);
    struct json *list = json_new_array();
    struct grid grid;

    grid_init(&grid, table == TABLE_ALIASES ? "address|stands for" : "address|known");
    for (size_t i = 0; i < rows->count; i++) {
        if (!is_matched(&rows->rows[i], match))
            continue;
        if (a->is_json) {
            add_row_json(list, table, &rows->rows[i]);
        } else {
            grid_cell_safe(&grid, rows->rows[i].field);
            grid_cell_safe(&grid, in_words(table, rows->rows[i].value));
        }
    }
    if (a->is_json)
        print_json(list);
    else
        json_free(list);
    if (!a->is_json && grid.rows > 0)
        grid_print(&grid);
    else if (!a->is_json)
        printf("none\n");
    grid_done(&grid);
}

static int list(const struct arguments *a, enum table table)
{
    struct table_link *l;
    struct table_rows rows;
    int status = table_link_open(a, &l);

    if (status != EXIT_OK)
        return status;
    status = table_link_list(l, table, &rows);
    if (status == EXIT_OK)
        print_rows(a, table, &rows);
    table_rows_done(&rows);
    table_link_close(l);
    return status;
}

int verb_alias_list(const struct arguments *a)
{
    return list(a, TABLE_ALIASES);
}

int verb_recipient_list(const struct arguments *a)
{
    return list(a, TABLE_RECIPIENTS);
}

int verb_alias_show(const struct arguments *a)
{
    AUTO_BUF struct buf key = {.data = NULL};
    struct table_rows rows = {.rows = NULL};
    struct table_link *l;
    struct span value;
    int status = key_of(a->operands[0], &key);

    if (status == EXIT_OK)
        status = table_link_open(a, &l);
    if (status != EXIT_OK)
        return status;
    status = read_row(l, TABLE_ALIASES, buf_span(&key), &rows, &value);
    if (status == EXIT_OK && !value.at)
        status = say_failed("%s has no alias in Redis", a->operands[0]);
    else if (status == EXIT_OK)
        print_rows(a, TABLE_ALIASES, &rows);
    table_rows_done(&rows);
    table_link_close(l);
    return status;
}

/* ---- some rows, by hand */

int verb_alias_set(const struct arguments *a)
{
    AUTO_BUF struct buf key = {.data = NULL}, given = {.data = NULL}, value = {.data = NULL};
    struct table_plan plan = {.table = TABLE_ALIASES};
    struct table_rows rows = {.rows = NULL};
    struct table_link *l;
    struct span before;
    int status = key_of(a->operands[0], &key);

    for (size_t i = 1; i < a->operand_count; i++)
        buf_printf(&given, "%s%s", i > 1 ? "," : "", a->operands[i]);
    if (status == EXIT_OK && address_value(buf_span(&given), buf_span(&key), ADDRESS_LIST, &value) < 0)
        status = say_usage("%.*s: expected addresses, or @domain for an alias of @domain",
                           SPAN_ARG(buf_span(&given)));
    if (status == EXIT_OK)
        status = begin(a, &l);
    if (status != EXIT_OK)
        return status;
    status = read_row(l, TABLE_ALIASES, buf_span(&key), &rows, &before);
    if (status == EXIT_OK) {
        plan_add(&plan, buf_span(&key), before, buf_span(&value));
        status = plan_run(a, l, &plan);
    }
    plan_done(&plan);
    table_rows_done(&rows);
    table_link_close(l);
    return status;
}

/* Plans what becomes of each operand; a recipient that is added makes its domain one of which only those listed are known. */
static int plan_operand(struct table_link *l, struct table_plan *p, struct table_rows *rows, struct span key,
                        bool is_added)
{
    struct span before, domain = address_domain(key), after = {.at = NULL};

    if (plan_has(p, key))
        return EXIT_OK; /* given twice */
    int status = read_row(l, p->table, key, rows, &before);
    if (status != EXIT_OK)
        return status;
    struct span kept = rows->rows[rows->count - 1].field;
    if (is_added)
        after = key.at[0] == '@' ? SPAN(RECIPIENT_ALL) : SPAN(RECIPIENT_KNOWN);
    if (before.at || is_added)
        plan_add(p, kept, before, after);
    else
        return say_failed("%.*s is not there", SPAN_ARG(key));
    if (!is_added || domain.len == key.len || plan_has(p, domain))
        return EXIT_OK;
    status = read_row(l, p->table, domain, rows, &before);
    if (status == EXIT_OK && !before.at)
        plan_add(p, rows->rows[rows->count - 1].field, before, SPAN(RECIPIENT_LISTED));
    return status;
}

static int change(const struct arguments *a, enum table table, bool is_added)
{
    struct table_plan plan = {.table = table};
    struct table_rows rows = {.rows = NULL};
    AUTO_BUF struct buf key = {.data = NULL};
    struct table_link *l;
    int status = EXIT_OK;

    for (size_t i = 0; i < a->operand_count && status == EXIT_OK; i++)
        status = key_of(a->operands[i], &key);
    if (status == EXIT_OK)
        status = begin(a, &l);
    if (status != EXIT_OK)
        return status;
    for (size_t i = 0; i < a->operand_count && status == EXIT_OK; i++) {
        status = key_of(a->operands[i], &key);
        if (status == EXIT_OK)
            status = plan_operand(l, &plan, &rows, buf_span(&key), is_added);
    }
    if (status == EXIT_OK)
        status = plan_run(a, l, &plan);
    plan_done(&plan);
    table_rows_done(&rows);
    table_link_close(l);
    return status;
}

int verb_alias_rm(const struct arguments *a)
{
    return change(a, TABLE_ALIASES, false);
}

int verb_recipient_add(const struct arguments *a)
{
    return change(a, TABLE_RECIPIENTS, true);
}

int verb_recipient_rm(const struct arguments *a)
{
    return change(a, TABLE_RECIPIENTS, false);
}
