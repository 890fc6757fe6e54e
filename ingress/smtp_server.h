/*
 * Does: the SMTP server's side of a session as an engine: bytes, answers and ticks in; reply bytes and one pending ask out.
 * Does not: any I/O, policy or storage. While an ask is pending it consumes no input: backpressure and the order of replies under PIPELINING follow.
 * Owns: session and transaction state; a content piece lies in the caller's input.
 * Fails: never; what a client does wrong is answered, and at worst ends in SMTP_ASK_CLOSE.
 * Calls: base and mail only. See: smtp_server.def, RFC 5321, RFC 1870, RFC 2034, RFC 2920, RFC 6152; ingress/README.md for the choices made.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "mail/addr.h"
#include "mail/header.h"

enum {
    SMTP_LINE_MAX = 2048,  /* a command with its CR LF; RFC 5321 asks for 512, extensions for some more */
    SMTP_SKIP_MAX = 65536, /* an over-long command is read past up to here, then the session ends */
    SMTP_REPLY_TEXT_MAX = 400,
};

/* Borrowed by the engine; may change between calls, content limits count from DATA. */
struct smtp_limits {
    uint64_t message_bytes, line_bytes;
    struct header_limits header;
    uint64_t recipients, transactions, errors, junk;
    uint64_t command_ms, data_ms, data_total_ms;
    bool requires_fqdn;
};

enum smtp_ask {
    SMTP_ASK_NONE,
    SMTP_ASK_SENDER, /* s->address: may a transaction begin with it? Answered 250, 4xx or 5xx. STARTTLS and AUTH get asks of their own beside it. */
    SMTP_ASK_RECIPIENT, /* s->address: is mail for it taken? Answered 250 (maybe with another address), 4xx or 5xx. */
    SMTP_ASK_BODY,    /* the transaction is complete: get ready for content. Answered 354, 4xx or 5xx. */
    SMTP_ASK_CONTENT, /* s->content: take it now; smtp_server_go_on() when there is room for more */
    SMTP_ASK_DROP,    /* the content taken so far is not wanted: forget it; smtp_server_go_on() */
    SMTP_ASK_COMMIT,  /* the content has ended and is good. Answered 250, 4xx or 5xx. */
    SMTP_ASK_CLOSE,   /* send what is in the output, then close. No answer. */
};

struct smtp_answer {
    unsigned code;
    const char *status;  /* "2.1.5" */
    const char *text;    /* made printable and cut */
    const char *address; /* RECIPIENT: take this address instead; else NULL */
};

enum smtp_fault {
    SMTP_FAULT_NONE,
#define SMTP_FAULT(name, closes, code, status, text) SMTP_FAULT_##name,
#include "ingress/smtp_server.def"
#undef SMTP_FAULT
};

/* Where in a line the next byte of content stands. */
enum smtp_place { SMTP_LINE_START, SMTP_IN_LINE, SMTP_AFTER_CR, SMTP_DOT, SMTP_DOT_CR };

/* Content under way: lives from 354 to the reply to the dot. */
struct smtp_content {
    struct header_scan header;
    uint64_t message_max_bytes, line_max_bytes, total_ms, piece_ms;
    uint64_t size_bytes; /* without stuffing */
    uint64_t line_bytes; /* of the line under way */
    uint64_t started_ms;
    enum smtp_place place;
    enum smtp_fault fault;
    bool is_dropped; /* SMTP_ASK_DROP was asked */
    bool is_ended;   /* CR LF . CR LF came */
};

struct smtp_transaction {
    struct buf text;      /* sender, then recipients, each with a NUL */
    uint32_t *recipients; /* where in text */
    size_t recipient_count, recipient_room;
    struct map known;             /* of many recipients: which there are */
    uint64_t declared_bytes;      /* SIZE=, 0: not said */
    bool is_8bit;                 /* BODY=8BITMIME */
    bool has_refused;             /* a recipient was refused */
    struct smtp_content *content; /* NULL before 354 */
};

enum smtp_phase {
    SMTP_NEW = 0,
    SMTP_FIRST = 1,
    SMTP_IDLE = 2,
    SMTP_OPEN = 4,
    SMTP_AWAY = 8,
    SMTP_CONTENT = 16,
    SMTP_CLOSED = 32
};

struct smtp_server {
    const struct smtp_limits *limits;
    const char *name; /* ours; borrowed */
    struct smtp_transaction *transaction;
    char *helo;      /* as said; NULL before */
    struct buf *out; /* during a call */
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
};

/* name and limits are borrowed until smtp_server_done(). */
void smtp_server_init(struct smtp_server *s, const char *name, const struct smtp_limits *limits);
void smtp_server_done(struct smtp_server *s);

/* The greeting: 220, 421 (then SMTP_ASK_CLOSE) or 554 (then only QUIT is served). */
void smtp_server_greet(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out);
/*
 * Takes one step: a command, or a piece of content. Returns the bytes consumed; 0 with no ask pending: more are needed, at most SMTP_LINE_MAX in all.
 * Call again with the rest while bytes are consumed and nothing is asked.
 */
size_t smtp_server_feed(struct smtp_server *s, struct span in, uint64_t now_ms, struct buf *out);
/* Answers SENDER, RECIPIENT, BODY or COMMIT. */
void smtp_server_answer(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out);
/* Answers CONTENT or DROP. */
void smtp_server_go_on(struct smtp_server *s, uint64_t now_ms, struct buf *out);
/* When the client must have sent more, by the clock of now_ms; 0: nothing is waited for. Partial input never moves it. */
uint64_t smtp_server_deadline(const struct smtp_server *s);
/* Ends the session with 421 4.4.2 if the deadline has passed. */
void smtp_server_tick(struct smtp_server *s, uint64_t now_ms, struct buf *out);
/* The node is going down: 421 4.3.2 at the next boundary between transactions, maybe now; at_once: also within one, except after its dot. */
void smtp_server_stop(struct smtp_server *s, bool at_once, uint64_t now_ms, struct buf *out);

const char *smtp_sender(const struct smtp_transaction *t); /* "": null */
const char *smtp_recipient(const struct smtp_transaction *t, size_t i);
