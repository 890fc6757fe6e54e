/*
 * Does: what table_files.c tells table_watch.c.
 * Does not: concern anybody else: table_files.h is the contract.
 * Owns: nothing. Fails: never.
 */
#pragma once

#include "ingress/table_files.h"

const struct conf_list *table_files_of(const struct conf *conf, enum table_file file);
struct table_files *table_files_hold(struct table_files *f); /* NULL gives NULL */
size_t table_files_rows(const struct table_files *f);
