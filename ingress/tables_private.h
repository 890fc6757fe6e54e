/*
 * Does: what tables.c and tables_expand.c share: a question and the addresses it has led to so far.
 * Does not: concern anybody else: tables.h is the contract.
 * Owns: a question's addresses, until expansion_done().
 * Fails: expansion_add() with a text for the client: the aliases lead nowhere.
 */
#pragma once

#include "base/map.h"
#include "ingress/tables.h"

/* An address that was come to: local@domain, domain normalised. */
struct item {
    const struct item *parent; /* whose alias it is; NULL: the first */
    size_t local_len, len;
    unsigned depth;
    bool is_final; /* mail goes there */
    char text[];
};

struct span item_local(const struct item *item);
struct span item_domain(const struct item *item);

struct expansion {
    struct item **items; /* in the order they were come to */
    size_t count, room;
    size_t final_count;
    struct map seen;
};

void expansion_done(struct expansion *e);
struct item *expansion_begin(struct expansion *e, struct span local, struct span domain);
void expansion_settle(struct expansion *e, struct item *item); /* mail goes there */
/* All that stands for the item. What is wrong with it, or NULL. */
const struct tables_result *expansion_add(struct expansion *e, const struct item *item, struct span value);
extern const struct tables_result expansion_too_many;
