/* What the tests of TLS share: certificates made on the spot, and a client that is OpenSSL's own and blocks, in a thread. */
#pragma once

#include "io_test.h"

#include <openssl/ssl.h>
#include <pthread.h>

#include "io/tls.h"

struct certificate_spec {
    const char *file;   /* stem: FILE.pem with the chain, FILE.key, FILE.both */
    const char *names;  /* "a.example *.b.example"; NULL: none; the first is the common name too */
    const char *issuer; /* stem of one made before; NULL: its own */
    bool is_rsa;
    unsigned rsa_bits; /* of a key of any length */
    bool is_ca;
    bool is_without_san;
    bool has_root;        /* the chain ends with it; otherwise with the issuer */
    struct span odd_name; /* one more, of any bytes */
    long from_s, until_s; /* from now on; 0, 0: from an hour ago for ten days */
};
/* In a directory of the test's own, made at the first call. */
void certificate_make(const struct certificate_spec *spec);
const char *certificate_path(const char *name); /* of a file there; one of the last sixteen */
const char *certificate_item(const char *file); /* "FILE.pem FILE.key"; likewise */
EVP_PKEY *key_of(const char *file);             /* freed by the caller */
void certificate_write(const char *name, const char *text);
void certificates_end(void);
/* A TLSA record for the first certificate of the file; its data lies in out. */
struct tls_association association_of(const char *file, unsigned usage, unsigned selector, unsigned matching,
                                      struct buf *out);

/* One or more items; the list belongs to the call's place. */
struct tls_server *server_of(const char *const *items, size_t count);
struct tls_server_settings server_settings(const char *const *items, size_t count);
#define SERVER(...) \
    server_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

struct outsider {
    int fd;
    const char *sni;
    const char *alpn; /* as on the wire */
    const char *certificate;
    const char *says; /* after the handshake; then it reads as much, and ends TLS */
    const char *ciphers;
    int version;          /* 0: any */
    SSL_SESSION *session; /* to resume; replaced by the one it got */
    /* what came of it */
    bool is_secured, is_resumed;
    char subject[128]; /* the first name of the server's certificate */
    int key_kind;
    int alert; /* that came; 0: none */
    unsigned char binding[32];
    pthread_t thread;
};
void outsider_start(struct outsider *o);
void outsider_end(struct outsider *o); /* waits, and closes its socket */
