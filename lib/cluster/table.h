/*
 * Does: the cluster-wide tables (users, tenants, aliases, recipients): reads a field, writes one, lists all, tells versions. Fields and values
 *       are any bytes. A write and the table's version are one script.
 * Does not: know what values mean, nor keep any (ingress/change.h tells when to read again).
 * Owns: its calls. They have no end but their answer: context must live until then.
 * Fails: TABLE_UNKNOWN: not confirmed in time (a write may have happened), or the key is not a hash.
 * See: lua/table.lua, table.def.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cluster/store.h"

enum table {
#define TABLE(NAME, name, help) TABLE_##NAME,
#include "cluster/table.def"
#undef TABLE
    TABLE_COUNT
};
enum { TABLE_FIELD_MAX = 512, TABLE_VALUE_MAX = 16384 };

/* OK: done, or as asked for already. NONE: no such field. EXISTS, CHANGED: it was not as expected, and nothing was written. */
enum table_answer { TABLE_OK, TABLE_NONE, TABLE_EXISTS, TABLE_CHANGED, TABLE_UNKNOWN };

const char *table_name(enum table table); /* "users" */
/* value: what a get found, else empty; valid during the call. Never called inside the function that asks. */
typedef void table_on_value(void *context, enum table_answer answer, struct span value);
/* OK, NONE or UNKNOWN. time_ms: how long it is repeated; UINT64_MAX: without end. */
void table_get(struct store *s, enum table table, struct span field, uint64_t time_ms,
               table_on_value *on_value, void *context);
/* The same for the first of several fields that is there; which: its place. count: 1 to TABLE_FIELDS_MAX. */
enum { TABLE_FIELDS_MAX = 16 };
typedef void table_on_find(void *context, enum table_answer answer, size_t which, struct span value);
void table_find(struct store *s, enum table table, const struct span *fields, size_t count, uint64_t time_ms,
                table_on_find *on_find, void *context);
/*
 * One write, confirmed; the table's version grows with it. expected: NULL: whatever is there; an empty span: nothing may be there, else EXISTS;
 * else what is there, else CHANGED. A field that holds the value already is OK, and no version grows. field: 1 to TABLE_FIELD_MAX bytes,
 * value: 1 to TABLE_VALUE_MAX (must()).
 */
void table_put(struct store *s, enum table table, struct span field, struct span value,
               const struct span *expected, uint64_t time_ms, table_on_value *on_done, void *context);
/* The same for taking a field out, whatever it is: OK, NONE, CHANGED or UNKNOWN. */
void table_remove(struct store *s, enum table table, struct span field, const struct span *expected,
                  uint64_t time_ms, table_on_value *on_done, void *context);

/* All fields in no order, a few hundred at a time; one that is written meanwhile may be missed or come twice. on_end: OK or UNKNOWN. */
typedef void table_on_row(void *context, struct span field, struct span value);
typedef void table_on_end(void *context, enum table_answer answer);
void table_list(struct store *s, enum table table, uint64_t time_ms, table_on_row *on_row,
                table_on_end *on_end, void *context);

/* How many fields there are, and a number that is another one after each write: microseconds of Redis TIME; 0: none was made yet. */
struct table_version {
    uint64_t version, count;
};
/* versions: TABLE_COUNT of them, valid during the call; NULL when they could not be read. A table that is no hash counts as not empty. */
typedef void table_on_versions(void *context, const struct table_version *versions);
void table_versions(struct store *s, uint64_t time_ms, table_on_versions *on_versions, void *context);
