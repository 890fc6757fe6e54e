/*
 * Does: what a verb is about to change in a cluster-wide table: shown, consented to, done, counted.
 * Does not: parse addresses (verb_table.c).
 * Owns: the changes, until plan_done().
 * Fails: EXIT_ASKED_FAILED and said; a row that somebody else changed since it was read is left alone and counted.
 */
#pragma once

#include "ctl/table_link.h"

/* Texts are the caller's and stay; NULL at: nothing there. */
struct table_change {
    struct span field, before, after;
};
/* One after the other: addresses set, domains set, domains taken out, addresses taken out. */
enum { CHANGE_PHASES = 4 };
unsigned change_phase(const struct table_change *c);

struct table_plan {
    enum table table;
    struct table_change *changes;
    size_t count, room;
    uint64_t same; /* rows that are as they should be */
};

/* Before and after the same: counted only. */
void plan_add(struct table_plan *p, struct span field, struct span before, struct span after);
bool plan_has(const struct table_plan *p, struct span field);
/* Shows it, asks unless --yes or --dry-run, and does it. */
int plan_run(const struct arguments *a, struct table_link *l, struct table_plan *p);
void plan_done(struct table_plan *p);
