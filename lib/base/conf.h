/*
 * Does: the settings of all programs: one table (conf.def), a snapshot struct made from it, parse, ranges, environment overrides, reload.
 * Does not: know YAML (a reader turns a file into lines first, io/yaml.h), nor what a setting means.
 * Owns: snapshots, counted: conf_get() borrows the current one, conf_hold()/conf_release() keep it longer.
 * Fails: -EINVAL with a sentence saying file, line and what was expected.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct conf_list {
    char **items;
    size_t count;
};

struct conf_map {
    char **keys;
    char **values;
    size_t count;
};

/* What a member of any group begins with. */
struct conf_member {
    char *name;
    uint64_t given;  /* bit n: the n-th setting of the group was given in file or environment */
    bool is_implied; /* made by another setting (ingress.listen), and not printed */
};

/* Field types behind the rows of conf.def. Durations are milliseconds, sizes bytes. */
#define CONF_FIELD_TEXT(name) char *name;
#define CONF_FIELD_FILE(name) char *name; /* a secret: inline, or from `<name>_file` */
#define CONF_FIELD_NUMBER(name) uint64_t name;
#define CONF_FIELD_SIZE(name) uint64_t name##_bytes;
#define CONF_FIELD_TIME(name) uint64_t name##_ms;
#define CONF_FIELD_FLAG(name) bool name;
#define CONF_FIELD_CHOICE(name) unsigned name; /* index into the words of the row */
#define CONF_FIELD_LIST(name) struct conf_list name;
#define CONF_FIELD_MAP(name) struct conf_map name;

/* struct conf_ingress and the like: the settings of one section. */
#define CONF_SECTION(section, help) struct conf_##section {
#define CONF_SECTION_END(section) \
    }                             \
    ;
#define CONF(section, name, type, initial, low, high, when, help) CONF_FIELD_##type(name)
/* struct conf_listener and the like: one member of a group. */
#define CONF_GROUP(group, member, help)   \
    struct conf_##member {                \
        union {                           \
            char *name;                   \
            struct conf_member as_member; \
        };
#define CONF_GROUP_END(group, member) \
    }                                 \
    ;
#define CONF_AS(member, name, type, section) CONF_FIELD_##type(name)
#include "base/conf.def"

struct conf_place;

struct conf {
    unsigned users; /* how many hold this snapshot */
    struct conf_place *places;
    size_t place_count;
#define CONF_SECTION(section, help) struct conf_##section section;
#define CONF_GROUP(group, member, help) \
    struct conf_##member *group;        \
    size_t member##_count;
#include "base/conf.def"
};

/* Does the file have one level more below this name: names, each with settings? */
bool conf_is_group(struct span section);

/* One setting as found in a file: path "section.name", or "group.member.name", or "group.member" alone for a member without settings; a list has one item per value, a map one item per value with its key. */
struct conf_item {
    char *path;
    char *key; /* of a map; else NULL */
    char *value;
    unsigned line;
    bool is_list, is_map; /* how it was written; an empty list or map is one item with value NULL */
};

/* Turns a file into items. Returns 0 or -EINVAL with *ret_error (owned by the caller) saying line and reason. */
typedef int conf_reader(const char *file, struct conf_item **ret_items, size_t *ret_count, char **ret_error);

/*
 * Reads file (NULL or "": defaults and environment only) into a new snapshot, applies BARID_<SECTION>_<NAME>, checks all.
 * -EINVAL: *ret_error is the sentence (owned by the caller), nothing changes.
 */
int conf_load(const char *file, conf_reader *reader, struct conf **ret_conf, char **ret_error);
struct conf *conf_hold(struct conf *c);
struct conf *conf_hold_current(void);      /* those in force */
struct conf *conf_release(struct conf *c); /* always NULL */

/* The settings in force, thread-safe; the pointer stays valid until the caller's thread calls conf_get() again. */
const struct conf *conf_get(void);
/* Puts a snapshot in force (takes the caller's hold). The first call also fixes what needs a restart. */
void conf_set(struct conf *next);
/*
 * Puts `next` in force for the live settings only, and takes the caller's hold (the only one: it is changed here); ret_restart gets the names of
 * those that changed but need a restart, separated by ", ".
 */
void conf_reload(struct conf *next, struct buf *ret_restart);

/* Where a member's value comes from: "listeners.public.tls", or "ingress.max_message" when it is that setting's. The caller's. */
char *conf_member_path(const struct conf_member *m, const char *group, const char *name);

/*
 * What a fault of a setting begins with, when it shows only beside others: "barid.yaml:12: courier.routes"; the path alone when nobody gave it.
 * key: of a map, the row; else NULL.
 */
void conf_place(const struct conf *c, const char *path, const char *key, struct buf *out);

void conf_print_yaml(const struct conf *c, struct buf *out, bool with_help); /* secrets shown as "(set)" */
/* Each setting in force, as a file would say it; secrets as "(set)". member: its name, in a group; NULL: in a section. */
typedef void conf_on_setting(void *context, const char *section, const char *member, const char *name,
                             struct span value);
void conf_each(const struct conf *c, conf_on_setting *on_setting, void *context);
void conf_print_markdown(struct buf *out); /* docs/configuration.md */
/* A span of time as in a file, "90s" or "5d". -EINVAL: it is none; ret_ms untouched. */
int conf_parse_time(struct span text, uint64_t *ret_ms);
int conf_parse_size(struct span text, uint64_t *ret_bytes); /* the same for "10MiB" */
/* The default file: every setting commented, with type, range and help. */
void conf_print_default_file(struct buf *out);
