/*
 * Does: what schedule.c and report.c share: finding, placing and granting a work.
 * Does not: serve anybody else.
 * Owns, Fails: see schedule.h.
 */
#pragma once

#include "dispatcher/schedule.h"

struct work *work_find(const struct schedule *s, unsigned partition, struct span queue);
/* NULL: there are `most` already. */
struct work *work_new(struct schedule *s, unsigned partition, struct span queue, size_t most,
                      uint64_t now_ms);
struct partition *work_partition(const struct schedule *s, const struct work *w);
void work_set_wants(struct schedule *s, struct work *w, bool wants);
void work_set_holder(struct schedule *s, struct work *w, struct courier *holder);
/* Puts it where it belongs after a change; may free it. */
void work_place(struct schedule *s, struct work *w, uint64_t now_ms);
/* Looked at again a little later, before it is granted. */
void work_wait(struct schedule *s, struct work *w, uint64_t now_ms);
/* Grants, renews or wakes the holder; false: not now. */
bool work_grant(struct schedule *s, struct work *w, uint64_t now_ms);
