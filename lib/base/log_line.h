/*
 * Does: formats one log line, as key=value text or as a JSON object.
 * Does not: write it (log.c).
 * Owns: nothing; appends to the caller's buffer.
 * Fails: never; what is not printable UTF-8 is escaped, so a value can neither end its line nor pretend to be another field (BEHAVIOURS M09).
 */
#pragma once

#include "base/log.h"

struct log_line {
    uint64_t wall_ms;
    const char *level;
    const char *event;
    const char *node; /* NULL: left out */
    const struct log_field *fields;
    size_t count;
};

/* 2026-11-22T07:15:45.123Z info event=accepted node=a key=value other="two words" */
void log_line_text(struct buf *out, const struct log_line *line);
/* {"time":"...","level":"info","event":"accepted","node":"a","key":"value"} */
void log_line_json(struct buf *out, const struct log_line *line);
