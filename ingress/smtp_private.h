/*
 * Does: what the files of the SMTP server engine share: smtp_server.c (calls, replies, life), smtp_command.c (verbs), smtp_content.c, smtp_transaction.c.
 * Does not: concern anybody else; smtp_server.h is the contract.
 * Owns: nothing.
 * Fails: never.
 */
#pragma once

#include "ingress/smtp_server.h"

/* Appends "code status text CR LF" and counts errors; status "" leaves it out. literal: a string of ours. */
void smtp_say(struct smtp_server *s, unsigned code, const char *status, const char *literal);
void smtp_say_span(struct smtp_server *s, unsigned code, const char *status,
                   struct span text); /* made printable, cut */
/* Ends the session after what was said. */
void smtp_close(struct smtp_server *s);
void smtp_end_transaction(struct smtp_server *s);
/* Serves one command line, given without CR LF; has_more: bytes of the client are here already that follow it. */
void smtp_command(struct smtp_server *s, struct span line, bool has_more);
/* RCPT's address was accepted, maybe as another one. */
void smtp_recipient_accepted(struct smtp_server *s, const char *address);

struct smtp_transaction *smtp_transaction_new(struct span sender);
struct smtp_transaction *smtp_transaction_free(struct smtp_transaction *t); /* always NULL */
/* addr.whole and its parts. */
bool smtp_transaction_has(const struct smtp_transaction *t, const struct addr *addr);
void smtp_transaction_add(struct smtp_transaction *t, const struct addr *addr);

struct smtp_content *smtp_content_new(const struct smtp_limits *limits, uint64_t now_ms);
/* Takes bytes; returns how many. *ret_run: the next piece of content among them, unstuffed, maybe empty. */
size_t smtp_content_feed(struct smtp_content *c, struct span in, struct span *ret_run);
