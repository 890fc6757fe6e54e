/*
 * Does: one mail transaction as the SMTP server engine has taken it: sender, recipients, parameters, and its content under way.
 * Does not: change; only the engine (smtp_server.h) does that. It is gone with the next command that ends it.
 * Owns: its text and lists.
 * Fails: never.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "mail/envelope.h"
#include "mail/header.h"

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

const char *smtp_sender(const struct smtp_transaction *t);    /* "": null */
const char *smtp_envid(const struct smtp_transaction *t);     /* xtext as given; NULL: not said */
const char *smtp_mail_auth(const struct smtp_transaction *t); /* AUTH= decoded; "": <>; NULL: not said */
const char *smtp_recipient(const struct smtp_transaction *t, size_t i);
struct smtp_dsn {
    uint32_t notify;   /* NOTIFY_*; 0: not said */
    const char *orcpt; /* "type;xtext" as given; NULL: not said */
};
struct smtp_dsn smtp_recipient_dsn(const struct smtp_transaction *t, size_t i);
