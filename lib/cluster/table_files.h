/*
 * Does: the files of the address tables (settings `tables`): read whole, looked into.
 * Does not: watch them (ingress/table_watch.h), or know what rows mean for mail.
 * Owns: what was read, counted: never changed once it is there, so that threads may share it.
 * Fails: -errno with a sentence that names file and line.
 * See: address_text.h for the grammar.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"

enum table_file {
    FILE_ALIASES,
    FILE_RECIPIENTS,
    FILE_SENDER_REWRITES,
    FILE_RECIPIENT_REWRITES,
    TABLE_FILE_COUNT
};
const struct conf_list *table_files_of(const struct conf *conf, enum table_file file); /* their paths */

struct table_files;
/* NULL where no files are set. *ret_error is owned by the caller. Thread-safe. */
int table_files_load(const struct conf *conf, struct table_files **ret_files, char **ret_error);
struct table_files *table_files_hold(struct table_files *f);    /* NULL gives NULL */
struct table_files *table_files_release(struct table_files *f); /* always NULL */
/* f may be NULL: none. The value of the first of the keys that is there, NULL: of none. */
const char *table_files_find(const struct table_files *f, enum table_file file, const struct span *keys,
                             size_t count, size_t *ret_which);
bool table_files_has(const struct table_files *f, enum table_file file); /* any row */
size_t table_files_rows(const struct table_files *f);
