/* One value of each type of setting. */
#include "base/conf_row.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, as printed. */
static const struct unit size_units[] = {{"TiB", UINT64_C(1) << 40},
                                         {"GiB", UINT64_C(1) << 30},
                                         {"MiB", UINT64_C(1) << 20},
                                         {"KiB", UINT64_C(1) << 10},
                                         {"B", 1},
                                         {NULL, 0}};
static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000},
                                         {"s", 1000},     {"ms", 1},      {NULL, 0}};

static void *field_of(const void *holder, const struct conf_row *row)
{
    return (char *) holder + row->offset;
}

/* A number with one of the units; without one only 0. */
static int parse_with_unit(struct span text, const struct unit *units, uint64_t *ret_value)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    int r = span_number((struct span){.at = text.at, .len = digits}, UINT64_MAX, &number);
    if (r < 0)
        return r;
    struct span unit = {.at = text.at + digits, .len = text.len - digits};
    if (!unit.len && number == 0) {
        *ret_value = 0;
        return 0;
    }
    for (; units->name; units++)
        if (span_equal(unit, span_of(units->name)))
            return __builtin_mul_overflow(number, units->factor, ret_value) ? -ERANGE : 0;
    return -EINVAL;
}

static int parse_number(enum conf_type type, struct span text, uint64_t *ret_value)
{
    switch (type) {
    case CONF_SIZE: return parse_with_unit(text, size_units, ret_value);
    case CONF_TIME: return parse_with_unit(text, time_units, ret_value);
    default: return span_number(text, UINT64_MAX, ret_value);
    }
}

int conf_parse_time(struct span text, uint64_t *ret_ms)
{
    return parse_with_unit(text, time_units, ret_ms) < 0 ? -EINVAL : 0;
}

int conf_parse_size(struct span text, uint64_t *ret_bytes)
{
    return parse_with_unit(text, size_units, ret_bytes) < 0 ? -EINVAL : 0;
}

static int parse_in_range(const struct conf_row *row, struct span text, uint64_t *ret_value)
{
    uint64_t value, low = 0, high = UINT64_MAX;

    int r = parse_number(row->type, text, &value);
    if (r < 0)
        return r;
    must(!*row->low || parse_number(row->type, span_of(row->low), &low) == 0);
    must(!*row->high || parse_number(row->type, span_of(row->high), &high) == 0);
    if (value < low || value > high)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

static int parse_flag(struct span text, bool *ret_value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"yes", true}, {"true", true},   {"on", true},
                 {"no", false}, {"false", false}, {"off", false}};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_equal_nocase(text, span_of(words[i].word))) {
            *ret_value = words[i].value;
            return 0;
        }
    return -EINVAL;
}

static int parse_choice(const struct conf_row *row, struct span text, unsigned *ret_value)
{
    struct span rest = span_of(row->low);

    for (unsigned index = 0; rest.len; index++) {
        struct span word = span_cut(&rest, ' ');
        if (span_equal(word, text)) {
            *ret_value = index;
            return 0;
        }
    }
    return -EINVAL;
}

/* Printable UTF-8: other bytes have no business in a setting; they would end up in headers, replies and a printed file. */
static bool is_clean(struct span s)
{
    for (size_t i = 0; i < s.len;) {
        struct span rest = {.at = s.at + i, .len = s.len - i};
        size_t len = (s.at[i] & 0x80) ? span_utf8_len(rest) : s.at[i] >= ' ' && s.at[i] != 0x7f;
        if (!len)
            return false;
        i += len;
    }
    return true;
}

static int set_text(char **field, struct span text)
{
    if (!is_clean(text) || text.len > CONF_VALUE_MAX)
        return -EINVAL;
    mem_free(*field);
    *field = mem_text(text.at, text.len);
    return 0;
}

static void append_item(struct conf_list *list, struct span value)
{
    list->items = mem_resize(list->items, (list->count + 1) * sizeof(*list->items));
    list->items[list->count++] = mem_text(value.at, value.len);
}

static void append_pair(struct conf_map *map, struct span key, struct span value)
{
    map->keys = mem_resize(map->keys, (map->count + 1) * sizeof(*map->keys));
    map->values = mem_resize(map->values, (map->count + 1) * sizeof(*map->values));
    map->keys[map->count] = mem_text(key.at, key.len);
    map->values[map->count++] = mem_text(value.at, value.len);
}

int conf_value_add(void *holder, const struct conf_row *row, struct span key, struct span value)
{
    if (!is_clean(key) || !is_clean(value) || value.len > CONF_VALUE_MAX || key.len > CONF_VALUE_MAX)
        return -EINVAL;
    if (row->type == CONF_LIST) {
        if (!value.len)
            return -EINVAL;
        append_item(field_of(holder, row), value);
        return 0;
    }
    must(row->type == CONF_MAP);
    struct conf_map *map = field_of(holder, row);
    if (!key.len)
        return -EINVAL;
    for (size_t i = 0; i < map->count; i++)
        if (span_equal(span_of(map->keys[i]), key))
            return -EEXIST;
    append_pair(map, key, value);
    return 0;
}

static int add_items(void *holder, const struct conf_row *row, struct span text)
{
    bool is_map = row->type == CONF_MAP;
    struct span rest = span_trim(text);

    while (rest.len) {
        struct span key = {.at = NULL}, value = span_trim(span_cut(&rest, is_map ? ';' : ','));
        if (is_map) {
            if (!value.len)
                continue; /* a last semicolon */
            if (!memchr(value.at, '=', value.len))
                return -EINVAL;
            key = span_trim(span_cut(&value, '='));
            value = span_trim(value);
        }
        int r = conf_value_add(holder, row, key, value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_items(void *holder, const struct conf_row *row, struct span text)
{
    void *fresh = mem_alloc(row->section->size);
    int r = add_items(fresh, row, text);

    if (r == 0)
        conf_value_copy(holder, fresh, row);
    conf_value_clear(fresh, row);
    mem_free(fresh);
    return r;
}

int conf_value_set(void *holder, const struct conf_row *row, struct span text)
{
    void *field = field_of(holder, row);

    switch (row->type) {
    case CONF_TEXT:
    case CONF_FILE: return set_text(field, text);
    case CONF_NUMBER:
    case CONF_SIZE:
    case CONF_TIME: return parse_in_range(conf_row_facts(row), text, field);
    case CONF_FLAG: return parse_flag(text, field);
    case CONF_CHOICE: return parse_choice(conf_row_facts(row), text, field);
    case CONF_LIST:
    case CONF_MAP: return set_items(holder, row, text);
    }
    return -EINVAL;
}

static void free_all(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(texts[i]);
    mem_free(texts);
}

void conf_value_clear(void *holder, const struct conf_row *row)
{
    void *field = field_of(holder, row);

    switch (row->type) {
    case CONF_FILE:
        if (*(char **) field)
            explicit_bzero(*(char **) field, strlen(*(char **) field));
        /* fall through */
    case CONF_TEXT: *(char **) field = mem_free(*(char **) field); return;
    case CONF_NUMBER:
    case CONF_SIZE:
    case CONF_TIME: *(uint64_t *) field = 0; return;
    case CONF_FLAG: *(bool *) field = false; return;
    case CONF_CHOICE: *(unsigned *) field = 0; return;
    case CONF_LIST: {
        struct conf_list *list = field;
        free_all(list->items, list->count);
        *list = (struct conf_list){.count = 0};
        return;
    }
    case CONF_MAP: {
        struct conf_map *map = field;
        free_all(map->keys, map->count);
        free_all(map->values, map->count);
        *map = (struct conf_map){.count = 0};
        return;
    }
    }
}

void conf_value_copy(void *to, const void *from, const struct conf_row *row)
{
    conf_value_take(to, row, from, row);
}

void conf_value_take(void *to, const struct conf_row *row, const void *from, const struct conf_row *from_row)
{
    const void *source = field_of(from, from_row);

    must(row->type == from_row->type);
    conf_value_clear(to, row);
    void *field = field_of(to, row);
    switch (row->type) {
    case CONF_TEXT:
    case CONF_FILE: *(char **) field = mem_string(*(char *const *) source); return;
    case CONF_NUMBER:
    case CONF_SIZE:
    case CONF_TIME: *(uint64_t *) field = *(const uint64_t *) source; return;
    case CONF_FLAG: *(bool *) field = *(const bool *) source; return;
    case CONF_CHOICE: *(unsigned *) field = *(const unsigned *) source; return;
    case CONF_LIST: {
        const struct conf_list *list = source;
        for (size_t i = 0; i < list->count; i++)
            append_item(field, span_of(list->items[i]));
        return;
    }
    case CONF_MAP: {
        const struct conf_map *map = source;
        for (size_t i = 0; i < map->count; i++)
            append_pair(field, span_of(map->keys[i]), span_of(map->values[i]));
        return;
    }
    }
}

static bool texts_equal(char *const *a, char *const *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

bool conf_value_equal(const void *a, const void *b, const struct conf_row *row)
{
    const void *left = field_of(a, row), *right = field_of(b, row);

    switch (row->type) {
    case CONF_TEXT:
    case CONF_FILE: return strcmp(*(char *const *) left, *(char *const *) right) == 0;
    case CONF_NUMBER:
    case CONF_SIZE:
    case CONF_TIME: return *(const uint64_t *) left == *(const uint64_t *) right;
    case CONF_FLAG: return *(const bool *) left == *(const bool *) right;
    case CONF_CHOICE: return *(const unsigned *) left == *(const unsigned *) right;
    case CONF_LIST: {
        const struct conf_list *x = left, *y = right;
        return x->count == y->count && texts_equal(x->items, y->items, x->count);
    }
    case CONF_MAP: {
        const struct conf_map *x = left, *y = right;
        return x->count == y->count && texts_equal(x->keys, y->keys, x->count) &&
               texts_equal(x->values, y->values, x->count);
    }
    }
    return false;
}

static void print_with_unit(uint64_t value, const struct unit *units, struct buf *out)
{
    const struct unit *last = units;

    while (last[1].name)
        last++;
    while (units != last && (value == 0 || value % units->factor != 0))
        units++;
    buf_add_number(out, value / units->factor);
    buf_add_text(out, units->name);
}

void conf_add_quoted(struct buf *out, struct span text)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"' || text.at[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, text.at[i]);
    }
    buf_add_char(out, '"');
}

static void print_choice(const struct conf_row *row, unsigned index, struct buf *out)
{
    struct span rest = span_of(row->low), word = {.at = NULL};

    for (unsigned i = 0; i <= index; i++)
        word = span_cut(&rest, ' ');
    buf_add_span(out, word);
}

void conf_value_print(const void *holder, const struct conf_row *row, struct buf *out)
{
    const void *field = field_of(holder, row);

    switch (row->type) {
    case CONF_TEXT: conf_add_quoted(out, span_of(*(char *const *) field)); return;
    case CONF_FILE: buf_add_text(out, **(char *const *) field ? "\"(set)\"" : "\"\""); return;
    case CONF_NUMBER: buf_add_number(out, *(const uint64_t *) field); return;
    case CONF_SIZE: print_with_unit(*(const uint64_t *) field, size_units, out); return;
    case CONF_TIME: print_with_unit(*(const uint64_t *) field, time_units, out); return;
    case CONF_FLAG: buf_add_text(out, *(const bool *) field ? "yes" : "no"); return;
    case CONF_CHOICE: print_choice(conf_row_facts(row), *(const unsigned *) field, out); return;
    case CONF_LIST: {
        const struct conf_list *list = field;
        buf_add_char(out, '[');
        for (size_t i = 0; i < list->count; i++) {
            buf_add_text(out, i ? ", " : "");
            conf_add_quoted(out, span_of(list->items[i]));
        }
        buf_add_char(out, ']');
        return;
    }
    case CONF_MAP: {
        const struct conf_map *map = field;
        buf_add_char(out, '{');
        for (size_t i = 0; i < map->count; i++) {
            buf_add_text(out, i ? ", " : "");
            conf_add_quoted(out, span_of(map->keys[i]));
            buf_add_text(out, ": ");
            conf_add_quoted(out, span_of(map->values[i]));
        }
        buf_add_char(out, '}');
        return;
    }
    }
}
