/* Streams inside TLS: both ends in one loop, or a bare socket on one side; and a wire between them that dribbles. */
#include "tls_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

struct side {
    struct stream *stream;
    struct buf got;
    int secured, closed, reason, drained;
    char error[128];
    bool starts_tls;  /* in on_data, when "STARTTLS" has come; as a session does */
    bool leaves_rest; /* and does not consume what is behind it */
    bool pauses;
    bool stops; /* the loop, when closed */
    size_t stop_at;
    size_t feed_left;
    bool echoes;
};

static struct side a, b; /* a: the server */
static int raw = -1;
static struct tls_server *server;
static struct tls_client *client;

static void feed(struct side *s)
{
    static char block[65536];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char) (i * 31 >> 3);
    while (s->feed_left > 0 && s->stream && !stream_is_full(s->stream)) {
        size_t n = s->feed_left < sizeof block ? s->feed_left : sizeof block;
        struct buf piece = {0};
        buf_add(&piece, block, n);
        stream_write_buf(s->stream, &piece);
        s->feed_left -= n;
    }
}

static size_t on_data(void *owner, struct span in)
{
    struct side *s = owner;
    size_t n = in.len;
    if (s->starts_tls && in.len >= 9 && memcmp(in.at, "STARTTLS\n", 9) == 0) {
        s->starts_tls = false;
        n = s->leaves_rest ? 9 : in.len;
        stream_write(s->stream, SPAN("220 go\n"));
        stream_start_tls(s->stream, server);
        stream_write(s->stream, SPAN("nobody hears this"));
        return n;
    }
    buf_add(&s->got, in.at, n);
    if (s->echoes)
        stream_write(s->stream, in);
    if (s->pauses)
        stream_pause(s->stream);
    if (s->stop_at && s->got.len >= s->stop_at)
        loop_stop(loop);
    return n;
}

static void on_drained(void *owner)
{
    struct side *s = owner;
    s->drained++;
    feed(s);
}

static void on_secured(void *owner)
{
    struct side *s = owner;
    s->secured++;
    assert_non_null(stream_tls(s->stream));
}

static void on_closed(void *owner, int reason)
{
    struct side *s = owner;
    s->closed++;
    s->reason = reason;
    (void) snprintf(s->error, sizeof s->error, "%s", stream_tls_error(s->stream));
    s->stream = NULL;
    if (s->stops)
        loop_stop(loop);
}

static const struct stream_events events = {
    .on_data = on_data, .on_drained = on_drained, .on_secured = on_secured, .on_closed = on_closed};

static int setup_all(void **state)
{
    (void) state;
    const struct tls_client_settings settings = {.ca = ""};
    char *error = NULL;
    certificate_make(&(struct certificate_spec){.file = "ca", .names = "ca.example", .is_ca = true});
    certificate_make(&(struct certificate_spec){.file = "a", .names = "a.example", .issuer = "ca"});
    server = SERVER(certificate_item("a"));
    must(tls_client_new(&settings, &client, &error) == 0);
    return 0;
}

static int teardown_all(void **state)
{
    (void) state;
    server = tls_server_release(server);
    client = tls_client_release(client);
    certificates_end();
    return 0;
}

static int setup(void **state)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    return loop_setup(state);
}

static int teardown(void **state)
{
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

/* a is a stream, b one or a bare socket. */
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

static void pair_secured(void)
{
    pair(false);
    stream_start_tls(a.stream, server);
    stream_start_tls_client(b.stream, client, &(struct tls_demand){.sni = "a.example"});
}

static void on_stop(struct timer *t)
{
    (void) t;
    loop_stop(loop);
}

static void go_ms(uint64_t ms)
{
    struct timer end = {0};
    timer_start(loop, &end, ms, on_stop);
    loop_go();
    timer_stop(&end);
}

static void carries_bytes_both_ways(void **state)
{
    (void) state;
    pair_secured();
    assert_null(stream_tls(a.stream));
    a.echoes = true;
    while (!b.secured)
        go_ms(1);
    b.stop_at = 5;
    stream_write(b.stream, SPAN("hello"));
    loop_go();
    assert_true(buf_is(&a.got, "hello") && buf_is(&b.got, "hello"));
    assert_int_equal(a.secured, 1);
    assert_int_equal(b.secured, 1);
    assert_string_equal(stream_tls(a.stream)->sni, "a.example");
    AUTO_BUF struct buf mine = {0};
    AUTO_BUF struct buf theirs = {0};
    for (enum tls_binding which = TLS_EXPORTER; which <= TLS_SERVER_END_POINT; which++) {
        assert_int_equal(stream_tls_binding(a.stream, which, &mine), 0);
        assert_int_equal(stream_tls_binding(b.stream, which, &theirs), 0);
    }
    assert_int_equal(mine.len, 64);
    assert_memory_equal(mine.data, theirs.data, 64);
}

static void a_plain_stream_has_no_tls(void **state)
{
    (void) state;
    AUTO_BUF struct buf binding = {0};
    pair(false);
    assert_null(stream_tls(a.stream));
    assert_string_equal(stream_tls_error(a.stream), "");
    assert_int_equal(stream_tls_binding(a.stream, TLS_EXPORTER, &binding), -ENOTSUP);
}

static void the_last_plain_words_come_before_the_handshake(void **state)
{
    (void) state;
    pair(false);
    a.starts_tls = a.echoes = true;
    b.stop_at = 7;
    stream_write(b.stream, SPAN("STARTTLS\n"));
    loop_go();
    assert_true(buf_is(&b.got, "220 go\n"));
    stream_start_tls_client(b.stream, client, &(struct tls_demand){0});
    while (!b.secured)
        go_ms(1);
    b.stop_at = 11;
    stream_write(b.stream, SPAN("EHLO"));
    loop_go();
    assert_true(buf_is(&b.got, "220 go\nEHLO")); /* and not what was said in between */
}

/* proves: C02 */
static void what_came_before_the_handshake_never_gets_inside(void **state)
{
    (void) state;
    pair(true);
    a.starts_tls = a.leaves_rest = a.stops = true;
    assert_int_equal(write(raw, "STARTTLS\nEHLO inside\n", 21), 21);
    loop_go();
    assert_int_equal(a.secured, 0);
    assert_int_equal(a.reason, -EPROTO);
    assert_string_equal(a.error, "bytes came before the handshake");
    assert_int_equal(a.got.len, 0);
}

/* proves: C02 */
static void plain_bytes_in_the_handshake_end_it(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "EHLO inside\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01garbage and more garbage",
        "\x80\x2e\x01\x03\x01garbage that is as long as it says it is, and more", "\x16\x03\x01\xff\xff\x01"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        pair(true);
        a.starts_tls = a.stops = true;
        assert_int_equal(write(raw, "STARTTLS\n", 9), 9);
        while (a.starts_tls)
            go_ms(1);
        assert_int_equal(write(raw, texts[i], strlen(texts[i])), strlen(texts[i]));
        loop_go();
        assert_int_equal(a.secured, 0);
        assert_int_equal(a.reason, -EPROTO);
        assert_true(a.error[0] != '\0' && !strstr(a.error, "inside"));
        assert_int_equal(a.got.len, 0);
        close(raw);
        raw = -1;
    }
}

/* proves: C11 */
static void a_handshake_that_stands_still_meets_the_deadline(void **state)
{
    (void) state;
    pair(true);
    a.stops = true;
    stream_start_tls(a.stream, server);
    stream_deadline(a.stream, 50);
    assert_int_equal(write(raw, "\x16\x03\x01\x00\x80\x01", 6), 6);
    loop_go();
    assert_int_equal(a.reason, -ETIMEDOUT);
    assert_int_equal(a.secured, 0);
}

static void a_peer_that_only_looks_in_is_no_fault(void **state)
{
    (void) state;
    pair(true);
    a.stops = true;
    stream_start_tls(a.stream, server);
    go_ms(5);
    close(raw);
    raw = -1;
    loop_go();
    assert_int_equal(a.reason, 0);
}

/* ---- a wire between the two, whose speed and pieces the test chooses */

struct wire {
    int to_a, to_b; /* sockets whose other ends are the streams */
    size_t piece;   /* bytes at a time */
    size_t cut_at;  /* bytes of b's that get through; then the wire is cut */
    struct timer tick;
};
static struct wire wire;

/* False: nothing came. */
static bool wire_carry(int from, int to, size_t *left)
{
    char piece[4096];
    size_t n = wire.piece < *left ? wire.piece : *left;
    ssize_t got = n > 0 ? recv(from, piece, n, MSG_DONTWAIT) : -1;
    for (ssize_t sent = 0; got > 0 && sent < got;) {
        ssize_t r = send(to, piece + sent, (size_t) (got - sent), MSG_NOSIGNAL);
        if (r < 0)
            return false;
        sent += r;
    }
    *left -= got > 0 ? (size_t) got : 0;
    return got > 0;
}

static void on_tick(struct timer *t)
{
    size_t all = SIZE_MAX;
    (void) wire_carry(wire.to_b, wire.to_a, &wire.cut_at);
    (void) wire_carry(wire.to_a, wire.to_b, &all);
    if (wire.cut_at == 0)
        (void) shutdown(wire.to_a, SHUT_WR);
    timer_start(loop, t, 0, on_tick);
}

static void wire_open(size_t piece, size_t cut_at)
{
    int left[2], right[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, left) == 0);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, right) == 0);
    a.stream = stream_adopt(loop, left[0], &events, &a);
    b.stream = stream_adopt(loop, right[0], &events, &b);
    wire = (struct wire){.to_a = left[1], .to_b = right[1], .piece = piece, .cut_at = cut_at};
    timer_start(loop, &wire.tick, 0, on_tick);
    stream_start_tls(a.stream, server);
    stream_start_tls_client(b.stream, client, &(struct tls_demand){0});
}

static void wire_close(void)
{
    timer_stop(&wire.tick);
    close(wire.to_a);
    close(wire.to_b);
}

static void a_session_comes_in_pieces_of_any_size(void **state)
{
    (void) state;
    for (size_t piece = 1; piece < 3000; piece = piece * 3 + 1) {
        wire_open(piece, SIZE_MAX);
        a.echoes = true;
        a.secured = b.secured = 0;
        while (!b.secured)
            go_ms(1);
        buf_clear(&b.got);
        b.stop_at = 5;
        stream_write(b.stream, SPAN("hel"));
        stream_write(b.stream, SPAN("lo"));
        loop_go();
        assert_true(buf_is(&b.got, "hello"));
        assert_int_equal(a.secured, 1);
        stream_abort(a.stream);
        stream_abort(b.stream);
        while (a.stream || b.stream)
            go_ms(1);
        wire_close();
    }
}

/* proves: C11 */
static void a_handshake_cut_anywhere_ends_the_stream(void **state)
{
    (void) state;
    for (size_t cut_at = 1; cut_at < 700; cut_at += cut_at < 20 ? 1 : 37) {
        a.secured = b.secured = a.closed = 0;
        wire_open(4096, cut_at);
        a.stops = true;
        while (!a.closed && !a.secured)
            go_ms(5);
        if (a.secured) { /* the whole of it fits */
            stream_abort(a.stream);
        } else {
            assert_int_equal(a.reason, -EPROTO);
            assert_string_equal(a.error, "the connection was closed without an end of TLS");
        }
        if (b.stream)
            stream_abort(b.stream);
        while (a.stream || b.stream)
            go_ms(1);
        wire_close();
    }
}

/* ---- much */

static void writes_more_than_the_kernel_takes_both_ways(void **state)
{
    (void) state;
    enum { MUCH = 12 << 20 };
    pair_secured();
    while (!b.secured || !a.secured)
        go_ms(1);
    a.feed_left = b.feed_left = MUCH;
    a.stop_at = b.stop_at = MUCH;
    feed(&a);
    feed(&b);
    while (a.got.len < MUCH || b.got.len < MUCH)
        loop_go();
    assert_int_equal(a.got.len, MUCH);
    assert_int_equal(b.got.len, MUCH);
    assert_memory_equal(a.got.data, b.got.data, MUCH);
    assert_true(a.drained > 5 && b.drained > 5);
}

static void a_paused_stream_takes_nothing_more(void **state)
{
    (void) state;
    enum { MUCH = 16 << 20 };
    pair_secured();
    while (!b.secured || !a.secured)
        go_ms(1);
    a.pauses = true;
    b.feed_left = MUCH;
    feed(&b);
    go_ms(200);
    size_t taken = a.got.len;
    assert_true(taken < 2 << 20 && b.feed_left > MUCH / 2);
    go_ms(50);
    assert_int_equal(a.got.len, taken);
    a.pauses = false;
    a.stop_at = MUCH;
    stream_resume(a.stream);
    loop_go();
    assert_int_equal(a.got.len, MUCH);
}

static void a_stream_paused_at_each_piece_gets_everything(void **state)
{
    (void) state;
    enum { MUCH = 1 << 20 };
    pair_secured();
    while (!b.secured || !a.secured)
        go_ms(1);
    a.pauses = true;
    b.feed_left = MUCH;
    feed(&b);
    while (a.got.len < MUCH) {
        go_ms(1);
        stream_resume(a.stream);
    }
    assert_int_equal(a.got.len, MUCH);
}

/* ---- the end */

static void finishing_sends_what_is_queued_and_the_end_of_tls(void **state)
{
    (void) state;
    static char block[300000];
    pair_secured();
    while (!b.secured || !a.secured)
        go_ms(1);
    b.stops = true;
    stream_write(a.stream, (struct span){.at = block, .len = sizeof block});
    stream_write(a.stream, SPAN("221 bye"));
    stream_finish(a.stream);
    loop_go();
    assert_int_equal(b.got.len, sizeof block + 7);
    assert_int_equal(b.reason, 0);
    assert_string_equal(b.error, ""); /* with a word */
}

/* OpenSSL's own client, moved by hand: it says what it likes on the bare socket. */
struct talker {
    SSL_CTX *context;
    SSL *ssl;
};

static struct talker talker_open(void)
{
    struct talker t = {.context = SSL_CTX_new(TLS_client_method())};
    t.ssl = SSL_new(t.context);
    must(t.ssl && SSL_set_fd(t.ssl, raw) == 1);
    while (SSL_connect(t.ssl) != 1)
        go_ms(1);
    while (!a.secured)
        go_ms(1);
    return t;
}

static void talker_close(struct talker *t)
{
    SSL_free(t->ssl);
    SSL_CTX_free(t->context);
}

/* proves: B38 */
static void what_follows_the_end_of_tls_is_never_read(void **state)
{
    (void) state;
    pair(true);
    stream_start_tls(a.stream, server);
    struct talker t = talker_open();
    assert_int_equal(SSL_write(t.ssl, "BDAT 1000\r\nhalf", 15), 15);
    (void) SSL_shutdown(t.ssl);
    assert_int_equal(write(raw, "MAIL FROM:<x@y>\r\n", 17), 17);
    a.stops = true;
    loop_go();
    assert_true(buf_is(&a.got, "BDAT 1000\r\nhalf"));
    assert_int_equal(a.reason, 0);
    talker_close(&t);
}

/* proves: B38 */
static void what_follows_the_end_of_tls_is_not_read_after_a_pause(void **state)
{
    (void) state;
    pair(true);
    a.pauses = true;
    stream_start_tls(a.stream, server);
    struct talker t = talker_open();
    assert_int_equal(SSL_write(t.ssl, "one", 3), 3);
    while (a.got.len < 3)
        go_ms(1);
    assert_int_equal(SSL_write(t.ssl, "two", 3), 3);
    (void) SSL_shutdown(t.ssl);
    assert_int_equal(write(raw, "plain", 5), 5);
    go_ms(20);
    assert_true(buf_is(&a.got, "one"));
    a.pauses = false;
    a.stops = true;
    stream_resume(a.stream);
    loop_go();
    assert_true(buf_is(&a.got, "onetwo"));
    assert_int_equal(a.reason, 0);
    talker_close(&t);
}

static void plain_bytes_inside_a_session_end_it(void **state)
{
    (void) state;
    pair(true);
    stream_start_tls(a.stream, server);
    struct talker t = talker_open();
    assert_int_equal(write(raw, "MAIL FROM:<x@y>\r\n", 17), 17);
    a.stops = true;
    loop_go();
    assert_int_equal(a.got.len, 0);
    assert_int_equal(a.reason, -EPROTO);
    assert_string_equal(a.error, "wrong version number");
    talker_close(&t);
}

static void an_end_without_a_word_is_an_end(void **state)
{
    (void) state;
    pair(true);
    stream_start_tls(a.stream, server);
    struct talker t = talker_open();
    assert_int_equal(SSL_write(t.ssl, "QUIT\r\n", 6), 6);
    close(raw);
    raw = -1;
    a.stops = true;
    loop_go();
    assert_true(buf_is(&a.got, "QUIT\r\n"));
    assert_int_equal(a.reason, 0);
    assert_string_equal(a.error, "the connection was closed without an end of TLS");
    talker_close(&t);
}

/* proves: C05 */
static void renegotiation_is_refused(void **state)
{
    (void) state;
    pair(true);
    a.echoes = true;
    stream_start_tls(a.stream, server);
    struct talker t = {.context = SSL_CTX_new(TLS_client_method())};
    must(SSL_CTX_set_max_proto_version(t.context, TLS1_2_VERSION) == 1);
    t.ssl = SSL_new(t.context);
    must(t.ssl && SSL_set_fd(t.ssl, raw) == 1);
    while (SSL_connect(t.ssl) != 1)
        go_ms(1);
    must(SSL_renegotiate(t.ssl) == 1);
    for (int i = 0; i < 50 && a.stream; i++) {
        assert_int_not_equal(SSL_do_handshake(t.ssl), 1);
        go_ms(1);
    }
    assert_int_equal(a.secured, 1);
    talker_close(&t);
}

/* proves: B16 */
static void a_flood_of_key_updates_leaves_time_for_others(void **state)
{
    (void) state;
    pair(true);
    stream_start_tls(a.stream, server);
    struct talker t = talker_open();
    unsigned sent = 0;
    for (int rounds = 0; rounds < 20 && a.stream; rounds++) {
        while (SSL_key_update(t.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(t.ssl) == 1)
            sent++;
        go_ms(1); /* it comes back */
    }
    assert_true(sent > 20);
    talker_close(&t);
}

static void a_closing_stream_starts_no_tls(void **state)
{
    (void) state;
    pair(true);
    stream_abort(a.stream);
    stream_start_tls(a.stream, server);
    a.stops = true;
    loop_go();
    assert_int_equal(a.secured, 0);
    assert_int_equal(a.reason, 0);
    pair(true);
    stream_start_tls(a.stream, server);
    stream_finish(a.stream);
    loop_go();
    assert_int_equal(a.secured, 0);
    assert_int_equal(a.reason, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(carries_bytes_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(a_plain_stream_has_no_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_plain_words_come_before_the_handshake, setup, teardown),
        cmocka_unit_test_setup_teardown(what_came_before_the_handshake_never_gets_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_bytes_in_the_handshake_end_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handshake_that_stands_still_meets_the_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_only_looks_in_is_no_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_comes_in_pieces_of_any_size, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handshake_cut_anywhere_ends_the_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_more_than_the_kernel_takes_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(a_paused_stream_takes_nothing_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_paused_at_each_piece_gets_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(finishing_sends_what_is_queued_and_the_end_of_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(what_follows_the_end_of_tls_is_never_read, setup, teardown),
        cmocka_unit_test_setup_teardown(what_follows_the_end_of_tls_is_not_read_after_a_pause, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(plain_bytes_inside_a_session_end_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_end_without_a_word_is_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(renegotiation_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flood_of_key_updates_leaves_time_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closing_stream_starts_no_tls, setup, teardown),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
