/*
 * Does: has the schedule obey the operator's rules: which queues rest, what limits are ordered, whose mail goes another way by now.
 * Does not: read rules (lib/cluster/rule_watch.h), nor hold, return or drop jobs: couriers do (courier/obey.h).
 * Owns: nothing; rules are the caller's until the next schedule_obey().
 * Fails: never.
 */
#pragma once

#include "dispatcher/schedule.h"

/* Does a rule suspend this queue? rules: not NULL. */
bool rules_suspend(const struct rules *rules, struct span queue);
/* What rules order goes before what the settings say. rules: may be NULL. */
void rules_order_limits(const struct rules *rules, struct limits *queues, struct limits *sites);
