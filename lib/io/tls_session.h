/*
 * Does: one TLS session over a non-blocking socket, step by step: handshake, read, write, end.
 * Does not: wait, or know the loop: that is the stream's part (stream_io.c), who alone calls it.
 * Owns: its keys and, while something is under way, one record's room in each direction. Not the socket.
 * Fails: -EAGAIN: when the socket is ready again (tls_wants_write(): to write); -EPROTO: see tls_error(); else -errno. All but -EAGAIN are final.
 */
#pragma once

#include <sys/types.h>

#include "io/tls.h"

struct tls;
struct tls *tls_accept(struct tls_server *server, int fd);
struct tls *tls_connect(struct tls_client *client, const struct tls_demand *demand, int fd);
struct tls *tls_free(struct tls *t);              /* always NULL */
int tls_handshake(struct tls *t);                 /* 1: done; 0: the peer has gone without a word */
int tls_refuse(struct tls *t, const char *error); /* -EPROTO, then and from now on */
/* As much as there is and fits, but after a bound it is others' turn: tls_has_more(). 0: the peer has ended. */
ssize_t tls_read(struct tls *t, char *at, size_t len);
/* The last tls_read() left something that the socket will not be ready for again. */
bool tls_has_more(const struct tls *t);
/* At most one record. Bytes once offered must be offered again, with whatever follows them. */
ssize_t tls_write(struct tls *t, struct span bytes);
bool tls_wants_write(const struct tls *t); /* the last read or handshake waits for the socket to take bytes */
bool tls_writing_waits(
    const struct tls
        *t); /* the last write waits for the other side to speak, not for the socket to take bytes */
void tls_end(struct tls *t); /* says close_notify, if it can be said at once */
bool tls_is_secured(const struct tls *t);
const struct tls_info *tls_info(const struct tls *t);
const char *tls_error(const struct tls *t);
enum tls_failure tls_failure(const struct tls *t);
bool tls_has_offered(const struct tls *t); /* see stream_tls_has_offered() */
int tls_get_binding(const struct tls *t, enum tls_binding which, struct buf *out);
