/*
 * Configuration: any bytes as a file are refused with a sentence that names the file, or are settings; those, printed and read again, are the
 * same. Any text as a variable's value likewise. First byte: a file, or a variable's row.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/conf_row.h"
#include "base/mem.h"
#include "io/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_FROM = 0xf0 }; /* the first byte: from here a file, else the row of a value */

extern char **environ;

/* The path of a file with these bytes: memory, the same one each time. */
static const char *file_of(struct span text)
{
    static int fd = -1;
    static char *path;

    if (fd < 0) {
        fd = memfd_create("conf", MFD_CLOEXEC);
        must(fd >= 0);
        path = mem_format("/dev/fd/%d", fd);
        environ = NULL; /* no BARID_ variable of the caller */
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, text.at, text.len, 0) == (ssize_t) text.len);
    return path;
}

static void check_error(const char *error, const char *file)
{
    must(strncmp(error, file, strlen(file)) == 0 && error[strlen(file)] == ':');
    for (const char *c = error; *c; c++)
        must((uint8_t) *c >= ' ' && (uint8_t) *c < 0x7f);
}

static bool is_sound_text(const char *text)
{
    for (; *text; text++)
        if ((uint8_t) *text < ' ' || *text == 0x7f)
            return false;
    return true;
}

/* Whatever the file: these hold for every program that reads the snapshot. */
static void check_row(const void *holder, const struct conf_row *row)
{
    const void *field = (const char *) holder + row->offset;
    const struct conf_row *facts = conf_row_facts(row);
    void *twin;

    switch (row->type) {
    case CONF_TEXT:
    case CONF_FILE: must(is_sound_text(*(char *const *) field)); return;
    case CONF_LIST: {
        const struct conf_list *list = field;
        for (size_t i = 0; i < list->count; i++)
            must(list->items[i][0] && is_sound_text(list->items[i]));
        return;
    }
    case CONF_MAP: {
        const struct conf_map *map = field;
        for (size_t i = 0; i < map->count; i++)
            must(map->keys[i][0] && is_sound_text(map->keys[i]) && is_sound_text(map->values[i]));
        return;
    }
    case CONF_NUMBER:
    case CONF_SIZE:
    case CONF_TIME:
        /* The ends of the row's range, each as the text of the table, are the ends of what may be there. */
        twin = mem_alloc(row->section->size);
        if (*facts->low) {
            must(conf_value_set(twin, row, span_of(facts->low)) == 0);
            must(*(const uint64_t *) field >= *(uint64_t *) ((char *) twin + row->offset));
        }
        if (*facts->high) {
            must(conf_value_set(twin, row, span_of(facts->high)) == 0);
            must(*(const uint64_t *) field <= *(uint64_t *) ((char *) twin + row->offset));
        }
        mem_free(twin);
        return;
    case CONF_FLAG:
    case CONF_CHOICE: return;
    }
}

/* Secrets are not printed. */
static bool is_printed(const struct conf_row *row)
{
    return row->type != CONF_FILE;
}

static void check_same(const struct conf *a, const struct conf *b)
{
    for (size_t s = 0; s < conf_section_count; s++) {
        const struct conf_section *section = &conf_sections[s];
        must(conf_holder_count(a, section) == conf_holder_count(b, section));
        for (size_t h = 0; h < conf_holder_count(a, section); h++) {
            if (section->member)
                must(strcmp(conf_member_at(a, section, h)->name, conf_member_at(b, section, h)->name) == 0);
            for (size_t i = 0; i < section->row_count; i++)
                must(!is_printed(&section->rows[i]) ||
                     conf_value_equal(conf_holder(a, section, h), conf_holder(b, section, h),
                                      &section->rows[i]));
        }
    }
}

static void check_file(struct span text)
{
    struct conf *c = NULL, *same = NULL;
    char *error = NULL;
    AUTO_BUF struct buf printed = {0};
    const char *file = file_of(text);

    if (conf_load(file, yaml_read_settings, &c, &error) < 0) {
        must(!c && error);
        check_error(error, file);
        mem_free(error);
        return;
    }
    must(c && !error);
    for (size_t i = 0; i < conf_row_count; i++)
        for (size_t h = 0; h < conf_holder_count(c, conf_rows[i].section); h++)
            check_row(conf_holder(c, conf_rows[i].section, h), &conf_rows[i]);
    conf_print_yaml(c, &printed, text.len % 2);
    if (conf_load(file_of(buf_span(&printed)), yaml_read_settings, &same, &error) < 0)
        must_fail(error, buf_steal_text(&printed), 0);
    check_same(c, same);
    conf_release(same);
    conf_release(c);
}

/* Of a section, or of a group's only member. */
static void check_value(const struct conf_row *row, struct span text)
{
    static struct conf *initial;
    void *one = mem_alloc(row->section->size);
    struct conf *same = NULL;
    char *error = NULL;
    AUTO_BUF struct buf printed = {0};
    const char *indent = row->section->member ? "  a:\n    " : "  ";

    if (!initial)
        must(conf_load(file_of(SPAN("listeners: {a: }\nlanes: {a: }\npools: {a: }\ntransports: {a: }")),
                       yaml_read_settings, &initial, &error) == 0);
    const void *before = conf_holder(initial, row->section, 0);
    conf_value_copy(one, before, row);
    if (conf_value_set(one, row, text) < 0) {
        must(conf_value_equal(one, before, row)); /* refused: untouched */
    } else if (is_printed(row)) {
        check_row(one, row);
        buf_printf(&printed, "%s:\n%s%s: ", row->section->name, indent, row->name);
        conf_value_print(one, row, &printed);
        buf_add_char(&printed, '\n');
        if (conf_load(file_of(buf_span(&printed)), yaml_read_settings, &same, &error) < 0)
            must_fail(error, row->name, 0);
        must(conf_value_equal(one, conf_holder(same, row->section, 0), row));
        conf_release(same);
    }
    conf_value_clear(one, row);
    mem_free(one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {.at = (const char *) data + 1, .len = size - 1};

    if (size < 1 || size > 65536)
        return 0;
    (void) file_of((struct span){.at = ""}); /* makes ready */
    if (data[0] >= FILE_FROM)
        check_file(text);
    else
        check_value(&conf_rows[(data[0] + size % 2 * FILE_FROM) % conf_row_count],
                    text); /* there are more rows than bytes */
    return 0;
}
