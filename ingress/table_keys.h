/*
 * Does: what an address is looked for under in the tables: as it is, in lower case, both without +detail, and as its domain.
 * Does not: look. Owns: its text. Fails: never.
 */
#pragma once

#include "cluster/address_text.h"

enum { TABLE_KEYS_MAX = 5 };
struct table_keys {
    struct span keys[TABLE_KEYS_MAX]; /* the most exact first; the last one is @domain */
    size_t count;
    char text[TABLE_KEYS_MAX][ADDRESS_KEY_MAX + 1];
};

/* local: as given; domain: normalised; delimiters: any of these characters begins the detail. Keys point into k, which must stay where it is. */
void table_keys_make(struct table_keys *k, struct span local, struct span domain, const char *delimiters);
