/*
 * A server's certificates. Each has a context of its own, together with those of other kinds of keys that are for all its names (RSA beside EC);
 * the name a client asks for is looked up in a table made of the certificates' names, and nowhere else.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <openssl/ssl.h>

#include "base/mem.h"
#include "io/crypto.h"
#include "io/tls_private.h"

/* ---- what OpenSSL asks */

static SSL_CTX *find_context(const struct tls_server *t, const char *name)
{
    SSL_CTX *found = map_get(&t->names, span_of(name));
    const char *dot = strchr(name, '.');
    if (found || !dot)
        return found;
    char wild[TLS_NAME_MAX + 2];
    int len = snprintf(wild, sizeof wild, "*%s", dot);
    must(len > 0 && (size_t) len < sizeof wild);
    return map_get(&t->names, span_of(wild));
}

static int on_name(SSL *ssl, int *alert UNUSED, void *context UNUSED)
{
    struct tls_heard *heard = SSL_get_app_data(ssl);
    const char *said = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    char name[TLS_NAME_MAX + 1];
    if (!said || !tls_name_parse(span_of(said), name))
        return SSL_TLSEXT_ERR_NOACK;
    mem_free(heard->sni);
    heard->sni = mem_string(name);
    SSL_CTX *found = find_context(heard->server, name);
    if (!found)
        return SSL_TLSEXT_ERR_NOACK;
    return SSL_set_SSL_CTX(ssl, found) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A client that speaks of other protocols only is one that somebody has led here (ALPACA). */
static int on_protocols(SSL *ssl UNUSED, const unsigned char **ret_at, unsigned char *ret_len,
                        const unsigned char *in, unsigned len, void *context UNUSED)
{
    const struct span wanted = SPAN("smtp");
    for (unsigned i = 0; i < len && in[i] < len - i; i += 1u + in[i]) {
        if (!span_equal((struct span){.at = (const char *) in + i + 1, .len = in[i]}, wanted))
            continue;
        *ret_at = in + i + 1;
        *ret_len = in[i];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A client whose certificate is none of ours is a client like others. */
static int on_verify(int is_good UNUSED, X509_STORE_CTX *store UNUSED)
{
    return 1;
}

/* ---- making one */

static void use_tickets(SSL_CTX *context, const struct tls_server_settings *settings)
{
    if (!settings->tickets || settings->ticket_ms < 1000) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        must(SSL_CTX_set_num_tickets(context, 0) == 1);
        return;
    }
    must(SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tls_on_ticket) == 1);
    must(SSL_CTX_set_num_tickets(context, 1) == 1);
    (void) SSL_CTX_set_timeout(context, (long) (settings->ticket_ms / 1000)); /* it tells the one before */
}

/*
 * A session is resumed only where this is the same, whatever opened its ticket: where clients are verified by other authorities, or not at all,
 * what was found out then says nothing now.
 */
static void set_session_context(SSL_CTX *context, const struct tls_server_settings *settings, struct span ca)
{
    uint8_t digest[SHA256_BYTES];
    AUTO_BUF struct buf what = {0};
    buf_printf(&what, "%s %d ", settings->trust ? settings->trust : "", settings->asks_client_certificate);
    buf_add_span(&what, ca);
    crypto_sha256(buf_span(&what), digest);
    must(SSL_CTX_set_session_id_context(context, digest, sizeof digest) == 1);
}

static int context_new(const struct tls_server_settings *settings, struct span ca, SSL_CTX **ret_context,
                       char **ret_error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    must(context);
    tls_context_prepare(context, settings->min_version);
    must(SSL_CTX_set_dh_auto(context, 1) == 1);
    int r = tls_use_ciphers(context, settings->ciphers, ret_error);
    SSL_CTX_set_tlsext_servername_callback(context, on_name);
    SSL_CTX_set_alpn_select_cb(context, on_protocols, NULL);
    SSL_CTX_set_verify(context, settings->asks_client_certificate ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                       on_verify);
    set_session_context(context, settings, ca);
    use_tickets(context, settings);
    if (r >= 0 && ca.len > 0)
        r = tls_load_authorities(context, settings->client_ca, ca, ret_error);
    if (r >= 0)
        *ret_context = context;
    else
        SSL_CTX_free(context);
    return r;
}

static bool is_for_all_names_of(const struct tls_certificate *c, const struct tls_certificate *other)
{
    for (size_t i = 0; i < other->names.count; i++)
        if (!tls_certificate_is_for(c, span_of(other->names.items[i])))
            return false;
    return true;
}

/* The certificate itself, and the first of each other kind of key that is for all its names. */
static int fill_context(SSL_CTX *context, const struct tls_certificate *all, size_t count, size_t which,
                        char **ret_error)
{
    int kinds[8] = {EVP_PKEY_get_base_id(all[which].key)};
    size_t kind_count = 1;
    int r = tls_use_certificate(context, &all[which], ret_error);
    for (size_t i = 0; r >= 0 && i < count && kind_count < ARRAY_LEN(kinds); i++) {
        int kind = EVP_PKEY_get_base_id(all[i].key);
        bool is_there = false;
        for (size_t k = 0; k < kind_count; k++)
            is_there = is_there || kinds[k] == kind;
        if (is_there || !is_for_all_names_of(&all[i], &all[which]))
            continue;
        kinds[kind_count++] = kind;
        r = tls_use_certificate(context, &all[i], ret_error);
    }
    return r;
}

static void warn(struct tls_server *t, const struct tls_certificate *c)
{
    int64_t ends_ms = tls_certificate_ends_ms(c);
    if (ends_ms < t->ends_ms)
        t->ends_ms = ends_ms;
    time_t now = time(NULL);
    const char *what = NULL;
    if (X509_cmp_time(X509_get0_notAfter(c->leaf), &now) < 0)
        what = "has expired";
    else if (X509_cmp_time(X509_get0_notBefore(c->leaf), &now) > 0)
        what = "is not valid yet";
    else if (c->names.count == 0)
        what = "is for no host name";
    if (what && !t->warning)
        t->warning = mem_format("the certificate in %s %s", c->path, what);
}

static int make_contexts(struct tls_server *t, const struct tls_server_settings *settings,
                         const struct tls_certificate *all, size_t count, struct span ca, char **ret_error)
{
    t->contexts = mem_array(count, sizeof(SSL_CTX *));
    for (size_t i = 0; i < count; i++) {
        int r = context_new(settings, ca, &t->contexts[i], ret_error);
        if (r < 0)
            return r;
        t->count = i + 1;
        r = fill_context(t->contexts[i], all, count, i, ret_error);
        if (r < 0)
            return r;
        for (size_t n = 0; n < all[i].names.count; n++)
            if (!map_get(&t->names, span_of(all[i].names.items[n])))
                (void) map_set(&t->names, span_of(all[i].names.items[n]),
                               t->contexts[i]); /* nothing before */
        warn(t, &all[i]);
    }
    return 0;
}

static int load(struct tls_server *t, const struct tls_server_settings *settings, struct tls_certificate *all,
                char **ret_error)
{
    size_t count = settings->certificates->count;
    AUTO_BUF struct buf ca = {0};
    if (count == 0) {
        *ret_error = mem_string("no certificate is set");
        return -EINVAL;
    }
    if (t->has_client_ca) {
        int r = tls_file_read(&t->files, settings->client_ca, &ca, ret_error);
        if (r >= 0 && ca.len == 0) {
            *ret_error = mem_format("%s has no certificate in it", settings->client_ca);
            r = -EINVAL;
        }
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < count; i++) {
        int r = tls_certificate_load(settings->certificates->items[i], &t->files, &all[i], ret_error);
        if (r < 0)
            return r;
    }
    return make_contexts(t, settings, all, count, buf_span(&ca), ret_error);
}

int tls_server_new(const struct tls_server_settings *settings, struct tls_server **ret_server,
                   char **ret_error)
{
    size_t count = settings->certificates->count;
    struct tls_server *t = NEW(struct tls_server);
    t->magic = TLS_SERVER_MAGIC;
    atomic_init(&t->users, 1);
    t->tickets = settings->tickets;
    t->trust = mem_string(settings->trust);
    t->ends_ms = INT64_MAX;
    t->has_client_ca = settings->client_ca && *settings->client_ca;
    struct tls_certificate *all = mem_array(count + 1, sizeof *all);
    int r = load(t, settings, all, ret_error);
    for (size_t i = 0; i < count; i++)
        tls_certificate_done(&all[i]);
    mem_free(all);
    if (r < 0) {
        (void) tls_server_release(t); /* always NULL */
        return r;
    }
    *ret_server = t;
    return 0;
}

struct tls_server *tls_server_hold(struct tls_server *t)
{
    must(t->magic == TLS_SERVER_MAGIC);
    atomic_fetch_add(&t->users, 1);
    return t;
}

struct tls_server *tls_server_release(struct tls_server *t)
{
    if (!t)
        return NULL;
    must(t->magic == TLS_SERVER_MAGIC);
    if (atomic_fetch_sub(&t->users, 1) > 1)
        return NULL;
    for (size_t i = 0; i < t->count; i++)
        SSL_CTX_free(t->contexts[i]);
    mem_free(t->contexts);
    map_done(&t->names);
    tls_files_done(&t->files);
    mem_free(t->trust);
    mem_free(t->warning);
    t->magic = 0;
    return mem_free(t);
}

int64_t tls_server_ends_ms(const struct tls_server *t)
{
    return t->ends_ms;
}

const char *tls_server_warning(const struct tls_server *t)
{
    return t->warning ? t->warning : "";
}

bool tls_files_changed(struct tls_server *t)
{
    return tls_files_look(&t->files);
}
