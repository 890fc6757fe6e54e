/*
 * Does: speaks with the dispatchers: hello and reports out, grants in.
 * Does not: work queues (work.h).
 * Owns: the links, one per live dispatcher.
 * Fails: never; what is lost is said again within a second.
 */
#pragma once

#include "courier/work.h"

void grant_start(struct courier *c);
/* The nodes as seen now: links to new dispatchers, none to gone ones. */
void grant_on_view(struct courier *c, const struct node_view *view);
/* This work's state is worth telling soon: in the frame at the end of the round. */
void grant_report(struct work *w);
/* All grants are given back (drain): said once, at once. */
void grant_return_all(struct courier *c);
/* A frame to every dispatcher. */
struct frame;
void grant_send(struct courier *c, const struct frame *f);
void grant_stop(struct courier *c);
