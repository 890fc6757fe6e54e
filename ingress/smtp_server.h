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
#include "base/map.h"
#include "mail/addr.h"
#include "mail/envelope.h"
#include "mail/header.h"

enum {
    SMTP_LINE_MAX = 2048, /* a command with its CR LF; RFC 5321 asks for 512, extensions for some more */
    SMTP_AUTH_LINE_MAX = 12288, /* AUTH and what answers a challenge (RFC 4954 section 4) */
    SMTP_SKIP_MAX = 65536,      /* an over-long command is read past up to here, then the session ends */
    SMTP_REPLY_TEXT_MAX = 400,
    SMTP_MECHANISM_MAX = 20, /* RFC 4422 section 3.1 */
};

/* May change between calls; content limits count from DATA or the first BDAT. */
struct smtp_limits {
    uint64_t message_bytes, line_bytes;
    struct header_limits header;
    uint64_t recipients, transactions, errors, junk;
    uint64_t command_ms, data_ms, data_total_ms;
    uint64_t data_rate; /* bytes a second that content must come at, after the first data_ms; 0: any */
    bool requires_fqdn;
};

/* REQUIRED: until there is TLS only NOOP, EHLO, STARTTLS and QUIT are served; until AUTH went well no MAIL. */
enum smtp_tls { SMTP_TLS_OFF, SMTP_TLS_OFFERED, SMTP_TLS_REQUIRED };
enum smtp_auth { SMTP_AUTH_OFF, SMTP_AUTH_OFFERED, SMTP_AUTH_REQUIRED };

/* One bit each: 1u << SMTP_CHUNKING. Those that need another (BINARYMIME: CHUNKING) are offered with it only, REQUIRETLS within TLS only. */
enum smtp_extension {
    SMTP_CHUNKING,
    SMTP_DSN,
    SMTP_UTF8,
    SMTP_REQUIRETLS,
    SMTP_LIMITS,
    SMTP_BINARYMIME,
    SMTP_FUTURERELEASE,
    SMTP_DELIVERBY
};

/* What a listener offers and asks for. Borrowed by the engine: the address stays, its contents may change between calls. */
struct smtp_profile {
    struct smtp_limits limits;
    enum smtp_tls tls;
    enum smtp_auth auth;
    bool auth_without_tls;
    const char *mechanisms;     /* of AUTH without TLS: "PLAIN LOGIN"; "" or NULL: none */
    const char *tls_mechanisms; /* within TLS */
    unsigned extensions;        /* bits of enum smtp_extension */
    uint64_t future_max_ms;     /* FUTURERELEASE: so far ahead */
    uint64_t by_min_s;          /* DELIVERBY: not sooner; 0: any */
    bool normalises_lf; /* for old devices: a bare LF in content is given out as CR LF, and ends a command */
    const char *banner; /* behind our name in the greeting; NULL: "ESMTP" */
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

enum smtp_fault {
    SMTP_FAULT_NONE,
#define SMTP_FAULT(name, closes, code, status, text) SMTP_FAULT_##name,
#include "ingress/smtp_server.def"
#undef SMTP_FAULT
};

/* Where in a line the next byte of content stands. */
enum smtp_place {
    SMTP_LINE_START,
    SMTP_IN_LINE,
    SMTP_AFTER_CR,
    SMTP_DOT,
    SMTP_DOT_CR,
    SMTP_BARE_LF,  /* at one, that becomes CR LF */
    SMTP_LF_START, /* behind one: a dot is taken off, and ends nothing */
};

/* Content under way: lives from 354 to the reply to the dot, or from the first BDAT to the reply to the last. */
struct smtp_content {
    struct header_scan header;
    uint64_t message_max_bytes, line_max_bytes, total_ms, piece_ms, rate;
    uint64_t size_bytes; /* without stuffing */
    uint64_t line_bytes; /* of the line under way */
    uint64_t started_ms;
    uint64_t waited_ms; /* for the owner to take pieces */
    enum smtp_place place;
    enum smtp_fault fault;
    bool is_dropped; /* SMTP_ASK_DROP was asked */
    bool is_ended;   /* CR LF . CR LF came, or all of the last chunk */
    bool is_chunked; /* by BDAT: no dots */
    bool is_binary;  /* any bytes, no lines */
    bool normalises_lf;
};

/* Where in the transaction's text; 0: not said, for the sender is there. */
struct smtp_slot {
    uint32_t addr, orcpt;
    uint32_t notify;
};

struct smtp_transaction {
    struct buf text; /* sender, then recipients and what else was said, each with a NUL */
    struct smtp_slot *recipients;
    size_t recipient_count, recipient_room;
    struct smtp_slot asked;  /* of the RCPT under way, */
    size_t asked_at;         /* which is in text from here on until it is taken */
    struct map known;        /* of many recipients: which there are */
    uint64_t declared_bytes; /* SIZE=, 0: not said */
    uint32_t envid, auth;    /* where in text; 0: not said */
    enum dsn_ret ret;
    bool is_8bit;           /* BODY=8BITMIME */
    bool is_binary;         /* BODY=BINARYMIME */
    bool is_utf8;           /* SMTPUTF8 */
    bool requires_tls;      /* REQUIRETLS */
    uint64_t release_in_ms; /* HOLDFOR; 0: not said */
    uint64_t release_at_ms; /* HOLDUNTIL, since 1970; 0: not said */
    int64_t by_s;           /* BY, with by_mode; from now on */
    enum by_mode by_mode;
    bool by_trace;
    bool has_refused;             /* a recipient was refused */
    bool is_chunked;              /* BDAT was said */
    bool is_last_chunk;           /* LAST was said */
    uint64_t chunk_left;          /* bytes of the chunk under way */
    struct smtp_content *content; /* NULL before content is taken */
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
/* Ends the session with 421 4.4.2 if the deadline has passed. */
void smtp_server_tick(struct smtp_server *s, uint64_t now_ms, struct buf *out);
/* The node is going down: 421 4.3.2 at the next boundary between transactions, maybe now; at_once: also within one, except after its dot. */
void smtp_server_stop(struct smtp_server *s, bool at_once, uint64_t now_ms, struct buf *out);

/* The owner ends the session with a 421 at the next boundary between commands, maybe now, but never in content. Texts: literals. */
void smtp_server_end(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out);

const char *smtp_sender(const struct smtp_transaction *t);    /* "": null */
const char *smtp_envid(const struct smtp_transaction *t);     /* xtext as given; NULL: not said */
const char *smtp_mail_auth(const struct smtp_transaction *t); /* AUTH= decoded; "": <>; NULL: not said */
const char *smtp_recipient(const struct smtp_transaction *t, size_t i);
struct smtp_dsn {
    uint32_t notify;   /* NOTIFY_*; 0: not said */
    const char *orcpt; /* "type;xtext" as given; NULL: not said */
};
struct smtp_dsn smtp_recipient_dsn(const struct smtp_transaction *t, size_t i);
