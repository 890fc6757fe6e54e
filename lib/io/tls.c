/*
 * A session. It reads the socket itself, through a BIO of ours: errors keep their errno, a peer that sends without end (key updates, empty
 * records) is left for others after a bound, and no signal comes of a write.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "base/mem.h"
#include "io/crypto.h"
#include "io/tls_private.h"
#include "io/tls_session.h"

enum {
    TLS_MAGIC = 0x715e55,
    READ_BYTES = 131072, /* of the socket at a time; then it is others' turn */
    RECORD_BYTES = 16384,
};

struct tls {
    unsigned magic;
    int fd;
    SSL *ssl;
    struct tls_heard heard; /* a server's, or */
    struct tls_asked asked; /* a client's: OpenSSL's callbacks get a pointer to it */
    const char *error;      /* OpenSSL's own text, or ours */
    size_t budget;          /* bytes that may yet be read from the socket */
    int socket_error;
    int end; /* what reading comes to, once that is certain: 0 or -errno */
    bool has_ended;
    bool has_more;
    bool wants_write;
    bool writing_waits; /* for what the other side says */
    bool was_spoken_to; /* by the other side */
    bool is_eof;        /* of the socket, whatever TLS says */
    bool is_secured;
    bool was_heard; /* the other side, inside TLS */
    struct tls_info info;
};

static struct tls *tls_check(struct tls *t)
{
    must(t && t->magic == TLS_MAGIC);
    return t;
}

/* ---- the socket */

static int on_bio_read(BIO *b, char *at, int len)
{
    struct tls *t = tls_check(BIO_get_data(b));
    size_t room = (size_t) len < t->budget ? (size_t) len : t->budget;
    ssize_t n = -1;
    BIO_clear_retry_flags(b);
    if (room > 0) {
        do
            n = recv(t->fd, at, room, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
    }
    if (n > 0) {
        t->budget -= (size_t) n;
        t->was_spoken_to = true;
    } else if (room == 0 || (n < 0 && errno == EAGAIN)) {
        BIO_set_retry_read(b);
    } else if (n == 0) {
        t->is_eof = true;
    } else {
        t->socket_error = -errno;
    }
    return (int) n;
}

static int on_bio_write(BIO *b, const char *at, int len)
{
    struct tls *t = tls_check(BIO_get_data(b));
    ssize_t n;
    BIO_clear_retry_flags(b);
    do
        n = send(t->fd, at, (size_t) len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        BIO_set_retry_write(b);
    else if (n < 0)
        t->socket_error = -errno;
    return (int) n;
}

static long on_bio_ctrl(BIO *b UNUSED, int what, long number UNUSED, void *pointer UNUSED)
{
    return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    must(method && BIO_meth_set_read(method, on_bio_read) == 1 &&
         BIO_meth_set_write(method, on_bio_write) == 1 && BIO_meth_set_ctrl(method, on_bio_ctrl) == 1);
}

/* ---- beginning and end */

static struct tls *tls_new(SSL_CTX *context, int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    must(pthread_once(&once, make_method) == 0);
    struct tls *t = NEW(struct tls);
    t->magic = TLS_MAGIC;
    t->fd = fd;
    t->error = "";
    t->ssl = SSL_new(context);
    BIO *bio = BIO_new(method);
    must(t->ssl && bio);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    return t;
}

struct tls *tls_accept(struct tls_server *server, int fd)
{
    struct tls *t = tls_new(server->contexts[0], fd);
    t->heard.server = tls_server_hold(server);
    must(SSL_set_app_data(t->ssl, &t->heard) == 1);
    if (server->tickets && !tls_tickets_are_made(server->tickets)) {
        SSL_set_options(t->ssl, SSL_OP_NO_TICKET);
        must(SSL_set_num_tickets(t->ssl, 0) == 1);
    }
    SSL_set_accept_state(t->ssl);
    return t;
}

struct tls *tls_connect(struct tls_client *client, const struct tls_demand *demand, int fd)
{
    struct tls *t = tls_new(client->context, fd);
    tls_ask(&t->asked, client, t->ssl, demand);
    SSL_set_connect_state(t->ssl);
    return t;
}

struct tls *tls_free(struct tls *t)
{
    if (!t)
        return NULL;
    if (tls_has_offered(tls_check(t)))
        tls_sessions_drop(t->asked.client->sessions, t->asked.session_key);
    SSL_free(t->ssl);
    (void) tls_server_release(t->heard.server); /* always NULL */
    mem_free(t->heard.sni);
    tls_asked_done(&t->asked);
    t->magic = 0;
    return mem_free(t);
}

void tls_end(struct tls *t)
{
    if (!tls_check(t)->is_secured || t->end < 0)
        return;
    ERR_clear_error();
    (void) SSL_shutdown(t->ssl); /* nobody waits for the other side's */
    ERR_clear_error();
}

/* ---- steps */

/* What a call came to that did not succeed. 0: the peer has ended. */
static int tls_result(struct tls *t, int r)
{
    int what = SSL_get_error(t->ssl, r);
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
        t->wants_write = what == SSL_ERROR_WANT_WRITE;
        ERR_clear_error();
        return -EAGAIN;
    }
    if (what == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (t->socket_error || t->is_eof) {
        t->error = t->socket_error ? "" : "the connection was closed without an end of TLS";
        ERR_clear_error();
        return t->socket_error;
    }
    t->error = tls_reason();
    if (t->asked.failure)
        t->error = t->asked.error;
    return -EPROTO;
}

static void tls_describe(struct tls *t)
{
    static const char digits[] = "0123456789abcdef";
    struct tls_info *info = &t->info;
    X509 *peer = SSL_get0_peer_certificate(t->ssl);
    uint8_t digest[SHA256_BYTES];
    unsigned len = 0;
    info->version = SSL_get_version(t->ssl);
    info->cipher = SSL_get_cipher_name(t->ssl);
    info->sni = t->heard.sni;
    info->is_resumed = SSL_session_reused(t->ssl) == 1;
    if (!peer || X509_digest(peer, EVP_sha256(), digest, &len) != 1)
        return;
    for (size_t i = 0; i < len; i++) {
        info->fingerprint[2 * i] = digits[digest[i] >> 4];
        info->fingerprint[2 * i + 1] = digits[digest[i] & 15];
    }
    if (t->asked.client) {
        info->is_server_verified = t->asked.proof != TLS_PROOF_NONE && !t->asked.failure;
        return;
    }
    /* A resumed session brings its first handshake's result with it, but time has passed. */
    time_t now = time(NULL);
    info->is_client_verified = t->heard.server->has_client_ca && SSL_get_verify_result(t->ssl) == X509_V_OK &&
                               X509_cmp_time(X509_get0_notAfter(peer), &now) > 0;
}

/* Who only connects and says nothing costs no handshake's memory yet. */
static bool tls_is_silent(const struct tls *t)
{
    char c;
    return t->heard.server && !t->was_spoken_to && recv(t->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           errno == EAGAIN;
}

int tls_handshake(struct tls *t)
{
    if (tls_check(t)->has_ended)
        return t->end;
    if (tls_is_silent(t))
        return -EAGAIN;
    t->budget = READ_BYTES;
    t->wants_write = false;
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r == 1 && t->asked.client && SSL_session_reused(t->ssl) == 1)
        tls_judge_again(&t->asked, t->ssl);
    if (r == 1 && t->asked.failure && !t->asked.is_tolerant)
        return tls_refuse(t, t->asked.error);
    if (r == 1) {
        t->is_secured = t->has_more = true; /* what came with its last words may be here already */
        tls_describe(t);
        ERR_clear_error();
        return 1;
    }
    r = tls_result(t, r);
    if (r == -EAGAIN)
        return r;
    if (r == 0 && t->was_spoken_to)
        r = -EPROTO;
    t->has_ended = true;
    t->end = r;
    return r;
}

int tls_refuse(struct tls *t, const char *error)
{
    t->error = error;
    t->has_ended = true;
    t->end = -EPROTO;
    return -EPROTO;
}

ssize_t tls_read(struct tls *t, char *at, size_t len)
{
    size_t got = 0;
    int r = tls_check(t)->has_ended ? t->end : 1;
    t->has_more = t->wants_write = false;
    t->budget = READ_BYTES;
    while (r == 1 && got < len) {
        size_t n = 0;
        ERR_clear_error();
        r = SSL_read_ex(t->ssl, at + got, len - got, &n);
        got += n;
        if (r != 1)
            r = tls_result(t, r);
    }
    if (r != 1 && r != -EAGAIN) {
        t->has_ended = true;
        t->end = r;
    }
    t->has_more = got > 0 && r != -EAGAIN;
    t->was_heard = t->was_heard || got > 0;
    return got > 0 ? (ssize_t) got : r;
}

/* In the middle of a message of the other side's TLS nothing can be said before its rest is here; words of its owner may come with that. */
ssize_t tls_write(struct tls *t, struct span bytes)
{
    size_t n = 0;
    bool wants_write = tls_check(t)->wants_write; /* reading's */
    if (t->has_ended && t->end < 0)
        return t->end;
    t->budget = READ_BYTES;
    t->writing_waits = false;
    ERR_clear_error();
    int r = SSL_write_ex(t->ssl, bytes.at, bytes.len < RECORD_BYTES ? bytes.len : RECORD_BYTES, &n);
    t->has_more = t->has_more || t->budget < READ_BYTES;
    if (r == 1)
        return (ssize_t) n;
    r = tls_result(t, r);
    t->writing_waits = r == -EAGAIN && !t->wants_write;
    t->wants_write = wants_write;
    return r == 0 ? -EPIPE : r;
}

bool tls_has_more(const struct tls *t)
{
    return t->has_more;
}

bool tls_wants_write(const struct tls *t)
{
    return t->wants_write;
}

bool tls_writing_waits(const struct tls *t)
{
    return t->writing_waits;
}

/* ---- what it is */

bool tls_is_secured(const struct tls *t)
{
    return t->is_secured;
}

const struct tls_info *tls_info(const struct tls *t)
{
    return &t->info;
}

const char *tls_error(const struct tls *t)
{
    return !*t->error && t->asked.failure ? t->asked.error : t->error;
}

enum tls_failure tls_failure(const struct tls *t)
{
    if (t->asked.failure || t->is_secured || !t->asked.client)
        return t->asked.failure;
    return TLS_FAILURE_HANDSHAKE;
}

bool tls_has_offered(const struct tls *t)
{
    return t->asked.has_offered && !t->was_heard;
}

/* RFC 5929, 4.1: the certificate's own hash, but for the broken ones. A resumed session does not know which of ours it was. */
static int add_end_point(const struct tls *t, struct buf *out)
{
    X509 *own = t->asked.client ? SSL_get0_peer_certificate(t->ssl) : SSL_get_certificate(t->ssl);
    int hash = NID_undef;
    unsigned len = 0;
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (!own || (t->heard.server && t->info.is_resumed) ||
        X509_get_signature_info(own, &hash, NULL, NULL, NULL) != 1 || hash == NID_undef)
        return -ENOTSUP;
    const EVP_MD *md = hash == NID_md5 || hash == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(hash);
    if (!md || X509_digest(own, md, digest, &len) != 1)
        return -ENOTSUP;
    buf_add(out, digest, len);
    return 0;
}

int tls_get_binding(const struct tls *t, enum tls_binding which, struct buf *out)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    uint8_t bytes[32];
    int r = -ENOTSUP;
    ERR_clear_error();
    if (which == TLS_SERVER_END_POINT) {
        r = add_end_point(t, out);
    } else if ((SSL_version(t->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(t->ssl) == 1) &&
               SSL_export_keying_material(t->ssl, bytes, sizeof bytes, label, sizeof label - 1, NULL, 0, 0) ==
                   1) {
        buf_add(out, bytes, sizeof bytes);
        r = 0;
    }
    ERR_clear_error();
    return r;
}
