/*
 * Does: one client: moves bytes between its stream and the SMTP server engine, and answers what the engine asks.
 * Does not: know SMTP (smtp_server.h), rules (admission.h) or storage (submit.h).
 * Owns: stream, engine, user, and the submission under way until it is committed.
 * Fails: never; whatever happens ends in the stream's close, and the session frees itself.
 */
#pragma once

#include "ingress/proxy.h"
#include "ingress/service.h"

/* Takes over fd, a socket just accepted. */
void session_open(struct service *service, int fd);
/* What a balancer's header said has been read; NULL: there is no balancer. */
void session_begin(struct service *service, int fd, const struct proxy_header *header);
/* All of them: 421 4.3.2 between transactions; at_once: also within, but never after a dot. */
void sessions_stop(struct reactor *r, bool at_once);
/* The node is under stress: those that wait for a client wait no longer than ingress.stress_timeout from now. */
void sessions_hurry(struct reactor *r);
