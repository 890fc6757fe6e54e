/*
 * Does: what the files of the AUTH driver share: one exchange's state, and the way from one step to the next.
 * Does not: serve anybody else (sasl.h).
 * Owns: see struct sasl.
 * Fails: never.
 */
#pragma once

#include "ingress/auth.h"
#include "ingress/reactor.h"
#include "ingress/sasl.h"
#include "ingress/sasl_exchange.h"

enum { SASL_MAGIC = 0x5a51, MECHANISM_NAME_MAX = 32 };

struct sasl {
    unsigned magic;
    bool is_starting;  /* inside sasl_start(): nobody has the pointer yet */
    bool is_over;      /* on_result has had the last state */
    bool is_counted;   /* as a failure */
    bool is_right;     /* what the client showed; the locks are looked at once more */
    bool is_locked;    /* the failure was one too many */
    bool is_uncounted; /* Redis did not say in time that it counted the failure */
    bool is_left;      /* the owner has gone: what still comes finds nobody */
    unsigned waits;    /* answers that come in any case */
    struct reactor *reactor;
    const struct sasl_client *client;
    sasl_on_result *on_result;
    void *owner;
    char mechanism[MECHANISM_NAME_MAX + 1];
    struct exchange exchange;
    struct exchange_terms terms;
    struct buf nonce, bindings[EXCHANGE_BINDINGS];
    struct buf response; /* waits for the locks to be looked at */
    bool has_response;
    struct user *user;
    struct buf foreign; /* the name that Dovecot or the end point vouched for; empty: none yet */
    struct limit_call *look;
    struct auth_check *check;
    struct dovecot_request *dovecot;
    struct oauth_call *oauth;
    struct timer delay;
    bool is_delay_over;
    unsigned counting; /* locks that have not confirmed the failure */
};

/* To the next step, by the engine's state. */
void sasl_advance(struct sasl *s);
/* The last result; s is gone after it. */
void sasl_finish(struct sasl *s, enum sasl_state state);
/* Once for each exchange: for the client, and for the user it names. */
void sasl_count_failure(struct sasl *s);
/* Counts it, and finishes with SASL_REFUSED, or SASL_LOCKED, after the delay. */
void sasl_refuse(struct sasl *s);
/* What the client showed is right: if the locks did not shut meanwhile, sasl_go_on(). */
void sasl_confirm(struct sasl *s);
/* The engine's question is answered. */
void sasl_judge(struct sasl *s, bool is_right);
/* Are the locks open? Asked before anything is done that could tell right from wrong; then sasl_go_on(). */
void sasl_look(struct sasl *s);
void sasl_go_on(struct sasl *s);
/* An answer that could not be taken back has come. False: nobody waits for it any more, and s may be gone. */
bool sasl_is_waiting(struct sasl *s);

/* The user in our own table, for the engine's question. */
void sasl_ask_own(struct sasl *s);
/* Others. */
void sasl_ask_dovecot(struct sasl *s, struct span mechanism, bool has_response, struct span response);
void sasl_ask_dovecot_password(struct sasl *s);
void sasl_ask_oauth(struct sasl *s);
/* s->foreign is who it is: what our own table says of it, and the end. */
void sasl_take_foreign(struct sasl *s);
