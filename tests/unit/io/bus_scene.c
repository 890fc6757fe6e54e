/* What the tests of the bus share. */
#include "bus_scene.h"

#include <stdio.h>
#include <zmq.h>

struct bus_scene s;

static struct timer again, guard;
static bool (*is_reached)(void);
static int sending;

static uint64_t node_of(void *owner, struct span key)
{
    (void) owner;
    for (unsigned i = 0; i < ARRAY_LEN(s.keys); i++)
        if (!s.is_barred[i] && span_equal(key, span_of(s.keys[i].public_key)))
            return ONE + i;
    return 0;
}

static void on_hub_frame(void *owner, struct span from, uint64_t node, struct span frame)
{
    (void) owner;
    s.hub_frames++;
    buf_printf(&s.hub_got, "%llu:%.*s ", (unsigned long long) node, (int) (frame.len < 32 ? frame.len : 32),
               frame.at);
    buf_clear(&s.from);
    buf_add_span(&s.from, from);
    if (s.echoes)
        assert_int_equal(hub_send(s.hub, from, frame), 0);
    if (s.closes)
        s.hub = hub_close(s.hub);
    if (s.closes || s.hub_frames == s.stop_at_hub)
        loop_stop(loop);
}

static void on_unknown(void *owner)
{
    (void) owner;
    s.unknown++;
}

static void on_refused(void *owner, struct span key)
{
    (void) owner;
    (void) key;
    s.refused++;
    if (s.stops_at_refusal)
        loop_stop(loop);
}

static void on_crowded(void *owner, bool is_crowded)
{
    (void) owner;
    s.crowded += is_crowded;
    s.uncrowded += !is_crowded;
}

static void on_link_frame(void *owner, struct span frame)
{
    size_t i = (size_t) ((struct buf *) owner - s.got);
    s.frames[i]++;
    buf_add_span(owner, frame);
    if (s.frames[i] == s.stop_at_link)
        loop_stop(loop);
}

void open_hub(size_t descriptors_max)
{
    const struct hub_events events = {.node_of = node_of,
                                      .on_frame = on_hub_frame,
                                      .on_unknown = on_unknown,
                                      .on_refused = on_refused,
                                      .on_crowded = on_crowded};
    assert_int_equal(hub_open(loop, *s.address ? s.address : "127.0.0.1:0", descriptors_max, &s.hub_keys,
                              &events, &s.hub, &s.port),
                     0);
    assert_true(s.port > 0);
    (void) snprintf(s.address, sizeof(s.address), "127.0.0.1:%u", s.port);
}

int bus_setup(void **state)
{
    loop_setup(state);
    s = (struct bus_scene){.hub = NULL};
    bus_keys_make(&s.hub_keys);
    bus_keys_make(&s.keys[0]);
    bus_keys_make(&s.keys[1]);
    open_hub(1000);
    return 0;
}

int bus_teardown(void **state)
{
    timer_stop(&again);
    timer_stop(&guard);
    for (size_t i = 0; i < ARRAY_LEN(s.link); i++) {
        s.link[i] = link_close(s.link[i]);
        buf_done(&s.got[i]);
    }
    s.hub = hub_close(s.hub);
    loop_teardown(state);
    buf_done(&s.hub_got);
    buf_done(&s.from);
    bus_end();
    bus_end(); /* again is fine */
    return 0;
}

void open_link(int i)
{
    assert_int_equal(link_open(loop, s.address, "name", &s.keys[i], s.hub_keys.public_key, on_link_frame,
                               &s.got[i], &s.link[i]),
                     0);
}

/* What went into a dying connection is lost: so until something is heard. */
static void on_send(struct timer *t)
{
    (void) link_send(s.link[sending], SPAN("hello"));
    timer_start(loop, t, 2, on_send);
}

void connect_link(int i)
{
    sending = i;
    s.stop_at_hub = s.hub_frames + 1;
    timer_start(loop, &again, 0, on_send);
    loop_go();
    timer_stop(&again);
    assert_true(s.hub_frames >= s.stop_at_hub);
    s.stop_at_hub = 0;
}

static void on_over(struct timer *t)
{
    (void) t;
    loop_stop(loop);
}

void loop_go_for(unsigned ms)
{
    timer_start(loop, &guard, ms, on_over);
    loop_go();
    timer_stop(&guard);
}

static void on_look(struct timer *t)
{
    if (is_reached())
        loop_stop(loop);
    else
        timer_start(loop, t, 2, on_look);
}

void loop_go_until(bool (*is_so)(void))
{
    is_reached = is_so;
    timer_start(loop, &guard, 0, on_look);
    loop_go();
    timer_stop(&guard);
    assert_true(is_so());
}

/* ---- strangers */

struct stranger stranger_open(const struct bus_keys *keys, const char *hub_key, const void *name,
                              size_t name_len)
{
    struct stranger x = {.context = zmq_ctx_new()};
    char endpoint[64];
    int zero = 0, one = 1;
    (void) snprintf(endpoint, sizeof(endpoint), "tcp://%s", s.address);
    x.socket = zmq_socket(x.context, ZMQ_DEALER);
    assert_int_equal(zmq_setsockopt(x.socket, ZMQ_LINGER, &zero, sizeof(zero)), 0);
    assert_int_equal(zmq_setsockopt(x.socket, ZMQ_IMMEDIATE, &one, sizeof(one)), 0);
    if (name)
        assert_int_equal(zmq_setsockopt(x.socket, ZMQ_ROUTING_ID, name, name_len), 0);
    if (keys) {
        assert_int_equal(zmq_setsockopt(x.socket, ZMQ_CURVE_SERVERKEY, hub_key, BUS_KEY_LEN), 0);
        assert_int_equal(zmq_setsockopt(x.socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, BUS_KEY_LEN), 0);
        assert_int_equal(zmq_setsockopt(x.socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, BUS_KEY_LEN), 0);
    }
    assert_int_equal(zmq_connect(x.socket, endpoint), 0);
    return x;
}

bool stranger_say(struct stranger *x, const void *bytes, size_t len, bool is_last)
{
    return zmq_send(x->socket, bytes, len, ZMQ_DONTWAIT | (is_last ? 0 : ZMQ_SNDMORE)) >= 0;
}

void stranger_close(struct stranger *x)
{
    assert_int_equal(zmq_close(x->socket), 0);
    assert_int_equal(zmq_ctx_term(x->context), 0);
}
