/* What servers and clients have in common: protocol versions, options, certificates in a context; and the client, who has nothing more. */
#include <errno.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "io/tls_private.h"

void tls_context_prepare(SSL_CTX *context, enum tls_version min_version)
{
    must(SSL_CTX_set_min_proto_version(context, min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) ==
         1);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Bytes offered again may lie elsewhere; an idle session holds no record buffers; a chain is what its file says. */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify_depth(context, 10);
}

int tls_use_certificate(SSL_CTX *context, const struct tls_certificate *c, char **ret_error)
{
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(context, c->leaf, c->key, c->chain, 1) == 1)
        return 0;
    *ret_error = mem_format("the certificate in %s cannot be used: %s", c->path, tls_reason());
    return -EINVAL;
}

int tls_load_authorities(SSL_CTX *context, const char *path, struct span pem, char **ret_error)
{
    BIO *in = BIO_new_mem_buf(pem.len > 0 ? pem.at : "", (int) pem.len);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    size_t count = 0;
    bool is_taken = true;
    must(in && store);
    ERR_clear_error();
    for (X509 *x; is_taken && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)); count++) {
        is_taken = X509_STORE_add_cert(store, x) == 1;
        X509_free(x);
    }
    BIO_free(in);
    bool is_end = is_taken && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    const char *reason = tls_reason();
    if (is_end && count > 0)
        return 0;
    if (is_end)
        *ret_error = mem_format("%s has no certificate in it", path);
    else
        *ret_error = mem_format("certificate %zu in %s is broken: %s", is_taken ? count + 1 : count, path,
                                reason);
    return -EINVAL;
}

/* ---- the client */

/* The handshake goes on: what was found out is told, and the owner decides. */
static int on_verify(int is_good UNUSED, X509_STORE_CTX *store UNUSED)
{
    return 1;
}

static int client_prepare(SSL_CTX *context, const struct tls_client_settings *settings, char **ret_error)
{
    struct tls_files files = {0};
    struct tls_certificate certificate = {0};
    AUTO_BUF struct buf pem = {0};
    bool has_ca = settings->ca && *settings->ca;
    int r = 0;
    tls_context_prepare(context, settings->min_version);
    SSL_CTX_set_verify(context, has_ca ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, on_verify);
    if (has_ca)
        r = tls_file_read(&files, settings->ca, &pem, ret_error);
    if (r >= 0 && has_ca)
        r = tls_load_authorities(context, settings->ca, buf_span(&pem), ret_error);
    if (r >= 0 && settings->certificate && *settings->certificate) {
        r = tls_certificate_load(settings->certificate, &files, &certificate, ret_error);
        if (r >= 0)
            r = tls_use_certificate(context, &certificate, ret_error);
    }
    tls_certificate_done(&certificate);
    tls_files_done(&files);
    return r;
}

int tls_client_new(const struct tls_client_settings *settings, struct tls_client **ret_client,
                   char **ret_error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    must(context);
    int r = client_prepare(context, settings, ret_error);
    if (r < 0) {
        SSL_CTX_free(context);
        return r;
    }
    struct tls_client *c = NEW(struct tls_client);
    c->magic = TLS_CLIENT_MAGIC;
    atomic_init(&c->users, 1);
    c->context = context;
    c->has_ca = settings->ca && *settings->ca;
    *ret_client = c;
    return 0;
}

struct tls_client *tls_client_hold(struct tls_client *c)
{
    must(c->magic == TLS_CLIENT_MAGIC);
    atomic_fetch_add(&c->users, 1);
    return c;
}

struct tls_client *tls_client_release(struct tls_client *c)
{
    if (!c)
        return NULL;
    must(c->magic == TLS_CLIENT_MAGIC);
    if (atomic_fetch_sub(&c->users, 1) > 1)
        return NULL;
    SSL_CTX_free(c->context);
    c->magic = 0;
    return mem_free(c);
}
