/* Reads settings: defaults, then the file, then the environment. The first fault ends it with a sentence for the operator. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/conf_row.h"
#include "base/mem.h"

extern char **environ;

/* Variables with our prefix that are no settings: of the programs, and of the test harness. */
static const char *const other_variables[] = {
    "BARID_CONFIG", "BARID_BUILD",     "BARID_PEERS",      "BARID_SCRATCH",
#ifdef FAULTS /* the test build only: base/fault.h */
    "BARID_FAULT",  "BARID_FAULT_DIR", "BARID_FAULT_SEED",
#endif
};

enum { SHOWN_MAX = 200, HINT_MAX_LEN = 63 };

/* A fault's place: file and line, or a variable. */
struct place {
    const char *file;
    unsigned line;
    const char *variable;
};

static int fault(const struct place *at, const char *path, char **ret_error, struct buf *what)
{
    struct buf text = {.data = NULL};

    if (at->variable) {
        buf_add_text(&text, at->variable);
    } else {
        buf_printf(&text, "%s:%u: ", at->file, at->line);
        buf_add_printable(&text, span_of(path), SHOWN_MAX); /* as written, if it is no setting */
    }
    buf_add_text(&text, ": ");
    buf_add_span(&text, buf_span(what));
    buf_done(what);
    *ret_error = buf_steal_text(&text);
    return -EINVAL;
}

static int fault_text(const struct place *at, const char *path, char **ret_error, const char *what)
{
    struct buf text = {.data = NULL};
    buf_add_text(&text, what);
    return fault(at, path, ret_error, &text);
}

/* got: NULL when what was found is no text at all (then `instead` names it). */
static int fault_expected(const struct place *at, const struct conf_row *row, char **ret_error,
                          struct span got, const char *instead)
{
    struct buf what = {.data = NULL};

    buf_add_text(&what, "expected ");
    conf_row_expected(row, &what);
    buf_add_text(&what, ", got ");
    if (instead) {
        buf_add_text(&what, instead);
    } else if (row->type == CONF_FILE) {
        buf_add_text(&what, "something else"); /* a secret is not repeated */
    } else {
        buf_add_char(&what, '"');
        buf_add_printable(&what, got, SHOWN_MAX);
        buf_add_char(&what, '"');
    }
    return fault(at, row->path, ret_error, &what);
}

/* Edits that turn a into b (Levenshtein), case ignored; both at most HINT_MAX_LEN long. */
static size_t distance(const char *a, const char *b)
{
    size_t row[HINT_MAX_LEN + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 0; i < a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_len; j++) {
            bool is_same = span_equal_nocase((struct span){.at = a + i, .len = 1},
                                             (struct span){.at = b + j, .len = 1});
            size_t best = diagonal + !is_same;
            diagonal = row[j + 1];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j + 1] + 1 < best)
                best = row[j + 1] + 1;
            row[j + 1] = best;
        }
    }
    return row[b_len];
}

/* Adds "; did you mean X?" when a setting's name (in the form made by `form`) is near enough. */
static void add_hint(struct buf *what, const char *name, char *(*form)(const struct conf_row *row))
{
    char *best = NULL;
    size_t best_distance = strlen(name) / 3 + 1;

    if (strlen(name) > HINT_MAX_LEN)
        return;
    for (size_t i = 0; i < conf_row_count; i++) {
        char *candidate = form(&conf_rows[i]);
        size_t d = strlen(candidate) <= HINT_MAX_LEN ? distance(name, candidate) : SIZE_MAX;
        if (d < best_distance) {
            best_distance = d;
            mem_free(best);
            best = STEAL(candidate);
        }
        mem_free(candidate);
    }
    if (best)
        buf_printf(what, "; did you mean %s?", best);
    mem_free(best);
}

static char *form_path(const struct conf_row *row)
{
    return mem_string(row->path);
}

static char *form_variable(const struct conf_row *row)
{
    char *text = mem_format("BARID_%s_%s", row->section, row->name);
    for (char *p = text; *p; p++)
        if (*p >= 'a' && *p <= 'z')
            *p = (char) (*p - 'a' + 'A');
    return text;
}

/* The row of a path or, with *ret_is_file, the secret's row whose `<path>_file` it is. */
static const struct conf_row *find_row(const char *path, bool *ret_is_file)
{
    static const char suffix[] = "_file";
    const struct conf_row *row = conf_row_find(path);
    size_t len = strlen(path);

    *ret_is_file = false;
    if (row || len < sizeof(suffix) || strcmp(path + len - (sizeof(suffix) - 1), suffix) != 0)
        return row;
    AUTO_FREE char *base = mem_text(path, len - (sizeof(suffix) - 1));
    row = conf_row_find(base);
    *ret_is_file = row && row->type == CONF_FILE;
    return *ret_is_file ? row : NULL;
}

/* Sets a secret from its file: all of it but a last line end. */
static int set_from_file(struct conf *c, const struct conf_row *row, const char *file, const struct place *at,
                         char **ret_error)
{
    AUTO_FREE char *content = mem_alloc(CONF_VALUE_MAX + 1);
    size_t len = 0;
    ssize_t got = -1;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    while (fd >= 0 && len <= CONF_VALUE_MAX && (got = read(fd, content + len, CONF_VALUE_MAX + 1 - len)) > 0)
        len += (size_t) got;
    int error = errno;
    if (fd >= 0)
        (void) close(fd); /* only read */
    struct buf what = {.data = NULL};
    if (fd < 0 || got < 0) {
        buf_printf(&what, "cannot read %s: %s", file, strerrordesc_np(error));
        return fault(at, row->path, ret_error, &what);
    }
    if (len && content[len - 1] == '\n')
        len--;
    if (len && content[len - 1] == '\r')
        len--;
    int r = len ? conf_value_set(c, row, (struct span){.at = content, .len = len}) : -EINVAL;
    explicit_bzero(content, CONF_VALUE_MAX + 1);
    if (r < 0) {
        buf_printf(&what, "%s holds no single line of text", file);
        return fault(at, row->path, ret_error, &what);
    }
    return 0;
}

static int unknown_setting(const struct place *at, const char *path, char **ret_error)
{
    struct buf what = {.data = NULL};

    buf_add_text(&what, "no such setting");
    add_hint(&what, at->variable ? at->variable : path, at->variable ? form_variable : form_path);
    return fault(at, path, ret_error, &what);
}

/* The first item of a setting replaces its default, later ones of a list or map add to it. */
static int apply_item(struct conf *c, const struct conf_item *item, bool is_first, const char *file,
                      char **ret_error)
{
    struct place at = {.file = file, .line = item->line};
    struct span value = span_of(item->value);
    bool is_file;
    const struct conf_row *row = find_row(item->path, &is_file);

    if (!row)
        return unknown_setting(&at, item->path, ret_error);
    const char *written = item->is_list ? "a list" : item->is_map ? "a map" : NULL;
    if (is_file) {
        if (written)
            return fault_text(&at, item->path, ret_error, "expected the path of a file");
        return set_from_file(c, row, item->value, &at, ret_error);
    }
    if (row->type != CONF_LIST && row->type != CONF_MAP) {
        if (written)
            return fault_expected(&at, row, ret_error, value, written);
        return conf_value_set(c, row, value) < 0 ? fault_expected(&at, row, ret_error, value, NULL) : 0;
    }
    if (row->type == CONF_LIST ? !item->is_list : !item->is_map)
        return fault_expected(&at, row, ret_error, value, written);
    if (is_first)
        conf_value_clear(c, row);
    if (!item->value)
        return 0;
    int r = conf_value_add(c, row, span_of(item->key), value);
    if (r == -EEXIST)
        return fault_text(&at, item->path, ret_error, "a key is there twice");
    if (r < 0)
        return fault_text(&at, item->path, ret_error, "an item is empty, or not printable text");
    return 0;
}

static int apply_items(struct conf *c, const struct conf_item *items, size_t count, const char *file,
                       char **ret_error)
{
    for (size_t i = 0; i < count; i++) {
        bool is_first = i == 0 || strcmp(items[i - 1].path, items[i].path) != 0;
        int r = apply_item(c, &items[i], is_first, file, ret_error);
        if (r < 0)
            return r;
        for (size_t j = 0; is_first && j < i; j++)
            if (strcmp(items[j].path, items[i].path) == 0)
                return fault_text(&(struct place){.file = file, .line = items[i].line}, items[i].path,
                                  ret_error, "is set twice");
    }
    return 0;
}

static void free_items(struct conf_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(items[i].path);
        mem_free(items[i].key);
        if (items[i].value)
            explicit_bzero(items[i].value, strlen(items[i].value)); /* may be a secret */
        mem_free(items[i].value);
    }
    mem_free(items);
}

/* The row a variable is for, NULL when none; *ret_is_file as in find_row(). */
static const struct conf_row *row_of_variable(const char *name, bool *ret_is_file)
{
    for (size_t i = 0; i < conf_row_count; i++) {
        AUTO_FREE char *wanted = form_variable(&conf_rows[i]);
        size_t len = strlen(wanted);
        if (strncmp(name, wanted, len) != 0)
            continue;
        *ret_is_file = conf_rows[i].type == CONF_FILE && strcmp(name + len, "_FILE") == 0;
        if (!name[len] || *ret_is_file)
            return &conf_rows[i];
    }
    return NULL;
}

static int apply_variable(struct conf *c, const char *name, const char *value, char **ret_error)
{
    struct place at = {.variable = name};
    bool is_file;

    for (size_t i = 0; i < ARRAY_LEN(other_variables); i++)
        if (strcmp(name, other_variables[i]) == 0)
            return 0;
    const struct conf_row *row = row_of_variable(name, &is_file);
    if (!row)
        return unknown_setting(&at, NULL, ret_error);
    if (is_file)
        return set_from_file(c, row, value, &at, ret_error);
    if (conf_value_set(c, row, span_of(value)) < 0)
        return fault_expected(&at, row, ret_error, span_of(value), NULL);
    return 0;
}

static int apply_environment(struct conf *c, char **ret_error)
{
    static const char prefix[] = "BARID_";

    for (char **entry = environ; entry && *entry; entry++) {
        const char *value = strchr(*entry, '=');
        if (strncmp(*entry, prefix, sizeof(prefix) - 1) != 0 || !value)
            continue;
        AUTO_FREE char *name = mem_text(*entry, (size_t) (value - *entry));
        int r = apply_variable(c, name, value + 1, ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int apply_file(struct conf *c, const char *file, conf_reader *reader, char **ret_error)
{
    struct conf_item *items = NULL;
    size_t count = 0;

    if (!file || !*file)
        return 0;
    must(reader);
    int r = reader(file, &items, &count, ret_error);
    if (r < 0)
        return r;
    r = apply_items(c, items, count, file, ret_error);
    free_items(items, count);
    return r;
}

int conf_load(const char *file, conf_reader *reader, struct conf **ret_conf, char **ret_error)
{
    struct conf *c = NEW(struct conf);

    c->users = 1;
    for (size_t i = 0; i < conf_row_count; i++)
        must(conf_value_set(c, &conf_rows[i], span_of(conf_rows[i].initial)) == 0);
    int r = apply_file(c, file, reader, ret_error);
    if (r == 0)
        r = apply_environment(c, ret_error);
    if (r < 0) {
        conf_release(c);
        return r;
    }
    *ret_conf = c;
    return 0;
}
