/*
 * Does: TLS for streams: a server's certificates chosen by the name a client asks for, a client's checks, session tickets, what a session is.
 * Does not: move bytes (io/stream.h), know what a listener or a permission is, nor keep the secrets of tickets alive (cluster/ticket.h).
 * Owns: servers and clients, counted, immutable once made, for all threads; a reload makes a new one.
 * Fails: making one with -EINVAL or -errno and a sentence that names the file and what is wrong with it; the one in force is not touched.
 * Calls: OpenSSL, named in tls*.c only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/conf.h"

enum tls_version { TLS_1_2, TLS_1_3 }; /* in the order of the setting's words */

struct tls_tickets;
struct tls_server;
struct tls_server_settings {
    /* Each item "chain.pem key.pem", or one file with both. The first is for clients that ask for no name, or for one that is not here. */
    const struct conf_list *certificates;
    enum tls_version min_version;
    const char *ciphers;   /* of TLS 1.2, in OpenSSL's words; "" or NULL: a safe list */
    const char *client_ca; /* file; "" or NULL: none, and no client is verified */
    bool asks_client_certificate;
    const char *trust;           /* tickets are good only where this is the same */
    struct tls_tickets *tickets; /* outlives the server; NULL: none are issued */
    uint64_t ticket_ms;          /* how long a ticket is good (whole seconds) */
};
int tls_server_new(const struct tls_server_settings *settings, struct tls_server **ret_server,
                   char **ret_error);
struct tls_server *tls_server_hold(struct tls_server *t);
struct tls_server *tls_server_release(struct tls_server *t); /* always NULL */
/* One sentence about a certificate that works but soon or already does harm (expired); "" when there is none. */
const char *tls_server_warning(const struct tls_server *t);
int64_t tls_server_ends_ms(
    const struct tls_server *t); /* when the first of its certificates does, since 1970 */
/*
 * Whether one of its files is another one now (time, size, inode) than when it was made, or than when this was asked last. One thread asks,
 * about once a second; a broken new file is so told once, and again when it changes.
 */
bool tls_files_changed(struct tls_server *t);

/* For the other side: its authorities, its own certificate, and the sessions it may resume. */
struct tls_client;
struct tls_client_settings {
    enum tls_version min_version;
    const char *ciphers;     /* as tls_server_settings has them */
    const char *ca;          /* file of authorities; "" or NULL: the system's */
    const char *certificate; /* our own, as tls_server_settings has them; "" or NULL: none */
    const char *protocol;    /* what is spoken inside, in ALPN's word; "" or NULL: not said */
    size_t sessions;         /* kept at most; 0: none is resumed */
};
void tls_client_settings_of(const struct conf *conf, struct tls_client_settings *ret_settings);
int tls_client_new(const struct tls_client_settings *settings, struct tls_client **ret_client,
                   char **ret_error);
struct tls_client *tls_client_hold(struct tls_client *c);
struct tls_client *tls_client_release(struct tls_client *c); /* always NULL */
bool tls_client_files_changed(struct tls_client *c);         /* as tls_files_changed() */
int64_t tls_client_ends_ms(const struct tls_client *c); /* when its own certificate does; 0: it has none */

/* What the other side must prove with its certificate. Each proof stands for itself: it is given anew when a session is resumed. */
enum tls_proof {
    TLS_PROOF_NONE,
    TLS_PROOF_NAME, /* chain, time, and one of the names (RFC 6125: DNS names only; "*" is a whole first label) */
    TLS_PROOF_FINGERPRINT, /* sha256 of the certificate or of its public key */
    TLS_PROOF_DANE,        /* RFC 7672: usage 3 the key alone; usage 2 chain, time and one of the names */
};
/* A TLSA record (RFC 6698). */
struct tls_association {
    uint8_t usage, selector, matching;
    struct span data;
};
/* Usage 2 or 3, and data that is what selector and matching say, to the last byte. Others match nothing. */
bool tls_association_is_usable(const struct tls_association *a);

struct tls_demand {  /* copied; zeroed: nothing is asked */
    const char *sni; /* NULL: none */
    enum tls_proof proof;
    bool
        is_tolerant; /* without the proof the session goes on, and stream_tls_failure() says why it was not given */
    const char *const *names; /* A-labels; what no host can have as its name matches nothing */
    size_t name_count;
    const char *address; /* or an IP address that the certificate is for, with TLS_PROOF_NAME; NULL: none */
    const struct tls_association *associations; /* those that are not usable are passed over */
    size_t association_count;
    const char *const *fingerprints; /* hex, with or without colons */
    size_t fingerprint_count;
    const char *session_key; /* only sessions of an equal key are resumed; NULL: none */
};

/* Why there is no session, or no proof. */
enum tls_failure {
    TLS_FAILURE_NONE,
    TLS_FAILURE_HANDSHAKE, /* or it is not done yet */
    TLS_FAILURE_NOT_TRUSTED,
    TLS_FAILURE_HOST_MISMATCH,
    TLS_FAILURE_EXPIRED, /* or not valid yet */
    TLS_FAILURE_NO_DANE_MATCH,
    TLS_FAILURE_NO_FINGERPRINT_MATCH,
    TLS_FAILURE_NOT_OFFERED, /* by the host: its client knows */
};

/* What a session is. Texts are safe for logs and replies. */
struct tls_info {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
    const char *sni; /* the name asked for, lower case; NULL: none, or none that a host can have */
    bool is_resumed;
    /* The client's certificate leads to client_ca and has not expired. Without this the fingerprint permits nothing. */
    bool is_client_verified;
    bool
        is_server_verified; /* on our side as a client: what was demanded is proven; never for TLS_PROOF_NONE */
    char fingerprint[65];   /* sha256 of the other side's certificate, hex; "" without one */
};

/* Channel bindings (RFC 9266, RFC 5929). */
enum tls_binding { TLS_EXPORTER, TLS_SERVER_END_POINT };

/* The secrets that tickets are made with: the newest makes, all open. For all threads. */
enum { TLS_TICKET_SECRET_BYTES = 32, TLS_TICKET_SECRETS = 2 };
struct tls_ticket_secret {
    uint8_t bytes[TLS_TICKET_SECRET_BYTES];
};
struct tls_tickets *tls_tickets_new(void); /* without secrets: no tickets */
struct tls_tickets *tls_tickets_free(
    struct tls_tickets *t); /* always NULL; when no server uses it any more */
/* Newest first. count 0: no new tickets; those that are out are still taken, until other secrets come. */
void tls_tickets_set(struct tls_tickets *t, const struct tls_ticket_secret *secrets, size_t count);
