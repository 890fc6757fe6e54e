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

static bool is_in(const struct conf_row *row, const struct conf_section *section)
{
    return strcmp(row->section, section->name) == 0;
}

/* "number, 1 to 64, restart" */
static void add_facts(struct buf *out, const struct conf_row *row)
{
    buf_add_text(out, type_name(row->type));
    if (row->type == CONF_CHOICE)
        buf_printf(out, " of %s", row->low);
    else if (*row->low || *row->high)
        buf_printf(out, ", %s to %s", row->low, row->high);
    buf_printf(out, ", %s", when_text(row));
}

void conf_print_yaml(const struct conf *c, struct buf *out, bool with_help)
{
    for (size_t s = 0; s < conf_section_count; s++) {
        if (with_help)
            buf_printf(out, "# %s\n", conf_sections[s].help);
        buf_printf(out, "%s:\n", conf_sections[s].name);
        for (size_t i = 0; i < conf_row_count; i++) {
            const struct conf_row *row = &conf_rows[i];
            if (!is_in(row, &conf_sections[s]))
                continue;
            if (with_help) {
                buf_printf(out, "  # %s (", row->help);
                add_facts(out, row);
                buf_add_text(out, ")\n");
            }
            buf_printf(out, "  %s: ", row->name);
            conf_value_print(c, row, out);
            buf_add_char(out, '\n');
        }
    }
}

/* Every setting at its default, whatever the environment says. */
static struct conf *defaults(void)
{
    struct conf *c = NEW(struct conf);

    c->users = 1;
    for (size_t i = 0; i < conf_row_count; i++)
        must(conf_value_set(c, &conf_rows[i], span_of(conf_rows[i].initial)) == 0);
    return c;
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
        buf_printf(out, "\n# %s\n%s:\n", conf_sections[s].help, conf_sections[s].name);
        for (size_t i = 0; i < conf_row_count; i++) {
            const struct conf_row *row = &conf_rows[i];
            if (!is_in(row, &conf_sections[s]))
                continue;
            buf_printf(out, "  # %s (", row->help);
            add_facts(out, row);
            buf_printf(out, ")\n  #%s: ", row->name);
            conf_value_print(c, row, out);
            buf_add_char(out, '\n');
        }
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

void conf_print_markdown(struct buf *out)
{
    struct conf *c = defaults();

    buf_add_text(
        out,
        "# Settings\n\nMade by `baridctl config docs` from `lib/base/conf.def`. Environment: `section.name` is "
        "`BARID_SECTION_NAME`; lists are separated by commas, maps are `key=value;key=value`.\n");
    for (size_t s = 0; s < conf_section_count; s++) {
        buf_printf(out, "\n## %s: %s\n\n| setting | type, range, when | default | |\n|---|---|---|---|\n",
                   conf_sections[s].name, conf_sections[s].help);
        for (size_t i = 0; i < conf_row_count; i++) {
            const struct conf_row *row = &conf_rows[i];
            AUTO_BUF struct buf value = {.data = NULL};
            if (!is_in(row, &conf_sections[s]))
                continue;
            buf_printf(out, "| `%s` | ", row->path);
            add_facts(out, row);
            buf_add_text(out, " | `");
            conf_value_print(c, row, &value);
            add_cell(out, buf_span(&value));
            buf_add_text(out, "` | ");
            add_cell(out, span_of(row->help));
            buf_add_text(out, " |\n");
        }
    }
    conf_release(c);
}
