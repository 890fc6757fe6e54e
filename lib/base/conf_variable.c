/* Settings by the names they have in the environment, and the one that was perhaps meant. */
#include <string.h>

#include "base/conf_row.h"
#include "base/mem.h"

enum { HINT_MAX_LEN = 63 };

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

void conf_hint(const struct conf *c, const char *name,
               char *(*form)(const struct conf_row *row, const char *member), struct buf *what)
{
    char *best = NULL;
    size_t best_distance = strlen(name) / 3 + 1;

    if (strlen(name) > HINT_MAX_LEN)
        return;
    for (size_t i = 0; i < conf_row_count; i++) {
        const struct conf_section *section = conf_rows[i].section;
        for (size_t h = 0; h < conf_holder_count(c, section); h++) {
            const char *member = section->member ? conf_member_at(c, section, h)->name : NULL;
            char *candidate = form(&conf_rows[i], member);
            size_t d = strlen(candidate) <= HINT_MAX_LEN ? distance(name, candidate) : SIZE_MAX;
            if (d < best_distance) {
                best_distance = d;
                mem_free(best);
                best = STEAL(candidate);
            }
            mem_free(candidate);
        }
    }
    if (best)
        buf_printf(what, "; did you mean %s?", best);
    mem_free(best);
}

char *conf_row_variable(const struct conf_row *row, const char *member)
{
    char *text = member ? mem_format("BARID_%s_%s_%s", row->section->name, member, row->name)
                        : mem_format("BARID_%s_%s", row->section->name, row->name);

    for (char *p = text; *p; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char) (*p - 'a' + 'A') : *p == '-' ? '_' : *p;
    return text;
}

/* How much of "member_setting" comes before the setting's name; 0: it does not end with it. */
static size_t len_before(const char *text, const char *setting)
{
    size_t len = strlen(text), end = strlen(setting);
    return len > end + 1 && text[len - end - 1] == '_' && strcmp(text + len - end, setting) == 0
               ? len - end - 1
               : 0;
}

/* text: "member_setting", both with underscores: the longest setting it ends with. The path, NULL: none. */
static char *member_path(const struct conf *c, const struct conf_section *group, const char *text)
{
    size_t len = SIZE_MAX;

    for (size_t i = 0; i < group->row_count; i++) {
        AUTO_FREE char *file = mem_format("%s_file", group->rows[i].name);
        size_t before = len_before(text, group->rows[i].name);
        if (!before && group->rows[i].type == CONF_FILE)
            before = len_before(text, file);
        if (before && before < len)
            len = before;
    }
    if (len == SIZE_MAX)
        return NULL;
    struct span member = {.at = text, .len = len};
    for (size_t i = 0; i < conf_holder_count(c, group); i++) {
        struct span name = span_of(conf_member_at(c, group, i)->name);
        if (conf_member_name_equal(name, member))
            member = name;
    }
    return mem_format("%s.%.*s.%s", group->name, SPAN_ARG(member), text + len + 1);
}

char *conf_variable_path(const struct conf *c, const char *name)
{
    AUTO_FREE char *lower = mem_string(name);

    for (char *p = lower; *p; p++) {
        if (*p >= 'a' && *p <= 'z')
            return NULL;
        if (*p >= 'A' && *p <= 'Z')
            *p = (char) (*p - 'A' + 'a');
    }
    for (size_t i = 0; i < conf_section_count; i++) {
        const struct conf_section *section = &conf_sections[i];
        AUTO_FREE char *prefix = mem_format("barid_%s_", section->name);
        const char *rest = lower + strlen(prefix);
        if (strncmp(lower, prefix, strlen(prefix)) == 0)
            return section->member ? member_path(c, section, rest) : mem_format("%s.%s", section->name, rest);
    }
    return NULL;
}
