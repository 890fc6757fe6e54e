/*
 * What a server must prove to us. It is judged in the handshake, so that a server that fails hears an alert of its kind and learns nothing of
 * ours; and again, from the certificates that the session remembers, when one is resumed: names, time and records may be others by then.
 */
#include <ctype.h>
#include <string.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "io/crypto.h"
#include "io/tls_private.h"

/* RFC 6698, 7.1 */
enum { USAGE_DANE_TA = 2, USAGE_DANE_EE = 3, SELECTOR_CERTIFICATE = 0, SELECTOR_KEY = 1 };
enum { MATCHING_FULL, MATCHING_SHA256, MATCHING_SHA512 };

/* ---- what is asked */

static bool is_certificate(struct span der)
{
    const unsigned char *at = (const unsigned char *) der.at;
    X509 *x = d2i_X509(NULL, &at, (long) der.len);
    bool is_one = x && X509_get0_pubkey(x) && (const char *) at == der.at + der.len;
    X509_free(x);
    ERR_clear_error();
    return is_one;
}

static bool is_key(struct span der)
{
    const unsigned char *at = (const unsigned char *) der.at;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long) der.len);
    bool is_one = key && (const char *) at == der.at + der.len;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return is_one;
}

bool tls_association_is_usable(const struct tls_association *a)
{
    if ((a->usage != USAGE_DANE_TA && a->usage != USAGE_DANE_EE) || a->selector > SELECTOR_KEY)
        return false;
    switch (a->matching) {
    case MATCHING_SHA256: return a->data.len == 32;
    case MATCHING_SHA512: return a->data.len == 64;
    case MATCHING_FULL:
        return a->data.len > 0 && (a->selector == SELECTOR_KEY ? is_key(a->data) : is_certificate(a->data));
    default: return false;
    }
}

static bool is_address(const char *name)
{
    struct in6_addr ip;
    return inet_pton(AF_INET, name, &ip) == 1 || inet_pton(AF_INET6, name, &ip) == 1;
}

/* As certificates and SNI have it. */
static bool host_of(const char *text, char ret_name[static TLS_NAME_MAX + 1])
{
    struct span s = span_of(text);
    if (s.len > 0 && s.at[s.len - 1] == '.')
        s.len--;
    return tls_name_parse(s, ret_name) && !is_address(ret_name);
}

static size_t ask_names(SSL *ssl, const struct tls_demand *demand)
{
    char name[TLS_NAME_MAX + 1];
    size_t count = 0;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    for (size_t i = 0; i < demand->name_count; i++) {
        if (!host_of(demand->names[i], name))
            continue;
        must(SSL_add1_host(ssl, name) == 1);
        count++;
    }
    if (demand->address && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), demand->address) == 1)
        count++;
    ERR_clear_error();
    return count;
}

/* An authority without a name to look for would vouch for everybody it knows. */
static bool ask_dane(SSL *ssl, const struct tls_demand *demand)
{
    size_t added = 0;
    must(SSL_dane_enable(ssl, NULL) == 1);
    (void) SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS); /* the flags before */
    bool has_names = ask_names(ssl, demand) > 0;
    for (size_t i = 0; i < demand->association_count; i++) {
        const struct tls_association *a = &demand->associations[i];
        if (!tls_association_is_usable(a) || (a->usage == USAGE_DANE_TA && !has_names))
            continue;
        if (SSL_dane_tlsa_add(ssl, a->usage, a->selector, a->matching, (const unsigned char *) a->data.at,
                              a->data.len) == 1)
            added++;
    }
    ERR_clear_error();
    return added > 0;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char) tolower((unsigned char) c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_fingerprint(const char *text, uint8_t ret_digest[static SHA256_BYTES])
{
    size_t count = 0;
    uint8_t digest[SHA256_BYTES] = {0};
    for (const char *at = text; *at; at++) {
        if (*at == ':')
            continue;
        int digit = digit_of(*at);
        if (digit < 0 || count == 2 * SHA256_BYTES)
            return false;
        digest[count / 2] = (uint8_t) (digest[count / 2] << 4 | digit);
        count++;
    }
    if (count != 2 * SHA256_BYTES)
        return false;
    memcpy(ret_digest, digest, SHA256_BYTES);
    return true;
}

static bool ask_fingerprints(struct tls_asked *a, const struct tls_demand *demand)
{
    a->fingerprints = mem_array(demand->fingerprint_count + 1, sizeof *a->fingerprints);
    for (size_t i = 0; i < demand->fingerprint_count; i++)
        if (read_fingerprint(demand->fingerprints[i], a->fingerprints[a->fingerprint_count]))
            a->fingerprint_count++;
    return a->fingerprint_count > 0;
}

static void ask_session(struct tls_asked *a, SSL *ssl, const char *key)
{
    if (!key || !a->client->sessions)
        return;
    a->session_key = mem_string(key);
    SSL_SESSION *session = tls_sessions_get(a->client->sessions, key);
    if (!session)
        return;
    a->has_offered = SSL_set_session(ssl, session) == 1;
    SSL_SESSION_free(session);
    ERR_clear_error();
}

void tls_ask(struct tls_asked *a, struct tls_client *client, SSL *ssl, const struct tls_demand *demand)
{
    char sni[TLS_NAME_MAX + 1];
    *a = (struct tls_asked){.client = tls_client_hold(client),
                            .proof = demand->proof,
                            .is_tolerant = demand->is_tolerant,
                            .error = ""};
    must(SSL_set_app_data(ssl, a) == 1);
    if (demand->sni && host_of(demand->sni, sni))
        must(SSL_set_tlsext_host_name(ssl, sni) == 1);
    if (demand->proof == TLS_PROOF_NONE || demand->is_tolerant) {
        /* Nobody is kept out who would get the mail in plain then. */
        SSL_set_security_level(ssl, 0);
        SSL_set_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT);
    }
    switch (demand->proof) {
    case TLS_PROOF_NONE: break;
    case TLS_PROOF_NAME: a->can_be_given = ask_names(ssl, demand) > 0; break;
    case TLS_PROOF_FINGERPRINT: a->can_be_given = ask_fingerprints(a, demand); break;
    case TLS_PROOF_DANE: a->can_be_given = ask_dane(ssl, demand); break;
    }
    ask_session(a, ssl, demand->session_key);
}

void tls_asked_done(struct tls_asked *a)
{
    (void) tls_client_release(a->client); /* always NULL */
    mem_free(a->fingerprints);
    mem_free(a->session_key);
}

/* ---- and what is shown */

static bool has_digest(const struct tls_asked *a, struct span bytes)
{
    uint8_t digest[SHA256_BYTES];
    bool is_there = false;
    crypto_sha256(bytes, digest);
    for (size_t i = 0; i < a->fingerprint_count; i++)
        is_there = is_there || memcmp(a->fingerprints[i], digest, sizeof digest) == 0;
    return is_there;
}

static bool has_fingerprint(const struct tls_asked *a, X509 *leaf)
{
    unsigned char *whole = NULL, *key = NULL;
    int whole_len = leaf ? i2d_X509(leaf, &whole) : -1;
    int key_len = leaf ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &key) : -1;
    bool is_there = (whole_len > 0 &&
                     has_digest(a, (struct span){.at = (char *) whole, .len = (size_t) whole_len})) ||
                    (key_len > 0 &&
                     has_digest(a, (struct span){.at = (char *) key, .len = (size_t) key_len}));
    OPENSSL_free(whole);
    OPENSSL_free(key);
    return is_there;
}

static enum tls_failure failure_of(const struct tls_asked *a, int error)
{
    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return TLS_FAILURE_HOST_MISMATCH;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD: return TLS_FAILURE_EXPIRED;
    case X509_V_ERR_DANE_NO_MATCH: return TLS_FAILURE_NO_DANE_MATCH;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT: /* no record is for any of the chain */
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return a->proof == TLS_PROOF_DANE ? TLS_FAILURE_NO_DANE_MATCH : TLS_FAILURE_NOT_TRUSTED;
    default: return TLS_FAILURE_NOT_TRUSTED;
    }
}

static void fail(struct tls_asked *a, enum tls_failure failure, const char *error)
{
    a->failure = failure;
    a->error = error;
}

/* By the chain in store, and as strictly when it is only to be told. The error of store is what the alert is made of. */
static void judge(struct tls_asked *a, X509_STORE_CTX *store)
{
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(store),
                                     SSL_CTX_get_security_level(a->client->context));
    a->failure = TLS_FAILURE_NONE;
    a->error = "";
    if (a->proof == TLS_PROOF_NONE)
        return;
    if (a->proof == TLS_PROOF_FINGERPRINT) {
        if (!has_fingerprint(a, X509_STORE_CTX_get0_cert(store)))
            fail(a, TLS_FAILURE_NO_FINGERPRINT_MATCH, "the certificate has another fingerprint");
    } else if (!a->can_be_given) {
        if (a->proof == TLS_PROOF_DANE)
            fail(a, TLS_FAILURE_NO_DANE_MATCH, "no TLSA record is usable");
        else
            fail(a, TLS_FAILURE_HOST_MISMATCH, "there is no name that a certificate can be for");
    } else if (X509_verify_cert(store) != 1) {
        int error = X509_STORE_CTX_get_error(store);
        fail(a, failure_of(a, error), X509_verify_cert_error_string(error));
    }
    if (a->failure && X509_STORE_CTX_get_error(store) == X509_V_OK)
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    ERR_clear_error();
}

static int on_certificate(X509_STORE_CTX *store, void *context UNUSED)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_asked *a = SSL_get_app_data(ssl);
    judge(a, store);
    return !a->failure || a->is_tolerant;
}

void tls_judge_again(struct tls_asked *a, SSL *ssl)
{
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    must(store && X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)),
                                      SSL_get0_peer_certificate(ssl), SSL_get_peer_cert_chain(ssl)) == 1);
    must(X509_STORE_CTX_set_default(store, "ssl_server") == 1);
    must(X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(store), SSL_get0_param(ssl)) == 1);
    if (a->proof == TLS_PROOF_DANE)
        X509_STORE_CTX_set0_dane(store, SSL_get0_dane(ssl));
    judge(a, store);
    X509_STORE_CTX_free(store);
}

/* ---- the context */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_asked *a = SSL_get_app_data(ssl);
    if (a->session_key)
        tls_sessions_put(a->client->sessions, a->session_key, session);
    return 0; /* it was copied */
}

void tls_ask_prepare(SSL_CTX *context)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, on_certificate, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    must(SSL_CTX_dane_enable(context) == 1);
}
