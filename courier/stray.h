/*
 * Does: every 30 s compares the claims the store has of this courier with those it knows (PROTOCOL.md "Nodes").
 * Does not: touch a claim it has seen only once: an answer may be on its way.
 * Fails: a claim it never asked for is a broken invariant and ends the process.
 */
#pragma once

#include "courier/courier.h"

void stray_start(struct courier *c);
