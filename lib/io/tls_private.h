/*
 * Does: what the tls*.c files share.
 * Does not: concern anybody else: tls.h and tls_session.h are the contracts.
 * Owns: see tls.h.
 * Fails: see tls.h.
 */
#pragma once

#include <stdatomic.h>
#include <sys/stat.h>

#include "base/map.h"
#include "io/tls.h"

/* OpenSSL's own names are for tls*.c. */
struct ssl_st;
struct ssl_ctx_st;
struct x509_st;
struct stack_st_X509;
struct evp_pkey_st;
struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;
struct ssl_session_st;

/* A file as it was when it was read. */
struct tls_file {
    char *path;
    struct stat seen;
};

struct tls_files {
    struct tls_file *items;
    size_t count;
};

/* All of it, and a note in files. -errno or -EFBIG, with a sentence. The caller wipes what may be a key. */
int tls_file_read(struct tls_files *files, const char *path, struct buf *out, char **ret_error);
bool tls_files_look(struct tls_files *files); /* see tls_files_changed() */
void tls_files_done(struct tls_files *files);

struct tls_certificate {
    struct x509_st *leaf;
    struct stack_st_X509 *chain; /* without the leaf */
    struct evp_pkey_st *key;
    struct conf_list names; /* lower case; "*.example.com" stands for one label */
    char *path;             /* of the chain */
};

/* item: "chain.pem key.pem" or one file. -EINVAL or -errno with a sentence. */
int tls_certificate_load(const char *item, struct tls_files *files, struct tls_certificate *ret_certificate,
                         char **ret_error);
void tls_certificate_done(struct tls_certificate *c);
/* When it ends, since 1970. */
int64_t tls_certificate_ends_ms(const struct tls_certificate *c);
bool tls_certificate_is_for(const struct tls_certificate *c, struct span name);
/* Lower-cased into ret_name. False: no host can have this name. */
enum { TLS_NAME_MAX = 253 };
bool tls_name_parse(struct span s, char ret_name[static TLS_NAME_MAX + 1]);

enum { TLS_SERVER_MAGIC = 0x7155e4, TLS_CLIENT_MAGIC = 0x71c11e };

struct tls_server {
    unsigned magic;
    atomic_uint users;
    struct ssl_ctx_st **contexts; /* one for each certificate; the first is the one without a name */
    size_t count;
    struct map names; /* to contexts */
    struct tls_tickets *tickets;
    char *trust;
    struct tls_files files;
    char *warning;
    int64_t ends_ms; /* of the certificate that expires first */
    bool has_client_ca;
};

struct tls_sessions;
struct tls_client {
    unsigned magic;
    atomic_uint users;
    struct ssl_ctx_st *context;
    struct tls_files files;
    struct tls_sessions *sessions; /* NULL: none is resumed */
    int64_t ends_ms;               /* see tls_client_ends_ms() */
};

/* What a handshake at the server finds out, besides what OpenSSL keeps. */
struct tls_heard {
    struct tls_server *server;
    char *sni;
};

/* What a client's handshake must prove, and what came of it. */
struct tls_asked {
    struct tls_client *client;
    enum tls_proof proof;
    bool is_tolerant;
    bool can_be_given; /* there is a name, an association that a certificate can match */
    uint8_t (*fingerprints)[32];
    size_t fingerprint_count;
    char *session_key; /* NULL: nothing is resumed, nor kept */
    bool has_offered;  /* a session */
    enum tls_failure failure;
    const char *error; /* of the proof, a text that stays; "" */
};
/* Prepares ssl for it; it is then ssl's app data. */
void tls_ask(struct tls_asked *a, struct tls_client *client, struct ssl_st *ssl,
             const struct tls_demand *demand);
void tls_asked_done(struct tls_asked *a);
/* What the context of a client needs for all this. */
void tls_ask_prepare(struct ssl_ctx_st *context);
/* A resumed session has shown no certificate: what is known of it is judged as if it had. */
void tls_judge_again(struct tls_asked *a, struct ssl_st *ssl);

/* Sessions by key, the least recently used go first; copies of their own, for all threads. */
struct tls_sessions *tls_sessions_new(size_t max);
struct tls_sessions *tls_sessions_free(struct tls_sessions *s);                   /* always NULL */
struct ssl_session_st *tls_sessions_get(struct tls_sessions *s, const char *key); /* the caller's; NULL */
void tls_sessions_put(struct tls_sessions *s, const char *key, const struct ssl_session_st *session);
void tls_sessions_drop(struct tls_sessions *s, const char *key);

/* Common to both sides: modes and options. */
void tls_context_prepare(struct ssl_ctx_st *context, enum tls_version min_version);
/* The reason of the last failure, a text of the library's own; clears it. */
const char *tls_reason(void);
/* Of TLS 1.2; "" or NULL: a safe list. */
int tls_use_ciphers(struct ssl_ctx_st *context, const char *ciphers, char **ret_error);
int tls_use_certificate(struct ssl_ctx_st *context, const struct tls_certificate *c, char **ret_error);
int tls_load_authorities(struct ssl_ctx_st *context, const char *path, struct span pem, char **ret_error);

bool tls_tickets_are_made(struct tls_tickets *t);
size_t tls_tickets_get(struct tls_tickets *t, struct tls_ticket_secret *ret_secrets);
/* OpenSSL's callback: finds the keys for a ticket. */
int tls_on_ticket(struct ssl_st *ssl, unsigned char *name, unsigned char *iv,
                  struct evp_cipher_ctx_st *cipher, struct evp_mac_ctx_st *mac, int is_new);
