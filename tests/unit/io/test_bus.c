/* Hubs and links over loopback. Who is let in: test_bus_curve.c. */
#include "bus_scene.h"

#include <errno.h>
#include <stdio.h>
#include <zmq.h>

enum { BURST = 3000 };

static void no_frame(void *owner, struct span frame)
{
    (void) owner;
    (void) frame;
    fail();
}

static bool have_both_got(void)
{
    return s.frames[0] && s.frames[1];
}

static void frames_go_both_ways_and_their_keys_say_whose_they_are(void **state)
{
    (void) state;
    open_link(0);
    open_link(1);
    s.echoes = true;
    connect_link(0);
    connect_link(1);
    assert_true(buf_is(&s.hub_got, "1001:hello 1002:hello ") || buf_is(&s.hub_got, "1002:hello 1001:hello "));
    loop_go_until(have_both_got);
    assert_true(buf_is(&s.got[0], "hello"));
    assert_true(buf_is(&s.got[1], "hello"));
}

static void an_unknown_peer_is_told_at_once(void **state)
{
    (void) state;
    assert_int_equal(hub_send(s.hub, SPAN("nobody"), SPAN("x")), -EHOSTUNREACH);
    assert_int_equal(hub_send(s.hub, SPAN(""), SPAN("x")), -EHOSTUNREACH);
}

static void a_link_without_a_connection_is_full(void **state)
{
    (void) state;
    (void) snprintf(s.address, sizeof(s.address), "127.0.0.1:1");
    open_link(0);
    assert_int_equal(link_send(s.link[0], SPAN("x")), -EAGAIN);
}

static void a_bad_address_or_key_is_refused(void **state)
{
    (void) state;
    static const char *const addresses[] = {"127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1", "",
                                            "[::1:5",      "127.0.0.1.1:0"};
    static const char *const no_keys[] = {
        "x", "0123456789012345678901234567890123456789 ",
        "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""};
    const struct hub_events events = {.node_of = NULL};
    struct hub *other;
    struct link *k;
    uint16_t port;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
        assert_true(hub_open(loop, addresses[i], 100, &s.hub_keys, &events, &other, &port) < 0);
    assert_int_equal(hub_open(loop, s.address, 100, &s.hub_keys, &events, &other, &port), -EADDRINUSE);
    assert_true(link_open(loop, "no port", "a", &s.keys[0], s.hub_keys.public_key, no_frame, NULL, &k) < 0);
    for (size_t i = 0; i < ARRAY_LEN(no_keys); i++)
        assert_int_equal(link_open(loop, s.address, "a", &s.keys[0], no_keys[i], no_frame, NULL, &k),
                         -EINVAL);
    open_link(0);
    connect_link(0);
    assert_int_equal(link_use(s.link[0], &s.keys[0], "x"), -EINVAL);
    assert_int_equal(link_use(s.link[0], &s.keys[0], ""), -EINVAL); /* never plain again */
    connect_link(0);                                                /* by the former key */
}

static void a_hub_listens_where_it_is_told(void **state)
{
    (void) state;
    static const char *const addresses[] = {"*:0", ":0", "0.0.0.0:0", "localhost:0", "[::1]:0", "[::]:0"};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        bool is_six = strchr(addresses[i], '[') != NULL;
        s.hub = hub_close(s.hub);
        (void) snprintf(s.address, sizeof(s.address), "%s", addresses[i]);
        open_hub(1000);
        if (is_six)
            (void) snprintf(s.address, sizeof(s.address), "[::1]:%u", s.port);
        open_link(0);
        connect_link(0);
        s.link[0] = link_close(s.link[0]);
    }
}

/* More than a round takes, in both directions: the edge of the descriptor is never lost. */
static void a_long_burst_arrives_whole(void **state)
{
    (void) state;
    open_link(0);
    connect_link(0);
    loop_go_for(50);
    s.echoes = true;
    size_t before = s.hub_frames;
    s.stop_at_link = BURST;
    for (int i = 0; i < BURST; i++)
        assert_int_equal(link_send(s.link[0], SPAN("burst")), 0);
    loop_go();
    assert_int_equal(s.hub_frames, before + BURST);
    assert_int_equal(s.got[0].len, BURST * 5);
}

static void the_largest_frame_fits(void **state)
{
    (void) state;
    static char frame[BUS_FRAME_MAX];
    memset(frame, 'x', sizeof(frame));
    open_link(0);
    connect_link(0);
    loop_go_for(50);
    s.echoes = true;
    s.stop_at_link = 1;
    assert_int_equal(link_send(s.link[0], (struct span){.at = frame, .len = sizeof(frame)}), 0);
    loop_go();
    assert_int_equal(s.got[0].len, sizeof(frame));
}

static void a_hub_may_be_closed_by_a_frame(void **state)
{
    (void) state;
    open_link(0);
    connect_link(0);
    loop_go_for(50);
    size_t before = s.hub_frames;
    s.closes = true;
    for (int i = 0; i < 10; i++)
        assert_int_equal(link_send(s.link[0], SPAN("close")), 0);
    loop_go();
    assert_null(s.hub);
    assert_int_equal(s.hub_frames, before + 1);
}

static void a_link_finds_a_hub_that_comes_back(void **state)
{
    (void) state;
    open_link(0);
    connect_link(0);
    s.hub = hub_close(s.hub);
    loop_go_for(200);
    open_hub(1000); /* at the same port, at once */
    connect_link(0);
}

static void a_hub_without_keys_is_of_a_former_version_and_is_told_a_name(void **state)
{
    (void) state;
    char endpoint[64], name[64] = "", text[64] = "";
    size_t len = sizeof(endpoint);
    void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    assert_int_equal(
        link_open(loop, endpoint + strlen("tcp://"), "1001.0", &s.keys[0], "", no_frame, NULL, &s.link[0]),
        0);
    while (link_send(s.link[0], SPAN("plain")) < 0)
        loop_go_for(1);
    assert_int_equal(zmq_recv(router, name, sizeof(name), 0), 6);
    assert_int_equal(zmq_recv(router, text, sizeof(text), 0), 5);
    assert_string_equal(name, "1001.0");
    assert_string_equal(text, "plain");
    s.link[0] = link_close(s.link[0]);
    (void) zmq_close(router);
    (void) zmq_ctx_term(context);
}

static int refused_fds[64];
static size_t refused_count;

/* "Go away for ever." */
static void refuse_for_good(void *owner, int fd)
{
    (void) owner;
    char greeting[64] = {[0] = '\xff', [8] = 1, [9] = 0x7f, [10] = 3};
    static const char error[] = "\4\12\5ERROR\003400";
    memcpy(greeting + 12, "CURVE", 5);
    greeting[32] = 1; /* a server */
    (void) send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL);
    (void) send(fd, error, sizeof(error) - 1, MSG_NOSIGNAL);
    (void) shutdown(fd, SHUT_WR);
    refused_fds[refused_count++ % ARRAY_LEN(refused_fds)] = fd;
}

static void a_link_that_libzmq_gave_up_begins_anew(void **state)
{
    (void) state;
    struct listener *noise;
    struct ip ip = loopback();
    s.hub = hub_close(s.hub);
    assert_int_equal(listener_open(loop, &ip, s.port, refuse_for_good, NULL, NULL, &noise), 0);
    open_link(0);
    loop_go_for(1500);
    listener_close(noise);
    assert_int_equal(refused_count, 1); /* it does not try again */
    (void) close(refused_fds[0]);
    open_hub(1000);
    connect_link(0);
}

/* ---- frames of a node that lost its senses */

static bool has_refused(void)
{
    return s.refused > 0;
}

static bool hears_two(void)
{
    return s.hub_frames >= 2;
}

static void frames_of_the_wrong_shape_are_dropped(void **state)
{
    (void) state;
    static char huge[BUS_FRAME_MAX + 1];
    struct stranger x = stranger_open(&s.keys[0], s.hub_keys.public_key, NULL, 0);
    while (!stranger_say(&x, "a", 1, false))
        loop_go_for(1);
    assert_true(stranger_say(&x, "b", 1, true));
    for (int i = 0; i < 50; i++)
        assert_true(stranger_say(&x, "c", 1, i == 49));
    assert_true(stranger_say(&x, "", 0, true)); /* an empty frame is one */
    assert_true(stranger_say(&x, "good", 4, true));
    loop_go_until(hears_two);
    assert_true(buf_is(&s.hub_got, "1001: 1001:good "));
    assert_true(stranger_say(&x, huge, sizeof(huge), true)); /* the library drops the connection */
    open_link(1);
    connect_link(1);
    stranger_close(&x);
}

static void peers_that_bring_a_name_are_not_heard(void **state)
{
    (void) state;
    struct stranger x = stranger_open(&s.keys[0], s.hub_keys.public_key, "1002.0", 6);
    while (!stranger_say(&x, "x", 1, true))
        loop_go_for(1);
    loop_go_until(has_refused);
    stranger_close(&x);
    open_link(1);
    connect_link(1);
    assert_true(buf_is(&s.hub_got, "1002:hello "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_go_both_ways_and_their_keys_say_whose_they_are, bus_setup,
                                        bus_teardown),
        cmocka_unit_test_setup_teardown(an_unknown_peer_is_told_at_once, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_link_without_a_connection_is_full, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_bad_address_or_key_is_refused, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_hub_listens_where_it_is_told, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_long_burst_arrives_whole, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(the_largest_frame_fits, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_hub_may_be_closed_by_a_frame, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_link_finds_a_hub_that_comes_back, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_hub_without_keys_is_of_a_former_version_and_is_told_a_name,
                                        bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_link_that_libzmq_gave_up_begins_anew, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(frames_of_the_wrong_shape_are_dropped, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(peers_that_bring_a_name_are_not_heard, bus_setup, bus_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
