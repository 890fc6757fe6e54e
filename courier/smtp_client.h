/*
 * Does: the SMTP or LMTP client of one connection (RFC 5321, 1870, 2033, 2034, 2852, 2920, 3030, 3207, 3461, 4954, 5802, 6152, 6531, 7677, 8689):
 * bytes in, bytes out, one pending ask.
 * Does not: do I/O, keep time, choose hosts, check certificates, or decide what a verdict does. The owner checks its right to send before it
 * answers ASK_DOT.
 * Owns: its buffers. A message is lent to it from smtp_client_send() until smtp_client_result() hands it back.
 * Fails: by verdicts in the message; by `fault` for what is the connection's and not the message's.
 * See: smtp_client.def for the steps; courier/connection.c is its driver.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/conf.h"
#include "mail/dialog.h"
#include "mail/envelope.h"

/* What ended a connection before a message had its verdict. */
enum client_fault {
    FAULT_NONE,
    FAULT_REFUSED, /* no connection, or greeting, EHLO or HELO was not 2xx: the next host may do */
    FAULT_CLOSING, /* 421 (BEHAVIOURS H09) */
    FAULT_LOST,    /* connection lost */
    FAULT_TIMEOUT,
    FAULT_BAD_REPLY, /* not SMTP */
    FAULT_LOOP,      /* the host is this cluster (H22) */
    FAULT_ABORTED,   /* by the owner, before the dot */
    FAULT_TLS, /* TLS is required, and not offered, refused, or (by the owner) failed: the next host may do */
    FAULT_AUTH, /* we could not log in, or the host did not prove that it knows our password (BEHAVIOURS H20) */
    FAULT_UNFIT, /* the host does not offer what the message needs; the connection goes on. The verdict fails, if there is no other host */
};

struct client_message {
    const struct envelope *envelope;
    const uint32_t *recipients; /* which of the envelope's */
    struct verdict *
        verdicts; /* one per recipient; VERDICT_NONE when handed back: not decided (see fault), or to be sent in another transaction (H08) */
    size_t count;
    int64_t by_left_s; /* until envelope.by_ms, with its by_mode */
    void *owner;
    /* set by the engine */
    enum client_fault fault;
    struct verdict
        fault_verdict; /* why, when fault is set: what the undecided get if there is no other host */
    bool is_first;     /* of its connection */
    bool
        was_answered; /* the remote answered something of this transaction but 421 to MAIL: else a reused connection was stale (H15) */
    bool dot_sent;
    bool
        is_dsn_passed; /* the host was told who wants to be notified of what, and does so from here on (RFC 3461 section 5.2) */
};

enum client_ask {
    ASK_REPLY,   /* nothing to do but to feed what the remote says */
    ASK_MESSAGE, /* smtp_client_send() or smtp_client_quit() */
    ASK_CONTENT, /* smtp_client_content() until it is all there or another ask comes, then smtp_client_content_end() */
    ASK_DOT,    /* smtp_client_dot() right after the check, or smtp_client_end(FAULT_ABORTED) */
    ASK_RESULT, /* smtp_client_result() */
    ASK_TLS, /* the host waits for a handshake: smtp_client_secured() after it, or smtp_client_end(FAULT_TLS) */
    ASK_KEY,   /* SCRAM's slow key: smtp_client_key_request(), then smtp_client_key() */
    ASK_CLOSE, /* close the connection: fault and verdict say why */
};

/* Which time limit applies while ASK_REPLY or ASK_CONTENT lasts. */
enum client_limit {
    LIMIT_GREETING,
    LIMIT_COMMAND,
    LIMIT_DATA,
    LIMIT_BLOCK,
    LIMIT_DOT,
    LIMIT_QUIT,
    LIMIT_IDLE
};

struct client_settings {
    const char *helo_name;
    const char *const *own_names; /* a host greeting with one of these is ourselves */
    size_t own_name_count;
};

enum client_tls {
    CLIENT_TLS_NEVER,
    CLIENT_TLS_MAY,  /* where it is offered; a host that refuses it gets the mail in plain */
    CLIENT_TLS_MUST, /* or FAULT_TLS */
};

/* What holds for one connection. All zero: SMTP in plain, without a login. */
struct client_terms {
    enum client_tls tls;
    bool is_lmtp;
    bool is_wrapped;             /* TLS before the greeting: ASK_TLS comes first */
    bool is_private;             /* a unix socket, or otherwise nobody else's: AUTH needs no TLS */
    const char *helo_name;       /* NULL: the settings' */
    const char *user, *password; /* NULL or "": no login */
    const struct conf_list
        *mechanisms;   /* those allowed; NULL or empty: all we know (smtp_client_mechanism.def) */
    const char *nonce; /* SCRAM's; NULL: a random one */
};

enum { CLIENT_KEY_BYTES = 32, CLIENT_ITERATIONS_LEAST = 4096, CLIENT_ITERATIONS_MOST = 1000000 };

struct smtp_client;
/* settings and terms are borrowed until the client is freed. remote: "mx.example.com [192.0.2.1]:25", copied. */
struct smtp_client *smtp_client_new(const struct client_settings *settings, const struct client_terms *terms,
                                    const char *remote);
struct smtp_client *smtp_client_free(struct smtp_client *c); /* always NULL; no message may be lent */

/* From here on what passes is told to d, which is the owner's and lives as long; NULL: to nobody. */
void smtp_client_tell(struct smtp_client *c, struct dialog *d);
enum client_ask smtp_client_ask(const struct smtp_client *c);
enum client_limit smtp_client_limit(const struct smtp_client *c);
/* Bytes from the remote; returns how many were consumed (the rest comes again). Output is appended to out. */
size_t smtp_client_feed(struct smtp_client *c, struct span in, struct buf *out);

/* The handshake is over; is_proven: the host is who it must be. All that was heard in plain is forgotten: EHLO again (RFC 3207 section 4.2). */
void smtp_client_secured(struct smtp_client *c, bool is_proven, struct buf *out);
bool smtp_client_is_secured(const struct smtp_client *c);
/*
 * What PBKDF2-HMAC-SHA-256 is asked for; valid until smtp_client_key() or the connection's end. iterations are CLIENT_ITERATIONS_MOST at most.
 * An equal password, salt and count give an equal key: the owner may keep it.
 */
void smtp_client_key_request(const struct smtp_client *c, struct span *ret_password, struct span *ret_salt,
                             uint32_t *ret_iterations);
void smtp_client_key(struct smtp_client *c, const uint8_t key[static CLIENT_KEY_BYTES], struct buf *out);

/* A message may be sent on ASK_MESSAGE, or while smtp_client_has_room(): behind a dot that is not answered yet, to a host with PIPELINING. */
bool smtp_client_has_room(const struct smtp_client *c);
void smtp_client_send(struct smtp_client *c, struct client_message *m, struct buf *out);
/* The message whose content is asked for. */
struct client_message *smtp_client_current(const struct smtp_client *c);
void smtp_client_content(struct smtp_client *c, struct span content, struct buf *out);
void smtp_client_content_end(struct smtp_client *c, struct buf *out);
void smtp_client_dot(struct smtp_client *c, struct buf *out);
/* The next message that is over, or NULL; its verdicts are set. */
struct client_message *smtp_client_result(struct smtp_client *c);

/* Polite end when nothing is under way. */
void smtp_client_quit(struct smtp_client *c, struct buf *out);
/* The connection is over, or must be: messages under way come back by ASK_RESULT, then ASK_CLOSE. */
void smtp_client_end(struct smtp_client *c, enum client_fault fault, const char *detail);
enum client_fault smtp_client_fault(const struct smtp_client *c);
const struct verdict *smtp_client_fault_verdict(const struct smtp_client *c);
unsigned smtp_client_sent_count(const struct smtp_client *c);  /* messages given to it so far */
unsigned smtp_client_reply_count(const struct smtp_client *c); /* whole replies heard so far */
