/*
 * Does: tells all reactors how new each cluster-wide table is, and whether it is empty: the main reactor asks for the process.
 * Does not: read tables. Owns: the asking, between change_open() and change_close().
 * Fails: while the store is away it tells what it knew last.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cluster/table.h"

/* On the main reactor's store. on_change: in its thread, after what is told has changed. */
void change_open(struct store *s, void (*on_change)(void));
void change_close(void); /* before the store closes */
/* Another number after each write, half a second later at most while the store answers; 0: not read yet. From any thread. */
uint64_t change_version(enum table table);
/* Known to be empty: then nobody need ask Redis. From any thread. */
bool change_is_empty(enum table table);
