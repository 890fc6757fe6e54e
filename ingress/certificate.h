/*
 * Does: the TLS of each listener, shared by all reactors: made at the start, and anew when settings or certificate files change.
 * Does not: handshake, or know what a certificate permits (service.h).
 * Owns: the servers in force; who gets one holds it.
 * Fails: at the start with a sentence; later what cannot be used is told in the log, once, and what was in force stays.
 */
#pragma once

#include "io/loop.h"
#include "io/tls.h"

/* Each listener's TLS can be made: the first fault. For settings not yet in force. */
int certificates_check(const struct conf *conf, char **ret_error);
/* On the main loop, before there are reactors. tickets: outlive it, may be NULL. on_change: in its thread, after something has changed. */
int certificates_open(struct loop *l, struct tls_tickets *tickets, void (*on_change)(void), char **ret_error);
/* The settings have changed. In the main thread; on_change is not called. */
void certificates_reload(void);
void certificates_close(void);
/* The TLS of the listener with that index, held for the caller; NULL: none. From any thread. */
struct tls_server *certificate_get(size_t listener);
