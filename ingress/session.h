/*
 * Does: one client: moves bytes between its stream and the SMTP server engine, and answers what the engine asks.
 * Does not: know SMTP (smtp_server.h) or storage (submit.h).
 * Owns: stream, engine, and the submission under way until it is committed.
 * Fails: never; whatever happens ends in the stream's close, and the session frees itself.
 */
#pragma once

#include "ingress/reactor.h"

/* Takes over fd, a socket just accepted. */
void session_open(struct reactor *r, int fd);
/* All of them: 421 4.3.2 between transactions; at_once: also within, but never after a dot. */
void sessions_stop(struct reactor *r, bool at_once);
