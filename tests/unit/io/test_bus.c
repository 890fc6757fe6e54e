/* Hubs and links over loopback, and strangers that talk to a hub. */
#include "io_test.h"

#include <errno.h>
#include <stdio.h>
#include <zmq.h>

#include "io/bus.h"

enum { BURST = 3000 };

static struct hub *hub;
static struct link *one, *two;
static uint16_t port;
static char address[32];
static struct timer again;
static struct buf hub_got, one_got, two_got;
static size_t hub_frames, one_frames, stop_at_hub, stop_at_one;
static bool echoes, closes;

static void on_hub_frame(void *owner, struct span from, struct span frame)
{
    (void) owner;
    hub_frames++;
    buf_printf(&hub_got, "%.*s:%.*s ", SPAN_ARG(from), (int) (frame.len < 32 ? frame.len : 32), frame.at);
    if (echoes)
        assert_int_equal(hub_send(hub, from, frame), 0);
    if (closes)
        hub = hub_close(hub);
    if (closes || hub_frames == stop_at_hub)
        loop_stop(loop);
}

static void on_link_frame(void *owner, struct span from, struct span frame)
{
    assert_int_equal(from.len, 0);
    one_frames += owner == &one_got;
    buf_add_span(owner, frame);
    if (one_frames == stop_at_one)
        loop_stop(loop);
}

static int setup(void **state)
{
    loop_setup(state);
    hub_frames = one_frames = stop_at_hub = stop_at_one = 0;
    echoes = closes = false;
    assert_int_equal(hub_open(loop, "127.0.0.1:0", on_hub_frame, NULL, &hub, &port), 0);
    assert_true(port > 0);
    (void) snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    return 0;
}

static int teardown(void **state)
{
    timer_stop(&again);
    one = link_close(one);
    two = link_close(two);
    hub = hub_close(hub);
    loop_teardown(state);
    buf_done(&hub_got);
    buf_done(&one_got);
    buf_done(&two_got);
    return 0;
}

static void open_links(void)
{
    assert_int_equal(link_open(loop, address, "1001.0", on_link_frame, &one_got, &one), 0);
    assert_int_equal(link_open(loop, address, "1002.0", on_link_frame, &two_got, &two), 0);
}

/* Sends as soon as there is a connection. */
static void on_send_one(struct timer *t)
{
    if (link_send(one, SPAN("hello")) == -EAGAIN)
        timer_start(loop, t, 1, on_send_one);
}

static void connect_one(void)
{
    size_t before = hub_frames;
    stop_at_hub = before + 1;
    timer_start(loop, &again, 0, on_send_one);
    loop_go();
    assert_int_equal(hub_frames, before + 1);
}

/* Sends until the loop stops: what went into a dying connection is lost. */
static void on_send_ever(struct timer *t)
{
    (void) link_send(one, SPAN("hello"));
    timer_start(loop, t, 5, on_send_ever);
}

static void frames_go_both_ways_with_names(void **state)
{
    (void) state;
    open_links();
    echoes = true;
    stop_at_one = 1;
    timer_start(loop, &again, 0, on_send_one);
    loop_go();
    assert_true(buf_is(&hub_got, "1001.0:hello "));
    assert_true(buf_is(&one_got, "hello"));
    assert_int_equal(two_got.len, 0);
}

static void an_unknown_peer_is_told_at_once(void **state)
{
    (void) state;
    assert_int_equal(hub_send(hub, SPAN("nobody"), SPAN("x")), -EHOSTUNREACH);
}

static void a_link_without_a_connection_is_full(void **state)
{
    (void) state;
    assert_int_equal(link_open(loop, "127.0.0.1:1", "1001.0", on_link_frame, &one_got, &one), 0);
    assert_int_equal(link_send(one, SPAN("x")), -EAGAIN);
}

static void a_bad_address_is_refused(void **state)
{
    (void) state;
    struct hub *other;
    uint16_t other_port;
    assert_true(link_open(loop, "no port", "1001.0", on_link_frame, &one_got, &one) < 0);
    assert_true(hub_open(loop, "127.0.0.1:x", on_hub_frame, NULL, &other, &other_port) < 0);
    assert_int_equal(hub_open(loop, address, on_hub_frame, NULL, &other, &other_port), -EADDRINUSE);
}

/* More than a round takes, in both directions: the edge of the descriptor is never lost. */
static void a_long_burst_arrives_whole(void **state)
{
    (void) state;
    open_links();
    connect_one();
    echoes = true;
    one_frames = 0;
    stop_at_hub = 0;
    stop_at_one = BURST;
    for (int i = 0; i < BURST; i++)
        assert_int_equal(link_send(one, SPAN("burst")), 0);
    loop_go();
    assert_int_equal(hub_frames, BURST + 1);
    assert_int_equal(one_got.len, BURST * 5);
}

static void the_largest_frame_fits(void **state)
{
    (void) state;
    static char frame[BUS_FRAME_MAX];
    memset(frame, 'x', sizeof(frame));
    open_links();
    connect_one();
    echoes = true;
    stop_at_one = 1;
    assert_int_equal(link_send(one, (struct span){.at = frame, .len = sizeof(frame)}), 0);
    loop_go();
    assert_int_equal(one_got.len, sizeof(frame));
}

static void a_hub_may_be_closed_by_a_frame(void **state)
{
    (void) state;
    open_links();
    connect_one();
    closes = true;
    for (int i = 0; i < 10; i++)
        assert_int_equal(link_send(one, SPAN("close")), 0);
    loop_go();
    assert_null(hub);
    assert_int_equal(hub_frames, 2);
}

static void a_link_finds_a_hub_that_comes_back(void **state)
{
    (void) state;
    open_links();
    connect_one();
    hub = hub_close(hub);
    int r = -EADDRINUSE;
    for (int i = 0; i < 100000 && r == -EADDRINUSE;
         i++) /* the old socket is closed by the library's thread */
        r = hub_open(loop, address, on_hub_frame, NULL, &hub, &port);
    assert_int_equal(r, 0);
    stop_at_hub = hub_frames + 1;
    timer_start(loop, &again, 0, on_send_ever);
    loop_go();
}

static void a_name_goes_to_its_newest_connection(void **state)
{
    (void) state;
    open_links();
    connect_one();
    buf_clear(&one_got);
    two = link_close(two);
    assert_int_equal(link_open(loop, address, "1001.0", on_link_frame, &two_got, &two), 0);
    struct link *first = one;
    one = two; /* the second life */
    connect_one();
    one = first;
    one_frames = 0;
    stop_at_one = SIZE_MAX;
    for (int tries = 0; tries < 1000 && two_got.len == 0; tries++) {
        stop_at_hub = hub_frames + 1;
        assert_int_equal(hub_send(hub, SPAN("1001.0"), SPAN("new")), 0);
        assert_int_equal(link_send(two, SPAN("ping")), 0);
        loop_go();
    }
    assert_int_equal(one_got.len, 0);
}

/* ---- strangers */

static void *stranger_context, *stranger;

static void stranger_open(const char *name)
{
    char endpoint[64];
    int linger = -1;
    (void) snprintf(endpoint, sizeof(endpoint), "tcp://%s", address);
    stranger_context = zmq_ctx_new();
    stranger = zmq_socket(stranger_context, ZMQ_DEALER);
    if (name)
        assert_int_equal(zmq_setsockopt(stranger, ZMQ_ROUTING_ID, name, strlen(name)), 0);
    (void) zmq_setsockopt(stranger, ZMQ_LINGER, &linger, sizeof(linger));
    assert_int_equal(zmq_connect(stranger, endpoint), 0);
}

static void stranger_close(void)
{
    assert_int_equal(zmq_close(stranger), 0);
    assert_int_equal(zmq_ctx_term(stranger_context), 0); /* waits until all is sent */
}

static void frames_of_the_wrong_shape_are_dropped(void **state)
{
    (void) state;
    static char huge[BUS_FRAME_MAX + 1];
    stranger_open("1003.0");
    assert_true(zmq_send(stranger, "a", 1, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(stranger, "b", 1, 0) >= 0);
    for (int i = 0; i < 50; i++)
        assert_true(zmq_send(stranger, "c", 1, i < 49 ? ZMQ_SNDMORE : 0) >= 0);
    assert_true(zmq_send(stranger, "", 0, 0) >= 0); /* an empty frame is one */
    assert_true(zmq_send(stranger, "good", 4, 0) >= 0);
    stop_at_hub = 2;
    loop_go();
    assert_true(buf_is(&hub_got, "1003.0: 1003.0:good "));
    assert_true(zmq_send(stranger, huge, sizeof(huge), 0) >= 0); /* the library drops the connection */
    int linger = 0;
    (void) zmq_setsockopt(stranger, ZMQ_LINGER, &linger, sizeof(linger));
    open_links();
    connect_one();
    stranger_close();
}

static void peers_without_a_proper_name_are_not_heard(void **state)
{
    (void) state;
    static const char *const names[] = {NULL, "with space", "line\nbreak", "\xff\xfe"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        stranger_open(names[i]);
        assert_true(zmq_send(stranger, "x", 1, 0) >= 0);
        stranger_close();
    }
    open_links();
    connect_one();
    assert_true(buf_is(&hub_got, "1001.0:hello "));
}

static struct stream *noise;
static size_t on_noise_data(void *owner, struct span in)
{
    (void) owner;
    return in.len;
}
static void on_noise_closed(void *owner, int reason)
{
    (void) owner;
    (void) reason;
    noise = NULL;
    loop_stop(loop);
}
static const struct stream_events noise_events = {.on_data = on_noise_data, .on_closed = on_noise_closed};

static void garbage_on_the_port_harms_nobody(void **state)
{
    (void) state;
    static const struct span rows[] = {
        SPAN("GET / HTTP/1.0\r\n\r\n"),
        SPAN("EHLO x\r\n"),
        SPAN("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL"),
        SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    };
    struct ip ip = loopback();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        noise = stream_connect(loop, &ip, port, NULL, &noise_events, NULL);
        stream_write(noise, rows[i]);
        stream_finish(noise);
        stream_write(noise, rows[i]);
        loop_go();
        noise = stream_connect(loop, &ip, port, NULL, &noise_events, NULL);
        stream_write(noise, rows[i]);
        stream_deadline(noise, 20);
        loop_go();
    }
    open_links();
    connect_one();
}

static int group_teardown(void **state)
{
    (void) state;
    bus_end();
    bus_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_go_both_ways_with_names, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_peer_is_told_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_without_a_connection_is_full, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_address_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_burst_arrives_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_frame_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hub_may_be_closed_by_a_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_finds_a_hub_that_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_goes_to_its_newest_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_of_the_wrong_shape_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(peers_without_a_proper_name_are_not_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_on_the_port_harms_nobody, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, group_teardown);
}
