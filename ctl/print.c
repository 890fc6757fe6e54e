/* Output for people. */
#include "ctl/print.h"

#include "base/mem.h"
#include "ctl/away.h"

enum { SAFE_MAX = 65536 };

void print_buf(const struct buf *b)
{
    if (b->len)
        (void) fwrite(b->data, 1, b->len, stdout); /* main() asks ferror() */
}

void print_json(struct json *json)
{
    AUTO_BUF struct buf out = {.data = NULL};

    away_put(json);
    json_print(json, &out);
    print_buf(&out);
    json_free(json);
}

void print_done(const char *what, const char *words, bool is_json)
{
    if (!is_json) {
        printf("%s%s%s\n", what, *what ? ": " : "", words);
        return;
    }
    struct json *json = json_new_object();
    json_put_flag(json, "done", true);
    json_put_text(json, "what", span_of(what));
    json_put_text(json, "text", span_of(words));
    print_json(json);
}

void print_page(const struct buf *b, bool is_json)
{
    if (!is_json) {
        print_buf(b);
        return;
    }
    struct json *json = json_new_object();
    json_put_text(json, "text", buf_span(b));
    print_json(json);
}

void print_safe(struct span s)
{
    AUTO_BUF struct buf out = {.data = NULL};

    buf_add_printable(&out, s, SAFE_MAX);
    print_buf(&out);
}

/* ---- grids */

static void end_cell(struct grid *t, size_t start)
{
    struct buf *column = &t->cells[t->at];
    size_t width = column->len - start;

    buf_add_char(column, '\0');
    if (width > t->widths[t->at])
        t->widths[t->at] = width;
    if (++t->at == t->columns) {
        t->at = 0;
        t->rows++;
    }
}

void grid_init(struct grid *t, const char *headings)
{
    struct span rest = span_of(headings);

    *t = (struct grid){.columns = 0};
    for (const char *p = headings; *p; p++)
        t->columns += *p == '|';
    t->columns++;
    must(t->columns <= GRID_COLUMNS_MAX);
    for (size_t i = 0; i < t->columns; i++) {
        struct span heading = span_cut(&rest, '|');
        t->is_right[t->at] = heading.len > 0 && *heading.at == '>';
        if (t->is_right[t->at])
            heading = (struct span){.at = heading.at + 1, .len = heading.len - 1};
        grid_cell_safe(t, heading);
    }
}

void grid_cell(struct grid *t, const char *format, ...)
{
    size_t start = t->cells[t->at].len;
    va_list args;

    va_start(args, format);
    buf_vprintf(&t->cells[t->at], format, args);
    va_end(args);
    end_cell(t, start);
}

void grid_cell_safe(struct grid *t, struct span text)
{
    size_t start = t->cells[t->at].len;

    buf_add_printable(&t->cells[t->at], text, SAFE_MAX);
    end_cell(t, start);
}

void grid_print(const struct grid *t)
{
    const char *at[GRID_COLUMNS_MAX];
    AUTO_BUF struct buf out = {.data = NULL};

    must(t->at == 0);
    for (size_t i = 0; i < t->columns; i++)
        at[i] = t->cells[i].data;
    for (size_t row = 0; row < t->rows; row++) {
        for (size_t i = 0; i < t->columns; i++) {
            bool is_last = i + 1 == t->columns;
            int width = (int) t->widths[i];
            if (t->is_right[i])
                buf_printf(&out, "%*s", width, at[i]);
            else
                buf_printf(&out, "%-*s", is_last ? 0 : width, at[i]);
            buf_add_text(&out, is_last ? "" : "  ");
            at[i] += strlen(at[i]) + 1;
        }
        while (out.len && out.data[out.len - 1] == ' ')
            out.len--;
        buf_add_char(&out, '\n');
    }
    print_buf(&out);
}

void grid_done(struct grid *t)
{
    for (size_t i = 0; i < t->columns; i++)
        buf_done(&t->cells[i]);
}

/* ---- numbers in words */

void add_duration(struct buf *out, uint64_t ms)
{
    static const struct {
        const char *unit;
        uint64_t ms, least_ms;
    } units[] = {
        {"d", 86400000, 172800000}, {"h", 3600000, 7200000}, {"min", 60000, 120000}, {"s", 1000, 10000}};

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (ms >= units[i].least_ms) {
            buf_printf(out, "%llu %s", (unsigned long long) (ms / units[i].ms), units[i].unit);
            return;
        }
    }
    buf_printf(out, "%llu.%llu s", (unsigned long long) (ms / 1000), (unsigned long long) (ms % 1000 / 100));
}

void add_bytes(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double) bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        buf_printf(out, "%llu B", (unsigned long long) bytes);
        return;
    }
    while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    buf_printf(out, "%.1f %s", value, units[unit]);
}

uint64_t later_by(uint64_t when_ms, uint64_t now_ms)
{
    return when_ms > now_ms ? when_ms - now_ms : 0;
}
