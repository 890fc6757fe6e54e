/*
 * Does: what stream.c (the calls) and stream_io.c (what the loop brings) share.
 * Does not: concern anybody else: stream.h is the contract.
 * Owns: see stream.h.
 * Fails: see stream.h.
 */
#pragma once

#include "base/mem.h"
#include "io/output.h"
#include "io/stream.h"
#include "io/tls_session.h"

enum { STREAM_MAGIC = 0x57e4a31 };

enum stream_state { STREAM_CONNECTING, STREAM_OPEN, STREAM_FINISHING, STREAM_CLOSING };

struct stream {
    unsigned magic;
    enum stream_state state;
    struct loop *loop;
    struct watch *watch;
    const struct stream_events *events;
    void *owner;
    bool (*on_timeout)(void *owner);
    struct tail tail;
    struct timer deadline;
    uint64_t due_ms; /* 0: no deadline; the timer may run earlier, and is moved then */
    struct buf in;   /* came and not consumed */
    struct output out;
    struct buf ignored; /* what is formatted when nothing can be sent any more */
    struct tls *tls;    /* NULL: plain */
    int fd;
    int reason;      /* of the close */
    int write_error; /* nothing can be sent any more; what came is still read */
    bool is_paused;
    bool is_blocked;  /* the kernel takes no more: wait for it */
    bool is_eof;      /* the peer has said its last */
    bool is_offering; /* kept bytes go to on_data in the tail */
    bool was_full;    /* on_drained is owed */
    bool awaits_sent; /* but not before everything is sent */
    bool has_input;   /* finishing: the peer still talks, so wait for its end */
};

static inline struct stream *stream_check(struct stream *s)
{
    must(s && s->magic == STREAM_MAGIC);
    return s;
}

/* TLS has begun, and nothing can be said yet. */
static inline bool stream_is_shaking(const struct stream *s)
{
    return s->tls && !tls_is_secured(s->tls);
}

/* The one way to the end. Descriptor and buffers go now, on_closed comes from the tail. */
void stream_close(struct stream *s, int reason);
/* Tells the loop what to wait for. */
void stream_watch(struct stream *s);
void stream_on_ready(void *context, int events);
void stream_on_tail(struct tail *t);
void stream_on_deadline(struct timer *t);
