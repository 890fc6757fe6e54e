/* What servers and clients have in common: protocol versions, options, certificates in a context. */
#include <errno.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "io/tls_private.h"

/* Forward secrecy first; then what old systems have, since for mail the alternative is no TLS at all. */
#define CIPHERS                                                            \
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:AESGCM:AES:" \
    "!DES:!3DES:!MD5:!PSK:!SRP:!DSS:!ARIA:!CAMELLIA:!AESCCM"
/* What no setting brings back. */
#define NEVER ":!aNULL:!eNULL:!EXPORT:!RC4"

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

int tls_use_ciphers(SSL_CTX *context, const char *ciphers, char **ret_error)
{
    bool is_ours = !ciphers || !*ciphers;
    AUTO_FREE char *list = mem_format("%s%s", is_ours ? CIPHERS : ciphers, NEVER);
    ERR_clear_error();
    int r = SSL_CTX_set_cipher_list(context, list) == 1 ? 0 : -EINVAL;
    const char *reason = tls_reason(); /* words of the list that it does not know are no errors */
    if (r < 0)
        *ret_error = mem_format("no cipher that can be used is in \"%s\": %s", ciphers, reason);
    return r;
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
