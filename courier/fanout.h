/*
 * Does: expands a many-queue message: carries a job into each queue's partition, then ends the parent or lets it wait for readers of its content (PROTOCOL.md).
 * Does not: deliver.
 * Owns: the parent job while it works on it.
 * Fails: a child not confirmed leaves the parent waiting; it is carried again.
 */
#pragma once

#include "courier/job.h"

void fanout_begin(struct job *parent);
