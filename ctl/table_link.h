/*
 * Does: the cluster-wide tables for verbs: the calls of cluster/table.h, each waited for; many writes under way at once for imports.
 * Does not: know what values mean.
 * Owns: the connections.
 * Fails: table_link_open() with EXIT_ASKED_FAILED and said; the calls as those of table.h (UNKNOWN: no answer in ten seconds).
 */
#pragma once

#include "cluster/table.h"
#include "ctl/ask.h"
#include "ctl/verb.h"

struct table_link;
int table_link_open(const struct arguments *a, struct table_link **ret_link);
struct table_link *table_link_close(struct table_link *l); /* always NULL */
struct store *table_link_store(struct table_link *l);      /* for other questions */
struct ask *table_link_ask(struct table_link *l);          /* the same, as a verb asks them */

/* The value is appended to *out. */
enum table_answer table_link_get(struct table_link *l, enum table table, struct span field, struct buf *out);
enum table_answer table_link_put(struct table_link *l, enum table table, struct span field, struct span value,
                                 const struct span *expected);
enum table_answer table_link_remove(struct table_link *l, enum table table, struct span field,
                                    const struct span *expected);

/* All rows, each once, sorted by field. EXIT_OK, or EXIT_ASKED_FAILED and said. */
struct table_row {
    struct span field, value;
};
struct table_rows {
    struct table_row *rows;
    size_t count, room;
};
int table_link_list(struct table_link *l, enum table table, struct table_rows *ret_rows);
void table_rows_done(struct table_rows *r);
const struct table_row *table_rows_find(const struct table_rows *r, struct span field); /* NULL: none */
/* In any order, each once: table_rows_sort() before they are looked for. */
void table_rows_add(struct table_rows *r, struct span field, struct span value);
void table_rows_sort(struct table_rows *r);

/* Writes that are not waited for one by one; value NULL: takes the field out. tally[answer] counts them. */
void table_link_write(struct table_link *l, enum table table, struct span field, const struct span *value,
                      const struct span *expected, uint64_t *tally);
void table_link_wait(struct table_link *l); /* until all are answered */
/* Said after UNKNOWN; returns EXIT_ASKED_FAILED. */
int table_say_unknown(enum table table);
