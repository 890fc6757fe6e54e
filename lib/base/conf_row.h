/*
 * Does: the rows of conf.def as data, and one value of each type: parse, check, copy, free, print. For the conf_*.c files only.
 * Does not: know files, environment or snapshots in force (conf.c).
 * Owns: nothing; values belong to their struct conf.
 * Fails: -EINVAL: the text is not of the type; -ERANGE: outside the row's range. The value is untouched then.
 */
#pragma once

#include "base/conf.h"

enum conf_type {
    CONF_TEXT,
    CONF_FILE,
    CONF_NUMBER,
    CONF_SIZE,
    CONF_TIME,
    CONF_FLAG,
    CONF_CHOICE,
    CONF_LIST,
    CONF_MAP
};

struct conf_row {
    const char *section;
    const char *name;
    const char *path; /* section.name */
    enum conf_type type;
    const char *initial;
    const char *low, *high; /* of CHOICE: low holds the words */
    bool is_live;
    const char *help;
    size_t offset; /* of the field in struct conf */
};

struct conf_section {
    const char *name;
    const char *help;
};

extern const struct conf_row conf_rows[];
extern const size_t conf_row_count;
extern const struct conf_section conf_sections[];
extern const size_t conf_section_count;

/* The longest text taken for one value, or for a secret's file. */
enum { CONF_VALUE_MAX = 65536 };

const struct conf_row *conf_row_find(const char *path); /* NULL: no such setting */
/* From text as in the environment or conf.def: a list separated by commas, a map as key=value;key=value. Replaces the field's value. */
int conf_value_set(struct conf *c, const struct conf_row *row, struct span text);
/* One more item of a list or map. -EEXIST: the map has the key. */
int conf_value_add(struct conf *c, const struct conf_row *row, struct span key, struct span value);
void conf_value_clear(struct conf *c, const struct conf_row *row); /* frees; empty or zero */
void conf_value_copy(struct conf *to, const struct conf *from, const struct conf_row *row);
bool conf_value_equal(const struct conf *a, const struct conf *b, const struct conf_row *row);
/* As YAML on one line (lists [..], maps {..}); secrets as "(set)". */
void conf_value_print(const struct conf *c, const struct conf_row *row, struct buf *out);
/* What is expected, as a noun phrase: "a size from 64KiB to 2GiB". */
void conf_row_expected(const struct conf_row *row, struct buf *out);
void conf_add_quoted(struct buf *out, struct span text); /* a double-quoted YAML scalar */
