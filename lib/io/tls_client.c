/* A client's context: who vouches for others, who we are, what we speak; and the settings they come from. */
#include <errno.h>
#include <string.h>

#include <openssl/ssl.h>

#include "base/mem.h"
#include "io/tls_private.h"

void tls_client_settings_of(const struct conf *conf, struct tls_client_settings *ret_settings)
{
    *ret_settings = (struct tls_client_settings){
        .min_version = (enum tls_version) conf->tls_out.min_version,
        .ciphers = conf->tls_out.ciphers,
        .ca = conf->tls_out.ca,
        .certificate = conf->tls_out.certificate,
        .protocol = "smtp",
        .sessions = conf->tls_out.sessions,
    };
}

/* Of the system only what a chain needs is read, when it needs it: no system at all is no error, it vouches for nobody. */
static int use_authorities(struct tls_client *c, const char *path, char **ret_error)
{
    AUTO_BUF struct buf pem = {0};
    if (!path || !*path) {
        (void) X509_STORE_set_default_paths(SSL_CTX_get_cert_store(c->context)); /* see above */
        (void) tls_reason();                                                     /* likewise */
        return 0;
    }
    int r = tls_file_read(&c->files, path, &pem, ret_error);
    return r < 0 ? r : tls_load_authorities(c->context, path, buf_span(&pem), ret_error);
}

static int use_certificate(struct tls_client *c, const char *item, char **ret_error)
{
    struct tls_certificate certificate = {0};
    if (!item || !*item)
        return 0;
    int r = tls_certificate_load(item, &c->files, &certificate, ret_error);
    if (r >= 0)
        r = tls_use_certificate(c->context, &certificate, ret_error);
    if (r >= 0)
        c->ends_ms = tls_certificate_ends_ms(&certificate);
    tls_certificate_done(&certificate);
    return r;
}

static void use_protocol(struct tls_client *c, const char *protocol)
{
    AUTO_BUF struct buf list = {0};
    if (!protocol || !*protocol)
        return;
    must(strlen(protocol) < 256);
    buf_add_char(&list, (char) strlen(protocol));
    buf_add_text(&list, protocol);
    must(SSL_CTX_set_alpn_protos(c->context, (const unsigned char *) list.data, (unsigned) list.len) == 0);
}

int tls_client_new(const struct tls_client_settings *settings, struct tls_client **ret_client,
                   char **ret_error)
{
    struct tls_client *c = NEW(struct tls_client);
    c->magic = TLS_CLIENT_MAGIC;
    atomic_init(&c->users, 1);
    c->context = SSL_CTX_new(TLS_client_method());
    must(c->context);
    tls_context_prepare(c->context, settings->min_version);
    if (settings->sessions > 0)
        c->sessions = tls_sessions_new(settings->sessions);
    tls_ask_prepare(c->context);
    use_protocol(c, settings->protocol);
    int r = tls_use_ciphers(c->context, settings->ciphers, ret_error);
    if (r >= 0)
        r = use_authorities(c, settings->ca, ret_error);
    if (r >= 0)
        r = use_certificate(c, settings->certificate, ret_error);
    if (r < 0) {
        (void) tls_client_release(c); /* always NULL */
        return r;
    }
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
    c->sessions = tls_sessions_free(c->sessions);
    SSL_CTX_free(c->context);
    tls_files_done(&c->files);
    c->magic = 0;
    return mem_free(c);
}

int64_t tls_client_ends_ms(const struct tls_client *c)
{
    return c->ends_ms;
}

bool tls_client_files_changed(struct tls_client *c)
{
    return tls_files_look(&c->files);
}
