/*
 * Does: what the files of the SMTP server engine share: smtp_server.c (calls, replies, life), smtp_line.c, smtp_command.c (verbs),
 * smtp_hello.c, smtp_parameter.c, smtp_auth.c, smtp_dialog.c, smtp_xclient.c, smtp_body.c, smtp_content.c, smtp_transaction.c.
 * Does not: concern anybody else; smtp_server.h is the contract.
 * Owns: nothing.
 * Fails: never.
 */
#pragma once

#include "ingress/smtp_server.h"

/* A chunk that is refused is read past up to this, or to the size of a message if that is more; the reply comes behind it. */
enum { SMTP_CHUNK_SKIP_MAX = 64 << 20 };
struct smtp_skip {
    uint64_t left, until_ms;
    struct smtp_answer answer; /* with texts of its own, below */
    char *status, *text;
};

/* ---- smtp_server.c */

/* Appends "code status text CR LF" and counts errors; status "" leaves it out. literal: a string of ours. */
void smtp_say(struct smtp_server *s, unsigned code, const char *status, const char *literal);
void smtp_say_answer(struct smtp_server *s, const struct smtp_answer *a); /* made printable, cut */
void smtp_say_greeting(struct smtp_server *s);                            /* 220 */
/* Ends the session after what was said. */
void smtp_close(struct smtp_server *s);
void smtp_end_transaction(struct smtp_server *s);
/* The same between two chunks: the content given out so far is to be dropped. */
void smtp_abandon_transaction(struct smtp_server *s);
/* What was said before counts no more: no EHLO, no AUTH, no transaction. */
void smtp_begin_anew(struct smtp_server *s);

/* ---- smtp_dialog.c: the session as it is told; only with s->dialog */

/* What the next bytes of the client are, by the state they meet. */
enum smtp_heard { SMTP_HEARD_NOTHING, SMTP_HEARD_COMMAND, SMTP_HEARD_SECRET, SMTP_HEARD_CONTENT };
enum smtp_heard smtp_what_comes(const struct smtp_server *s);
/* in: what the engine has taken of them. */
void smtp_tell_heard(struct smtp_server *s, enum smtp_heard heard, struct span in);
void smtp_tell_said(struct smtp_server *s); /* in this call */

/* ---- lines and verbs */

/* Takes a line, or a part of one that is too long. */
size_t smtp_feed_line(struct smtp_server *s, struct span in);
/* line: without its end; has_more: bytes of the client are here already that follow it. */
void smtp_serve_command(struct smtp_server *s, struct span line, bool has_more);
bool smtp_is_ascii(struct span s);
bool smtp_tls_is_due(const struct smtp_server *s);
bool smtp_offers(const struct smtp_server *s, enum smtp_extension extension);
/* Those of AUTH as things are now; "": none. */
const char *smtp_mechanisms(const struct smtp_server *s);
/* A host name in the widest use, or an address literal; nothing that could not stand in a Received field (BEHAVIOURS B04, G08). */
bool smtp_is_host(struct span name);
/* RCPT's address was accepted, maybe as others. */
void smtp_recipient_accepted(struct smtp_server *s, const struct smtp_answer *a);
/* Into the transaction; false: it was answered. */
bool smtp_take_parameters(struct smtp_server *s, struct span rest, bool is_mail);

void smtp_ehlo(struct smtp_server *s, struct span argument);
void smtp_helo(struct smtp_server *s, struct span argument);
void smtp_auth(struct smtp_server *s, struct span argument);
void smtp_xclient(struct smtp_server *s, struct span argument);
void smtp_bdat(struct smtp_server *s, struct span argument);

/* ---- AUTH, XCLIENT, content */

void smtp_sasl_line(struct smtp_server *s, struct span line); /* answers a challenge */
void smtp_sasl_cancel(struct smtp_server *s, unsigned code, const char *status, const char *literal);
void smtp_sasl_done(struct smtp_server *s);                         /* the exchange is over: wiped */
void smtp_sasl_challenge(struct smtp_server *s, struct span bytes); /* 334 */
void smtp_answer_auth(struct smtp_server *s, const struct smtp_answer *a);
void smtp_xclient_done(struct smtp_server *s);
size_t smtp_feed_content(struct smtp_server *s, struct span in);
/* After each piece, and where a chunk begins: what to ask next. */
void smtp_advance_content(struct smtp_server *s);
void smtp_content_deadline(struct smtp_server *s);
/* When all of the content must be here, by the time it may take and the rate it must come at. */
uint64_t smtp_content_until(const struct smtp_content *c);
/* Reads past the bytes of a chunk, then gives the answer. */
void smtp_skip_chunk(struct smtp_server *s, uint64_t bytes, const struct smtp_answer *a);
size_t smtp_feed_skip(struct smtp_server *s, struct span in);
void smtp_skip_done(struct smtp_server *s);

/* ---- transactions and content */

struct smtp_transaction *smtp_transaction_new(struct span sender);
struct smtp_transaction *smtp_transaction_free(struct smtp_transaction *t); /* always NULL */
/* A copy, and where it is in t->text; a copy of addr, with its parts pointing into the text until more is kept. */
uint32_t smtp_transaction_keep(struct smtp_transaction *t, struct span text);
void smtp_transaction_keep_addr(struct smtp_transaction *t, struct addr *addr);
void smtp_transaction_point(const struct smtp_transaction *t, uint32_t at, struct addr *addr);
/* addr.whole and its parts. */
bool smtp_transaction_has(const struct smtp_transaction *t, const struct addr *addr);
/* With what t->asked says. */
void smtp_transaction_add(struct smtp_transaction *t, const struct addr *addr);
/* Takes back the recipients from that many on. */
void smtp_transaction_cut(struct smtp_transaction *t, size_t recipient_count);

struct smtp_content *smtp_content_new(const struct smtp_profile *profile, const struct smtp_transaction *t,
                                      uint64_t now_ms);
/* Takes bytes; returns how many. *ret_run: the next piece of content among them, unstuffed, maybe empty. */
size_t smtp_content_feed(struct smtp_content *c, struct span in, struct span *ret_run);
/* The last chunk is all there. */
void smtp_content_end(struct smtp_content *c);
void smtp_content_refuse(struct smtp_content *c, enum smtp_fault fault);
