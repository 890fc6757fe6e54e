/*
 * Does: writes pauses and resumptions of queues into the store, counts and tells them.
 * Does not: decide (trouble.c).
 * Owns: nothing.
 * Fails: never. One that could not be written: the queue is found due, tried, and paused or resumed again.
 */
#pragma once

#include "cluster/store.h"

/* store: a struct store. From dispatcher.pause_first on, each time twice as long, up to pause_longest. */
void pause_begin(void *store, unsigned partition, struct span queue, struct span error);
void pause_end(void *store, unsigned partition, struct span queue);
