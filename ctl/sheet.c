/* A table as top shows it. */
#include "ctl/sheet.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/print.h"

enum { CELL_WORDS_MAX = 60, HEAD_MAX = 40 };

void sheet_init(struct sheet *s, const char *name, const char *headings)
{
    struct span rest = span_of(headings);

    *s = (struct sheet){.name = name};
    while (rest.len) {
        struct span head = span_cut(&rest, '|');
        must(s->columns < SHEET_COLUMNS_MAX && head.len > 0);
        if (head.at[0] == '>') {
            s->is_right[s->columns] = true;
            head.at++;
            head.len--;
        }
        s->heads[s->columns++] = head;
    }
}

static void add_cell(struct sheet *s, char *text, double number, bool is_number)
{
    size_t used = s->rows * s->columns + s->at;

    if (used == s->room) {
        s->room = s->room ? 2 * s->room : 256;
        s->cells = mem_resize(s->cells, s->room * sizeof(*s->cells));
    }
    s->cells[used] = (struct sheet_cell){text, number, is_number};
    if (++s->at == s->columns) {
        s->at = 0;
        s->rows++;
    }
}

void sheet_text(struct sheet *s, struct span text)
{
    struct buf out = {.data = NULL};

    buf_add_printable(&out, text, CELL_WORDS_MAX);
    add_cell(s, buf_steal_text(&out), 0, false);
}

void sheet_count(struct sheet *s, uint64_t number)
{
    add_cell(s, mem_format("%llu", (unsigned long long) number), (double) number, true);
}

void sheet_rate(struct sheet *s, double a_second)
{
    add_cell(s, mem_format("%.1f", a_second), a_second, true);
}

void sheet_time(struct sheet *s, uint64_t ms, bool is_known)
{
    struct buf out = {.data = NULL};

    if (is_known)
        add_duration(&out, ms);
    add_cell(s, buf_steal_text(&out), is_known ? (double) ms : -1, true);
}

/* ---- order ---- */

static int compare_cells(const struct sheet_cell *a, const struct sheet_cell *b)
{
    if (a->is_number && b->is_number)
        return (a->number < b->number) - (a->number > b->number);
    return strcmp(a->text, b->text);
}

struct order {
    size_t columns, column;
    bool is_turned;
};

/* Rows that are equal there stand by their first cells, so that they do not jump. */
static int compare_rows(const void *left, const void *right, void *context)
{
    const struct sheet_cell *a = left, *b = right;
    const struct order *o = context;
    int order = compare_cells(&a[o->column], &b[o->column]);

    if (o->is_turned)
        order = -order;
    for (size_t i = 0; order == 0 && i < o->columns; i++)
        order = compare_cells(&a[i], &b[i]);
    return order;
}

void sheet_sort(struct sheet *s, size_t column, bool is_turned)
{
    struct order o = {s->columns, column, is_turned};

    must(column < s->columns && s->at == 0);
    if (s->rows > 0)
        qsort_r(s->cells, s->rows, s->columns * sizeof(*s->cells), compare_rows, &o);
}

/* ---- shown ---- */

static size_t width_of(const struct sheet *s, size_t column)
{
    size_t width = s->heads[column].len + 1; /* room for the mark */

    for (size_t row = 0; row < s->rows; row++) {
        size_t len = strlen(s->cells[row * s->columns + column].text);
        if (len > width)
            width = len;
    }
    return width;
}

static void end_line(struct buf *out)
{
    while (out->len && out->data[out->len - 1] == ' ')
        out->len--;
    buf_add_char(out, '\n');
}

static void add_aligned(const struct sheet *s, size_t column, struct span text, struct buf *out)
{
    int width = (int) width_of(s, column);

    buf_printf(out, s->is_right[column] ? "%*.*s" : "%-*.*s", width, SPAN_ARG(text));
    buf_add_text(out, "  ");
}

void sheet_add_head(const struct sheet *s, size_t sorted, struct buf *out)
{
    for (size_t i = 0; i < s->columns; i++) {
        AUTO_BUF struct buf head = {.data = NULL};
        buf_printf(&head, "%.*s%s", SPAN_ARG(s->heads[i]), i == sorted ? "*" : "");
        add_aligned(s, i, buf_span(&head), out);
    }
    end_line(out);
}

void sheet_add_rows(const struct sheet *s, size_t first, size_t count, struct buf *out)
{
    for (size_t row = first; row < s->rows && row < first + count; row++) {
        for (size_t i = 0; i < s->columns; i++)
            add_aligned(s, i, span_of(s->cells[row * s->columns + i].text), out);
        end_line(out);
    }
}

struct json *sheet_json(const struct sheet *s)
{
    struct json *list = json_new_array();

    for (size_t row = 0; row < s->rows; row++) {
        struct json *one = json_new_object();
        for (size_t i = 0; i < s->columns; i++) {
            const struct sheet_cell *cell = &s->cells[row * s->columns + i];
            char key[HEAD_MAX + 1];
            size_t len = s->heads[i].len < HEAD_MAX ? s->heads[i].len : HEAD_MAX;
            for (size_t c = 0; c < len; c++)
                key[c] = s->heads[i].at[c] == ' ' || s->heads[i].at[c] == '/' ? '_' : s->heads[i].at[c];
            key[len] = '\0';
            if (!cell->is_number)
                json_put_text(one, key, span_of(cell->text));
            else if (!*cell->text)
                json_put_null(one, key);
            else
                json_put_real(one, key, cell->number);
        }
        json_put(list, NULL, one);
    }
    return list;
}

void sheet_done(struct sheet *s)
{
    for (size_t i = 0; i < s->rows * s->columns + s->at; i++)
        mem_free(s->cells[i].text);
    mem_free(s->cells);
    *s = (struct sheet){.name = NULL};
}
