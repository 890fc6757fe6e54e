/*
 * Frames over ZeroMQ. Its descriptor is edge-triggered: a send or a receive may swallow the edge, so after each burst of either ZMQ_EVENTS
 * is read again, until it says that nothing is there.
 */
#include "io/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "base/fault.h"
#include "base/mem.h"
#include "io/bus_late.h"

enum {
    BUS_MAGIC = 0xb0511e5,
    FRAMES_PER_ROUND = 256,
    HIGH_WATER_MARK = 4096,
    HANDSHAKE_MS = 5000,
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 1000,
    UNACKNOWLEDGED_MAX_MS = 10000,
    KEEPALIVE_S = 5,
    KEEPALIVE_COUNT = 3,
    ENDPOINT_MAX = 512,
};

/* One socket of either kind. */
struct end {
    unsigned magic;
    struct loop *loop;
    void *socket; /* NULL: closed */
    struct watch *watch;
    struct tail check;
    struct timer more; /* frames left for the next round */
    bool is_hub;
    bool is_busy; /* closed in its own callback: freed when that is back */
    bus_on_frame *on_frame;
    void *owner;
    struct list late; /* frames of a test build, still to be sent */
};

struct hub {
    struct end end;
};

struct link {
    struct end end;
};

static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER;
static void *context;

static int bus_errno(void)
{
    int error = zmq_errno();
    return error > 0 && error < ZMQ_HAUSNUMERO ? -error : -EPROTO;
}

static void *bus_context(void)
{
    must(pthread_mutex_lock(&context_lock) == 0);
    if (!context)
        context = zmq_ctx_new(); /* one I/O thread is its default */
    must(context);
    must(pthread_mutex_unlock(&context_lock) == 0);
    return context;
}

void bus_end(void)
{
    must(pthread_mutex_lock(&context_lock) == 0);
    while (context && zmq_ctx_term(context) < 0 && zmq_errno() == EINTR)
        continue;
    context = NULL;
    must(pthread_mutex_unlock(&context_lock) == 0);
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

/* A name as ours are: a stranger's is anything. */
static bool is_name(struct span name)
{
    if (name.len == 0 || name.len > BUS_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= ' ' || name.at[i] > '~')
            return false;
    return true;
}

static struct span part_span(zmq_msg_t *part)
{
    return (struct span){.at = zmq_msg_data(part), .len = zmq_msg_size(part)};
}

/* One message: [name and] exactly one frame; any other is dropped whole. 0, or -EAGAIN when there is none. */
static int end_read(struct end *e)
{
    zmq_msg_t parts[2];
    unsigned wanted = e->is_hub ? 2 : 1, count = 0;
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
    struct span from = {.at = NULL};
    if (is_good && more == 0 && count == wanted) {
        if (e->is_hub)
            from = part_span(&parts[0]);
        if (!e->is_hub || is_name(from))
            e->on_frame(e->owner, from, part_span(&parts[wanted - 1]));
    }
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
    must(e->magic == BUS_MAGIC && e->socket);
    e->is_busy = true;
    int left = FRAMES_PER_ROUND;
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

/* ---- open and close */

static int end_set(struct end *e, int option, int value)
{
    return zmq_setsockopt(e->socket, option, &value, sizeof(value)) < 0 ? bus_errno() : 0;
}

static int end_set_up(struct end *e, const char *name)
{
    static const struct {
        int option, value;
    } both[] = {
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
    int64_t frame_max = BUS_FRAME_MAX;
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(both) && r == 0; i++)
        r = end_set(e, both[i].option, both[i].value);
    if (r == 0 && zmq_setsockopt(e->socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof(frame_max)) < 0)
        r = bus_errno();
    if (r < 0)
        return r;
    if (e->is_hub) {
        r = end_set(e, ZMQ_ROUTER_MANDATORY, 1);
        return r < 0 ? r : end_set(e, ZMQ_ROUTER_HANDOVER, 1);
    }
    if (zmq_setsockopt(e->socket, ZMQ_ROUTING_ID, name, strlen(name)) < 0)
        return bus_errno();
    r = end_set(e, ZMQ_IMMEDIATE, 1);
    if (r == 0)
        r = end_set(e, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    return r < 0 ? r : end_set(e, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
}

static int end_watch(struct end *e)
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

static void end_close(struct end *e)
{
    must(e->magic == BUS_MAGIC && e->socket);
    if (FAULT_BUILD)
        late_drop(&e->late);
    timer_stop(&e->more);
    tail_remove(&e->check);
    e->watch = watch_close(e->watch);
    (void) zmq_close(e->socket); /* fails for what is no socket only */
    e->socket = NULL;
    if (!e->is_busy)
        end_free(e);
}

/* Binds or connects; name is a link's. */
static int end_open(struct end *e, struct loop *l, const char *address, const char *name,
                    bus_on_frame *on_frame, void *owner)
{
    char endpoint[ENDPOINT_MAX];
    int len = snprintf(endpoint, sizeof(endpoint), "tcp://%s", address);
    if (len < 0 || (size_t) len >= sizeof(endpoint))
        return -ENAMETOOLONG;
    e->magic = BUS_MAGIC;
    list_init(&e->late);
    e->loop = l;
    e->is_hub = !name;
    e->on_frame = on_frame;
    e->owner = owner;
    e->socket = zmq_socket(bus_context(), e->is_hub ? ZMQ_ROUTER : ZMQ_DEALER);
    if (!e->socket)
        return bus_errno();
    int r = end_set_up(e, name);
    if (r == 0 && (e->is_hub ? zmq_bind(e->socket, endpoint) : zmq_connect(e->socket, endpoint)) < 0)
        r = bus_errno();
    if (r == 0)
        r = end_watch(e);
    if (r < 0)
        (void) zmq_close(e->socket); /* fails for what is no socket only */
    return r;
}

int hub_open(struct loop *l, const char *address, bus_on_frame *on_frame, void *owner, struct hub **ret_hub,
             uint16_t *ret_port)
{
    char endpoint[ENDPOINT_MAX];
    size_t len = sizeof(endpoint);
    uint64_t port = 0;
    struct hub *h = NEW(struct hub);
    int r = end_open(&h->end, l, address, NULL, on_frame, owner);
    if (r < 0) {
        mem_free(h);
        return r;
    }
    must(zmq_getsockopt(h->end.socket, ZMQ_LAST_ENDPOINT, endpoint, &len) == 0);
    const char *colon = strrchr(endpoint, ':');
    must(colon && span_number(span_of(colon + 1), UINT16_MAX, &port) == 0);
    *ret_port = (uint16_t) port;
    *ret_hub = h;
    return 0;
}

struct hub *hub_close(struct hub *h)
{
    if (h)
        end_close(&h->end);
    return NULL;
}

int link_open(struct loop *l, const char *address, const char *name, bus_on_frame *on_frame, void *owner,
              struct link **ret_link)
{
    must(is_name(span_of(name)));
    struct link *k = NEW(struct link);
    int r = end_open(&k->end, l, address, name, on_frame, owner);
    if (r < 0) {
        mem_free(k);
        return r;
    }
    *ret_link = k;
    return 0;
}

struct link *link_close(struct link *k)
{
    if (k)
        end_close(&k->end);
    return NULL;
}

/* ---- out */

static int end_send(struct end *e, struct span bytes, int flags)
{
    must(e->magic == BUS_MAGIC && e->socket);
    tail_add(e->loop, &e->check, on_check);
    for (;;) {
        if (zmq_send(e->socket, bytes.at, bytes.len, ZMQ_DONTWAIT | flags) >= 0)
            return 0;
        if (zmq_errno() != EINTR)
            return bus_errno();
    }
}

/* to: the peer's name (hub), empty for a link. */
static int end_send_frame(struct end *e, struct span to, struct span frame)
{
    int r = e->is_hub ? end_send(e, to, ZMQ_SNDMORE) : 0;
    return r < 0 ? r : end_send(e, frame, 0);
}

static void send_late(void *end, struct span to, struct span frame)
{
    (void) end_send_frame(end, to, frame); /* all that is sent may be lost */
}

int hub_send(struct hub *h, struct span to, struct span frame)
{
    must(frame.len <= BUS_FRAME_MAX);
    if (FAULT_BUILD && late_take(&h->end.late, h->end.loop, to, frame, send_late, &h->end))
        return 0;
    return end_send_frame(&h->end, to, frame);
}

int link_send(struct link *k, struct span frame)
{
    must(frame.len <= BUS_FRAME_MAX);
    if (FAULT_BUILD && late_take(&k->end.late, k->end.loop, SPAN(""), frame, send_late, &k->end))
        return 0;
    return end_send_frame(&k->end, SPAN(""), frame);
}
