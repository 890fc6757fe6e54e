/* The rows of conf.def. */
#include "base/conf_row.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

#define FIELD_TEXT(name) name
#define FIELD_FILE(name) name
#define FIELD_NUMBER(name) name
#define FIELD_SIZE(name) name##_bytes
#define FIELD_TIME(name) name##_ms
#define FIELD_FLAG(name) name
#define FIELD_CHOICE(name) name
#define FIELD_LIST(name) name
#define FIELD_MAP(name) name
#define IS_LIVE true
#define IS_RESTART false

enum {
#define CONF_SECTION(section, help) SECTION_##section,
#define CONF_GROUP(group, member, help) SECTION_##member,
#include "base/conf.def"
};

/* Where each row is; FROM and UNTIL mark the rows of a section and take no number of their own. */
enum {
#define CONF_SECTION(section, help) FROM_##section, BEFORE_##section = FROM_##section - 1,
#define CONF_SECTION_END(section) UNTIL_##section, BEHIND_##section = UNTIL_##section - 1,
#define CONF_GROUP(group, member, help) FROM_##member, BEFORE_##member = FROM_##member - 1,
#define CONF_GROUP_END(group, member) UNTIL_##member, BEHIND_##member = UNTIL_##member - 1,
#define CONF(section, name, type, initial, low, high, when, help) ROW_##section##_##name,
#define CONF_AS(member, name, type, section) ROW_##member##_##name,
#include "base/conf.def"
};

const struct conf_row conf_rows[] = {
#define CONF(section_, name_, type_, initial_, low_, high_, when_, help_) \
    {.section = &conf_sections[SECTION_##section_],                       \
     .name = #name_,                                                      \
     .type = CONF_##type_,                                                \
     .initial = initial_,                                                 \
     .low = low_,                                                         \
     .high = high_,                                                       \
     .is_live = IS_##when_,                                               \
     .help = help_,                                                       \
     .offset = offsetof(struct conf_##section_, FIELD_##type_(name_))},
#define CONF_AS(member, name_, type_, section_)   \
    {.section = &conf_sections[SECTION_##member], \
     .name = #name_,                              \
     .type = CONF_##type_,                        \
     .is_live = true,                             \
     .as = &conf_rows[ROW_##section_##_##name_],  \
     .offset = offsetof(struct conf_##member, FIELD_##type_(name_))},
#include "base/conf.def"
};
const size_t conf_row_count = ARRAY_LEN(conf_rows);

const struct conf_section conf_sections[] = {
#define CONF_SECTION(section, help_)           \
    {.name = #section,                         \
     .help = help_,                            \
     .offset = offsetof(struct conf, section), \
     .size = sizeof(struct conf_##section),    \
     .rows = &conf_rows[FROM_##section],       \
     .row_count = UNTIL_##section - FROM_##section},
#define CONF_GROUP(group, member_, help_)                    \
    {.name = #group,                                         \
     .help = help_,                                          \
     .member = #member_,                                     \
     .offset = offsetof(struct conf, group),                 \
     .count_offset = offsetof(struct conf, member_##_count), \
     .size = sizeof(struct conf_##member_),                  \
     .rows = &conf_rows[FROM_##member_],                     \
     .row_count = UNTIL_##member_ - FROM_##member_},
#include "base/conf.def"
};
const size_t conf_section_count = ARRAY_LEN(conf_sections);

const struct conf_preset conf_presets[] = {
#define CONF_PRESET(member, choice, word_, name, value_) \
    {.by = &conf_rows[ROW_##member##_##choice],          \
     .word = #word_,                                     \
     .row = &conf_rows[ROW_##member##_##name],           \
     .value = value_},
#include "base/conf.def"
};
const size_t conf_preset_count = ARRAY_LEN(conf_presets);

const struct conf_section *conf_section_find(struct span name)
{
    for (size_t i = 0; i < conf_section_count; i++)
        if (span_equal(span_of(conf_sections[i].name), name))
            return &conf_sections[i];
    return NULL;
}

bool conf_is_group(struct span section)
{
    const struct conf_section *s = conf_section_find(section);
    return s && s->member;
}

const struct conf_row *conf_row_find(const struct conf_section *section, struct span name)
{
    for (size_t i = 0; i < section->row_count; i++)
        if (span_equal(span_of(section->rows[i].name), name))
            return &section->rows[i];
    return NULL;
}

char *conf_row_path(const struct conf_row *row, const char *member)
{
    return row->section->member ? mem_format("%s.%s.%s", row->section->name, member, row->name)
                                : mem_format("%s.%s", row->section->name, row->name);
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

    if (row->as)
        row = row->as;
    buf_add_text(out, words[row->type].noun);
    if (row->type == CONF_CHOICE) {
        buf_printf(out, " %s", row->low);
        return;
    }
    if (*row->low || *row->high)
        buf_printf(out, " from %s to %s", row->low, row->high);
    buf_add_text(out, words[row->type].unit_hint);
}
