/*
 * Does: a non-blocking byte stream on the loop: connect or adopt a socket, read with backpressure, gather writes per round, one deadline, close;
 *       plain or inside TLS, behind the same calls.
 * Does not: know a protocol.
 * Owns: socket and buffers; an idle stream holds no buffers. Freed from on_closed only, never inside its own callback.
 * Fails: every failure ends in on_closed(reason): 0 for a peer's orderly end, -ETIMEDOUT for the deadline, -EPROTO for TLS, else -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "io/loop.h"
#include "io/tls.h"
#include "mail/addr.h"

struct stream;

struct stream_events {
    void (*on_connected)(void *owner); /* may be NULL for adopted sockets */
    /*
     * Bytes came. Returns how many were consumed; the rest is kept and comes again with more, or after stream_resume().
     * With a mebibyte kept, reading stops until stream_resume(). A peer's end is told when all it sent was offered.
     */
    size_t (*on_data)(void *owner, struct span in);
    /* Output fell below what stream_is_full() complains about; may be NULL. */
    void (*on_drained)(void *owner);
    /* The handshake is done: from now on all that comes and goes is inside TLS. May be NULL. */
    void (*on_secured)(void *owner);
    /* The last call; the stream is gone after it. It comes from the loop, never inside a call of the owner's. */
    void (*on_closed)(void *owner, int reason);
};

/* address: host is numeric. unix path when path is not NULL. source: bind address or NULL. */
struct stream *stream_connect(struct loop *l, const struct ip *ip, uint16_t port, const struct ip *source,
                              const struct stream_events *events, void *owner);
struct stream *stream_connect_unix(struct loop *l, const char *path, const struct stream_events *events,
                                   void *owner);
struct stream *stream_adopt(struct loop *l, int fd, const struct stream_events *events, void *owner);

/* Queued and sent at the end of the round. Ignored when closing. */
void stream_write(struct stream *s, struct span bytes);
/* Takes over the buffer's memory instead of copying it; b is empty after. For large pieces. */
void stream_write_buf(struct stream *s, struct buf *b);
/* Where to format output directly: the stream's own output buffer; call stream_written() after. */
struct buf *stream_output(struct stream *s);
void stream_written(struct stream *s);
size_t stream_unsent(const struct stream *s); /* bytes queued and not taken by the kernel */
bool stream_is_full(const struct stream *s);  /* more than 256 KiB unsent */
/* on_drained comes when everything is sent. */
void stream_await_sent(struct stream *s);

void stream_pause(struct stream *s);  /* no on_data until resumed; the kernel's buffer fills: backpressure */
void stream_resume(struct stream *s); /* also offers kept bytes again, in the next round */
/* Closes with -ETIMEDOUT after ms without another call; 0: none. Cheap: called often. */
void stream_deadline(struct stream *s, uint64_t ms);
/* A hook for the owner to speak before a time-out closes: return true to keep the stream (and set a new deadline). */
void stream_on_timeout(struct stream *s, bool (*on_timeout)(void *owner));

/* Sends what is queued (for at most 5 s), then closes; on_closed(0) comes later. No on_data any more. */
void stream_finish(struct stream *s);
/* Closes now; on_closed(0) comes later. */
void stream_abort(struct stream *s);
/* Closes now with a reset, so that nothing unsent arrives (SO_LINGER 0). */
void stream_reset(struct stream *s);

/*
 * TLS from here on, as the server, or as the client with what it demands. What was written before still goes out plain; bytes
 * that came before and were not consumed close the stream (-EPROTO), and what is written before on_secured is dropped. The deadline goes on.
 * A peer that ends TLS has ended the stream: what it sends after that is never read.
 */
void stream_start_tls(struct stream *s, struct tls_server *t);
void stream_start_tls_client(struct stream *s, struct tls_client *c, const struct tls_demand *demand);
const struct tls_info *stream_tls(const struct stream *s); /* NULL: plain, or not yet secured */
/* Why TLS failed, for the log, also inside on_closed; "" when it did not. */
const char *stream_tls_error(const struct stream *s);
/* The client's side, also inside on_closed. NONE: all is well, or no TLS was asked for. */
enum tls_failure stream_tls_failure(const struct stream *s);
/* It offered to resume a session, and nothing was heard inside TLS yet: if it fails now, the same without is worth a try. The session is dropped. */
bool stream_tls_has_offered(const struct stream *s);
/* Adds the channel binding's bytes. -ENOTSUP: the session has none of this kind. */
int stream_tls_binding(const struct stream *s, enum tls_binding which, struct buf *out);

int stream_peer(const struct stream *s, struct ip *ret_ip, uint16_t *ret_port);
int stream_local(const struct stream *s, struct ip *ret_ip, uint16_t *ret_port);

/* A listening TCP socket with SO_REUSEPORT; on_accept gets a non-blocking socket. on_fault: EMFILE and the like (accepting stops for 100 ms). */
struct listener;
int listener_open(struct loop *l, const struct ip *ip, uint16_t port, void (*on_accept)(void *owner, int fd),
                  void (*on_fault)(void *owner, int error), void *owner, struct listener **ret_listener);
uint16_t listener_port(const struct listener *l);
/* Who connects waits, for so long at most; listener_resume() ends it. */
void listener_pause(struct listener *l, uint64_t ms);
void listener_resume(struct listener *l);
struct listener *listener_close(struct listener *l); /* always NULL */
