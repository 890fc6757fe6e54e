/* A host that says half a message of TLS's own, between ours: what we have to say waits for the other half, and costs nothing meanwhile. */
#include "tls_test.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 300, BUSY_MAX_MS = 150, TICKET_BYTES = 3000, HALF_MS = 40 };

static struct {
    struct stream *stream;
    struct timer timer;
    int go; /* written to: the other half may come */
    int reason;
    char heard[64];
} seen;

/* ---- the host: OpenSSL's own, its records sent as we like */

struct host {
    int fd, go;
    char heard[64];
    pthread_t thread;
};

static int add_ballast(SSL *ssl, void *context)
{
    static const char ballast[TICKET_BYTES];
    (void) context;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), ballast, sizeof ballast);
}

static SSL_TICKET_RETURN refuse(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t len,
                                SSL_TICKET_STATUS status, void *context)
{
    (void) ssl, (void) session, (void) name, (void) len, (void) status, (void) context;
    return SSL_TICKET_RETURN_IGNORE;
}

static SSL *host_ssl(const char *file)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    char path[256];
    (void) snprintf(path, sizeof path, "%s.both", file);
    must(SSL_CTX_use_certificate_chain_file(context, certificate_path(path)) == 1);
    must(SSL_CTX_use_PrivateKey_file(context, certificate_path(path), SSL_FILETYPE_PEM) == 1);
    SSL_CTX_set_max_send_fragment(context, 512);
    must(SSL_CTX_set_session_ticket_cb(context, add_ballast, refuse, NULL) == 1);
    must(SSL_CTX_set_num_tickets(context, 0) == 1);
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl);
    return ssl;
}

static bool hear(struct host *h, SSL *ssl)
{
    char bytes[16384];
    ssize_t n = read(h->fd, bytes, sizeof bytes);
    return n > 0 && BIO_write(SSL_get_rbio(ssl), bytes, (int) n) == n;
}

/* What waits to be sent, from this byte on and so many at most. */
static void say(struct host *h, SSL *ssl, size_t from, size_t most)
{
    char *bytes;
    long len = BIO_get_mem_data(SSL_get_wbio(ssl), &bytes);
    size_t left = (size_t) len - from;
    must(write(h->fd, bytes + from, left < most ? left : most) > 0);
}

static size_t record_at(SSL *ssl, size_t from)
{
    unsigned char *bytes;
    must(BIO_get_mem_data(SSL_get_wbio(ssl), (char **) &bytes) > (long) from + 5);
    return 5 + ((size_t) bytes[from + 3] << 8 | bytes[from + 4]);
}

static void *host_run(void *context)
{
    struct host *h = context;
    SSL *ssl = host_ssl("a");
    char c;
    while (SSL_do_handshake(ssl) != 1) {
        if (BIO_pending(SSL_get_wbio(ssl)) > 0)
            say(h, ssl, 0, SIZE_MAX);
        (void) BIO_reset(SSL_get_wbio(ssl));
        must(hear(h, ssl));
    }
    (void) BIO_reset(SSL_get_wbio(ssl));
    must(SSL_write(ssl, "hello", 5) == 5);
    must(SSL_new_session_ticket(ssl) == 1 && SSL_do_handshake(ssl) == 1 && SSL_write(ssl, "go on", 5) == 5);
    size_t half = record_at(ssl, 0);
    half += record_at(ssl, half);
    say(h, ssl, 0, half);
    if (read(h->go, &c, 1) == 1) {
        say(h, ssl, half, SIZE_MAX);
        while (hear(h, ssl)) {
            int n = SSL_read(ssl, h->heard, (int) sizeof h->heard - 1);
            if (n > 0)
                break;
        }
    }
    SSL_free(ssl);
    close(h->fd);
    close(h->go);
    return NULL;
}

/* ---- we */

static void on_half(struct timer *t)
{
    (void) t;
    must(write(seen.go, "!", 1) == 1);
}

static size_t on_data(void *owner, struct span in)
{
    (void) owner;
    if (seen.heard[0] == '\0')
        stream_write(seen.stream, SPAN("EHLO us\r\n"));
    strncat(seen.heard, in.at, in.len < 32 ? in.len : 32);
    return in.len;
}

static void on_closed(void *owner, int reason)
{
    (void) owner;
    seen.reason = reason;
    seen.stream = NULL;
    loop_stop(loop);
}

static const struct stream_events events = {.on_data = on_data, .on_closed = on_closed};

static long busy_ms(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void meet(struct host *h, bool has_other_half)
{
    struct tls_client_settings settings = {.protocol = "smtp", .sessions = 4};
    struct tls_client *client;
    char *error = NULL;
    int fds[2], go[2];
    memset(&seen, 0, sizeof seen);
    memset(h, 0, sizeof *h);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 && pipe(go) == 0);
    h->fd = fds[0];
    h->go = go[0];
    seen.go = go[1];
    must(pthread_create(&h->thread, NULL, host_run, h) == 0);
    must(tls_client_new(&settings, &client, &error) == 0);
    seen.stream = stream_adopt(loop, fds[1], &events, NULL);
    stream_start_tls_client(seen.stream, client, &(struct tls_demand){.session_key = "a"});
    stream_deadline(seen.stream, PATIENCE_MS);
    if (has_other_half)
        timer_start(loop, &seen.timer, HALF_MS, on_half);
    loop_go();
    timer_stop(&seen.timer);
    close(go[1]);
    must(pthread_join(h->thread, NULL) == 0);
    tls_client_release(client);
}

static void a_half_message_that_stays_one_costs_no_time(void **state)
{
    (void) state;
    struct host h;
    long before = busy_ms();
    meet(&h, false);
    assert_string_equal(seen.heard, "hello");
    assert_int_equal(seen.reason, -ETIMEDOUT);
    assert_true(busy_ms() - before < BUSY_MAX_MS);
}

static void what_was_to_be_said_follows_the_other_half(void **state)
{
    (void) state;
    struct host h;
    meet(&h, true);
    assert_string_equal(h.heard, "EHLO us\r\n");
    assert_string_equal(seen.heard, "hellogo on");
}

static int setup_all(void **state)
{
    (void) state;
    certificate_make(&(struct certificate_spec){.file = "a", .names = "a.example"});
    return 0;
}

static int teardown_all(void **state)
{
    (void) state;
    certificates_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_half_message_that_stays_one_costs_no_time, loop_setup,
                                        loop_teardown),
        cmocka_unit_test_setup_teardown(what_was_to_be_said_follows_the_other_half, loop_setup,
                                        loop_teardown),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
