/* Who is let in to a hub, and who is not: strangers, barred keys, nodes that would be others, floods. What libzmq does is shown with libzmq alone. */
#include "bus_scene.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <zmq.h>

enum { FLOOD = 400, DESCRIPTORS = 64 };

static bool has_refused(void)
{
    return s.refused > 0;
}

/* Says "x" whenever it can, until somebody was refused. */
static void say_until_refused(struct stranger *x)
{
    for (int i = 0; i < 2000 && !s.refused; i++) {
        (void) stranger_say(x, "x", 1, true);
        loop_go_for(2);
    }
    assert_true(s.refused > 0);
}

static void a_stranger_without_keys_is_not_heard(void **state)
{
    (void) state;
    struct stranger x = stranger_open(NULL, NULL, "1001.0", 6);
    for (int i = 0; i < 100; i++) {
        assert_false(stranger_say(&x, "x", 1, true)); /* no handshake is over */
        loop_go_for(2);
    }
    open_link(0);
    connect_link(0);
    assert_true(buf_is(&s.hub_got, "1001:hello "));
    stranger_close(&x);
}

static void an_unknown_key_is_put_off_and_tries_again(void **state)
{
    (void) state;
    struct bus_keys unknown = s.keys[1], known;
    bus_keys_make(&known);
    s.keys[1] = known;
    struct stranger x = stranger_open(&unknown, s.hub_keys.public_key, NULL, 0);
    say_until_refused(&x);
    s.refused = 0;
    say_until_refused(&x); /* again */
    assert_int_equal(s.hub_frames, 0);
    s.keys[1] = unknown; /* its beat was read */
    for (int i = 0; i < 2000 && s.hub_frames == 0; i++) {
        (void) stranger_say(&x, "x", 1, true);
        loop_go_for(2);
    }
    assert_true(span_starts_nocase(buf_span(&s.hub_got), SPAN("1002:x ")));
    stranger_close(&x);
}

static bool are_two_heard(void)
{
    return s.hub_frames >= 2;
}

/* A frame is one part. libzmq gives a message when it has its last part: until then it keeps what came, see docs/security.md. */
static void a_node_that_sends_many_parts_is_not_heard(void **state)
{
    (void) state;
    static const char part[4096] = "garbage";
    struct stranger x = stranger_open(&s.keys[0], s.hub_keys.public_key, NULL, 0);
    while (!stranger_say(&x, "first", 5, true))
        loop_go_for(2);
    for (unsigned i = 0; i < 100; i++)
        for (unsigned j = 0; j < 100; j++)
            while (!stranger_say(&x, part, i % 2 ? sizeof(part) : 0, j == 99))
                loop_go_for(2);
    while (!stranger_say(&x, "last", 4, true))
        loop_go_for(2);
    loop_go_until(are_two_heard);
    assert_int_equal(s.hub_frames, 2);
    assert_int_equal(s.refused, 0);
    stranger_close(&x);
}

static bool is_asked_about(void)
{
    return s.unknown > 0;
}

static void a_node_that_has_just_joined_is_let_in_as_soon_as_it_is_known(void **state)
{
    (void) state;
    struct bus_keys known = s.keys[0];
    open_link(0);
    bus_keys_make(&s.keys[0]);
    loop_go_until(is_asked_about);
    assert_int_equal(link_send(s.link[0], SPAN("x")), -EAGAIN);
    s.keys[0] = known;
    hub_ask_again(s.hub);
    loop_go_for(100);
    assert_int_equal(link_send(s.link[0], SPAN("x")), 0);
    assert_int_equal(s.refused, 0);
}

static bool are_many_refused(void)
{
    return s.refused >= 44;
}

static void many_unknown_keys_at_once_are_bounded(void **state)
{
    (void) state;
    static struct stranger x[300];
    struct bus_keys unknown;
    bus_keys_make(&unknown);
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        x[i] = stranger_open(&unknown, s.hub_keys.public_key, NULL, 0);
    loop_go_until(are_many_refused); /* 256 wait for a second, the others not at all */
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        stranger_close(&x[i]);
    open_link(0);
    connect_link(0);
}

static void who_does_not_know_the_hubs_key_is_not_heard(void **state)
{
    (void) state;
    struct bus_keys other;
    bus_keys_make(&other);
    struct stranger x = stranger_open(&s.keys[0], other.public_key, NULL, 0);
    for (int i = 0; i < 100; i++) {
        assert_false(stranger_say(&x, "x", 1, true));
        loop_go_for(2);
    }
    assert_int_equal(s.hub_frames, 0);
    assert_int_equal(s.refused,
                     0); /* it was not even asked about: nobody can find out whose keys are known */
    stranger_close(&x);
}

static void a_barred_key_is_not_heard_from_that_moment_on(void **state)
{
    (void) state;
    open_link(0);
    open_link(1);
    connect_link(0);
    connect_link(1);
    loop_go_for(50);
    size_t before = s.hub_frames;
    s.is_barred[0] = true;
    assert_int_equal(link_send(s.link[0], SPAN("barred")), 0); /* its connection stands */
    loop_go_until(has_refused);
    assert_int_equal(s.hub_frames, before);
    s.refused = 0;
    s.link[0] = link_close(s.link[0]);
    open_link(0); /* and it gets no other */
    loop_go_until(has_refused);
    assert_int_equal(link_send(s.link[0], SPAN("barred")), -EAGAIN);
    connect_link(1);
}

/* A connection's name is the hub's: 0 and a number. Who brings such a name itself gets no more by it than its own key gives. */
static void nobody_can_take_anothers_connection(void **state)
{
    (void) state;
    open_link(0);
    connect_link(0);
    loop_go_for(50);
    AUTO_BUF struct buf from = {0};
    buf_add_span(&from, buf_span(&s.from));
    struct stranger thief = stranger_open(&s.keys[1], s.hub_keys.public_key, from.data, from.len);
    for (int i = 0; i < 100; i++) {
        (void) stranger_say(&thief, "stolen", 6, true);
        loop_go_for(2);
    }
    assert_int_equal(hub_send(s.hub, buf_span(&from), SPAN("for the first")), 0);
    s.stop_at_link = 1;
    loop_go();
    assert_true(buf_is(&s.got[0], "for the first"));
    char text[16];
    assert_int_equal(zmq_recv(thief.socket, text, sizeof(text), ZMQ_DONTWAIT), -1);
    assert_null(memmem(s.hub_got.data, s.hub_got.len, "1001:stolen", 11));
    stranger_close(&thief);
}

static void a_hub_changes_its_keys_and_its_port_never_closes(void **state)
{
    (void) state;
    struct ip ip = loopback();
    struct bus_keys next;
    open_link(0);
    for (int round = 0; round < 5; round++) {
        connect_link(0);
        bus_keys_make(&next);
        assert_int_equal(link_use(s.link[0], &s.keys[0], next.public_key), 0); /* told before */
        connect_link(0);                                                       /* by the former one */
        loop_go_for(20);
        hub_renew(s.hub, &next);
        for (int i = 0; i < 20; i++) { /* nobody is turned away */
            struct sockaddr_in at = {.sin_family = AF_INET,
                                     .sin_port = htons(s.port),
                                     .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            assert_int_equal(connect(fd, (struct sockaddr *) &at, sizeof(at)), 0);
            (void) close(fd);
        }
        s.hub_keys = next;
    }
    (void) ip;
    connect_link(0);
    struct stranger former = stranger_open(&s.keys[1], next.secret_key, NULL, 0); /* any other key */
    loop_go_for(200);
    assert_false(stranger_say(&former, "x", 1, true));
    stranger_close(&former);
}

static void a_link_changes_its_keys_without_a_gap(void **state)
{
    (void) state;
    struct bus_keys former = s.keys[0];
    open_link(0);
    connect_link(0);
    loop_go_for(50);
    size_t before = s.hub_frames, sent = 0;
    bus_keys_make(&s.keys[1]);
    for (int i = 0; i < 300; i++) {
        if (i == 50)
            assert_int_equal(link_use(s.link[0], &s.keys[1], s.hub_keys.public_key), 0);
        assert_int_equal(link_send(s.link[0], SPAN("x")), 0); /* there is always a connection */
        sent++;
        loop_go_for(1);
    }
    loop_go_for(50);
    assert_in_range(s.hub_frames - before, sent - 1,
                    sent); /* one may be under way in the former when that ends */
    assert_non_null(memmem(s.hub_got.data, s.hub_got.len, "1001:x 1002:x", 13));
    explicit_bzero(&former, sizeof(former));
}

/* ---- floods */

static pid_t flood_pid;

/* Another process opens so many connections that say nothing, or half a greeting. */
static void flood(void)
{
    flood_pid = fork();
    assert_true(flood_pid >= 0);
    if (flood_pid > 0)
        return;
    for (int i = 0; i < FLOOD; i++) {
        struct sockaddr_in at = {
            .sin_family = AF_INET, .sin_port = htons(s.port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void) connect(fd, (struct sockaddr *) &at, sizeof(at));
        (void) usleep(500); /* rule: it is the other side, and slower than the look at descriptors */
        if (i % 2)
            (void) send(fd, "\xff\0\0\0\0\0\0\0\1\x7f\3", 11, MSG_NOSIGNAL);
    }
    for (;;)
        (void) pause();
}

static bool is_crowded(void)
{
    return s.crowded > 0;
}

static bool is_free_again(void)
{
    return s.uncrowded > 0;
}

static int descriptors_open(void)
{
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
    (void) close(fd);
    return fd;
}

static void a_flood_of_half_open_connections_is_bounded_and_stops_no_link(void **state)
{
    (void) state;
    s.hub = hub_close(s.hub);
    open_hub(DESCRIPTORS);
    open_link(0);
    connect_link(0);
    flood();
    loop_go_until(is_crowded);
    for (int i = 0; i < 50; i++) {
        connect_link(0); /* who is there stays */
        loop_go_for(5);
        assert_in_range(descriptors_open(), 0, DESCRIPTORS + 250);
    }
    loop_go_until(is_free_again); /* half-open ones end by themselves */
    assert_int_equal(kill(flood_pid, SIGKILL), 0);
    assert_int_equal(waitpid(flood_pid, NULL, 0), flood_pid);
    s.crowded = 0;
    open_link(1);
    connect_link(1);
}

static struct stream *slow;
static struct timer drip;
static size_t dripped;
static const char greeting[] =
    "\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

static size_t on_slow_data(void *owner, struct span in)
{
    (void) owner;
    return in.len;
}

static void on_slow_closed(void *owner, int reason)
{
    (void) owner;
    (void) reason;
    slow = NULL;
    timer_stop(&drip);
    loop_stop(loop);
}
static const struct stream_events slow_events = {.on_data = on_slow_data, .on_closed = on_slow_closed};

static void on_drip(struct timer *t)
{
    stream_write(slow, (struct span){.at = greeting + dripped++ % (sizeof(greeting) - 1), .len = 1});
    timer_start(loop, t, 200, on_drip);
}

static void a_slow_handshake_is_cut(void **state)
{
    (void) state;
    struct ip ip = loopback();
    slow = stream_connect(loop, &ip, s.port, NULL, &slow_events, NULL);
    timer_start(loop, &drip, 0, on_drip);
    loop_go(); /* ends when it is closed: by the hub, within loop_go()'s time */
    assert_null(slow);
    assert_in_range(dripped, 5, 25);
}

static void garbage_on_the_port_harms_nobody(void **state)
{
    (void) state;
    static const struct span rows[] = {
        SPAN("GET / HTTP/1.0\r\n\r\n"),
        SPAN("EHLO x\r\n"),
        SPAN("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL"),
        SPAN(
            "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00"
            "CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
            "\4\xc8\5HELLO\1\0"),
        SPAN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    };
    struct ip ip = loopback();
    open_link(0);
    connect_link(0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        slow = stream_connect(loop, &ip, s.port, NULL, &slow_events, NULL);
        stream_write(slow, rows[i]);
        stream_finish(slow);
        stream_write(slow, rows[i]);
        loop_go();
        slow = stream_connect(loop, &ip, s.port, NULL, &slow_events, NULL);
        stream_write(slow, rows[i]);
        stream_deadline(slow, 20);
        loop_go();
    }
    connect_link(0);
    open_link(1);
    connect_link(1);
}

/* ---- what we build on: libzmq alone */

static void *raw_hub(void *context)
{
    int one = 1, zero = 0, handshake_ms = 200;
    char endpoint[64];
    size_t len = sizeof(endpoint);
    void *router = zmq_socket(context, ZMQ_ROUTER);
    assert_int_equal(zmq_setsockopt(router, ZMQ_LINGER, &zero, sizeof(zero)), 0);
    assert_int_equal(zmq_setsockopt(router, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof(handshake_ms)), 0);
    assert_int_equal(zmq_setsockopt(router, ZMQ_CURVE_SERVER, &one, sizeof(one)), 0);
    assert_int_equal(zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, s.hub_keys.secret_key, BUS_KEY_LEN), 0);
    assert_int_equal(zmq_setsockopt(router, ZMQ_ZAP_DOMAIN, "barid", 5), 0);
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    (void) snprintf(s.address, sizeof(s.address), "%.31s", endpoint + strlen("tcp://"));
    return router;
}

/* Answers what is asked with that status; returns how often. */
static int answer_all(void *guard, const char *status)
{
    int count = 0;
    char id[16];
    while (zmq_recv(guard, id, sizeof(id), ZMQ_DONTWAIT) >= 0) {
        int more = 1, id_len = 0;
        size_t len = sizeof(more);
        for (int part = 1; more; part++) {
            char bytes[64];
            int n = zmq_recv(guard, bytes, sizeof(bytes), 0);
            if (part == 1) {
                id_len = n;
                memcpy(id, bytes, (size_t) n);
            }
            (void) zmq_getsockopt(guard, ZMQ_RCVMORE, &more, &len);
        }
        const struct span parts[] = {SPAN("1.0"), {id, (size_t) id_len}, span_of(status), SPAN(""), SPAN(""),
                                     SPAN("")};
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            (void) zmq_send(guard, parts[i].at, parts[i].len, i + 1 < ARRAY_LEN(parts) ? ZMQ_SNDMORE : 0);
        count++;
    }
    return count;
}

static void without_a_guard_libzmq_lets_everybody_in_and_says_so_by_no_user(void **state)
{
    (void) state;
    void *context = zmq_ctx_new(), *router = raw_hub(context);
    struct bus_keys unknown;
    zmq_msg_t part;
    bus_keys_make(&unknown);
    struct stranger x = stranger_open(&unknown, s.hub_keys.public_key, NULL, 0);
    while (!stranger_say(&x, "x", 1, true))
        loop_go_for(1);
    assert_int_equal(zmq_msg_init(&part), 0);
    assert_true(zmq_msg_recv(&part, router, 0) >= 0);
    assert_null(zmq_msg_gets(&part, "User-Id"));
    (void) zmq_msg_close(&part);
    stranger_close(&x);
    (void) zmq_close(router);
    (void) zmq_ctx_term(context);
}

/* After 300 the client waits until the handshake has taken too long. */
static void a_400_is_for_ever_and_a_300_is_not(void **state)
{
    (void) state;
    static const char *const statuses[] = {"300", "400"};
    for (size_t k = 0; k < ARRAY_LEN(statuses); k++) {
        int zero = 0, asked = 0;
        void *context = zmq_ctx_new(), *guard = zmq_socket(context, ZMQ_REP);
        assert_int_equal(zmq_setsockopt(guard, ZMQ_LINGER, &zero, sizeof(zero)), 0);
        assert_int_equal(zmq_bind(guard, "inproc://zeromq.zap.01"), 0);
        void *router = raw_hub(context);
        struct stranger x = stranger_open(&s.keys[0], s.hub_keys.public_key, NULL, 0);
        for (int i = 0; i < 600; i++) {
            asked += answer_all(guard, statuses[k]);
            loop_go_for(2);
        }
        if (k == 0)
            assert_true(asked > 1);
        else
            assert_int_equal(asked, 1);
        stranger_close(&x);
        (void) zmq_close(router);
        (void) zmq_close(guard);
        (void) zmq_ctx_term(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stranger_without_keys_is_not_heard, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(an_unknown_key_is_put_off_and_tries_again, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_node_that_has_just_joined_is_let_in_as_soon_as_it_is_known,
                                        bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(many_unknown_keys_at_once_are_bounded, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_node_that_sends_many_parts_is_not_heard, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(who_does_not_know_the_hubs_key_is_not_heard, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_barred_key_is_not_heard_from_that_moment_on, bus_setup,
                                        bus_teardown),
        cmocka_unit_test_setup_teardown(nobody_can_take_anothers_connection, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_hub_changes_its_keys_and_its_port_never_closes, bus_setup,
                                        bus_teardown),
        cmocka_unit_test_setup_teardown(a_link_changes_its_keys_without_a_gap, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_flood_of_half_open_connections_is_bounded_and_stops_no_link,
                                        bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_slow_handshake_is_cut, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(garbage_on_the_port_harms_nobody, bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(without_a_guard_libzmq_lets_everybody_in_and_says_so_by_no_user,
                                        bus_setup, bus_teardown),
        cmocka_unit_test_setup_teardown(a_400_is_for_ever_and_a_300_is_not, bus_setup, bus_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
