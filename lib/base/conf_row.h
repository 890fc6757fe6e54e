/*
 * Does: the rows of conf.def as data, and one value of each type: parse, check, copy, free, print. For the conf_*.c files only.
 * Does not: know files, environment or snapshots in force (conf.c).
 * Owns: nothing; values belong to their struct conf.
 * Fails: -EINVAL: the text is not of the type; -ERANGE: outside the row's range. The value is untouched then.
 */
#pragma once

#include "base/conf.h"

enum conf_type {
    CONF_TEXT,
    CONF_FILE,
    CONF_NUMBER,
    CONF_SIZE,
    CONF_TIME,
    CONF_FLAG,
    CONF_CHOICE,
    CONF_LIST,
    CONF_MAP
};

struct conf_section;
struct conf_row {
    const struct conf_section *section;
    const char *name;
    enum conf_type type;
    const char *initial;
    const char *low, *high; /* of CHOICE: low holds the words */
    bool is_live;
    const char *help;
    size_t offset; /* of the field in its holder: the struct of the section, or of a group's member */
    const struct conf_row
        *as; /* the row that says type, range, default and help for this one; NULL: itself */
};

/* A section is held once in struct conf, a group as an array of members. */
struct conf_section {
    const char *name;
    const char *help;
    const char *member; /* of a group: what one of it is called; NULL: a section */
    size_t offset;      /* in struct conf: the section, or the pointer to the members */
    size_t count_offset;
    size_t size; /* of a holder */
    const struct conf_row *rows;
    size_t row_count;
};

/* What a member takes unless it gives its own: where its choice `by` is `word`. */
struct conf_preset {
    const struct conf_row *by;
    const char *word;
    const struct conf_row *row;
    const char *value;
};

extern const struct conf_row conf_rows[];
extern const size_t conf_row_count;
extern const struct conf_section conf_sections[];
extern const size_t conf_section_count;
extern const struct conf_preset conf_presets[];
extern const size_t conf_preset_count;

/* The longest text taken for one value, or for a secret's file. */
enum { CONF_VALUE_MAX = 65536 };

static inline const struct conf_row *conf_row_facts(const struct conf_row *row)
{
    return row->as ? row->as : row;
}

/* Every setting at its default, no members. */
struct conf *conf_new(void);
const struct conf_section *conf_section_find(struct span name); /* NULL: no such section or group */
const struct conf_row *conf_row_find(const struct conf_section *section,
                                     struct span name); /* NULL: no such setting */
/* "section.name", or "group.member.name"; the caller's. */
char *conf_row_path(const struct conf_row *row, const char *member);
/* How it is set in the environment, "BARID_SECTION_NAME"; the caller's. */
char *conf_row_variable(const struct conf_row *row, const char *member);
/* The path that a variable sets; NULL: none. Underscores of a member's name are those of a member of c, if there is one like it. */
char *conf_variable_path(const struct conf *c, const char *name);
/* Adds "; did you mean X?" when the name of one of c's settings, as `form` writes it, is near enough. */
void conf_hint(const struct conf *c, const char *name,
               char *(*form)(const struct conf_row *row, const char *member), struct buf *what);

/* The values of a section or of one member of a group are in a holder: how many there are (of a section one), and the i-th. */
size_t conf_holder_count(const struct conf *c, const struct conf_section *section);
void *conf_holder(const struct conf *c, const struct conf_section *section, size_t i);
struct conf_member *conf_member_at(const struct conf *c, const struct conf_section *group, size_t i);
/*
 * The member of that name, made if it is new; NULL: *ret_why says why the name cannot be used. Names are [a-z0-9_-]{1,32}; - and _ are the
 * same letter to a variable's name, so they do not tell two members apart. Pointers to the group's members end.
 */
struct conf_member *conf_member_get(struct conf *c, const struct conf_section *group, struct span name,
                                    const char **ret_why);
bool conf_member_name_equal(struct span a, struct span b);
void conf_member_give(struct conf_member *m,
                      const struct conf_row *row); /* the row's value is the member's own */
bool conf_member_gives(const struct conf_member *m, const struct conf_row *row);
/* Sets what the members do not give: by preset, from the section named, by default. */
void conf_members_settle(struct conf *c);
/*
 * A running program's members are fixed, and so are their settings that are not live: they become as in old; ret_restart: what would have
 * changed. Where all settings of a group are live, so are its members.
 */
void conf_members_keep(struct conf *c, const struct conf *old, struct buf *ret_restart);
void conf_members_free(struct conf *c);

/* A setting was given there; line 0: file is a variable's name. */
void conf_place_note(struct conf *c, const char *path, const char *key, const char *file, unsigned line);
void conf_places_free(struct conf *c);

/* From text as in the environment or conf.def: a list separated by commas, a map as key=value;key=value. Replaces the field's value. */
int conf_value_set(void *holder, const struct conf_row *row, struct span text);
/* One more item of a list or map. -EEXIST: the map has the key. */
int conf_value_add(void *holder, const struct conf_row *row, struct span key, struct span value);
void conf_value_clear(void *holder, const struct conf_row *row); /* frees; empty or zero */
void conf_value_copy(void *to, const void *from, const struct conf_row *row);
bool conf_value_equal(const void *a, const void *b, const struct conf_row *row);
/* From the holder of another row of the same type. */
void conf_value_take(void *to, const struct conf_row *row, const void *from, const struct conf_row *from_row);
/* As YAML on one line (lists [..], maps {..}); secrets as "(set)". */
void conf_value_print(const void *holder, const struct conf_row *row, struct buf *out);
/* What is expected, as a noun phrase: "a size from 64KiB to 2GiB". */
void conf_row_expected(const struct conf_row *row, struct buf *out);
void conf_add_quoted(struct buf *out, struct span text); /* a double-quoted YAML scalar */
