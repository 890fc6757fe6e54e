/*
 * Does: keeps a process' rules in force: asks twice a second whether there are others, reads them then, and tells. Tells too when the time of one is over.
 * Does not: obey them.
 * Owns: the rules, each set until the next is told.
 * Fails: while the store is away, or the rows are no hash, the rules known last stay in force until their time is over; logged once.
 */
#pragma once

#include "cluster/rule.h"
#include "cluster/store.h"

struct rule_watch;
/* rules: those in force, never NULL, maybe none; borrowed until the next call. The first comes when they are known. */
typedef void rule_watch_on_rules(void *owner, const struct rules *rules);
struct rule_watch *rule_watch_open(struct store *s, rule_watch_on_rules *on_rules, void *owner);
struct rule_watch *rule_watch_close(
    struct rule_watch *w); /* NULL is fine; always NULL. Before the store closes */
const struct rules *rule_watch_rules(const struct rule_watch *w); /* NULL: not known yet */
