/*
 * One ZeroMQ socket on a loop. Its descriptor is edge-triggered: a send or a receive may swallow the edge, so after each burst of either
 * ZMQ_EVENTS is read again, until it says that nothing is there.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/bus_private.h"

enum {
    END_MAGIC = 0xb0511e5,
    MESSAGES_PER_ROUND = 256,
    HIGH_WATER_MARK = 4096,
    HANDSHAKE_MS = 3000,
    SEAL_BYTES = 33, /* what CURVE adds to a frame */
    UNACKNOWLEDGED_MAX_MS = 10000,
    KEEPALIVE_S = 5,
    KEEPALIVE_COUNT = 3,
};

int bus_errno(void)
{
    int error = zmq_errno();
    return error > 0 && error < ZMQ_HAUSNUMERO ? -error : -EPROTO;
}

struct span part_span(zmq_msg_t *part)
{
    return (struct span){.at = zmq_msg_data(part), .len = zmq_msg_size(part)};
}

/* ---- in */

/* Receives one part. Returns whether more parts follow, or -errno. */
static int end_receive(struct end *e, zmq_msg_t *part)
{
    must(zmq_msg_init(part) == 0);
    if (zmq_msg_recv(part, e->socket, ZMQ_DONTWAIT) < 0) {
        int r = bus_errno();
        (void) zmq_msg_close(part); /* empty */
        return r;
    }
    return zmq_msg_more(part);
}

/* One message. 0, or -EAGAIN when there is none. */
static int end_read(struct end *e)
{
    zmq_msg_t parts[PARTS_MAX];
    size_t wanted = e->parts, count = 0;
    bool is_good = true;
    int more = 1;
    while (more > 0) {
        zmq_msg_t part;
        more = end_receive(e, &part);
        if (more < 0)
            break;
        if (count < wanted)
            must(zmq_msg_init(&parts[count]) == 0 && zmq_msg_move(&parts[count], &part) == 0);
        else
            is_good = false;
        count += count < wanted;
        (void) zmq_msg_close(&part); /* moved away, or dropped */
    }
    if (is_good && more == 0 && count == wanted)
        e->on_message(e->owner, parts);
    while (count > 0)
        (void) zmq_msg_close(&parts[--count]); /* cannot fail for a message that is there */
    return more < 0 ? more : 0;
}

static void on_check(struct tail *t);

static void on_more(struct timer *t)
{
    struct end *e = CONTAINER_OF(t, struct end, more);
    on_check(&e->check);
}

static bool end_has_input(struct end *e)
{
    int events = 0;
    size_t len = sizeof(events);
    if (zmq_getsockopt(e->socket, ZMQ_EVENTS, &events, &len) < 0)
        return zmq_errno() == EINTR; /* look again */
    return events & ZMQ_POLLIN;
}

static void end_free(struct end *e)
{
    e->magic = 0;
    mem_free(e);
}

static void on_check(struct tail *t)
{
    struct end *e = CONTAINER_OF(t, struct end, check);
    must(e->magic == END_MAGIC && e->socket);
    e->is_busy = true;
    int left = MESSAGES_PER_ROUND;
    while (left > 0 && e->socket && end_has_input(e)) {
        while (left > 0 && e->socket) {
            left--;
            if (end_read(e) < 0)
                break;
        }
    }
    e->is_busy = false;
    if (!e->socket)
        end_free(e);
    else if (left == 0)
        timer_start(e->loop, &e->more, 0, on_more);
}

static void on_ready(void *owner, int events UNUSED)
{
    struct end *e = owner;
    on_check(&e->check);
}

/* ---- out */

int end_send(struct end *e, struct span part, bool is_last)
{
    must(e->magic == END_MAGIC && e->socket);
    tail_add(e->loop, &e->check, on_check);
    for (;;) {
        if (zmq_send(e->socket, part.at, part.len, ZMQ_DONTWAIT | (is_last ? 0 : ZMQ_SNDMORE)) >= 0)
            return 0;
        if (zmq_errno() != EINTR)
            return bus_errno();
    }
}

/* ---- open and close */

int end_set(struct end *e, int option, int value)
{
    return zmq_setsockopt(e->socket, option, &value, sizeof(value)) < 0 ? bus_errno() : 0;
}

int end_set_text(struct end *e, int option, const char *value)
{
    return zmq_setsockopt(e->socket, option, value, strlen(value)) < 0 ? bus_errno() : 0;
}

static int end_set_up(struct end *e)
{
    static const struct {
        int option, value;
    } all[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_SNDHWM, HIGH_WATER_MARK},
        {ZMQ_RCVHWM, HIGH_WATER_MARK},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_IPV6, 1},
        {ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MAX_MS},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_S},
        {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT},
    };
    int64_t frame_max = BUS_FRAME_MAX + SEAL_BYTES;
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(all) && r == 0; i++)
        r = end_set(e, all[i].option, all[i].value);
    if (r == 0 && zmq_setsockopt(e->socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof(frame_max)) < 0)
        r = bus_errno();
    return r;
}

int end_open(struct loop *l, void *context, int kind, size_t parts, end_on_message *on_message, void *owner,
             struct end **ret_end)
{
    must(parts <= PARTS_MAX);
    void *socket = zmq_socket(context, kind);
    if (!socket)
        return bus_errno();
    struct end *e = NEW(struct end);
    e->magic = END_MAGIC;
    e->loop = l;
    e->socket = socket;
    e->parts = parts;
    e->on_message = on_message;
    e->owner = owner;
    int r = end_set_up(e);
    if (r < 0)
        e = end_close(e);
    else
        *ret_end = e;
    return r;
}

int end_start(struct end *e)
{
    int fd = -1;
    size_t len = sizeof(fd);
    if (zmq_getsockopt(e->socket, ZMQ_FD, &fd, &len) < 0)
        return bus_errno();
    int r = watch_open(e->loop, fd, on_ready, e, &e->watch);
    if (r < 0)
        return r;
    watch_set(e->watch, LOOP_READ);
    tail_add(e->loop, &e->check, on_check); /* edges of before do not come again */
    return 0;
}

struct end *end_close(struct end *e)
{
    if (!e)
        return NULL;
    must(e->magic == END_MAGIC && e->socket);
    timer_stop(&e->more);
    tail_remove(&e->check);
    if (e->watch)
        e->watch = watch_close(e->watch);
    (void) zmq_close(e->socket); /* fails for what is no socket only */
    e->socket = NULL;
    if (!e->is_busy)
        end_free(e);
    return NULL;
}
