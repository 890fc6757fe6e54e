/*
 * Fuzzer of streams with TLS: a server, or a client with a demand, that begins plain and is told to start TLS, and OpenSSL's own other side at
 * the end of a wire on which anything happens: bytes in any pieces, changed, lost, put between; the end of TLS and then plain bytes. Input: pairs
 * of a control byte and what it governs (see play()). Inside TLS comes what was said inside TLS, in order, and nothing else; when nobody touches
 * the wire, all of it comes. A client is never secured by anybody but who has the key.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "io/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgmWxWEjBegnBka306\n"
                          "NFmk5BqE2rlXc9GQTHd3WhDVKz6hRANCAASA77KO9Bz7Y6adubpwYP0QELpQEzCH\n"
                          "3gMOts8yzegbswRZFkIwbE/cIDK7sSu5cZrcWAZw0SFrEqVMml+qRaHR\n"
                          "-----END PRIVATE KEY-----\n"
                          "-----BEGIN CERTIFICATE-----\n"
                          "MIIBojCCAUigAwIBAgIUZZk5PxebAZ5fCI6plnExM9irCFUwCgYIKoZIzj0EAwIw\n"
                          "FDESMBAGA1UEAwwJYS5leGFtcGxlMCAXDTI2MTEyMjE0MTUwOVoYDzIxMjYxMDI5\n"
                          "MTQxNTA5WjAUMRIwEAYDVQQDDAlhLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjO\n"
                          "PQMBBwNCAASA77KO9Bz7Y6adubpwYP0QELpQEzCH3gMOts8yzegbswRZFkIwbE/c\n"
                          "IDK7sSu5cZrcWAZw0SFrEqVMml+qRaHRo3YwdDAdBgNVHQ4EFgQUoWzpn3PAU6Ih\n"
                          "vQSRISFvvFhQd9cwHwYDVR0jBBgwFoAUoWzpn3PAU6IhvQSRISFvvFhQd9cwDwYD\n"
                          "VR0TAQH/BAUwAwEB/zAhBgNVHREEGjAYgglhLmV4YW1wbGWCCyouYS5leGFtcGxl\n"
                          "MAoGCCqGSM49BAMCA0gAMEUCIQCdGuh/KGwOAOyFxwELcrIvzkQ9WRwgFh7iXKOJ\n"
                          "VTxQiwIgBXW+AhqRxh9ECP+3pB2nRCRKEprkoghvHjlIWbw0TGQ=\n"
                          "-----END CERTIFICATE-----\n";

enum { PASSES = 3 };

/* What the wire does to the next bytes of the other side. */
enum act {
    SAY_PLAIN,
    CARRY,
    CARRY_ALL,
    CHANGE,
    INSERT,
    LOSE,
    SAY,
    END_TLS,
    TURN_KEYS,
    PAUSE,
    RESUME,
    CUT,
    ACTS
};

struct world {
    struct stream *stream; /* ours; NULL: closed */
    int wire;              /* the socket at whose other end it is */
    SSL *ssl;
    BIO *to_wire, *from_wire;
    struct buf said;  /* by the other side, inside TLS */
    struct buf heard; /* by ours, inside TLS */
    struct buf echo;  /* by the other side, inside TLS */
    bool is_client;   /* ours */
    bool is_secured, is_touched, is_ended, starts_now;
    bool leaves_rest; /* of what came plain */
};

static struct loop *loop;
static struct tls_server *server;
static struct tls_client *client;
static SSL_CTX *contexts[2]; /* the other side: a client, a server */
static struct tls_demand demand;
static struct world w;

static size_t on_data(void *owner, struct span in)
{
    (void) owner;
    if (w.is_secured) {
        must(stream_tls(w.stream));
        buf_add_span(&w.heard, in);
        must(w.heard.len <= w.said.len && memcmp(w.heard.data, w.said.data, w.heard.len) == 0);
        stream_write(w.stream, in);
        return in.len;
    }
    must(!stream_tls(w.stream) && !w.starts_now);
    const char *start = memchr(in.at, 'S', in.len);
    if (!start)
        return in.len;
    w.starts_now = true;
    if (w.is_client)
        stream_start_tls_client(w.stream, client, &demand);
    else
        stream_start_tls(w.stream, server);
    stream_write(w.stream, SPAN("said too early"));
    return w.leaves_rest ? (size_t) (start - in.at) + 1 : in.len;
}

static void on_secured(void *owner)
{
    (void) owner;
    must(w.starts_now && !w.is_secured);
    must(stream_tls(w.stream)->is_server_verified == w.is_client);
    must(stream_tls_failure(w.stream) == TLS_FAILURE_NONE);
    w.is_secured = true;
}

static void on_closed(void *owner, int reason)
{
    (void) owner;
    must(reason <= 0 && (reason != -EPROTO || *stream_tls_error(w.stream)));
    must(w.is_touched || w.is_ended || reason != -EPROTO);
    must((stream_tls_failure(w.stream) != TLS_FAILURE_NONE) ==
         (w.is_client && w.starts_now && !w.is_secured));
    w.stream = NULL;
}

static const struct stream_events events = {
    .on_data = on_data, .on_secured = on_secured, .on_closed = on_closed};

static void on_stop(struct timer *t)
{
    (void) t;
    loop_stop(loop);
}

/* Our side works, and what it says reaches the other. */
static void pass(void)
{
    char bytes[16384];
    struct timer stop = {0};
    for (int i = 0; i < PASSES; i++) {
        timer_start(loop, &stop, 0, on_stop);
        loop_run(loop);
    }
    timer_stop(&stop);
    for (ssize_t n; w.stream && (n = recv(w.wire, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
        must(BIO_write(w.from_wire, bytes, (int) n) == n);
    if (!w.starts_now)
        return;
    int n = SSL_do_handshake(w.ssl) == 1 ? 1 : 0;
    while (n > 0 && (n = SSL_read(w.ssl, bytes, sizeof bytes)) > 0)
        buf_add(&w.echo, bytes, (size_t) n);
    must(w.echo.len <= w.said.len && (w.echo.len == 0 || memcmp(w.echo.data, w.said.data, w.echo.len) == 0));
    ERR_clear_error();
}

static void put(const void *at, size_t len)
{
    if (len > 0 && w.wire >= 0)
        (void) !send(w.wire, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Up to len bytes of the other side's, out of the wire or into nothing. */
static void carry(size_t len, bool is_lost, uint8_t change)
{
    char bytes[16384];
    int n = BIO_read(w.to_wire, bytes, (int) (len < sizeof bytes ? len : sizeof bytes));
    if (n <= 0)
        return;
    bytes[0] = (char) (bytes[0] ^ change);
    w.is_touched = w.is_touched || is_lost || change;
    if (!is_lost)
        put(bytes, (size_t) n);
}

static void act(enum act what, uint8_t number, struct span rest)
{
    size_t len = rest.len < number ? rest.len : number;
    switch (what) {
    case SAY_PLAIN: /* what comes plain before TLS begins is no fault, unless it is left lying */
    case INSERT:
        w.is_touched = w.is_touched || w.starts_now || what == INSERT ||
                       (len > 0 && memchr(rest.at, 'S', len));
        put(rest.at, len);
        break;
    case CARRY: carry(number, false, 0); break;
    case CARRY_ALL: carry(SIZE_MAX, false, 0); break;
    case CHANGE: carry(1, false, number); break;
    case LOSE: carry(number, true, 0); break;
    case SAY:
        if (w.starts_now && !w.is_ended && SSL_is_init_finished(w.ssl) && len > 0 &&
            SSL_write(w.ssl, rest.at, (int) len) > 0)
            buf_add(&w.said, rest.at, len);
        break;
    case END_TLS:
        w.is_ended = true;
        (void) SSL_shutdown(w.ssl);
        break;
    case TURN_KEYS:
        if (SSL_is_init_finished(w.ssl) && SSL_version(w.ssl) >= TLS1_3_VERSION)
            (void) SSL_key_update(w.ssl, number & 1);
        break;
    case PAUSE:
        if (w.stream)
            stream_pause(w.stream);
        break;
    case RESUME:
        if (w.stream)
            stream_resume(w.stream);
        break;
    case CUT:
        w.is_touched = true;
        (void) shutdown(w.wire, SHUT_WR);
        break;
    case ACTS: break;
    }
    ERR_clear_error();
}

/* The first byte chooses; then an act, its number, and for some as many bytes as that says. */
static void play(const uint8_t *data, size_t size)
{
    w.leaves_rest = data[0] & 1;
    if (!(data[0] & 2)) {
        put("S", 1);
        pass();
    }
    for (size_t i = 1; i + 1 < size && w.stream; i += 2) {
        enum act what = data[i] % ACTS;
        uint8_t number = data[i + 1];
        act(what, number, (struct span){.at = (const char *) data + i + 2, .len = size - i - 2});
        if (what == SAY_PLAIN || what == INSERT || what == SAY)
            i += number;
        pass();
    }
    if (w.is_touched || w.is_ended || !w.stream || !w.starts_now)
        return;
    stream_resume(w.stream);
    for (int i = 0; i < 6; i++) {
        carry(SIZE_MAX, false, 0);
        pass();
    }
    must(w.is_secured && w.heard.len == w.said.len);
}

static void world_begin(uint8_t first)
{
    int fds[2];
    memset(&w, 0, sizeof w);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    w.wire = fds[1];
    w.stream = stream_adopt(loop, fds[0], &events, NULL);
    w.is_client = first & 32;
    w.ssl = SSL_new(contexts[w.is_client]);
    w.to_wire = BIO_new(BIO_s_mem());
    w.from_wire = BIO_new(BIO_s_mem());
    must(w.ssl && w.to_wire && w.from_wire);
    SSL_set_bio(w.ssl, w.from_wire, w.to_wire);
    if (first & 4)
        must(SSL_set_max_proto_version(w.ssl, TLS1_2_VERSION) == 1);
    if (w.is_client) {
        SSL_set_accept_state(w.ssl);
        return;
    }
    SSL_set_connect_state(w.ssl);
    if (first & 8)
        must(SSL_set_tlsext_host_name(w.ssl, "b.a.example") == 1);
    if (first & 16)
        must(SSL_set_alpn_protos(w.ssl, (const unsigned char *) "\x02h2\x04smtp", 8) == 0);
}

static void world_end(void)
{
    if (w.stream)
        stream_abort(w.stream);
    pass();
    must(!w.stream);
    close(w.wire);
    SSL_free(w.ssl);
    buf_done(&w.said);
    buf_done(&w.heard);
    buf_done(&w.echo);
    ERR_clear_error();
}

/* The other side as a server has the same key; ours as a client knows its fingerprint. */
static void make_clients(const char *path)
{
    static char text[2 * EVP_MAX_MD_SIZE + 1];
    static const char *const fingerprints[] = {text};
    const struct tls_client_settings settings = {.protocol = "smtp"};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char *error = NULL;
    contexts[0] = SSL_CTX_new(TLS_client_method());
    contexts[1] = SSL_CTX_new(TLS_server_method());
    must(SSL_CTX_use_certificate_chain_file(contexts[1], path) == 1 &&
         SSL_CTX_use_PrivateKey_file(contexts[1], path, SSL_FILETYPE_PEM) == 1);
    must(X509_digest(SSL_CTX_get0_certificate(contexts[1]), EVP_sha256(), digest, &len) == 1);
    for (unsigned i = 0; i < len; i++)
        (void) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    must(tls_client_new(&settings, &client, &error) == 0);
    demand = (struct tls_demand){.sni = "b.a.example",
                                 .proof = TLS_PROOF_FINGERPRINT,
                                 .fingerprints = fingerprints,
                                 .fingerprint_count = 1};
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;
    char path[] = "/tmp/barid-fuzz-tls.XXXXXX";
    char *items[] = {path};
    const struct conf_list list = {.items = items, .count = 1};
    const struct tls_server_settings settings = {
        .certificates = &list, .trust = "fuzz", .asks_client_certificate = true};
    char *error = NULL;
    int fd = mkstemp(path);
    must(fd >= 0 && write(fd, pem, sizeof pem - 1) == sizeof pem - 1);
    close(fd);
    must(tls_server_new(&settings, &server, &error) == 0);
    make_clients(path);
    (void) unlink(path);
    loop = loop_new();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    world_begin(data[0]);
    play(data, size);
    world_end();
    return 0;
}
