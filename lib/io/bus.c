/* Hubs and links. */
#include "io/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "io/bus_late.h"
#include "io/bus_private.h"

enum {
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 400,
    BIND_AGAIN_MS = 10,
    DOWN_MAX_MS = 3000,
    ENDPOINT_MAX = 512,
};

/* ---- the hub */

/*
 * Peers have no names of their own (ZMQ_ROUTING_ID): each connection gets one from libzmq, so nobody can take another's, and who it is is told by
 * its key. The context is its own: the guard decides for all CURVE servers of one.
 */
struct hub {
    struct loop *loop;
    void *context;
    struct guard guard;
    struct door door;
    struct end *end;
    struct hub_events events;
    char endpoint[ENDPOINT_MAX]; /* as bound; "": not now */
    struct timer bind;
    struct list late; /* frames of a test build, still to be sent */
};

/* Names that libzmq gives begin so, those of peers that brought one should not. */
static bool is_given(struct span name)
{
    return name.len == 5 && name.at[0] == '\0';
}

static void on_hub_message(void *owner, zmq_msg_t *parts)
{
    struct hub *h = owner;
    struct span from = part_span(&parts[0]), key = part_key(&parts[1]);
    uint64_t node = key.len > 0 && is_given(from) ? h->events.node_of(h->events.owner, key) : 0;
    if (node)
        h->events.on_frame(h->events.owner, from, node, part_span(&parts[1]));
    else
        h->events.on_refused(h->events.owner, key);
}

/* libzmq takes the descriptor over, and closes it when it is unbound. */
static int hub_bind(struct hub *h)
{
    size_t len = sizeof(h->endpoint);
    char wanted[sizeof("tcp://127.0.0.1:65535")];
    int fd = fcntl(h->door.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void) snprintf(wanted, sizeof(wanted), "tcp://127.0.0.1:%u", h->door.port); /* for the form only */
    int r = end_set(h->end, ZMQ_USE_FD, fd);
    if (r == 0 && zmq_bind(h->end->socket, wanted) < 0)
        r = bus_errno();
    if (r < 0) {
        (void) close(fd); /* nothing was written */
        return r;
    }
    must(zmq_getsockopt(h->end->socket, ZMQ_LAST_ENDPOINT, h->endpoint, &len) == 0);
    return 0;
}

static void on_bind_again(struct timer *t)
{
    struct hub *h = CONTAINER_OF(t, struct hub, bind);
    if (hub_bind(h) < 0)
        timer_start(h->loop, t, BIND_AGAIN_MS, on_bind_again);
}

void hub_renew(struct hub *h, const struct bus_keys *keys)
{
    if (*h->endpoint)
        (void) zmq_unbind(h->end->socket, h->endpoint); /* fails for what is not bound only */
    *h->endpoint = '\0';
    timer_stop(&h->bind); /* else it would listen twice, and once with the former keys */
    must(end_set_server(h->end, keys) == 0);
    on_bind_again(&h->bind);
}

void hub_ask_again(struct hub *h)
{
    guard_ask_again(&h->guard);
}

static int hub_set_up(struct hub *h, struct loop *l, const char *address, size_t descriptors_max,
                      const struct bus_keys *keys)
{
    int r = door_open(&h->door, l, address, descriptors_max, &h->events);
    if (r == 0)
        r = guard_open(&h->guard, l, h->context, &h->events);
    if (r == 0)
        r = end_open(l, h->context, ZMQ_ROUTER, 2, on_hub_message, h, &h->end);
    if (r == 0)
        r = end_set(h->end, ZMQ_ROUTER_MANDATORY, 1);
    if (r == 0)
        r = end_set_server(h->end, keys);
    if (r == 0)
        r = hub_bind(h);
    return r < 0 ? r : end_start(h->end);
}

int hub_open(struct loop *l, const char *address, size_t descriptors_max, const struct bus_keys *keys,
             const struct hub_events *events, struct hub **ret_hub, uint16_t *ret_port)
{
    struct hub *h = NEW(struct hub);
    h->loop = l;
    h->door.fd = -1;
    h->events = *events;
    list_init(&h->late);
    list_init(&h->guard.open);
    h->context = zmq_ctx_new(); /* one I/O thread is its default */
    must(h->context);
    int r = hub_set_up(h, l, address, descriptors_max, keys);
    if (r < 0) {
        (void) hub_close(h); /* always NULL */
        return r;
    }
    *ret_port = h->door.port;
    *ret_hub = h;
    return 0;
}

struct hub *hub_close(struct hub *h)
{
    if (!h)
        return NULL;
    if (FAULT_BUILD)
        late_drop(&h->late);
    timer_stop(&h->bind);
    door_close(&h->door);
    h->end = end_close(h->end);
    guard_close(&h->guard);
    while (zmq_ctx_term(h->context) < 0 && zmq_errno() == EINTR) /* nothing lingers */
        continue;
    mem_free(h);
    return NULL;
}

static int hub_send_frame(struct hub *h, struct span to, struct span frame)
{
    int r = end_send(h->end, to, false);
    return r < 0 ? r : end_send(h->end, frame, true);
}

static void hub_send_late(void *hub, struct span to, struct span frame)
{
    (void) hub_send_frame(hub, to, frame); /* all that is sent may be lost */
}

int hub_send(struct hub *h, struct span to, struct span frame)
{
    must(frame.len <= BUS_FRAME_MAX);
    if (FAULT_BUILD && late_take(&h->late, h->loop, to, frame, hub_send_late, h))
        return 0;
    return hub_send_frame(h, to, frame);
}

/* ---- links */

/*
 * libzmq reconnects by itself, unless what it met spoke nonsense: then it gives up without a word. So a link that could not send for DOWN_MAX_MS
 * begins anew.
 */
struct link {
    struct loop *loop;
    char *address, *name;
    struct bus_keys keys;
    char *hub_key;
    link_on_frame *on_frame;
    void *owner;
    struct end *end;   /* what frames go by */
    struct end *fresh; /* what takes its place once it is connected; NULL: none */
    uint64_t down_ms;  /* since when nothing could be sent; 0: it could */
    struct list late;  /* as the hub's */
};

static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER;
static void *link_context; /* of all links, in all threads */

static void *take_context(void)
{
    must(pthread_mutex_lock(&context_lock) == 0);
    if (!link_context)
        link_context = zmq_ctx_new();
    must(link_context);
    must(pthread_mutex_unlock(&context_lock) == 0);
    return link_context;
}

void bus_end(void)
{
    must(pthread_mutex_lock(&context_lock) == 0);
    while (link_context && zmq_ctx_term(link_context) < 0 && zmq_errno() == EINTR)
        continue;
    link_context = NULL;
    must(pthread_mutex_unlock(&context_lock) == 0);
}

static void on_link_message(void *owner, zmq_msg_t *parts)
{
    struct link *k = owner;
    k->on_frame(k->owner, part_span(&parts[0]));
}

static int link_connect(struct link *k, struct end *e)
{
    static const struct {
        int option, value;
    } rows[] = {
        {ZMQ_IMMEDIATE, 1}, {ZMQ_RECONNECT_IVL, RECONNECT_MS}, {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS}};
    AUTO_FREE char *endpoint = mem_format("tcp://%s", k->address);
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows) && r == 0; i++)
        r = end_set(e, rows[i].option, rows[i].value);
    if (r == 0)
        r = *k->hub_key ? end_set_client(e, &k->keys, k->hub_key) : end_set_text(e, ZMQ_ROUTING_ID, k->name);
    if (r == 0 && zmq_connect(e->socket, endpoint) < 0)
        r = bus_errno();
    return r < 0 ? r : end_start(e);
}

/* Another connection, which takes the place of the one there is once something could be sent by it. */
static int link_begin(struct link *k)
{
    struct end *e;
    int r = end_open(k->loop, take_context(), ZMQ_DEALER, 1, on_link_message, k, &e);
    if (r < 0)
        return r;
    r = link_connect(k, e);
    if (r < 0) {
        (void) end_close(e); /* always NULL */
        return r;
    }
    k->fresh = end_close(k->fresh);
    k->fresh = e;
    return 0;
}

static bool can_be_key(const char *text)
{
    return !*text || bus_is_key(span_of(text));
}

int link_open(struct loop *l, const char *address, const char *name, const struct bus_keys *keys,
              const char *hub_key, link_on_frame *on_frame, void *owner, struct link **ret_link)
{
    must(*name && strlen(name) <= BUS_NAME_MAX);
    if (!can_be_key(hub_key))
        return -EINVAL;
    struct link *k = NEW(struct link);
    k->loop = l;
    k->address = mem_string(address);
    k->name = mem_string(name);
    k->keys = *keys;
    k->hub_key = mem_string(hub_key);
    k->on_frame = on_frame;
    k->owner = owner;
    list_init(&k->late);
    int r = link_begin(k);
    if (r < 0) {
        (void) link_close(k); /* always NULL */
        return r;
    }
    *ret_link = k;
    return 0;
}

int link_use(struct link *k, const struct bus_keys *keys, const char *hub_key)
{
    if (strcmp(k->keys.public_key, keys->public_key) == 0 && strcmp(k->hub_key, hub_key) == 0)
        return 0;
    if (!can_be_key(hub_key) || (*k->hub_key && !*hub_key))
        return -EINVAL;
    k->keys = *keys;
    mem_free(k->hub_key);
    k->hub_key = mem_string(hub_key);
    return link_begin(k); /* else once it has been down for long enough */
}

struct link *link_close(struct link *k)
{
    if (!k)
        return NULL;
    if (FAULT_BUILD)
        late_drop(&k->late);
    k->fresh = end_close(k->fresh);
    k->end = end_close(k->end);
    bus_keys_wipe(&k->keys);
    mem_free(k->hub_key);
    mem_free(k->name);
    mem_free(k->address);
    mem_free(k);
    return NULL;
}

static int link_send_frame(struct link *k, struct span frame)
{
    if (k->fresh && end_send(k->fresh, frame, true) == 0) {
        (void) end_close(k->end); /* always NULL */
        k->end = STEAL(k->fresh);
        k->down_ms = 0;
        return 0;
    }
    int r = k->end ? end_send(k->end, frame, true) : -EAGAIN;
    uint64_t now = loop_now_ms(k->loop);
    if (r == 0)
        k->down_ms = 0;
    else if (!k->down_ms)
        k->down_ms = now;
    else if (now >= k->down_ms + DOWN_MAX_MS && link_begin(k) == 0)
        k->down_ms = now;
    return r;
}

static void link_send_late(void *link, struct span to UNUSED, struct span frame)
{
    (void) link_send_frame(link, frame); /* all that is sent may be lost */
}

int link_send(struct link *k, struct span frame)
{
    must(frame.len <= BUS_FRAME_MAX);
    if (FAULT_BUILD && late_take(&k->late, k->loop, SPAN(""), frame, link_send_late, k))
        return 0;
    return link_send_frame(k, frame);
}
