/*
 * Does: shares a courier's connections and its room for claimed jobs among its queues, so that none keeps another out.
 * Does not: share memory for content (content.h), nor know the limits of a destination: grants carry those.
 * Owns: the two lists of works that wait for room, longest waiting first.
 * Fails: never.
 */
#pragma once

#include "courier/work.h"

/*
 * Pure: how many more of `most`, of which `used` are taken, may somebody have that has `has`? The first half is anybody's. Of the other half a
 * quarter of what is free is the most that anybody may have: so whoever comes late finds some.
 */
size_t room_left(size_t most, size_t used, size_t has);
/* Pure: the equal part of each of `users`, at least 1. */
size_t room_part(size_t most, size_t users);

/* How many more jobs this queue may claim now. When that is 0 although it has less than its part, it is put in line. */
size_t room_for_jobs(struct work *w);
/* May it open another connection? If not although it has less than its part, it is put in line. */
bool room_for_connection(struct work *w);
/* It has more connections than its part, and one that has less waits: a connection that is done with its message goes. */
bool room_is_owed(const struct work *w);
/* Something has come free: those that wait longest have their turn. */
void room_wake(struct courier *c);
/* It waits no more. */
void room_leave(struct work *w);
/* What the dispatchers are told. */
uint32_t room_free_jobs(const struct courier *c);
uint32_t room_free_connections(const struct courier *c);
