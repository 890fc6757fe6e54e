/*
 * Does: opens the audited store for verbs that give orders or read content: what the nodes use, with the nodes' rules.
 * Does not: ask plain questions (ask.h).
 * Owns: nothing; the store is the caller's, and its orders end before it closes.
 * Fails: EXIT_ASKED_FAILED and said: it is not ready within REACH_TIME_MS.
 */
#pragma once

#include "cluster/store.h"
#include "ctl/ask.h"

enum { REACH_TIME_MS = 10000 };
/* Mail waits until all replicas that may be promoted can hold it; orders are given while one of them is broken, too. */
enum reach_for { REACH_FOR_ORDERS, REACH_FOR_MAIL };
int store_reach(struct ask *k, enum reach_for purpose, struct store **ret_store);
