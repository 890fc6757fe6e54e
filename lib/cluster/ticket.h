/*
 * Does: the secrets of session tickets, the same at all nodes: one for each epoch of tls.ticket_time by the clock of Redis, made by whoever is
 *       first, and forgotten by Redis when nobody can hold a ticket of it any more.
 * Does not: make tickets (io/tls.h).
 * Owns: what it asks Redis; the secrets it has found belong to the tickets it was given.
 * Fails: never; when Redis has no secret of this epoch, no tickets are made, and handshakes go on in full.
 */
#pragma once

#include "cluster/store.h"
#include "io/tls.h"

struct ticket;
/* On one loop of the process; the tickets serve all threads. */
struct ticket *ticket_open(struct store *s, struct tls_tickets *tickets);
struct ticket *ticket_close(struct ticket *t); /* before the store; always NULL */
