/*
 * Does: gives messages to an SMTP server over some connections at once, one step after the other (no pipelining): a test tool's client.
 * Does not: retry, check a certificate, or deliver mail; that is courier/smtp_client.c.
 * Owns: its loop and connections, for the one call.
 * Fails: each message has an outcome; nothing is left out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "io/tls.h"
#include "mail/addr.h"

struct sender {
    struct ip ip;
    uint16_t port;
    const char *from;
    const char *const *to;
    size_t to_count;
    uint64_t count;
    unsigned sessions;
    uint64_t timeout_ms;
    struct tls_client *tls; /* NULL: plain */
    bool is_tls_first;      /* before the greeting, not by STARTTLS */
    const char *login;      /* what AUTH PLAIN says, in base64; NULL: no AUTH */
    /* Content of message n (from 0), CRLF lines, not dot-stuffed, added to out. */
    void (*content)(void *owner, uint64_t number, struct buf *out);
    /* accepted: the server said 250 to the dot. reply: its words, or what went wrong, printable; id: "" when there is none in them. */
    void (*on_outcome)(void *owner, uint64_t number, bool accepted, struct span reply, const char *id);
    void *owner;
};

/* How many were accepted. */
uint64_t sender_run(const struct sender *s);
/* The word behind "queued as ", when it is an id; else "". Room for ID_TEXT_LEN + 1. */
void sender_find_id(struct span reply, char *ret_id);
/* CRLF lines with a dot before each leading dot, and the final dot; a bare LF or CR becomes CRLF. */
void sender_add_stuffed(struct buf *out, struct span content);
