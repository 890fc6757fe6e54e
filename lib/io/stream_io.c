/*
 * A byte stream over a socket.
 *
 * Normal path: connecting -> open -> (finishing ->) closing -> on_closed and gone. One tail does what must not happen inside the
 * caller's call: it offers kept bytes again, sends what was queued in this round, and ends a closing stream.
 * With TLS the handshake comes between: what was queued is sent plain, then nothing is taken from the owner until on_secured.
 * Pausing is lazy: the descriptor is taken off the loop only when something comes while paused.
 */
#include "io/stream_private.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KEPT_MAX_BYTES = 1048576, /* more kept and not consumed than this: reading stops until stream_resume() */
    READS_PER_EVENT = 4,      /* then others get their turn */
    RECORDS_PER_SEND = 64,    /* likewise */
};

/* What is unsent waits for the kernel, and not for the other side to end its sentence. */
static bool stream_awaits_room(const struct stream *s)
{
    return s->is_blocked && !(s->tls && tls_writing_waits(s->tls));
}

void stream_watch(struct stream *s)
{
    if (!s->watch)
        return;
    bool is_reading = s->state == STREAM_OPEN ? !s->is_eof && s->in.len < KEPT_MAX_BYTES : s->has_input;
    bool is_writing = s->state == STREAM_CONNECTING || stream_awaits_room(s);
    if (stream_is_shaking(s))
        is_reading = is_reading && stream_unsent(s) == 0;
    else if (s->tls && !s->is_paused && is_reading && tls_wants_write(s->tls))
        is_writing = true;
    watch_set(s->watch, (is_reading ? LOOP_READ : 0) | (is_writing ? LOOP_WRITE : 0));
}

void stream_close(struct stream *s, int reason)
{
    if (s->state == STREAM_CLOSING)
        return;
    s->reason = s->state == STREAM_FINISHING ? 0 : reason;
    s->state = STREAM_CLOSING;
    s->watch = watch_close(s->watch);
    if (s->fd >= 0)
        (void) close(s->fd); /* the descriptor is gone whatever it says */
    s->fd = -1;
    timer_stop(&s->deadline);
    output_done(&s->out);
    tail_add(s->loop, &s->tail, stream_on_tail);
}

/* ---- in */

/* Hands bytes to the owner; false: stop reading (paused, closing, finishing). */
static bool stream_offer(struct stream *s, const char *at, size_t len)
{
    bool is_kept = s->in.len > 0;
    if (is_kept && len > 0)
        buf_add(&s->in, at, len);
    struct span in = is_kept ? buf_span(&s->in) : (struct span){.at = at, .len = len};
    size_t taken = s->events->on_data(s->owner, in);
    must(taken <= in.len);
    if (s->state != STREAM_OPEN) {
        buf_done(&s->in);
        return false;
    }
    if (is_kept)
        buf_consume(&s->in, taken);
    else if (taken < len)
        buf_add(&s->in, at + taken, len - taken);
    if (s->in.len == 0)
        buf_done(&s->in);
    return !s->is_paused && s->in.len < KEPT_MAX_BYTES && !stream_is_shaking(s);
}

/* The peer has ended, or reading failed: what was kept had its chance, unless the owner has paused and may want it yet. */
static void stream_end_input(struct stream *s)
{
    if (s->is_paused && s->in.len > 0) {
        s->is_eof = true;
        stream_watch(s);
        return;
    }
    if (s->write_error) {
        stream_close(s, s->write_error);
        return;
    }
    s->is_eof = true;
    stream_watch(s);
    tail_add(s->loop, &s->tail, stream_on_tail); /* last output, then the end */
}

/* Bytes for the owner; 0: the end; -errno. ret_is_all: there is no more, or the loop will say so. */
static ssize_t stream_receive(struct stream *s, char *at, bool *ret_is_all)
{
    ssize_t n = s->tls ? tls_read(s->tls, at, LOOP_SCRATCH_BYTES)
                       : recv(s->fd, at, LOOP_SCRATCH_BYTES, MSG_DONTWAIT);
    *ret_is_all = s->tls ? !tls_has_more(s->tls) : n < LOOP_SCRATCH_BYTES; /* a full read: most likely more */
    return n < 0 && !s->tls ? -errno : n;
}

static void stream_read(struct stream *s)
{
    char *scratch = loop_scratch(s->loop);
    for (int i = 0; i < READS_PER_EVENT; i++) {
        bool is_all;
        ssize_t n = stream_receive(s, scratch, &is_all);
        if (n > 0) {
            if (!stream_offer(s, scratch, (size_t) n))
                return;
            if (is_all && !s->write_error)
                return;
            continue;
        }
        if (n == -EINTR)
            continue;
        if (n == 0) {
            stream_end_input(s);
        } else if (n != -EAGAIN) {
            s->write_error = s->write_error ? s->write_error : (int) n;
            stream_end_input(s);
        } else if (s->write_error) {
            stream_close(s, s->write_error);
        }
        return;
    }
}

/* Finishing: what the peer still says is thrown away, so that unread bytes do not turn our close into a reset. */
static void stream_discard(struct stream *s)
{
    char *scratch = loop_scratch(s->loop);
    for (int i = 0; i < READS_PER_EVENT; i++) {
        ssize_t n = recv(s->fd, scratch, LOOP_SCRATCH_BYTES, MSG_DONTWAIT);
        if (n > 0) {
            s->has_input = true;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            stream_close(s, 0);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* ---- out */

/* The peer takes nothing any more, but its last words may have come and are read first. */
static void stream_send_failed(struct stream *s, int error)
{
    output_done(&s->out);
    s->is_blocked = false;
    s->write_error = error;
    if (s->state != STREAM_OPEN || s->is_eof || stream_is_shaking(s) || (s->is_paused && s->in.len == 0))
        stream_close(s, s->is_eof ? 0 : error);
    else if (!s->is_paused)
        stream_read(s);
}

static int stream_send(struct stream *s)
{
    if (!s->tls || stream_is_shaking(s))
        return output_send(&s->out, s->fd);
    bool had_more = tls_has_more(s->tls);
    ssize_t n = 0;
    for (int i = 0; i < RECORDS_PER_SEND && stream_unsent(s) > 0 && n >= 0; i++) {
        n = tls_write(s->tls, output_front(&s->out));
        if (n > 0)
            output_sent(&s->out, (size_t) n);
    }
    if (tls_has_more(s->tls) && !had_more) { /* writing came upon words for the owner */
        s->is_offering = true;
        tail_add(s->loop, &s->tail, stream_on_tail);
    }
    return n < 0 ? (int) n : 0;
}

/* A step of the handshake. What the peer said before it must have been taken: it never gets inside. */
static void stream_shake(struct stream *s)
{
    int r = s->in.len > 0 ? tls_refuse(s->tls, "bytes came before the handshake") : tls_handshake(s->tls);
    if (r <= 0 && r != -EAGAIN) {
        stream_close(s, r);
        return;
    }
    s->is_blocked = r == -EAGAIN && tls_wants_write(s->tls);
    if (r > 0 && s->events->on_secured)
        s->events->on_secured(s->owner);
    if (r > 0) {
        s->is_offering = true; /* what came with the last step */
        tail_add(s->loop, &s->tail, stream_on_tail);
    }
    if (s->state != STREAM_CLOSING)
        stream_watch(s);
}

static void stream_flush(struct stream *s)
{
    int r = stream_send(s);
    if (r < 0 && r != -EAGAIN) {
        stream_send_failed(s, r);
        return;
    }
    s->is_blocked = stream_unsent(s) > 0;
    if (s->was_full && (s->awaits_sent ? !s->is_blocked : !stream_is_full(s))) {
        s->was_full = s->awaits_sent = false;
        if (s->events->on_drained && s->state == STREAM_OPEN)
            s->events->on_drained(s->owner);
    }
    if (s->state == STREAM_OPEN && stream_is_shaking(s) && !s->is_blocked)
        stream_shake(s);
    if (s->state != STREAM_CLOSING)
        stream_watch(s);
}

/* ---- what the loop calls */

static void stream_connected(struct stream *s)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error) {
        stream_close(s, -error);
        return;
    }
    s->state = STREAM_OPEN;
    stream_watch(s);
    if (stream_unsent(s) > 0 || s->tls)
        tail_add(s->loop, &s->tail, stream_on_tail);
    if (s->events->on_connected)
        s->events->on_connected(s->owner);
}

/* Everything is sent: close, but first hear a peer out that is still talking. */
static void stream_end_finish(struct stream *s)
{
    if (s->tls)
        tls_end(s->tls);
    stream_discard(s);
    if (!s->has_input)
        stream_close(s, 0);
    if (s->state == STREAM_CLOSING)
        return;
    (void) shutdown(s->fd, SHUT_WR); /* may be gone already: the read says so */
    stream_watch(s);
}

void stream_on_ready(void *context, int events)
{
    struct stream *s = stream_check(context);
    if (s->state == STREAM_CONNECTING) {
        stream_connected(s);
        return;
    }
    if (s->state == STREAM_OPEN && stream_is_shaking(s)) {
        s->is_blocked = false;
        stream_flush(s);
        return;
    }
    if (events & LOOP_WRITE) {
        stream_flush(s);
        if (s->tls && tls_wants_write(s->tls))
            events |= LOOP_READ;
    }
    if (s->state == STREAM_FINISHING && stream_unsent(s) == 0 && !s->has_input)
        stream_end_finish(s);
    if (!(events & LOOP_READ) || s->state == STREAM_CLOSING)
        return;
    if (s->state == STREAM_FINISHING) {
        stream_discard(s);
        return;
    }
    if (s->is_paused)
        watch_set(s->watch, stream_awaits_room(s) ? LOOP_WRITE : 0);
    else if (!s->is_eof)
        stream_read(s);
    if (s->state == STREAM_OPEN && s->is_blocked && !stream_awaits_room(s))
        stream_flush(s);
    if (s->state != STREAM_CLOSING && !s->is_paused)
        stream_watch(s);
}

void stream_on_tail(struct tail *t)
{
    struct stream *s = stream_check(CONTAINER_OF(t, struct stream, tail));
    if (s->state == STREAM_OPEN && s->is_offering && !stream_is_shaking(s)) {
        s->is_offering = false;
        bool goes_on = !s->is_paused && (s->in.len == 0 || stream_offer(s, NULL, 0));
        if (goes_on && !s->is_eof && s->tls && tls_has_more(s->tls))
            stream_read(s);
        if (s->state == STREAM_OPEN && !s->is_paused)
            stream_watch(s);
    }
    if (s->state != STREAM_CONNECTING && s->state != STREAM_CLOSING)
        stream_flush(s);
    if (s->state == STREAM_FINISHING && stream_unsent(s) == 0 && !s->has_input)
        stream_end_finish(s);
    if (s->state == STREAM_OPEN && s->is_eof && !(s->is_paused && s->in.len > 0)) {
        if (s->tls && stream_unsent(s) == 0)
            tls_end(s->tls);
        stream_close(s, s->write_error);
    }
    if (s->state != STREAM_CLOSING)
        return;
    tail_remove(t);
    buf_done(&s->in);
    buf_done(&s->ignored);
    s->events->on_closed(s->owner, s->reason);
    s->tls = tls_free(s->tls);
    s->magic = 0;
    mem_free(s);
}

void stream_on_deadline(struct timer *t)
{
    struct stream *s = stream_check(CONTAINER_OF(t, struct stream, deadline));
    uint64_t now = loop_now_ms(s->loop);
    if (!s->due_ms)
        return;
    if (now < s->due_ms) {
        timer_start(s->loop, t, s->due_ms - now, stream_on_deadline);
        return;
    }
    s->due_ms = 0;
    if (s->state != STREAM_FINISHING && s->on_timeout && s->on_timeout(s->owner))
        return;
    stream_close(s, -ETIMEDOUT);
}
