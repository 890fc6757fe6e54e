/* Configuration files by libyaml's event parser. */
#include "io/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base/map.h"
#include "base/mem.h"

/* Values of one file; a setting's longest value is checked later. */
enum { ITEMS_MAX = 100000, SHOWN_MAX = 100, READ_BYTES = 16384 };

struct reading {
    const char *file;
    yaml_parser_t parser;
    yaml_event_t event; /* the one looked at */
    bool has_event;
    struct map paths; /* those seen, to find what is there twice */
    struct conf_item *items;
    size_t count, room;
    char *error;
};

/* Every key is kept under this value in a map of its siblings. */
static char present;

static unsigned line_of(const struct reading *r)
{
    return (unsigned) r->event.start_mark.line + 1;
}

static int fault(struct reading *r, unsigned line, const char *what, struct span shown)
{
    struct buf text = {.data = NULL};

    buf_printf(&text, "%s:%u: %s", r->file, line, what);
    if (shown.len) {
        buf_add_text(&text, ": \"");
        buf_add_printable(&text, shown, SHOWN_MAX);
        buf_add_char(&text, '"');
    }
    mem_free(r->error);
    r->error = buf_steal_text(&text);
    return -EINVAL;
}

static int fault_here(struct reading *r, const char *what)
{
    return fault(r, line_of(r), what, (struct span){.at = NULL});
}

/* Moves to the next event, and refuses what no setting needs. */
static int step(struct reading *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        const char *problem = r->parser.problem ? r->parser.problem : "not well-formed";
        unsigned line = (unsigned) r->parser.problem_mark.line + 1;
        return fault(r, line, problem, (struct span){.at = NULL});
    }
    r->has_event = true;
    switch (r->event.type) {
    case YAML_ALIAS_EVENT: return fault_here(r, "aliases are not used here");
    case YAML_SCALAR_EVENT:
        if (r->event.data.scalar.anchor || r->event.data.scalar.tag)
            return fault_here(r, "anchors and tags are not used here");
        return 0;
    case YAML_SEQUENCE_START_EVENT:
        if (r->event.data.sequence_start.anchor || r->event.data.sequence_start.tag)
            return fault_here(r, "anchors and tags are not used here");
        return 0;
    case YAML_MAPPING_START_EVENT:
        if (r->event.data.mapping_start.anchor || r->event.data.mapping_start.tag)
            return fault_here(r, "anchors and tags are not used here");
        return 0;
    default: return 0;
    }
}

static struct span scalar(const struct reading *r)
{
    return (struct span){.at = (const char *) r->event.data.scalar.value, .len = r->event.data.scalar.length};
}

/* Nothing after the colon, which YAML reads as null. */
static bool is_null(const struct reading *r)
{
    struct span s = scalar(r);
    return r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (s.len == 0 || span_equal(s, SPAN("~")) || span_equal(s, SPAN("null")));
}

/* The event must be a scalar key that is new among its siblings; copies it. */
static int take_key(struct reading *r, struct map *siblings, char **ret_key)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return fault_here(r, "a key must be a plain word");
    struct span key = scalar(r);
    if (!key.len || memchr(key.at, '\0', key.len))
        return fault_here(r, "an empty key, or one with a zero byte");
    if (map_set(siblings, key, &present))
        return fault(r, line_of(r), "a key that is there twice", key);
    *ret_key = mem_text(key.at, key.len);
    return 0;
}

/* Appends an item with the current scalar, or with none. Takes key. */
static int add_item(struct reading *r, const char *path, char *key, bool has_value, bool is_list, bool is_map)
{
    char *value = NULL;

    if (r->count == ITEMS_MAX || (has_value && memchr(scalar(r).at, '\0', scalar(r).len))) {
        mem_free(key);
        return fault_here(r,
                          r->count == ITEMS_MAX ? "too many values in one file" : "a value with a zero byte");
    }
    if (has_value)
        value = mem_text(scalar(r).at, scalar(r).len);
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 64;
        r->items = mem_resize(r->items, r->room * sizeof(*r->items));
    }
    r->items[r->count++] = (struct conf_item){.path = mem_string(path),
                                              .key = key,
                                              .value = value,
                                              .line = line_of(r),
                                              .is_list = is_list,
                                              .is_map = is_map};
    return 0;
}

static int read_list(struct reading *r, const char *path)
{
    size_t before = r->count;

    for (;;) {
        int e = step(r);
        if (e < 0)
            return e;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return r->count == before ? add_item(r, path, NULL, false, true, false) : 0;
        if (r->event.type != YAML_SCALAR_EVENT || is_null(r))
            return fault_here(r, "an item of a list must be one value");
        e = add_item(r, path, NULL, true, true, false);
        if (e < 0)
            return e;
    }
}

static int read_pairs(struct reading *r, const char *path, struct map *siblings)
{
    size_t before = r->count;

    for (;;) {
        char *key;
        int e = step(r);
        if (e < 0)
            return e;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return r->count == before ? add_item(r, path, NULL, false, false, true) : 0;
        e = take_key(r, siblings, &key);
        if (e < 0)
            return e;
        e = step(r);
        if (e == 0 && (r->event.type != YAML_SCALAR_EVENT || is_null(r)))
            e = fault_here(r, "expected one value for this key");
        if (e < 0) {
            mem_free(key);
            return e;
        }
        e = add_item(r, path, key, true, false, true);
        if (e < 0)
            return e;
    }
}

static int read_setting(struct reading *r, const char *path)
{
    int e = step(r);

    if (e < 0)
        return e;
    if (r->event.type == YAML_SEQUENCE_START_EVENT)
        return read_list(r, path);
    if (r->event.type == YAML_MAPPING_START_EVENT) {
        struct map siblings = {.buckets = NULL};
        e = read_pairs(r, path, &siblings);
        map_done(&siblings);
        return e;
    }
    if (is_null(r))
        return fault(r, line_of(r), "no value (an empty text is written \"\")", span_of(path));
    return add_item(r, path, NULL, true, false, false);
}

/* The settings of one section, or of one member of a group, whose name was just read. is_silent: there were none. */
static int read_settings(struct reading *r, const char *section, bool *ret_is_silent)
{
    int e = step(r);

    *ret_is_silent = true;
    if (e < 0)
        return e;
    if (is_null(r)) /* all its settings are commented out */
        return 0;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return fault(r, line_of(r), "expected settings, each on a line of its own, in section",
                     span_of(section));
    for (;;) {
        char *name;
        struct map one = {.buckets = NULL}; /* names are told apart by their paths instead */
        e = step(r);
        if (e < 0 || r->event.type == YAML_MAPPING_END_EVENT)
            return e;
        e = take_key(r, &one, &name);
        map_done(&one);
        if (e < 0)
            return e;
        *ret_is_silent = false;
        AUTO_FREE char *path = mem_format("%s.%s", section, name);
        mem_free(name);
        if (map_set(&r->paths, span_of(path), &present))
            return fault(r, line_of(r), "a setting that is there twice", span_of(path));
        e = read_setting(r, path);
        if (e < 0)
            return e;
    }
}

/* The members of a group: a section each. One without settings is an item without value. */
static int read_group(struct reading *r, const char *group)
{
    struct map siblings = {.buckets = NULL};
    int e = step(r);

    if (e == 0 && is_null(r))
        return 0;
    if (e == 0 && r->event.type != YAML_MAPPING_START_EVENT)
        e = fault(r, line_of(r), "expected names, each with its settings, in group", span_of(group));
    while (e == 0) {
        char *name;
        bool is_silent;
        e = step(r);
        if (e < 0 || r->event.type == YAML_MAPPING_END_EVENT)
            break;
        e = take_key(r, &siblings, &name);
        if (e < 0)
            break;
        AUTO_FREE char *path = mem_format("%s.%s", group, name);
        mem_free(name);
        e = read_settings(r, path, &is_silent);
        if (e == 0 && is_silent)
            e = add_item(r, path, NULL, false, false, true);
    }
    map_done(&siblings);
    return e;
}

static int read_sections(struct reading *r, struct map *siblings)
{
    for (;;) {
        char *section;
        bool is_silent;
        int e = step(r);
        if (e < 0 || r->event.type == YAML_MAPPING_END_EVENT)
            return e;
        e = take_key(r, siblings, &section);
        if (e < 0)
            return e;
        e = conf_is_group(span_of(section)) ? read_group(r, section) : read_settings(r, section, &is_silent);
        mem_free(section);
        if (e < 0)
            return e;
    }
}

static int read_document(struct reading *r)
{
    struct map siblings = {.buckets = NULL};
    int e = step(r); /* the stream's start */

    if (e == 0)
        e = step(r);
    if (e < 0 || r->event.type == YAML_STREAM_END_EVENT)
        return e;
    e = step(r); /* behind the document's start */
    if (e < 0)
        return e;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        e = read_sections(r, &siblings);
    else if (!is_null(r))
        e = fault_here(r, "expected sections, such as \"ingress:\"");
    map_done(&siblings);
    if (e == 0)
        e = step(r); /* the document's end */
    if (e == 0)
        e = step(r);
    if (e == 0 && r->event.type != YAML_STREAM_END_EVENT)
        e = fault_here(r, "a second document in the file");
    return e;
}

/* The whole file into content. Returns 0 or -errno; -EFBIG: above YAML_FILE_MAX. */
static int read_file(const char *file, struct buf *content)
{
    ssize_t got;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return -errno;
    do {
        got = read(fd, buf_reserve(content, READ_BYTES), READ_BYTES);
        if (got > 0)
            buf_commit(content, (size_t) got);
    } while (got > 0 && content->len <= YAML_FILE_MAX);
    int r = got < 0 ? -errno : content->len > YAML_FILE_MAX ? -EFBIG : 0;
    (void) close(fd); /* only read */
    return r;
}

static void free_items(struct conf_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(items[i].path);
        mem_free(items[i].key);
        mem_free(items[i].value);
    }
    mem_free(items);
}

int yaml_read_settings(const char *file, struct conf_item **ret_items, size_t *ret_count, char **ret_error)
{
    AUTO_BUF struct buf content = {.data = NULL};
    struct reading r = {.file = file};

    int e = read_file(file, &content);
    if (e < 0) {
        *ret_error = mem_format("%s: cannot be read: %s", file, strerrordesc_np(-e));
        return -EINVAL;
    }
    must(yaml_parser_initialize(&r.parser)); /* fails only without memory */
    yaml_parser_set_input_string(&r.parser, (const unsigned char *) content.data, content.len);
    e = read_document(&r);
    if (r.has_event)
        yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    map_done(&r.paths);
    if (e < 0) {
        free_items(r.items, r.count);
        *ret_error = r.error;
        return e;
    }
    *ret_items = r.items;
    *ret_count = r.count;
    return 0;
}
