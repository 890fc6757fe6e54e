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

enum { SHOWN_MAX = 200 };

/* A fault's place: path, file and line; or a variable. */
struct place {
    const char *path;
    const char *file;
    unsigned line;
    const char *variable;
};

/* Where a value goes. */
struct target {
    void *holder;
    struct conf_member *member; /* of a group; else NULL */
    const struct conf_row *row;
    bool is_file; /* the value is the path of the file with the secret */
};

struct loading {
    struct conf *conf;
    bool gives_listen; /* ingress.listen was given */
    struct place listen;
    char **ret_error;
};

static int fault(const struct loading *l, const struct place *at, struct buf *what)
{
    struct buf text = {.data = NULL};

    if (at->variable) {
        buf_add_text(&text, at->variable);
    } else {
        buf_printf(&text, "%s:%u: ", at->file, at->line);
        buf_add_printable(&text, span_of(at->path), SHOWN_MAX); /* as written, if it is no setting */
    }
    buf_add_text(&text, ": ");
    buf_add_span(&text, buf_span(what));
    buf_done(what);
    *l->ret_error = buf_steal_text(&text);
    return -EINVAL;
}

static int fault_text(const struct loading *l, const struct place *at, const char *what)
{
    struct buf text = {.data = NULL};
    buf_add_text(&text, what);
    return fault(l, at, &text);
}

/* got: NULL when what was found is no text at all (then `instead` names it). */
static int fault_expected(const struct loading *l, const struct place *at, const struct conf_row *row,
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
    return fault(l, at, &what);
}

static int unknown_setting(const struct loading *l, const struct place *at)
{
    struct buf what = {.data = NULL};

    buf_add_text(&what, "no such setting");
    if (at->variable)
        conf_hint(l->conf, at->variable, conf_row_variable, &what);
    else
        conf_hint(l->conf, at->path, conf_row_path, &what);
    return fault(l, at, &what);
}

/* The row of a name or, with *ret_is_file, the secret's row whose `<name>_file` it is. */
static const struct conf_row *find_row(const struct conf_section *section, struct span name,
                                       bool *ret_is_file)
{
    static const char suffix[] = "_file";
    const struct conf_row *row = conf_row_find(section, name);

    *ret_is_file = false;
    if (row || name.len < sizeof(suffix) ||
        memcmp(name.at + name.len - (sizeof(suffix) - 1), suffix, sizeof(suffix) - 1) != 0)
        return row;
    row = conf_row_find(section, (struct span){.at = name.at, .len = name.len - (sizeof(suffix) - 1)});
    *ret_is_file = row && row->type == CONF_FILE;
    return *ret_is_file ? row : NULL;
}

/* Of at->path. A path that ends with the name of a group's member gives no row. */
static int find_target(const struct loading *l, const struct place *at, struct target *ret_target)
{
    struct span rest = span_of(at->path);
    const struct conf_section *section = conf_section_find(span_cut(&rest, '.'));
    struct target t = {.holder = NULL};
    const char *why;

    if (!section)
        return unknown_setting(l, at);
    if (section->member) {
        t.member = conf_member_get(l->conf, section, span_cut(&rest, '.'), &why);
        if (!t.member)
            return fault_text(l, at, why);
    }
    t.holder = t.member ? (void *) t.member : conf_holder(l->conf, section, 0);
    if (rest.at || !t.member) {
        t.row = find_row(section, rest, &t.is_file);
        if (!t.row)
            return unknown_setting(l, at);
    }
    *ret_target = t;
    return 0;
}

static void note_given(struct loading *l, const struct place *at, const struct target *t)
{
    if (t->member) {
        conf_member_give(t->member, t->row);
    } else if (t->holder == &l->conf->ingress && strcmp(t->row->name, "listen") == 0) {
        l->gives_listen = true;
        l->listen = (struct place){.path = "ingress.listen",
                                   .file = at->file,
                                   .line = at->line,
                                   .variable = at->variable ? "BARID_INGRESS_LISTEN" : NULL};
    }
}

/* Sets a secret from its file: all of it but a last line end. */
static int set_from_file(const struct loading *l, const struct place *at, const struct target *t,
                         const char *file)
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
        return fault(l, at, &what);
    }
    if (len && content[len - 1] == '\n')
        len--;
    if (len && content[len - 1] == '\r')
        len--;
    int r = len ? conf_value_set(t->holder, t->row, (struct span){.at = content, .len = len}) : -EINVAL;
    explicit_bzero(content, CONF_VALUE_MAX + 1);
    if (r < 0) {
        buf_printf(&what, "%s holds no single line of text", file);
        return fault(l, at, &what);
    }
    return 0;
}

/* The first item of a setting replaces its default, later ones of a list or map add to it. A list may be written as one text, as a variable's. */
static int apply_value(const struct loading *l, const struct place *at, const struct target *t,
                       const struct conf_item *item, bool is_first)
{
    const struct conf_row *row = t->row;
    struct span value = span_of(item->value);
    const char *written = item->is_list ? "a list" : item->is_map ? "a map" : NULL;

    if (t->is_file)
        return written ? fault_text(l, at, "expected the path of a file")
                       : set_from_file(l, at, t, item->value);
    if (!written && row->type != CONF_MAP)
        return conf_value_set(t->holder, row, value) < 0 ? fault_expected(l, at, row, value, NULL) : 0;
    if (row->type == CONF_LIST ? !item->is_list : row->type != CONF_MAP || !item->is_map)
        return fault_expected(l, at, row, value, written);
    if (is_first)
        conf_value_clear(t->holder, row);
    if (!item->value)
        return 0;
    int r = conf_value_add(t->holder, row, span_of(item->key), value);
    if (r == -EEXIST)
        return fault_text(l, at, "a key is there twice");
    if (r < 0)
        return fault_text(l, at, "an item is empty, or not printable text");
    return 0;
}

static int apply_item(struct loading *l, const struct conf_item *item, bool is_first, const char *file)
{
    struct place at = {.path = item->path, .file = file, .line = item->line};
    struct target t;
    int r = find_target(l, &at, &t);

    if (r < 0)
        return r;
    if (!t.row) /* a member of which nothing is said */
        return item->value || !item->is_map
                   ? fault_text(l, &at, "expected settings, each on a line of its own")
                   : 0;
    note_given(l, &at, &t);
    conf_place_note(l->conf, item->path, item->key, file, item->line);
    return apply_value(l, &at, &t, item, is_first);
}

static int apply_items(struct loading *l, const struct conf_item *items, size_t count, const char *file)
{
    for (size_t i = 0; i < count; i++) {
        bool is_first = i == 0 || strcmp(items[i - 1].path, items[i].path) != 0;
        struct place at = {.path = items[i].path, .file = file, .line = items[i].line};
        int r = apply_item(l, &items[i], is_first, file);
        if (r < 0)
            return r;
        for (size_t j = 0; is_first && j < i; j++)
            if (strcmp(items[j].path, items[i].path) == 0)
                return fault_text(l, &at, "is set twice");
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

static int apply_variable(struct loading *l, const char *name, const char *value)
{
    AUTO_FREE char *path = conf_variable_path(l->conf, name);
    struct place at = {.path = path, .variable = name};
    struct target t;

    for (size_t i = 0; i < ARRAY_LEN(other_variables); i++)
        if (strcmp(name, other_variables[i]) == 0)
            return 0;
    if (!path)
        return unknown_setting(l, &at);
    int r = find_target(l, &at, &t);
    if (r < 0)
        return r;
    note_given(l, &at, &t);
    conf_place_note(l->conf, path, NULL, name, 0);
    if (t.is_file)
        return set_from_file(l, &at, &t, value);
    if (conf_value_set(t.holder, t.row, span_of(value)) < 0)
        return fault_expected(l, &at, t.row, span_of(value), NULL);
    return 0;
}

static int apply_environment(struct loading *l)
{
    static const char prefix[] = "BARID_";

    for (char **entry = environ; entry && *entry; entry++) {
        const char *value = strchr(*entry, '=');
        if (strncmp(*entry, prefix, sizeof(prefix) - 1) != 0 || !value)
            continue;
        AUTO_FREE char *name = mem_text(*entry, (size_t) (value - *entry));
        int r = apply_variable(l, name, value + 1);
        if (r < 0)
            return r;
    }
    return 0;
}

static int apply_file(struct loading *l, const char *file, conf_reader *reader)
{
    struct conf_item *items = NULL;
    size_t count = 0;

    if (!file || !*file)
        return 0;
    must(reader);
    int r = reader(file, &items, &count, l->ret_error);
    if (r < 0)
        return r;
    r = apply_items(l, items, count, file);
    free_items(items, count);
    return r;
}

/* ingress.listen is the short way to have one listener; where there are others its default is none. */
static int imply_listener(const struct loading *l)
{
    const struct conf_section *group = conf_section_find(SPAN("listeners"));
    struct conf_list *listen = &l->conf->ingress.listen;
    const size_t count = l->conf->listener_count;
    const char *why;

    if (count > 0 && !l->gives_listen)
        conf_value_clear(&l->conf->ingress,
                         conf_row_find(conf_section_find(SPAN("ingress")), SPAN("listen")));
    if (listen->count == 0)
        return 0;
    struct conf_member *m = conf_member_get(l->conf, group, SPAN("relay"), &why);
    if (!m)
        return fault_text(l, &l->listen, why);
    if (l->conf->listener_count == count)
        return fault_text(l, &l->listen,
                          "makes a listener named relay, but listeners.relay is there too; give the "
                          "addresses to one of them only");
    const struct conf_row *address = conf_row_find(group, SPAN("address"));
    m->is_implied = true;
    conf_member_give(m, address);
    conf_value_take(m, address, &l->conf->ingress,
                    conf_row_find(conf_section_find(SPAN("ingress")), SPAN("listen")));
    return 0;
}

int conf_load(const char *file, conf_reader *reader, struct conf **ret_conf, char **ret_error)
{
    struct loading l = {.conf = conf_new(), .ret_error = ret_error};

    int r = apply_file(&l, file, reader);
    if (r == 0)
        r = apply_environment(&l);
    if (r == 0)
        r = imply_listener(&l);
    if (r < 0) {
        conf_release(l.conf);
        return r;
    }
    conf_members_settle(l.conf);
    *ret_conf = l.conf;
    return 0;
}
