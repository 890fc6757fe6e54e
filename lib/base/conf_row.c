/* The rows of conf.def. */
#include "base/conf_row.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

#define OFFSET_TEXT(section, name) offsetof(struct conf, section.name)
#define OFFSET_FILE(section, name) offsetof(struct conf, section.name)
#define OFFSET_NUMBER(section, name) offsetof(struct conf, section.name)
#define OFFSET_SIZE(section, name) offsetof(struct conf, section.name##_bytes)
#define OFFSET_TIME(section, name) offsetof(struct conf, section.name##_ms)
#define OFFSET_FLAG(section, name) offsetof(struct conf, section.name)
#define OFFSET_CHOICE(section, name) offsetof(struct conf, section.name)
#define OFFSET_LIST(section, name) offsetof(struct conf, section.name)
#define OFFSET_MAP(section, name) offsetof(struct conf, section.name)
#define IS_LIVE true
#define IS_RESTART false

const struct conf_row conf_rows[] = {
#define CONF_SECTION(section, help)
#define CONF_SECTION_END(section)
#define CONF(section_, name_, type_, initial_, low_, high_, when_, help_) \
    {.section = #section_,                                                \
     .name = #name_,                                                      \
     .path = #section_ "." #name_,                                        \
     .type = CONF_##type_,                                                \
     .initial = initial_,                                                 \
     .low = low_,                                                         \
     .high = high_,                                                       \
     .is_live = IS_##when_,                                               \
     .help = help_,                                                       \
     .offset = OFFSET_##type_(section_, name_)},
#include "base/conf.def"
#undef CONF_SECTION
#undef CONF
};
const size_t conf_row_count = ARRAY_LEN(conf_rows);

const struct conf_section conf_sections[] = {
#define CONF_SECTION(section, help_) {.name = #section, .help = help_},
#define CONF(section, name, type, initial, low, high, when, help)
#include "base/conf.def"
#undef CONF_SECTION
#undef CONF
#undef CONF_SECTION_END
};
const size_t conf_section_count = ARRAY_LEN(conf_sections);

const struct conf_row *conf_row_find(const char *path)
{
    for (size_t i = 0; i < conf_row_count; i++)
        if (strcmp(conf_rows[i].path, path) == 0)
            return &conf_rows[i];
    return NULL;
}

void conf_row_expected(const struct conf_row *row, struct buf *out)
{
    static const struct {
        const char *noun, *unit_hint;
    } words[] = {
        [CONF_TEXT] = {"a text", ""},
        [CONF_FILE] = {"a secret", ""},
        [CONF_NUMBER] = {"a number", ""},
        [CONF_SIZE] = {"a size", " (units: B KiB MiB GiB TiB)"},
        [CONF_TIME] = {"a time", " (units: ms s min h d)"},
        [CONF_FLAG] = {"yes or no", ""},
        [CONF_CHOICE] = {"one of", ""},
        [CONF_LIST] = {"a list", ""},
        [CONF_MAP] = {"a map", ""},
    };

    buf_add_text(out, words[row->type].noun);
    if (row->type == CONF_CHOICE) {
        buf_printf(out, " %s", row->low);
        return;
    }
    if (*row->low || *row->high)
        buf_printf(out, " from %s to %s", row->low, row->high);
    buf_add_text(out, words[row->type].unit_hint);
}
