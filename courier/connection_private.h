/*
 * Does: what connection.c (drives the engine), connection_open.c (its beginning), connection_tls.c (TLS and login) and connection_content.c share.
 * Does not: concern anybody else: connection.h is the contract.
 * Owns: see connection.h.
 * Fails: see connection.h.
 */
#pragma once

#include "cluster/transcript.h"
#include "courier/connection.h"

/* The stream's, of connection.c. */
extern const struct stream_events connection_events;
bool connection_on_timeout(void *owner);

enum { UNSENT_MAX = 65536 }; /* content that the kernel takes together with its dot, or soon after */

/* ASK_CONTENT: gives content while the stream takes it; false: wait for the stream or the store. */
bool connection_feed(struct connection *k);
/* The message is over: a chunk that is on its way is for nobody. */
void connection_forget_read(struct connection *k);

/* Who it is and what it holds, as the way says; the stream comes after. */
void connection_init(struct connection *k, struct work *w, const struct way *way);
void connection_done(struct connection *k);

/*
 * connection_trace.c. Only where courier.is_traced: it is watched from here on, and judged, by what it carries next. A note, and its end, cost a
 * comparison where it is not watched.
 */
void connection_trace(struct connection *k, const struct job *j);
void connection_trace_closed(struct connection *k, const char *how); /* how: where the engine has no fault */
#define connection_note(k, ...)                                           \
    do {                                                                  \
        if ((k)->transcript)                                              \
            dialog_note(transcript_dialog((k)->transcript), __VA_ARGS__); \
    } while (0)

/* ASK_TLS: the handshake begins; ASK_KEY: the key is derived. Both are asked again and again until it is over. */
void connection_shake(struct connection *k);
void connection_ask_key(struct connection *k);
void connection_drop_key(struct connection *k);
/* The stream's on_secured. */
void connection_on_secured(void *owner);
/* It has come to its first message: what became of TLS is certain. */
void connection_count_tls(struct connection *k);
/* The stream has ended in the middle of a handshake: the engine is told. */
void connection_tls_lost(struct connection *k, int reason);
/*
 * It ended before it was ready. True: TLS was why, and the same target is to be tried again, without the session that was offered, or, where TLS
 * is no must, without TLS (BEHAVIOURS L01, L19); nothing has failed yet.
 */
bool connection_tries_again(struct connection *k, size_t target);
