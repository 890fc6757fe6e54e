/* Gathered output. */
#include "io/output.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    PIECE_MIN_BYTES = 16384, /* smaller buffers are copied */
    PIECES_PER_SEND = 64,
    SENDS = 4, /* per call: others want their turn */
};

struct piece {
    struct list link;
    struct buf bytes;
};

void output_init(struct output *o)
{
    list_init(&o->pieces);
}

static void output_add_piece(struct output *o, struct buf *b)
{
    struct piece *p = NEW(struct piece);
    p->bytes = *b;
    *b = (struct buf){.data = NULL};
    o->piece_bytes += p->bytes.len;
    list_append(&o->pieces, &p->link);
}

static void output_drop_piece(struct piece *p)
{
    list_remove(&p->link);
    buf_done(&p->bytes);
    mem_free(p);
}

void output_done(struct output *o)
{
    while (!list_is_empty(&o->pieces))
        output_drop_piece(LIST_FIRST(&o->pieces, struct piece, link));
    o->piece_bytes = 0;
    buf_done(&o->tail);
}

void output_take(struct output *o, struct buf *b)
{
    if (b->len < PIECE_MIN_BYTES) {
        buf_add_span(&o->tail, buf_span(b));
        buf_done(b);
        return;
    }
    if (o->tail.len > 0)
        output_add_piece(o, &o->tail);
    output_add_piece(o, b);
}

size_t output_unsent(const struct output *o)
{
    return o->piece_bytes + o->tail.len;
}

struct span output_front(const struct output *o)
{
    struct piece *p = LIST_FIRST(&o->pieces, struct piece, link);
    return buf_span(p ? &p->bytes : &o->tail);
}

void output_sent(struct output *o, size_t n)
{
    while (n > 0 && !list_is_empty(&o->pieces)) {
        struct piece *p = LIST_FIRST(&o->pieces, struct piece, link);
        size_t part = n < p->bytes.len ? n : p->bytes.len;
        buf_consume(&p->bytes, part);
        o->piece_bytes -= part;
        n -= part;
        if (p->bytes.len == 0)
            output_drop_piece(p);
    }
    buf_consume(&o->tail, n);
    if (o->tail.len == 0)
        buf_done(&o->tail);
}

int output_send(struct output *o, int fd)
{
    for (int i = 0; i < SENDS && output_unsent(o) > 0; i++) {
        struct iovec parts[PIECES_PER_SEND];
        size_t count = 0;
        struct list *it = o->pieces.next;
        for (; it != &o->pieces && count < PIECES_PER_SEND; it = it->next) {
            struct piece *p = LIST_ENTRY(it, struct piece, link);
            parts[count++] = (struct iovec){.iov_base = p->bytes.data, .iov_len = p->bytes.len};
        }
        if (it == &o->pieces && o->tail.len > 0 && count < PIECES_PER_SEND)
            parts[count++] = (struct iovec){.iov_base = o->tail.data, .iov_len = o->tail.len};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            output_sent(o, (size_t) n);
        else if (errno != EINTR)
            return -errno;
    }
    return 0;
}
