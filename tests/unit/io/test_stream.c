/* Streams: over loopback and socket pairs, both ends in one loop. */
#include "io_test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/un.h>

struct peer {
    struct stream *stream;
    struct buf got;
    size_t take_max; /* bytes consumed per on_data; 0: all */
    int connected, drained, closed, reason, timeouts;
    bool takes_none;  /* in on_data */
    bool pauses;      /* in on_data */
    bool finishes;    /* in on_data */
    bool resets;      /* in on_data */
    bool keeps_on;    /* at a time-out */
    bool stops;       /* the loop, when closed */
    size_t stop_at;   /* the loop, when so much came */
    size_t feed_left; /* to be written whenever drained */
    size_t unsent;    /* when drained last */
};

static void feed(struct peer *p)
{
    static char block[65536];
    while (p->feed_left > 0 && !stream_is_full(p->stream)) {
        size_t n = p->feed_left < sizeof(block) ? p->feed_left : sizeof(block);
        stream_write(p->stream, (struct span){.at = block, .len = n});
        p->feed_left -= n;
    }
}

static void on_connected(void *owner)
{
    struct peer *p = owner;
    p->connected++;
}

static size_t on_data(void *owner, struct span in)
{
    struct peer *p = owner;
    if (p->takes_none)
        return 0;
    size_t n = p->take_max && p->take_max < in.len ? p->take_max : in.len;
    buf_add(&p->got, in.at, n);
    if (p->pauses)
        stream_pause(p->stream);
    if (p->finishes) {
        stream_write(p->stream, SPAN("bye"));
        stream_finish(p->stream);
        stream_write(p->stream, SPAN("never"));
    }
    if (p->resets)
        stream_reset(p->stream);
    if (p->stop_at && p->got.len >= p->stop_at)
        loop_stop(loop);
    return n;
}

static void on_drained(void *owner)
{
    struct peer *p = owner;
    p->drained++;
    p->unsent = stream_unsent(p->stream);
    feed(p);
}

static void on_closed(void *owner, int reason)
{
    struct peer *p = owner;
    p->closed++;
    p->reason = reason;
    p->stream = NULL;
    if (p->stops)
        loop_stop(loop);
}

static const struct stream_events events = {
    .on_connected = on_connected, .on_data = on_data, .on_drained = on_drained, .on_closed = on_closed};

static struct peer a, b;
static int raw = -1; /* the other end, when it is not a stream */
static struct listener *listener;
static int accepted;

static int setup(void **state)
{
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    accepted = 0;
    return loop_setup(state);
}

static int teardown(void **state)
{
    listener = listener_close(listener);
    if (a.stream)
        stream_abort(a.stream);
    if (b.stream)
        stream_abort(b.stream);
    if (raw >= 0)
        close(raw);
    raw = -1;
    loop_teardown(state);
    buf_done(&a.got);
    buf_done(&b.got);
    return 0;
}

static void pair(bool is_raw)
{
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    a.stream = stream_adopt(loop, fds[0], &events, &a);
    if (is_raw)
        raw = fds[1];
    else
        b.stream = stream_adopt(loop, fds[1], &events, &b);
}

static void on_accept(void *owner, int fd)
{
    struct peer *p = owner;
    accepted++;
    p->stream = stream_adopt(loop, fd, &events, p);
}

/* a connects to b over TCP. */
static void connect_tcp(void)
{
    struct ip ip = loopback();
    must(listener_open(loop, &ip, 0, on_accept, NULL, &b, &listener) == 0);
    a.stream = stream_connect(loop, &ip, listener_port(listener), &ip, &events, &a);
}

static void carries_bytes_both_ways_over_tcp(void **state)
{
    (void) state;
    connect_tcp();
    stream_write(a.stream, SPAN("hello")); /* before it is connected */
    assert_int_equal(a.connected, 0);
    b.stop_at = 5;
    loop_go();
    assert_int_equal(a.connected, 1);
    assert_true(buf_is(&b.got, "hello"));
    struct ip ip;
    uint16_t port;
    assert_int_equal(stream_peer(a.stream, &ip, &port), 0);
    assert_int_equal(port, listener_port(listener));
    assert_true(ip.is_v4);
    assert_int_equal(stream_local(b.stream, &ip, &port), 0);
    assert_int_equal(port, listener_port(listener));
    a.stop_at = 5;
    buf_printf(stream_output(b.stream), "%s", "wor");
    stream_written(b.stream);
    stream_write(b.stream, SPAN("ld"));
    assert_int_equal(stream_unsent(b.stream), 5);
    loop_go();
    assert_true(buf_is(&a.got, "world"));
    assert_int_equal(stream_unsent(b.stream), 0);
}

static void tells_a_refused_connection_from_the_loop(void **state)
{
    (void) state;
    struct ip ip = loopback();
    must(listener_open(loop, &ip, 0, on_accept, NULL, &b, &listener) == 0);
    uint16_t port = listener_port(listener);
    listener = listener_close(listener);
    a.stream = stream_connect(loop, &ip, port, NULL, &events, &a);
    a.stops = true;
    assert_int_equal(a.closed, 0);
    loop_go();
    assert_int_equal(a.closed, 1);
    assert_int_equal(a.connected, 0);
    assert_int_equal(a.reason, -ECONNREFUSED);
}

static void tells_an_impossible_connection_from_the_loop(void **state)
{
    (void) state;
    struct ip six, four = loopback();
    must(ip_parse(SPAN("::1"), &six) == 0);
    a.stops = true;
    a.stream = stream_connect(loop, &six, 25, &four, &events, &a);
    assert_int_equal(a.closed, 0);
    stream_write(a.stream, SPAN("x"));
    stream_deadline(a.stream, 5);
    loop_go();
    assert_int_equal(a.reason, -EAFNOSUPPORT);
    a.stream = stream_connect_unix(loop, "/nonexistent/socket", &events, &a);
    loop_go();
    assert_int_equal(a.reason, -ENOENT);
    assert_int_equal(a.closed, 2);
}

static void connects_to_a_unix_socket(void **state)
{
    (void) state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void) snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/barid-test-%d.sock", (int) getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    a.stream = stream_connect_unix(loop, address.sun_path, &events, &a);
    raw = accept(fd, NULL, NULL);
    assert_true(raw >= 0);
    assert_int_equal(write(raw, "hi", 2), 2);
    a.stop_at = 2;
    loop_go();
    assert_int_equal(a.connected, 1);
    struct ip ip;
    uint16_t port;
    assert_int_equal(stream_peer(a.stream, &ip, &port), -EAFNOSUPPORT);
    close(fd);
    unlink(address.sun_path);
}

static void keeps_what_was_not_consumed(void **state)
{
    (void) state;
    pair(true);
    a.take_max = 2;
    a.stop_at = 2;
    assert_int_equal(write(raw, "abcde", 5), 5);
    loop_go();
    assert_true(buf_is(&a.got, "ab"));
    a.stop_at = 4;
    assert_int_equal(write(raw, "f", 1), 1); /* the rest comes again with more */
    loop_go();
    assert_true(buf_is(&a.got, "abcd"));
    a.stop_at = 6;
    stream_resume(a.stream); /* or when asked for */
    assert_true(buf_is(&a.got, "abcd"));
    loop_go();
    assert_true(buf_is(&a.got, "abcdef"));
}

static void on_resume_late(struct timer *t)
{
    (void) t;
    assert_true(buf_is(&a.got, "ab"));
    a.pauses = false;
    stream_resume(a.stream);
}

static void a_paused_stream_hears_nothing(void **state)
{
    (void) state;
    struct timer later = {0};
    pair(true);
    a.pauses = true;
    a.take_max = 2;
    assert_int_equal(write(raw, "ab", 2), 2);
    a.stop_at = 2;
    loop_go();
    a.stop_at = 6;
    a.take_max = 0;
    assert_int_equal(write(raw, "cdef", 4), 4);
    timer_start(loop, &later, 20, on_resume_late);
    loop_go();
    assert_true(buf_is(&a.got, "abcdef"));
}

static void the_end_comes_after_what_was_kept(void **state)
{
    (void) state;
    struct timer later = {0};
    pair(true);
    a.pauses = true;
    a.take_max = 2;
    a.stops = true;
    assert_int_equal(write(raw, "abcd", 4), 4);
    close(raw);
    raw = -1;
    timer_start(loop, &later, 20, on_resume_late);
    loop_go();
    assert_true(buf_is(&a.got, "abcd"));
    assert_int_equal(a.reason, 0);
}

static void on_stop(struct timer *t)
{
    (void) t;
    loop_stop(loop);
}

static void reading_stops_when_a_mebibyte_is_kept(void **state)
{
    (void) state;
    struct timer end = {0};
    pair(false);
    a.takes_none = true;
    b.feed_left = 8 << 20;
    feed(&b);
    timer_start(loop, &end, 300,
                on_stop); /* a bound that must hold at any speed: nothing is asserted about how fast */
    loop_go();
    assert_true(b.feed_left > 4 << 20);
    a.takes_none = false;
    a.stop_at = 8 << 20;
    stream_resume(a.stream);
    loop_go();
    assert_int_equal(a.got.len, 8 << 20);
}

static void writes_more_than_the_kernel_takes(void **state)
{
    (void) state;
    connect_tcp();
    a.feed_left = 32 << 20;
    b.stop_at = 32 << 20;
    feed(&a);
    assert_true(stream_is_full(a.stream));
    loop_go();
    assert_int_equal(b.got.len, 32 << 20);
    assert_int_equal(a.feed_left, 0);
    assert_true(a.drained > 10);
}

static void tells_when_everything_is_sent(void **state)
{
    (void) state;
    static char block[200000]; /* less than what makes a stream full */
    pair(false);
    for (size_t n = 0; n < 5; n++)
        stream_write(a.stream, (struct span){.at = block, .len = sizeof(block)});
    stream_await_sent(a.stream);
    b.stop_at = 5 * sizeof(block);
    loop_go();
    assert_int_equal(a.drained, 1);
    assert_int_equal(a.unsent, 0);
}

static void keeps_the_order_of_copied_and_taken_buffers(void **state)
{
    (void) state;
    pair(false);
    struct buf big = {0}, small = {0}, want = {0};
    for (int round = 0; round < 100; round++) {
        buf_printf(stream_output(a.stream), "[%d]", round);
        stream_written(a.stream);
        buf_printf(&want, "[%d]", round);
        for (int i = 0; i < 5000; i++)
            buf_printf(&big, "%d,", round * i);
        buf_add_span(&want, buf_span(&big));
        stream_write_buf(a.stream, &big);
        assert_int_equal(big.len, 0);
        buf_printf(&small, "(%d)", round);
        buf_add_span(&want, buf_span(&small));
        stream_write_buf(a.stream, &small);
        assert_int_equal(small.len, 0);
    }
    b.stop_at = want.len;
    loop_go();
    assert_true(span_equal(buf_span(&b.got), buf_span(&want)));
    buf_done(&want);
}

static bool on_timeout(void *owner)
{
    struct peer *p = owner;
    p->timeouts++;
    if (p->keeps_on && p->timeouts < 3) {
        stream_deadline(p->stream, 5);
        return true;
    }
    return false;
}

static void a_deadline_ends_the_stream(void **state)
{
    (void) state;
    pair(true);
    a.stops = true;
    stream_deadline(a.stream, 10000);
    stream_deadline(a.stream, 10);
    loop_go();
    assert_int_equal(a.reason, -ETIMEDOUT);
}

static void a_deadline_moved_or_taken_back_does_not(void **state)
{
    (void) state;
    struct timer end = {0};
    pair(true);
    stream_deadline(a.stream, 5);
    stream_deadline(a.stream, 10000);
    timer_start(loop, &end, 15, on_stop);
    loop_go();
    assert_int_equal(a.closed, 0);
    stream_deadline(a.stream, 5);
    stream_deadline(a.stream, 0);
    timer_start(loop, &end, 15, on_stop);
    loop_go();
    assert_int_equal(a.closed, 0);
}

static void the_owner_may_speak_before_a_time_out(void **state)
{
    (void) state;
    pair(true);
    a.stops = true;
    a.keeps_on = true;
    stream_on_timeout(a.stream, on_timeout);
    stream_deadline(a.stream, 5);
    loop_go();
    assert_int_equal(a.timeouts, 3);
    assert_int_equal(a.reason, -ETIMEDOUT);
}

static void finishing_sends_what_is_queued_and_no_more(void **state)
{
    (void) state;
    connect_tcp();
    b.finishes = true;
    a.stops = true;
    stream_write(a.stream, SPAN("quit"));
    loop_go();
    assert_true(buf_is(&a.got, "bye"));
    assert_int_equal(a.reason, 0);
    assert_int_equal(b.closed, 1);
    assert_int_equal(b.reason, 0);
}

/* What the peer still sends must not turn the close into a reset that destroys the last reply. */
static void the_last_reply_survives_a_peer_that_still_talks(void **state)
{
    (void) state;
    connect_tcp();
    b.finishes = true;
    b.stops = true;
    a.feed_left = 4 << 20;
    feed(&a);
    loop_go();
    assert_true(buf_is(&a.got, "bye"));
    assert_int_equal(a.reason, 0);
}

static void a_reset_reaches_the_peer_as_one(void **state)
{
    (void) state;
    connect_tcp();
    b.resets = true;
    a.stops = true;
    stream_write(a.stream, SPAN("x"));
    loop_go();
    assert_int_equal(a.reason, -ECONNRESET);
    assert_int_equal(b.closed, 1);
    assert_int_equal(b.reason, 0);
}

static void on_write_to_the_dead(struct timer *t)
{
    (void) t;
    close(raw);
    raw = -1;
    stream_write(a.stream, SPAN("more"));
}

static void the_last_words_are_heard_though_nothing_can_be_sent(void **state)
{
    (void) state;
    struct timer later = {0};
    pair(true);
    a.stops = true;
    assert_int_equal(write(raw, "421 bye", 7), 7);
    timer_start(loop, &later, 0, on_write_to_the_dead); /* before the loop has looked at what came */
    loop_go();
    assert_true(buf_is(&a.got, "421 bye"));
    assert_int_equal(a.closed, 1);
}

static void calls_on_a_closing_stream_are_ignored(void **state)
{
    (void) state;
    pair(true);
    a.stops = true;
    stream_abort(a.stream);
    assert_int_equal(a.closed, 0);
    stream_write(a.stream, SPAN("x"));
    buf_add_text(stream_output(a.stream), "y");
    stream_written(a.stream);
    struct buf taken = {0};
    buf_add_text(&taken, "z");
    stream_write_buf(a.stream, &taken);
    assert_int_equal(taken.len, 0);
    stream_pause(a.stream);
    stream_resume(a.stream);
    stream_deadline(a.stream, 1);
    stream_finish(a.stream);
    stream_reset(a.stream);
    assert_int_equal(stream_unsent(a.stream), 0);
    loop_go();
    assert_int_equal(a.closed, 1);
    assert_int_equal(read(raw, (char[1]){0}, 1), 0);
}

static void on_accept_close_listener(void *owner, int fd)
{
    (void) owner;
    accepted++;
    close(fd);
    listener = listener_close(listener);
    loop_stop(loop);
}

static void a_listener_may_be_closed_while_it_accepts(void **state)
{
    (void) state;
    struct ip ip = loopback();
    must(listener_open(loop, &ip, 0, on_accept_close_listener, NULL, NULL, &listener) == 0);
    uint16_t port = listener_port(listener);
    a.stream = stream_connect(loop, &ip, port, NULL, &events, &a);
    b.stream = stream_connect(loop, &ip, port, NULL, &events, &b);
    loop_go();
    assert_int_equal(accepted, 1);
}

static void two_listeners_share_a_port(void **state)
{
    (void) state;
    struct ip ip = loopback();
    struct listener *other;
    must(listener_open(loop, &ip, 0, on_accept, NULL, &b, &listener) == 0);
    assert_int_equal(listener_open(loop, &ip, listener_port(listener), on_accept, NULL, &b, &other), 0);
    other = listener_close(other);
    assert_null(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(carries_bytes_both_ways_over_tcp, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_a_refused_connection_from_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_an_impossible_connection_from_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(connects_to_a_unix_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_what_was_not_consumed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_paused_stream_hears_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_comes_after_what_was_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_stops_when_a_mebibyte_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_more_than_the_kernel_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_when_everything_is_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_the_order_of_copied_and_taken_buffers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deadline_ends_the_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deadline_moved_or_taken_back_does_not, setup, teardown),
        cmocka_unit_test_setup_teardown(the_owner_may_speak_before_a_time_out, setup, teardown),
        cmocka_unit_test_setup_teardown(finishing_sends_what_is_queued_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_reply_survives_a_peer_that_still_talks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_reaches_the_peer_as_one, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_words_are_heard_though_nothing_can_be_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_on_a_closing_stream_are_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(a_listener_may_be_closed_while_it_accepts, setup, teardown),
        cmocka_unit_test_setup_teardown(two_listeners_share_a_port, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
