/*
 * Does: a table that is sorted by any of its columns and shown from any row on: as lines of text, or as JSON.
 * Does not: draw (screen.h, print.h).
 * Owns: its cells, until sheet_done().
 * Fails: never.
 */
#pragma once

#include "base/buf.h"
#include "io/json.h"

enum { SHEET_COLUMNS_MAX = 12 };

struct sheet_cell {
    char *text; /* as shown, printable */
    double number;
    bool is_number; /* sorted by it, largest first; else by text */
};
struct sheet {
    const char *name;
    struct span heads[SHEET_COLUMNS_MAX];
    bool is_right[SHEET_COLUMNS_MAX];
    size_t columns, rows, at; /* at: cells of the row under way */
    struct sheet_cell *cells; /* row by row */
    size_t room;
};
/* Headings as of a grid (print.h): "queue|>waiting". Borrowed. */
void sheet_init(struct sheet *s, const char *name, const char *headings);
void sheet_text(struct sheet *s, struct span text); /* of others: made printable */
void sheet_count(struct sheet *s, uint64_t number);
void sheet_rate(struct sheet *s, double a_second);
void sheet_time(struct sheet *s, uint64_t ms, bool is_known); /* not known: empty, and sorted last */
void sheet_sort(struct sheet *s, size_t column, bool is_turned);
/* The headings, with a mark at the column sorted by (SIZE_MAX: none), then each row: lines that end with a newline. */
void sheet_add_head(const struct sheet *s, size_t sorted, struct buf *out);
void sheet_add_rows(const struct sheet *s, size_t first, size_t count, struct buf *out);
/* [{"queue": "example.com", "waiting": 3}]: spaces of headings become _. */
struct json *sheet_json(const struct sheet *s);
void sheet_done(struct sheet *s);
