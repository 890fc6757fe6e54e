/* Prints settings: those in force, the commented default file, the reference page. All from the rows. */
#include <string.h>

#include "base/conf_row.h"
#include "base/mem.h"

static const char *type_name(enum conf_type type)
{
    static const char *const names[] = {"text", "secret", "number", "size", "time",
                                        "flag", "choice", "list",   "map"};
    return names[type];
}

static const char *when_text(const struct conf_row *row)
{
    return row->is_live ? "live" : "restart";
}

/* "number, 1 to 64, restart" */
static void add_facts(struct buf *out, const struct conf_row *row)
{
    const struct conf_row *facts = conf_row_facts(row);

    buf_add_text(out, type_name(row->type));
    if (row->type == CONF_CHOICE)
        buf_printf(out, " of %s", facts->low);
    else if (*facts->low || *facts->high)
        buf_printf(out, ", %s to %s", facts->low, facts->high);
    buf_printf(out, ", %s", when_text(row));
}

/* The lines of one section, or of one member of a group; before: in front of each name. */
static void add_rows(struct buf *out, const struct conf_section *section, const void *holder,
                     const char *before, bool with_help)
{
    for (size_t i = 0; i < section->row_count; i++) {
        const struct conf_row *row = &section->rows[i];
        if (with_help) {
            buf_printf(out, "%.*s# %s (", (int) strspn(before, " "), before, conf_row_facts(row)->help);
            add_facts(out, row);
            buf_add_text(out, ")\n");
        }
        buf_printf(out, "%s%s: ", before, row->name);
        conf_value_print(holder, row, out);
        buf_add_char(out, '\n');
    }
}

static void add_members(struct buf *out, const struct conf *c, const struct conf_section *group,
                        bool with_help)
{
    for (size_t i = 0; i < conf_holder_count(c, group); i++) {
        const struct conf_member *m = conf_member_at(c, group, i);
        if (m->is_implied)
            continue;
        buf_printf(out, "  %s:\n", m->name);
        add_rows(out, group, m, "    ", with_help);
    }
}

void conf_print_yaml(const struct conf *c, struct buf *out, bool with_help)
{
    for (size_t s = 0; s < conf_section_count; s++) {
        const struct conf_section *section = &conf_sections[s];
        if (with_help)
            buf_printf(out, "# %s\n", section->help);
        buf_printf(out, "%s:\n", section->name);
        if (section->member)
            add_members(out, c, section, with_help);
        else
            add_rows(out, section, conf_holder(c, section, 0), "  ", with_help);
    }
}

void conf_each(const struct conf *c, conf_on_setting *on_setting, void *context)
{
    for (size_t s = 0; s < conf_section_count; s++) {
        const struct conf_section *section = &conf_sections[s];
        for (size_t i = 0; i < conf_holder_count(c, section); i++) {
            const void *holder = conf_holder(c, section, i);
            const char *member = section->member ? conf_member_at(c, section, i)->name : NULL;
            for (size_t r = 0; r < section->row_count; r++) {
                AUTO_BUF struct buf value = {.data = NULL};
                conf_value_print(holder, &section->rows[r], &value);
                on_setting(context, section->name, member, section->rows[r].name, buf_span(&value));
            }
        }
    }
}

/* Every setting at its default, whatever the environment says, and one member of each group. */
static struct conf *defaults(void)
{
    struct conf *c = conf_new();

    for (size_t s = 0; s < conf_section_count; s++)
        if (conf_sections[s].member)
            (void) conf_member_get(c, &conf_sections[s], SPAN("name"),
                                   &(const char *){NULL}); /* a good name */
    conf_members_settle(c);
    return c;
}

/* What a row of a group takes by preset: "submission: required". */
static void add_presets(struct buf *out, const struct conf_row *row, const char *before)
{
    for (size_t i = 0; i < conf_preset_count; i++) {
        const struct conf_preset *p = &conf_presets[i];
        if (p->row != row)
            continue;
        buf_printf(out, "%s%s %s: %s", before, p->by->name, p->word, *p->value ? p->value : "none");
        before = ", ";
    }
}

void conf_print_default_file(struct buf *out)
{
    struct conf *c = defaults();

    buf_add_text(
        out,
        "# The settings of barid, all at their defaults. Remove the # before a line to change it.\n"
        "# Each can be overridden by the environment: section.name is BARID_SECTION_NAME; lists are separated by commas,\n"
        "# maps are written key=value;key=value. live: SIGHUP is enough; restart: takes effect at the next start.\n"
        "# Times have a unit: ms s min h d; sizes too: B KiB MiB GiB TiB.\n");
    for (size_t s = 0; s < conf_section_count; s++) {
        const struct conf_section *section = &conf_sections[s];
        buf_printf(out, "\n# %s\n%s:\n", section->help, section->name);
        if (section->member)
            buf_add_text(out, "  # As many as there are names (letters, digits, - and _).\n  #name:\n");
        add_rows(out, section, conf_holder(c, section, 0), section->member ? "    #" : "  #", true);
    }
    conf_release(c);
}

/* A vertical bar would end the cell. */
static void add_cell(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '|')
            buf_add_char(out, '\\');
        buf_add_char(out, s.at[i]);
    }
}

static void add_default(struct buf *out, const void *holder, const struct conf_row *row)
{
    AUTO_BUF struct buf value = {.data = NULL};

    if (row->as) {
        buf_printf(out, "as `%s.%s`", row->as->section->name, row->as->name);
    } else {
        conf_value_print(holder, row, &value);
        buf_add_char(out, '`');
        add_cell(out, buf_span(&value));
        buf_add_char(out, '`');
    }
    add_presets(out, row, "; ");
}

static void add_table(struct buf *out, const struct conf_section *section, const void *holder)
{
    buf_printf(out, "\n## %s: %s\n\n| setting | type, range, when | default | |\n|---|---|---|---|\n",
               section->name, section->help);
    for (size_t i = 0; i < section->row_count; i++) {
        const struct conf_row *row = &section->rows[i];
        AUTO_FREE char *path = conf_row_path(row, "NAME");
        buf_printf(out, "| `%s` | ", path);
        add_facts(out, row);
        buf_add_text(out, " | ");
        add_default(out, holder, row);
        buf_add_text(out, " | ");
        add_cell(out, span_of(conf_row_facts(row)->help));
        buf_add_text(out, " |\n");
    }
}

void conf_print_markdown(struct buf *out)
{
    struct conf *c = defaults();

    buf_add_text(
        out,
        "# Settings\n\nMade by `baridctl config docs` from `lib/base/conf.def`. Environment: `section.name` is "
        "`BARID_SECTION_NAME`; lists are separated by commas, maps are `key=value;key=value`.\n");
    for (size_t s = 0; s < conf_section_count; s++)
        add_table(out, &conf_sections[s], conf_holder(c, &conf_sections[s], 0));
    conf_release(c);
}
