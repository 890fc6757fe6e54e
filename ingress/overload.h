/*
 * Does: says whether this node has too much to do: sessions, memory, or a store that is nearly full. Looked at twice a second for the process.
 * Does not: turn anybody away (session.c), or shorten a time (service.c).
 * Owns: what was seen last.
 * Fails: never; memory that cannot be read counts as none.
 */
#pragma once

#include <stdbool.h>

#include "io/loop.h"

/* On the main loop. on_change: in its thread, when stress begins or ends: it concerns all reactors. */
void overload_open(struct loop *l, void (*on_change)(void));
void overload_close(void);
/* Clients must hurry: ingress.stress_timeout. From any thread. */
bool overload_is_stressed(void);
/* ingress.max_memory is passed: no new sessions. From any thread. */
bool overload_is_full(void);
