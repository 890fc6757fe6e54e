/*
 * Does: the files of the address tables, shared by all reactors: read at the start, and anew off the loop when the settings or the files have
 *       changed.
 * Does not: look into them (cluster/table_files.h).
 * Owns: what is in force, between table_watch_open() and table_watch_close().
 * Fails: table_watch_open() with -errno and a sentence. Later a file that cannot be used leaves what was read before in force, and is told.
 */
#pragma once

#include "cluster/table_files.h"
#include "io/loop.h"

/* On the main loop. From then on files are looked at once a second. */
int table_watch_open(struct loop *l, char **ret_error);
void table_watch_reload(void); /* the settings may be others, or somebody said SIGHUP */
void table_watch_close(void);
/* What is in force, and its number, which is another one each time. From any thread; released by the caller. */
unsigned table_watch_number(void);
struct table_files *table_watch_hold(unsigned *ret_number);
