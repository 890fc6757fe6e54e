/*
 * Does: opens and closes a reactor's listening sockets.
 * Does not: count sessions or speak to clients.
 * Owns: nothing; the listeners belong to the reactor.
 * Fails: listeners_open() with -errno and a sentence.
 */
#pragma once

#include "ingress/reactor.h"

/* first: a reactor that listens already, whose ports are used where the setting says port 0; NULL: this is the first. */
int listeners_open(struct reactor *r, const struct reactor *first, char **ret_error);
/* The reactor can serve who connects; until it is told so they wait, a second at most: then they are told why it cannot. */
void listeners_begin(struct reactor *r);
void listeners_close(struct reactor *r);
