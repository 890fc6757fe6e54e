/*
 * Does: the files of the address tables (settings `tables`): read whole, looked into, shared by all reactors; read anew off the loop when
 *       the settings or the files have changed.
 * Does not: ask Redis, or know what rows mean for mail (tables.h).
 * Owns: what was read, counted: never changed once it can be seen.
 * Fails: a sentence with file and line. A file that cannot be used leaves what was read before in force.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "io/loop.h"

enum table_file {
    FILE_ALIASES,
    FILE_RECIPIENTS,
    FILE_SENDER_REWRITES,
    FILE_RECIPIENT_REWRITES,
    TABLE_FILE_COUNT
};

struct table_files;
/* NULL where no files are set. -errno: *ret_error (owned by the caller) says why. Thread-safe. */
int table_files_load(const struct conf *conf, struct table_files **ret_files, char **ret_error);
struct table_files *table_files_release(struct table_files *f); /* always NULL */
/* The value of the first of the keys that is there, NULL: none. f may be NULL. */
const char *table_files_find(const struct table_files *f, enum table_file file, const struct span *keys,
                             size_t count, size_t *ret_which);
bool table_files_has(const struct table_files *f, enum table_file file); /* any row */

/* Reads them now, and from then on whenever they change: asked for once a second. On the main loop. */
int table_watch_open(struct loop *l, char **ret_error);
void table_watch_reload(void); /* the settings may be others, or somebody said SIGHUP */
void table_watch_close(void);
/* What is in force, and its number, which is another one each time. From any thread; released by the caller. */
unsigned table_watch_number(void);
struct table_files *table_watch_hold(unsigned *ret_number);
