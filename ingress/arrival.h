/*
 * Does: a connection just accepted behind a balancer: reads its PROXY header, and nothing behind it, then begins the session.
 * Does not: parse the header (proxy.h), or speak: what is no header of a listed balancer is closed without a word (BEHAVIOURS E04).
 * Owns: the socket until then.
 * Fails: never; a header that has not come within 5 s is none.
 */
#pragma once

#include "ingress/service.h"

/* Takes over fd. */
void arrival_open(struct service *service, int fd);
/* All of them are closed. */
void arrivals_stop(struct reactor *r);
