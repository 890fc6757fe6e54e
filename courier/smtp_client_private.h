/*
 * Does: what the engine's files share: smtp_client.c (life, content), smtp_client_hello.c (greeting, EHLO, STARTTLS), smtp_client_auth.c,
 * smtp_client_envelope.c (MAIL and RCPT) and smtp_client_reply.c (what a transaction's replies come to).
 * Does not: concern anybody else.
 * Owns: see struct smtp_client.
 * Fails: never.
 * Invariants: replies are matched to `expected` in order; at most two transactions live, the second only behind the first one's dot; while TLS or
 * a key is awaited nothing is consumed.
 */
#pragma once

#include "courier/dot_stuffing.h"
#include "courier/smtp_client.h"
#include "mail/reply.h"

enum step {
#define STEP(name, limit, handler) STEP_##name,
#include "courier/smtp_client.def"
#undef STEP
};

enum extension {
#define EXTENSION(name, keyword) EXTENSION_BIT_##name,
#include "courier/smtp_client_extension.def"
#undef EXTENSION
};
enum {
#define EXTENSION(name, keyword) OFFERS_##name = 1u << EXTENSION_BIT_##name,
#include "courier/smtp_client_extension.def"
#undef EXTENSION
};

enum phase {
    PHASE_ENVELOPE,
    PHASE_CONTENT,
    PHASE_DOT_READY, /* content is out, the dot is not */
    PHASE_DOT_SENT,  /* the point of no return: a connection lost here leaves the message in doubt */
    PHASE_OVER,
};

struct transaction {
    struct client_message *message; /* NULL: free */
    enum phase phase;
    bool mail_ok, mail_refused;
    size_t accepted;
    size_t last_rcpt; /* the last recipient named */
    size_t
        dots_owed; /* replies to the dot that are still to come: one, or in LMTP one for each accepted recipient */
    bool *is_accepted; /* per recipient */
    bool is_bdat;      /* content goes by BDAT, piece by piece as it is; "the dot" is BDAT 0 LAST */
};

struct expected {
    enum step step;
    struct transaction *transaction; /* NULL for the connection's own */
    size_t recipient;
};

/* A login under way; wiped when it is over. */
struct login {
    unsigned offered; /* mechanisms of the last EHLO reply, bits in the order of smtp_client_mechanism.def */
    unsigned mechanism;
    unsigned round; /* what we have said so far */
    struct buf
        said; /* our last response as it was sent; until it is sent, when AUTH's line has no room for it */
    bool is_held;                                       /* it was not sent yet */
    struct buf client_first, server_first, nonce, salt; /* SCRAM's messages and what they say */
    uint32_t iterations;
    uint8_t server_signature[CLIENT_KEY_BYTES];
};

struct smtp_client {
    const struct client_settings *settings;
    const struct client_terms *terms;
    char *remote;
    struct dialog *dialog; /* who listens to what passes; NULL: nobody */
    struct reply reply;
    struct transaction slots[2];
    struct transaction *current, *next; /* current is the elder; next only with current */
    struct expected *expected;          /* ring */
    size_t expected_first, expected_count, expected_cap;
    struct dot_stuffing stuffing;
    bool is_ready, is_over, is_quitting;
    bool is_secured, is_proven; /* TLS is on; the host is who it must be */
    bool is_logged_in;
    enum client_ask awaits; /* ASK_TLS or ASK_KEY; ASK_REPLY: neither */
    unsigned extensions;    /* OFFERS_* */
    uint64_t size_limit;    /* 0: none told */
    uint64_t by_least_s;    /* DELIVERBY: the host takes no time shorter than that */
    struct login login;
    enum client_fault fault;
    struct verdict fault_verdict;
    unsigned sent_count, reply_count;
};

typedef void on_reply(struct smtp_client *c, const struct expected *e, struct buf *out);

/* The next reply but those expected already will answer this step. */
void client_expect(struct smtp_client *c, enum step step, struct transaction *t, size_t recipient);
/* The connection is over; what is under way ends with it, in doubt if its dot is out. */
void client_over(struct smtp_client *c, enum client_fault fault, const struct verdict *why);
/* The same with a status of ours, and what the remote just said as its detail. */
void client_over_by_reply(struct smtp_client *c, enum client_fault fault, enum status status);
/* The same with the remote's own verdict; never worse than deferred: another host, or another day, may do. */
void client_end_by_reply(struct smtp_client *c, enum client_fault fault);
/* What passes, for who listens (smtp_client_dialog.c); only with c->dialog. Said: all of out behind `from`. */
void client_tell_heard(const struct smtp_client *c);
void client_tell_said(const struct smtp_client *c, const struct buf *out, size_t from);
void client_tell_secret(const struct smtp_client *c, const struct buf *out, size_t from);
void client_tell_content(const struct smtp_client *c, const struct buf *out, size_t from);
/* The limit of the first step whose reply is owed. */
enum client_limit client_reply_limit(const struct smtp_client *c);

/* Greeting and hello. Ready, or a login first: once all that is to be known of the host was said. */
on_reply client_on_greeting, client_on_ehlo, client_on_helo, client_on_starttls;
unsigned client_reply_class(const struct smtp_client *c);

/* AUTH. */
on_reply client_on_auth;
bool client_has_login(const struct smtp_client *c); /* the terms ask for one */
void client_log_in(struct smtp_client *c, struct buf *out);
void client_read_mechanisms(struct smtp_client *c, struct span words);
/* Takes the words of the reply to AUTH away when they repeat what is secret: replies are logged. */
void client_hide_echo(struct smtp_client *c);
void client_login_wipe(struct smtp_client *c);

/* The envelope. */
bool client_offers(const struct smtp_client *c, unsigned extensions); /* all of these OFFERS_* */
/* The host can take the message; else it is over, with verdicts or FAULT_UNFIT. */
bool client_can_take(const struct smtp_client *c, struct transaction *t);
void client_put_mail(struct smtp_client *c, struct transaction *t, struct buf *out);
/* RCPT for the first recipient from this one on that the host can take; returns which, or the message's count: there is none. */
size_t client_put_rcpt(struct smtp_client *c, struct transaction *t, size_t recipient, struct buf *out);
/* Envelope accepted, at least in part: DATA, or the first BDAT may come. */
void client_put_data(struct smtp_client *c, struct transaction *t, struct buf *out);
/* A piece sent by BDAT is not answered yet: nothing more is said before it is. */
bool client_awaits_piece(const struct smtp_client *c);
