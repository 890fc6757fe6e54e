/* Streams: the calls of their owners. What the loop brings is in stream_io.c. */
#include "io/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "io/socket.h"
#include "io/stream_private.h"

enum {
    FULL_BYTES = 262144, /* more unsent than this: stream_is_full() */
    FINISH_MS = 5000,
};

static struct stream *stream_new(struct loop *l, int fd, const struct stream_events *events, void *owner)
{
    struct stream *s = NEW(struct stream);
    s->magic = STREAM_MAGIC;
    s->loop = l;
    s->fd = fd;
    s->events = events;
    s->owner = owner;
    output_init(&s->out);
    int r = fd < 0 ? fd : watch_open(l, fd, stream_on_ready, s, &s->watch);
    if (r < 0)
        stream_close(s, r);
    return s;
}

static void stream_no_delay(struct stream *s)
{
    int on = 1;
    if (s->fd >= 0)
        (void) setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on,
                          sizeof(on)); /* not for sockets that are not TCP */
}

struct stream *stream_connect(struct loop *l, const struct ip *ip, uint16_t port, const struct ip *source,
                              const struct stream_events *events, void *owner)
{
    struct stream *s = stream_new(l, socket_connect(ip, port, source), events, owner);
    stream_no_delay(s);
    stream_watch(s);
    return s;
}

struct stream *stream_connect_unix(struct loop *l, const char *path, const struct stream_events *events,
                                   void *owner)
{
    struct stream *s = stream_new(l, socket_connect_unix(path), events, owner);
    stream_watch(s);
    return s;
}

struct stream *stream_adopt(struct loop *l, int fd, const struct stream_events *events, void *owner)
{
    struct stream *s = stream_new(l, fd, events, owner);
    if (s->state == STREAM_CLOSING)
        return s;
    s->state = STREAM_OPEN;
    stream_no_delay(s);
    stream_watch(s);
    return s;
}

static bool stream_is_sending(const struct stream *s)
{
    return (s->state == STREAM_OPEN || s->state == STREAM_CONNECTING) && !s->write_error &&
           !stream_is_shaking(s);
}

struct buf *stream_output(struct stream *s)
{
    return stream_is_sending(stream_check(s)) ? &s->out.tail : &s->ignored;
}

void stream_written(struct stream *s)
{
    if (!stream_is_sending(stream_check(s))) {
        buf_done(&s->ignored);
        return;
    }
    if (stream_is_full(s))
        s->was_full = true;
    if (s->state == STREAM_OPEN && !s->is_blocked)
        tail_add(s->loop, &s->tail, stream_on_tail);
}

void stream_write(struct stream *s, struct span bytes)
{
    buf_add_span(stream_output(s), bytes);
    stream_written(s);
}

void stream_write_buf(struct stream *s, struct buf *b)
{
    if (stream_is_sending(stream_check(s)))
        output_take(&s->out, b);
    else
        buf_done(b);
    stream_written(s);
}

size_t stream_unsent(const struct stream *s)
{
    return output_unsent(&s->out);
}

bool stream_is_full(const struct stream *s)
{
    return stream_unsent(s) > FULL_BYTES;
}

void stream_await_sent(struct stream *s)
{
    s->was_full = s->awaits_sent = true;
}

void stream_pause(struct stream *s)
{
    stream_check(s)->is_paused = true;
}

void stream_resume(struct stream *s)
{
    stream_check(s)->is_paused = false;
    if (s->state != STREAM_OPEN)
        return;
    if (s->in.len > 0 || s->is_eof || (s->tls && tls_has_more(s->tls))) {
        s->is_offering = true;
        tail_add(s->loop, &s->tail, stream_on_tail);
    } else {
        stream_watch(s);
    }
}

void stream_deadline(struct stream *s, uint64_t ms)
{
    if (stream_check(s)->state == STREAM_CLOSING || s->state == STREAM_FINISHING)
        return;
    s->due_ms = ms ? loop_now_ms(s->loop) + ms : 0;
    if (ms && (!s->deadline.place || s->deadline.due_ms > s->due_ms))
        timer_start(s->loop, &s->deadline, ms, stream_on_deadline);
}

void stream_on_timeout(struct stream *s, bool (*on_timeout)(void *owner))
{
    stream_check(s)->on_timeout = on_timeout;
}

void stream_finish(struct stream *s)
{
    if (stream_check(s)->state == STREAM_CONNECTING) {
        stream_close(s, 0);
        return;
    }
    if (s->state != STREAM_OPEN)
        return;
    stream_deadline(s, FINISH_MS);
    s->state = STREAM_FINISHING;
    s->is_paused = false;
    tail_add(s->loop, &s->tail, stream_on_tail);
}

void stream_abort(struct stream *s)
{
    stream_close(stream_check(s), 0);
}

void stream_reset(struct stream *s)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (stream_check(s)->fd >= 0)
        (void) setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now,
                          sizeof(now)); /* a unix socket has nothing to reset */
    stream_close(s, 0);
}

/* ---- TLS */

/* The handshake begins in the tail, when what was said plain is sent. */
static bool stream_can_start_tls(struct stream *s)
{
    must(!stream_check(s)->tls);
    if (!stream_is_sending(s))
        return false;
    if (s->state == STREAM_OPEN)
        tail_add(s->loop, &s->tail, stream_on_tail);
    return true;
}

void stream_start_tls(struct stream *s, struct tls_server *t)
{
    if (stream_can_start_tls(s))
        s->tls = tls_accept(t, s->fd);
}

void stream_start_tls_client(struct stream *s, struct tls_client *c, const struct tls_demand *demand)
{
    if (stream_can_start_tls(s))
        s->tls = tls_connect(c, demand, s->fd);
}

const struct tls_info *stream_tls(const struct stream *s)
{
    return s->tls && tls_is_secured(s->tls) ? tls_info(s->tls) : NULL;
}

const char *stream_tls_error(const struct stream *s)
{
    return s->tls ? tls_error(s->tls) : "";
}

enum tls_failure stream_tls_failure(const struct stream *s)
{
    return s->tls ? tls_failure(s->tls) : TLS_FAILURE_NONE;
}

bool stream_tls_has_offered(const struct stream *s)
{
    return s->tls && tls_has_offered(s->tls);
}

int stream_tls_binding(const struct stream *s, enum tls_binding which, struct buf *out)
{
    return stream_tls(s) ? tls_get_binding(s->tls, which, out) : -ENOTSUP;
}

/* ---- the socket */

int stream_peer(const struct stream *s, struct ip *ret_ip, uint16_t *ret_port)
{
    return socket_peer(s->fd, ret_ip, ret_port);
}

int stream_local(const struct stream *s, struct ip *ret_ip, uint16_t *ret_port)
{
    return socket_local(s->fd, ret_ip, ret_port);
}
