/* Groups of settings: their members, and what a member takes that does not say a setting itself. */
#include <errno.h>
#include <string.h>

#include "base/conf_row.h"
#include "base/mem.h"

enum { NAME_MAX_LEN = 32, MEMBERS_MAX = 1000 };

/* The pointer is of another type in each group: it is copied. */
static void *members_of(const struct conf *c, const struct conf_section *group)
{
    void *members;
    memcpy(&members, (const char *) c + group->offset, sizeof members);
    return members;
}

static void set_members(struct conf *c, const struct conf_section *group, void *members, size_t count)
{
    memcpy((char *) c + group->offset, &members, sizeof members);
    memcpy((char *) c + group->count_offset, &count, sizeof count);
}

size_t conf_holder_count(const struct conf *c, const struct conf_section *section)
{
    return section->member ? *(const size_t *) ((const char *) c + section->count_offset) : 1;
}

void *conf_holder(const struct conf *c, const struct conf_section *section, size_t i)
{
    must(i < conf_holder_count(c, section));
    return section->member ? (char *) members_of(c, section) + i * section->size
                           : (char *) c + section->offset;
}

struct conf_member *conf_member_at(const struct conf *c, const struct conf_section *group, size_t i)
{
    must(group->member);
    return conf_holder(c, group, i);
}

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!((name.at[i] >= 'a' && name.at[i] <= 'z') || (name.at[i] >= '0' && name.at[i] <= '9') ||
              name.at[i] == '-' || name.at[i] == '_'))
            return false;
    return name.len > 0 && name.len <= NAME_MAX_LEN;
}

bool conf_member_name_equal(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if ((a.at[i] == '-' ? '_' : a.at[i]) != (b.at[i] == '-' ? '_' : b.at[i]))
            return false;
    return true;
}

static struct conf_member *add_member(struct conf *c, const struct conf_section *group, struct span name)
{
    size_t count = conf_holder_count(c, group);

    set_members(c, group, mem_resize(members_of(c, group), (count + 1) * group->size), count + 1);
    struct conf_member *m = conf_member_at(c, group, count);
    memset(m, 0, group->size);
    m->name = mem_text(name.at, name.len);
    return m;
}

struct conf_member *conf_member_get(struct conf *c, const struct conf_section *group, struct span name,
                                    const char **ret_why)
{
    if (!is_name(name)) {
        *ret_why = "a name has 1 to 32 letters, digits, - and _, no capitals";
        return NULL;
    }
    for (size_t i = 0; i < conf_holder_count(c, group); i++) {
        struct conf_member *m = conf_member_at(c, group, i);
        if (span_equal(span_of(m->name), name))
            return m;
        if (conf_member_name_equal(span_of(m->name), name)) {
            *ret_why = "another name differs in - and _ only: the environment could not tell them apart";
            return NULL;
        }
    }
    if (conf_holder_count(c, group) == MEMBERS_MAX) {
        *ret_why = "more than 1000 of them";
        return NULL;
    }
    return add_member(c, group, name);
}

static uint64_t bit_of(const struct conf_row *row)
{
    size_t n = (size_t) (row - row->section->rows);

    must(n < 64);
    return UINT64_C(1) << n;
}

void conf_member_give(struct conf_member *m, const struct conf_row *row)
{
    m->given |= bit_of(row);
}

bool conf_member_gives(const struct conf_member *m, const struct conf_row *row)
{
    return m->given & bit_of(row);
}

/* The preset that a member has for a setting, by another one's value; NULL: none. */
static const struct conf_preset *find_preset(const struct conf_member *m, const struct conf_row *row)
{
    for (size_t i = 0; i < conf_preset_count; i++) {
        const struct conf_preset *p = &conf_presets[i];
        AUTO_BUF struct buf word = {.data = NULL};
        if (p->row != row)
            continue;
        conf_value_print(m, p->by, &word);
        if (span_equal(buf_span(&word), span_of(p->word)))
            return p;
    }
    return NULL;
}

/* Rows that presets go by come before those they set. */
static void settle(const struct conf *c, struct conf_member *m, const struct conf_section *group)
{
    for (size_t i = 0; i < group->row_count; i++) {
        const struct conf_row *row = &group->rows[i];
        if (conf_member_gives(m, row))
            continue;
        const struct conf_preset *preset = find_preset(m, row);
        if (preset)
            must(conf_value_set(m, row, span_of(preset->value)) == 0);
        else if (row->as)
            conf_value_take(m, row, conf_holder(c, row->as->section, 0), row->as);
        else
            must(conf_value_set(m, row, span_of(row->initial)) == 0);
    }
}

char *conf_member_path(const struct conf_member *m, const char *group, const char *name)
{
    const struct conf_section *section = conf_section_find(span_of(group));
    must(section && section->member);
    const struct conf_row *row = conf_row_find(section, span_of(name));

    must(row);
    bool is_taken = row->as && !conf_member_gives(m, row) && !find_preset(m, row);
    if (m->is_implied && !row->as)
        return mem_string("ingress.listen");
    return conf_row_path(is_taken ? row->as : row, m->name);
}

void conf_members_settle(struct conf *c)
{
    for (size_t s = 0; s < conf_section_count; s++)
        for (size_t i = 0; conf_sections[s].member && i < conf_holder_count(c, &conf_sections[s]); i++)
            settle(c, conf_member_at(c, &conf_sections[s], i), &conf_sections[s]);
}

static void add_name(struct buf *out, const char *a, const char *b, const char *c)
{
    buf_printf(out, "%s%s.%s%s%s", out->len ? ", " : "", a, b, c ? "." : "", c ? c : "");
}

/* Takes what the member itself says of these rows. */
static void copy_given(struct conf_member *to, const struct conf_member *from, const struct conf_row *row)
{
    conf_value_copy(to, from, row);
    to->given = (to->given & ~bit_of(row)) | (from->given & bit_of(row));
}

static struct conf_member *find_member(const struct conf *c, const struct conf_section *group,
                                       const char *name)
{
    for (size_t i = 0; i < conf_holder_count(c, group); i++)
        if (strcmp(conf_member_at(c, group, i)->name, name) == 0)
            return conf_member_at(c, group, i);
    return NULL;
}

static void clear_member(struct conf_member *m, const struct conf_section *group)
{
    for (size_t i = 0; i < group->row_count; i++)
        conf_value_clear(m, &group->rows[i]);
    m->name = mem_free(m->name);
}

/* One of the running members with the new settings, as far as there are any. */
static void keep_member(struct conf_member *to, const struct conf_section *group,
                        const struct conf_member *old, const struct conf_member *next,
                        struct buf *ret_restart)
{
    if (!next && !old->is_implied)
        add_name(ret_restart, group->name, old->name, NULL);
    to->name = mem_string(old->name);
    to->is_implied = old->is_implied;
    for (size_t i = 0; i < group->row_count; i++) {
        const struct conf_row *row = &group->rows[i];
        bool is_kept = next && (row->is_live || conf_value_equal(next, old, row));
        if (next && !is_kept && !old->is_implied)
            add_name(ret_restart, group->name, old->name, row->name);
        copy_given(to, is_kept ? next : old, row);
    }
}

static void keep_group(struct conf *c, const struct conf *old, const struct conf_section *group,
                       struct buf *ret_restart)
{
    size_t count = conf_holder_count(old, group), next_count = conf_holder_count(c, group);
    char *kept = mem_array(count + 1, group->size);

    for (size_t i = 0; i < count; i++) {
        const struct conf_member *running = conf_member_at(old, group, i);
        keep_member((struct conf_member *) (void *) (kept + i * group->size), group, running,
                    find_member(c, group, running->name), ret_restart);
    }
    for (size_t i = 0; i < next_count; i++) {
        struct conf_member *m = conf_member_at(c, group, i);
        if (!find_member(old, group, m->name) && !m->is_implied)
            add_name(ret_restart, group->name, m->name, NULL);
        clear_member(m, group);
    }
    mem_free(members_of(c, group));
    set_members(c, group, kept, count);
}

/* Nothing that runs depends on which members there are: they come and go. */
static bool is_live(const struct conf_section *group)
{
    for (size_t i = 0; i < group->row_count; i++)
        if (!group->rows[i].is_live)
            return false;
    return true;
}

void conf_members_keep(struct conf *c, const struct conf *old, struct buf *ret_restart)
{
    for (size_t s = 0; s < conf_section_count; s++)
        if (conf_sections[s].member && !is_live(&conf_sections[s]))
            keep_group(c, old, &conf_sections[s], ret_restart);
    conf_members_settle(c);
}

void conf_members_free(struct conf *c)
{
    for (size_t s = 0; s < conf_section_count; s++) {
        if (!conf_sections[s].member)
            continue;
        for (size_t i = 0; i < conf_holder_count(c, &conf_sections[s]); i++)
            clear_member(conf_member_at(c, &conf_sections[s], i), &conf_sections[s]);
        mem_free(members_of(c, &conf_sections[s]));
        set_members(c, &conf_sections[s], NULL, 0);
    }
}
