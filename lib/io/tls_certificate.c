/* Certificates with their keys, as files have them, and the names they are for. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "io/tls_private.h"

enum { CHAIN_MAX = 20 };

bool tls_name_parse(struct span s, char ret_name[static TLS_NAME_MAX + 1])
{
    if (s.len == 0 || s.len > TLS_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.at[i];
        bool is_good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || (c == '.' && i > 0 && s.at[i - 1] != '.');
        if (!is_good)
            return false;
        ret_name[i] = (char) (c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
    }
    ret_name[s.len] = '\0';
    return true;
}

const char *tls_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    if (!reason && code && ERR_SYSTEM_ERROR(code))
        reason = strerror(ERR_GET_REASON(code));
    ERR_clear_error();
    return reason ? reason : "no reason given";
}

/* ---- names */

/* A name as certificates have them: a host's, or one with a whole first label of "*". */
static void add_name(struct tls_certificate *c, struct span s)
{
    char name[TLS_NAME_MAX + 1];
    bool is_wild = s.len > 2 && s.at[0] == '*' && s.at[1] == '.';
    struct span host = is_wild ? (struct span){.at = s.at + 2, .len = s.len - 2} : s;
    if (!tls_name_parse(host, name) || (is_wild && !strchr(name, '.')))
        return;
    c->names.items = mem_resize(c->names.items, (c->names.count + 1) * sizeof(char *));
    c->names.items[c->names.count++] = mem_format("%s%s", is_wild ? "*." : "", name);
}

static struct span text_of(const ASN1_STRING *s)
{
    return (struct span){.at = (const char *) ASN1_STRING_get0_data(s),
                         .len = (size_t) ASN1_STRING_length(s)};
}

/* The DNS names; where there are none, the common name. */
static void find_names(struct tls_certificate *c)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
    bool has_dns = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type != GEN_DNS)
            continue;
        has_dns = true;
        add_name(c, text_of(value));
    }
    GENERAL_NAMES_free(names);
    X509_NAME *subject = X509_get_subject_name(c->leaf);
    int at = has_dns ? -1 : X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0)
        add_name(c, text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
}

static bool name_is_for(const char *pattern, struct span name)
{
    const char *dot = memchr(name.at, '.', name.len);
    if (pattern[0] != '*')
        return span_equal_nocase(span_of(pattern), name);
    struct span parent = dot ? (struct span){.at = dot, .len = name.len - (size_t) (dot - name.at)}
                             : (struct span){.at = NULL, .len = 0};
    return dot > name.at && span_equal_nocase(span_of(pattern + 1), parent);
}

bool tls_certificate_is_for(const struct tls_certificate *c, struct span name)
{
    for (size_t i = 0; i < c->names.count; i++)
        if (span_equal_nocase(span_of(c->names.items[i]), name) || name_is_for(c->names.items[i], name))
            return true;
    return false;
}

/* ---- files */

/* Keys with a passphrase are not for servers: nobody is there to be asked. */
static int on_passphrase(char *at UNUSED, int len UNUSED, int is_writing UNUSED, void *context)
{
    *(bool *) context = true;
    return -1;
}

static int read_chain(struct tls_certificate *c, const char *path, struct span pem, char **ret_error)
{
    BIO *in = BIO_new_mem_buf(pem.len > 0 ? pem.at : "", (int) pem.len);
    must(in);
    c->chain = sk_X509_new_null();
    must(c->chain);
    int count = 0;
    ERR_clear_error();
    for (X509 *x; count < CHAIN_MAX && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)); count++) {
        if (count == 0)
            c->leaf = x;
        else
            must(sk_X509_push(c->chain, x) > 0);
    }
    BIO_free(in);
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (c->leaf && (is_end || count == CHAIN_MAX)) {
        ERR_clear_error();
        return 0;
    }
    if (is_end)
        *ret_error = mem_format("%s has no certificate in it", path);
    else
        *ret_error = mem_format("certificate %d in %s is broken: %s", count + 1, path, tls_reason());
    ERR_clear_error();
    return -EINVAL;
}

static int read_key(struct tls_certificate *c, const char *path, struct span pem, char **ret_error)
{
    bool is_encrypted = false;
    if (pem.len == 0 || !memmem(pem.at, pem.len, "PRIVATE KEY-----", 16)) {
        *ret_error = mem_format("%s has no private key in it", path);
        return -EINVAL;
    }
    BIO *in = BIO_new_mem_buf(pem.at, (int) pem.len);
    must(in);
    ERR_clear_error();
    c->key = PEM_read_bio_PrivateKey(in, NULL, on_passphrase, &is_encrypted);
    BIO_free(in);
    if (is_encrypted)
        *ret_error = mem_format("the key in %s is encrypted: it must be readable without a passphrase", path);
    else if (!c->key)
        *ret_error = mem_format("the key in %s is broken: %s", path, tls_reason());
    ERR_clear_error();
    return c->key ? 0 : -EINVAL;
}

/* "chain.pem key.pem", or one file for both. */
static int split_item(const char *item, char **ret_chain, char **ret_key)
{
    struct span rest = span_trim(span_of(item));
    struct span chain = span_cut(&rest, ' ');
    struct span key = span_trim(rest);
    if (chain.len == 0 || memchr(key.len > 0 ? key.at : "", ' ', key.len))
        return -EINVAL;
    *ret_chain = mem_text(chain.at, chain.len);
    *ret_key = key.len > 0 ? mem_text(key.at, key.len) : mem_string(*ret_chain);
    return 0;
}

static void wipe(struct buf *b)
{
    if (b->len > 0)
        explicit_bzero(b->data, b->len);
    buf_done(b);
}

int tls_certificate_load(const char *item, struct tls_files *files, struct tls_certificate *ret_certificate,
                         char **ret_error)
{
    struct tls_certificate c = {0};
    struct buf chain = {0}, key = {0};
    AUTO_FREE char *chain_path = NULL;
    AUTO_FREE char *key_path = NULL;
    int r = split_item(item, &chain_path, &key_path);
    if (r < 0) {
        *ret_error = mem_format("a certificate is \"chain.pem key.pem\", or one file with both, not \"%s\"",
                                item);
        return r;
    }
    r = tls_file_read(files, chain_path, &chain, ret_error);
    if (r >= 0)
        r = read_chain(&c, chain_path, buf_span(&chain), ret_error);
    if (r >= 0)
        r = tls_file_read(files, key_path, &key, ret_error);
    if (r >= 0)
        r = read_key(&c, key_path, buf_span(&key), ret_error);
    if (r >= 0 && X509_check_private_key(c.leaf, c.key) != 1) {
        ERR_clear_error();
        *ret_error = mem_format("the key in %s does not belong to the first certificate in %s", key_path,
                                chain_path);
        r = -EINVAL;
    }
    wipe(&chain);
    wipe(&key);
    if (r < 0) {
        tls_certificate_done(&c);
        return r;
    }
    find_names(&c);
    c.path = STEAL(chain_path);
    *ret_certificate = c;
    return 0;
}

int64_t tls_certificate_ends_ms(const struct tls_certificate *c)
{
    int days = 0, seconds = 0;

    /* A time that is none: X509_cmp_time() finds it expired, and it is now. */
    (void) ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(c->leaf));
    return ((int64_t) time(NULL) + INT64_C(86400) * days + seconds) * 1000;
}

void tls_certificate_done(struct tls_certificate *c)
{
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    for (size_t i = 0; i < c->names.count; i++)
        mem_free(c->names.items[i]);
    mem_free(c->names.items);
    mem_free(c->path);
    *c = (struct tls_certificate){0};
}
