/*
 * Does: output for people: aligned grids, spans of time and sizes in words; and whole buffers to standard output.
 * Does not: decide what is worth printing.
 * Owns: a grid's cells until grid_done().
 * Fails: never; main() asks at the end whether standard output took it all.
 */
#pragma once

#include "base/buf.h"
#include "io/json.h"

void print_buf(const struct buf *b);
void print_json(struct json *json); /* and frees it */
/* What was done to whom ("": to nobody in particular): "NAME: words", or {"done": true, "what": NAME, "text": words}. */
void print_done(const char *what, const char *words, bool is_json);
void print_page(const struct buf *b, bool is_json); /* a whole page: as it is, or as {"text": ...} */
/* Text of others to a terminal: control bytes and bytes above 0x7e as \xHH. */
void print_safe(struct span s);

enum { GRID_COLUMNS_MAX = 12 };
struct grid {
    struct buf cells[GRID_COLUMNS_MAX]; /* of a column, each ended by NUL */
    size_t widths[GRID_COLUMNS_MAX];
    size_t columns, rows, at;
    bool is_right[GRID_COLUMNS_MAX]; /* numbers: aligned right */
};
/* Headings separated by '|', one that begins with '>' is of numbers: "queue|>waiting|error". */
void grid_init(struct grid *t, const char *headings);
void grid_cell(struct grid *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void grid_cell_safe(struct grid *t, struct span text);
void grid_print(const struct grid *t); /* the row under way must be whole */
void grid_done(struct grid *t);

void add_duration(struct buf *out, uint64_t ms);      /* "0.4 s", "12 s", "5 min", "3 h", "2 d" */
void add_bytes(struct buf *out, uint64_t bytes);      /* "812 B", "4.0 KiB", "1.2 GiB" */
uint64_t later_by(uint64_t when_ms, uint64_t now_ms); /* 0: it is over */
