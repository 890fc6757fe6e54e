/*
 * Does: the operator's TRACE rules in this process: the main loop learns of them, each reactor takes them.
 * Does not: decide which sessions they mean (session_trace.c, cluster/transcript.h).
 * Owns: the rules in force, between tracing_open() and tracing_close().
 * Fails: never; while Redis is away the rules known last stay.
 */
#pragma once

#include "ingress/reactor.h"

/* On the main loop. on_change: there are other rules, for all reactors to take. */
void tracing_open(struct store *s, void (*on_change)(void));
void tracing_close(void);
/* Takes them if they are others than this reactor has; in its thread. */
void tracing_refresh(struct reactor *r);
