/* Certificates and clients for the tests of TLS. */
#include "tls_test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char dir[64];

const char *certificate_path(const char *name)
{
    static char paths[16][256];
    static size_t next;
    char *path = paths[next++ % 16];
    if (!dir[0]) {
        (void) snprintf(dir, sizeof dir, "/tmp/barid-tls.XXXXXX");
        must(mkdtemp(dir));
    }
    (void) snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static const char *path_of(const char *file, const char *kind)
{
    char name[128];
    (void) snprintf(name, sizeof name, "%s.%s", file, kind);
    return certificate_path(name);
}

const char *certificate_item(const char *file)
{
    static char items[16][512];
    static size_t next;
    char *item = items[next++ % 16];
    (void) snprintf(item, sizeof items[0], "%s %s", path_of(file, "pem"), path_of(file, "key"));
    return item;
}

void certificate_write(const char *name, const char *text)
{
    FILE *f = fopen(certificate_path(name), "w");
    must(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void) st;
    (void) kind;
    (void) walk;
    return remove(path);
}

void certificates_end(void)
{
    if (dir[0])
        (void) nftw(dir, remove_one, 4, FTW_DEPTH | FTW_PHYS);
    dir[0] = '\0';
}

/* ---- making one */

static X509 *read_certificate(const char *path)
{
    FILE *f = fopen(path, "r");
    must(f);
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    must(x && fclose(f) == 0);
    return x;
}

EVP_PKEY *key_of(const char *file)
{
    FILE *f = fopen(path_of(file, "key"), "r");
    must(f);
    EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    must(key && fclose(f) == 0);
    return key;
}

static void add_extension(X509 *x, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    must(extension && X509_add_ext(x, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_odd_name(X509 *x, struct span odd)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    must(names && name && text && ASN1_STRING_set(text, odd.at, (int) odd.len) == 1);
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    must(sk_GENERAL_NAME_push(names, name) > 0);
    must(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1);
    GENERAL_NAMES_free(names);
}

static void add_names(X509 *x, X509 *issuer, const struct certificate_spec *spec)
{
    AUTO_BUF struct buf value = {0};
    struct span rest = span_of(spec->names), first = {0};
    while (rest.len > 0) {
        struct span name = span_cut(&rest, ' ');
        first = first.len > 0 ? first : name;
        buf_printf(&value, "%sDNS:%.*s", value.len > 0 ? "," : "", SPAN_ARG(name));
    }
    X509_NAME *subject = X509_get_subject_name(x);
    must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                    (const unsigned char *) (first.len > 0 ? first.at : "nobody"),
                                    first.len > 0 ? (int) first.len : 6, -1, 0) == 1);
    AUTO_FREE char *text = buf_steal_text(&value);
    if (spec->odd_name.len > 0)
        add_odd_name(x, spec->odd_name);
    else if (*text && !spec->is_without_san)
        add_extension(x, issuer, NID_subject_alt_name, text);
}

static void write_files(const struct certificate_spec *spec, X509 *x, EVP_PKEY *key, X509 *issuer)
{
    FILE *chain = fopen(path_of(spec->file, "pem"), "w");
    FILE *own = fopen(path_of(spec->file, "key"), "w");
    FILE *both = fopen(path_of(spec->file, "both"), "w");
    must(chain && own && both);
    must(PEM_write_PrivateKey(own, key, NULL, NULL, 0, NULL, NULL) == 1);
    must(PEM_write_PrivateKey(both, key, NULL, NULL, 0, NULL, NULL) == 1);
    must(PEM_write_X509(chain, x) == 1 && PEM_write_X509(both, x) == 1);
    if (issuer != x)
        must(PEM_write_X509(chain, issuer) == 1 && PEM_write_X509(both, issuer) == 1);
    if (spec->has_root) {
        X509 *root = read_certificate(path_of("ca", "pem"));
        must(PEM_write_X509(chain, root) == 1 && PEM_write_X509(both, root) == 1);
        X509_free(root);
    }
    must(fclose(chain) == 0 && fclose(own) == 0 && fclose(both) == 0);
}

void certificate_make(const struct certificate_spec *spec)
{
    static long number = 1;
    EVP_PKEY *key = spec->rsa_bits ? EVP_RSA_gen(spec->rsa_bits)
                    : spec->is_rsa ? EVP_RSA_gen(2048)
                                   : EVP_EC_gen("P-256");
    X509 *x = X509_new();
    must(key && x);
    X509 *issuer = spec->issuer ? read_certificate(path_of(spec->issuer, "pem")) : x;
    EVP_PKEY *issuer_key = spec->issuer ? key_of(spec->issuer) : key;
    bool is_now = spec->from_s == 0 && spec->until_s == 0;
    must(X509_set_version(x, X509_VERSION_3) == 1 &&
         ASN1_INTEGER_set(X509_get_serialNumber(x), number++) == 1);
    must(X509_gmtime_adj(X509_getm_notBefore(x), is_now ? -3600 : spec->from_s));
    must(X509_gmtime_adj(X509_getm_notAfter(x), is_now ? 864000 : spec->until_s));
    add_names(x, issuer, spec);
    must(X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 && X509_set_pubkey(x, key) == 1);
    if (spec->is_ca)
        add_extension(x, issuer, NID_basic_constraints, "critical,CA:TRUE");
    must(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    write_files(spec, x, key, issuer);
    if (spec->issuer) {
        X509_free(issuer);
        EVP_PKEY_free(issuer_key);
    }
    X509_free(x);
    EVP_PKEY_free(key);
}

/* ---- what is told of one */

struct tls_association association_of(const char *file, unsigned usage, unsigned selector, unsigned matching,
                                      struct buf *out)
{
    X509 *x = read_certificate(path_of(file, "pem"));
    unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
    int len = selector == 0 ? i2d_X509(x, &der) : i2d_PUBKEY(X509_get0_pubkey(x), &der);
    unsigned digest_len = 0;
    must(len > 0);
    buf_clear(out);
    if (matching == 0) {
        buf_add(out, der, (size_t) len);
    } else {
        must(EVP_Digest(der, (size_t) len, digest, &digest_len, matching == 1 ? EVP_sha256() : EVP_sha512(),
                        NULL) == 1);
        buf_add(out, digest, digest_len);
    }
    OPENSSL_free(der);
    X509_free(x);
    return (struct tls_association){.usage = (uint8_t) usage,
                                    .selector = (uint8_t) selector,
                                    .matching = (uint8_t) matching,
                                    .data = buf_span(out)};
}

/* ---- servers */

struct tls_server_settings server_settings(const char *const *items, size_t count)
{
    static struct conf_list list;
    list = (struct conf_list){.items = (char **) (uintptr_t) items, .count = count};
    return (struct tls_server_settings){.certificates = &list, .trust = "test"};
}

struct tls_server *server_of(const char *const *items, size_t count)
{
    struct tls_server_settings settings = server_settings(items, count);
    struct tls_server *server = NULL;
    char *error = NULL;
    if (tls_server_new(&settings, &server, &error) < 0) {
        (void) fprintf(stderr, "%s\n", error);
        must(!"a server");
    }
    return server;
}

/* ---- the client */

static void on_message(int is_ours, int version, int kind, const void *at, size_t len, SSL *ssl,
                       void *context)
{
    struct outsider *o = context;
    (void) version;
    (void) ssl;
    if (!is_ours && kind == SSL3_RT_ALERT && len == 2 && !o->alert)
        o->alert = ((const unsigned char *) at)[1];
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct outsider *o = SSL_get_app_data(ssl);
    SSL_SESSION_free(o->session);
    o->session = session;
    return 1;
}

static SSL_CTX *outsider_context(struct outsider *o)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    must(context);
    if (o->version)
        must(SSL_CTX_set_min_proto_version(context, o->version) == 1 &&
             SSL_CTX_set_max_proto_version(context, o->version) == 1);
    if (o->ciphers)
        must(SSL_CTX_set_cipher_list(context, o->ciphers) == 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    if (o->certificate)
        must(SSL_CTX_use_certificate_chain_file(context, path_of(o->certificate, "pem")) == 1 &&
             SSL_CTX_use_PrivateKey_file(context, path_of(o->certificate, "key"), SSL_FILETYPE_PEM) == 1);
    return context;
}

static void outsider_note(struct outsider *o, SSL *ssl)
{
    X509 *server = SSL_get0_peer_certificate(ssl);
    o->is_secured = true;
    o->is_resumed = SSL_session_reused(ssl) == 1;
    if (server) {
        (void) X509_NAME_get_text_by_NID(X509_get_subject_name(server), NID_commonName, o->subject,
                                         sizeof o->subject);
        o->key_kind = EVP_PKEY_get_base_id(X509_get0_pubkey(server));
    }
    must(SSL_export_keying_material(ssl, o->binding, sizeof o->binding, "EXPORTER-Channel-Binding", 24, NULL,
                                    0, 0));
}

static void *outsider_run(void *context)
{
    struct outsider *o = context;
    SSL_CTX *ctx = outsider_context(o);
    SSL *ssl = SSL_new(ctx);
    char heard[256];
    must(ssl && SSL_set_fd(ssl, o->fd) == 1 && SSL_set_app_data(ssl, o) == 1);
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, o);
    if (o->sni)
        must(SSL_set_tlsext_host_name(ssl, o->sni) == 1);
    if (o->alpn)
        must(SSL_set_alpn_protos(ssl, (const unsigned char *) o->alpn, (unsigned) strlen(o->alpn)) == 0);
    if (o->session)
        must(SSL_set_session(ssl, o->session) == 1);
    if (SSL_connect(ssl) == 1) {
        const char *says = o->says ? o->says : "hello";
        int left = (int) strlen(says);
        outsider_note(o, ssl);
        must(SSL_write(ssl, says, left) == left);
        for (int n = 1; n > 0 && left > 0; left -= n)
            n = SSL_read(ssl, heard, left < 256 ? left : 256);
        (void) SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    shutdown(o->fd, SHUT_RDWR);
    return NULL;
}

void outsider_start(struct outsider *o)
{
    must(pthread_create(&o->thread, NULL, outsider_run, o) == 0);
}

void outsider_end(struct outsider *o)
{
    must(pthread_join(o->thread, NULL) == 0);
    close(o->fd);
}
