/*
 * Does: the SMTP server's side of a session as an engine: bytes, answers and ticks in; reply bytes and one pending ask out.
 * Does not: any I/O, policy or storage. While an ask is pending it consumes no input: backpressure and the order of replies under PIPELINING follow.
 * Owns: session and transaction state; a content piece lies in the caller's input.
 * Fails: never; what a client does wrong is answered, and at worst ends in SMTP_ASK_CLOSE.
 * Calls: base and mail only. See: smtp_server.def, RFC 5321, 1870, 2034, 2852, 2920, 3030, 3207, 3461, 4865, 4954, 6152, 6531, 8689, 9422;
 * ingress/README.md for the choices made.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "ingress/smtp_profile.h"
#include "ingress/smtp_transaction.h"
#include "mail/addr.h"
#include "mail/dialog.h"

enum {
    SMTP_LINE_MAX = 2048, /* a command with its CR LF; RFC 5321 asks for 512, extensions for some more */
    SMTP_AUTH_LINE_MAX = 12288, /* AUTH and what answers a challenge (RFC 4954 section 4) */
    SMTP_SKIP_MAX = 65536,      /* an over-long command is read past up to here, then the session ends */
    SMTP_REPLY_TEXT_MAX = 400,
    SMTP_MECHANISM_MAX = 20, /* RFC 4422 section 3.1 */
};

enum smtp_ask {
    SMTP_ASK_NONE,
    SMTP_ASK_SENDER, /* s->address: may a transaction begin with it? Answered 250, 4xx or 5xx. */
    SMTP_ASK_RECIPIENT, /* s->address: is mail for it taken? Answered 250 (maybe with other addresses), 4xx or 5xx. */
    SMTP_ASK_TLS,       /* STARTTLS was said. Answered 220, or 454: it cannot be had now. */
    SMTP_ASK_HANDSHAKE, /* 220 is in the output: send it, start TLS, then smtp_server_secured() */
    SMTP_ASK_AUTH, /* s->sasl: START, RESPONSE: answered by smtp_server_challenge(), or 235, 4xx, 5xx. CANCEL: it is over; smtp_server_go_on(). */
    SMTP_ASK_XCLIENT, /* s->xclient: take the session for this client's. Answered 220: it begins anew, greeted; 4xx or 5xx. */
    SMTP_ASK_BODY, /* the transaction is complete: get ready for content. Answered 354 (said to DATA only), 4xx or 5xx. */
    SMTP_ASK_CONTENT, /* s->content: take it now; smtp_server_go_on() when there is room for more */
    SMTP_ASK_DROP,    /* the content taken so far is not wanted: forget it; smtp_server_go_on() */
    SMTP_ASK_COMMIT,  /* the content has ended and is good. Answered 250, 4xx or 5xx. */
    SMTP_ASK_CLOSE,   /* send what is in the output, then close. No answer. */
};

struct smtp_answer {
    unsigned code;
    const char *status; /* "2.1.5" */
    const char *text;   /* made printable and cut */
    /* RECIPIENT: take these instead; none: the address as asked. */
    const char *const *addresses;
    size_t address_count;
};

/* AUTH under way. An exchange ends with an answer, with CANCEL, or with SMTP_ASK_CLOSE. */
enum smtp_sasl_step { SMTP_SASL_START, SMTP_SASL_RESPONSE, SMTP_SASL_CANCEL };
struct smtp_sasl {
    enum smtp_sasl_step step;
    char mechanism[SMTP_MECHANISM_MAX + 1]; /* one of those offered, in capitals */
    bool has_response;                      /* START: one came with AUTH, maybe an empty one */
    struct span response;                   /* decoded; wiped when the ask is answered */
    struct buf text;                        /* the engine's: what response points into */
    struct smtp_answer refusal;             /* the engine's: what is said after CANCEL */
};

/* What XCLIENT said, decoded. Texts: NULL: not said; "": [UNAVAILABLE] or [TEMPUNAVAIL]. */
struct smtp_xclient {
    bool has_ip, has_destination_ip;
    struct ip ip, destination_ip;
    uint16_t port, destination_port; /* 0: not said */
    char *name, *helo, *login, *proto;
};

enum smtp_phase {
    SMTP_NEW = 0,
    SMTP_FIRST = 1,
    SMTP_IDLE = 2,
    SMTP_OPEN = 4,
    SMTP_AWAY = 8,
    SMTP_CONTENT = 16,
    SMTP_CLOSED = 32,
    SMTP_SASL = 64,     /* a challenge was sent */
    SMTP_BETWEEN = 128, /* two chunks */
};

struct smtp_server {
    const struct smtp_profile *profile;
    const char *name; /* ours; borrowed */
    struct smtp_transaction *transaction;
    struct smtp_sasl *sasl;       /* NULL: no AUTH under way */
    struct smtp_xclient *xclient; /* during its ask */
    struct smtp_skip *skip;       /* NULL: no refused chunk is being read past */
    char *helo;                   /* as said; NULL before */
    struct buf *out;              /* during a call */
    struct dialog *dialog;        /* the owner's: who listens to what is said; NULL: nobody */
    struct addr address;
    struct span content;
    uint64_t now_ms; /* during a call */
    uint64_t deadline_ms;
    uint64_t transactions, errors, junk;
    uint64_t accepted;  /* messages answered 250 */
    uint32_t skipped;   /* bytes of an over-long command read past; 0: none under way */
    uint16_t last_code; /* of the last reply */
    uint8_t phase;      /* enum smtp_phase */
    uint8_t ask;        /* enum smtp_ask */
    bool is_esmtp;
    bool is_stopping;
    bool skipped_cr;
    bool is_secured;         /* by TLS; the owner sets it where TLS comes first (implicit TLS) */
    bool is_authenticated;   /* AUTH went well; the owner may set it after XCLIENT */
    bool is_xclient_allowed; /* the owner's; else there is no such command */
    bool is_auth_believed;  /* the owner's: AUTH= of MAIL is taken as said; else as <> (RFC 4954 section 5) */
    struct smtp_answer end; /* smtp_server_end(): how, code 0: not asked for */
    int64_t
        wall_offset_ms; /* the owner's: clock since 1970 less the clock of now_ms; FUTURERELEASE needs it */
};

/* name and profile are borrowed until smtp_server_done(). */
void smtp_server_init(struct smtp_server *s, const char *name, const struct smtp_profile *profile);
void smtp_server_done(struct smtp_server *s);

/* The greeting: 220, 421 (then SMTP_ASK_CLOSE) or 554 (then only QUIT is served). */
void smtp_server_greet(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out);
/*
 * Takes one step: a command, or a piece of content. Returns the bytes consumed; 0 with no ask pending: more are needed, at most SMTP_AUTH_LINE_MAX in all.
 * Call again with the rest while bytes are consumed and nothing is asked.
 */
size_t smtp_server_feed(struct smtp_server *s, struct span in, uint64_t now_ms, struct buf *out);
/* Answers SENDER, RECIPIENT, TLS, AUTH, XCLIENT, BODY or COMMIT. 421 to any of them ends the session. */
void smtp_server_answer(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out);
/* Answers AUTH: 334 with the bytes, encoded; at most 9,000. */
void smtp_server_challenge(struct smtp_server *s, struct span bytes, uint64_t now_ms, struct buf *out);
/* Answers HANDSHAKE: TLS is there. All that was said before is forgotten; EHLO comes next. */
void smtp_server_secured(struct smtp_server *s, uint64_t now_ms, struct buf *out);
/* Answers CONTENT, DROP, or AUTH with CANCEL. */
void smtp_server_go_on(struct smtp_server *s, uint64_t now_ms, struct buf *out);
/* When the client must have sent more, by the clock of now_ms; 0: nothing is waited for. Partial input never moves it. */
uint64_t smtp_server_deadline(const struct smtp_server *s);
/* The client must hurry: the deadline is no later than this. */
void smtp_server_hurry(struct smtp_server *s, uint64_t deadline_ms);
/* A command that we know, served or not; in any case. */
bool smtp_server_knows(struct span word);
/* Ends the session with 421 4.4.2 if the deadline has passed. */
void smtp_server_tick(struct smtp_server *s, uint64_t now_ms, struct buf *out);
/* The node is going down: 421 4.3.2 at the next boundary between transactions, maybe now; at_once: also within one, except after its dot. */
void smtp_server_stop(struct smtp_server *s, bool at_once, uint64_t now_ms, struct buf *out);

/* The owner ends the session with a 421 at the next boundary between commands, maybe now, but never in content. Texts: literals. */
void smtp_server_end(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out);
