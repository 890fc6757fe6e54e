/*
 * Does: the server's side of an AUTH exchange as an engine: decoded responses and answers in; challenges and one pending question out.
 * Does not: any I/O: who a user is, whether a password or token is right, locks and delays are the owner's (sasl.c).
 * Owns: what the client said, wiped at the end.
 * Fails: never; what is wrong ends in EXCHANGE_REFUSED or EXCHANGE_MALFORMED.
 * See: sasl.def for the mechanisms; RFC 4616, 5802, 7677, 9266, 7628.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "cluster/verifier.h"

enum sasl_asks { SASL_ASKS_PASSWORD, SASL_ASKS_PROOF, SASL_ASKS_BOUND, SASL_ASKS_TOKEN };

struct exchange;
struct mechanism {
    const char *name;
    void (*step)(struct exchange *e, struct span response);
    const char *prompt;
    enum sasl_asks asks;
};
/* In any case; NULL: none of ours. */
const struct mechanism *mechanism_find(struct span name);
enum mechanism_number {
#define MECHANISM(NAME, name, step, prompt, asks, help) MECHANISM_##NAME,
#include "ingress/sasl.def"
#undef MECHANISM
    MECHANISM_COUNT
};
extern const struct mechanism mechanisms[MECHANISM_COUNT];

enum exchange_state {
    EXCHANGE_CHALLENGE, /* say e->challenge; then exchange_respond() */
    EXCHANGE_USER,      /* whose verifier? e->name; exchange_user() */
    EXCHANGE_PASSWORD,  /* is e->password that of e->name? exchange_judge() */
    EXCHANGE_TOKEN,     /* is e->token good for e->name (empty: whoever it names)? exchange_judge() */
    EXCHANGE_ACCEPTED,  /* e->name is who it says */
    EXCHANGE_REFUSED,
    EXCHANGE_MALFORMED, /* not of the grammar */
};

/* What the owner brings to an exchange; borrowed. */
enum { EXCHANGE_NONCE_BYTES = 24, EXCHANGE_BINDINGS = 2 };
struct exchange_binding {
    const char *type; /* "tls-exporter", "tls-server-end-point" */
    struct span data; /* empty: not to be had on this channel */
};
struct exchange_terms {
    struct span nonce; /* ours: printable, no comma */
    struct exchange_binding bindings[EXCHANGE_BINDINGS];
    bool offers_plus; /* SCRAM-SHA-256-PLUS was offered to this client */
};

enum { EXCHANGE_RESPONSE_MAX = 12288 };
struct exchange {
    const struct mechanism *mechanism;
    const struct exchange_terms *terms;
    enum exchange_state state;
    unsigned step;  /* the mechanism's own */
    bool is_failed; /* the last challenge tells why; whatever comes is refused */
    struct buf name, password, token, challenge;
    struct { /* SCRAM */
        struct buf client_first, server_first, binding, nonce;
        struct verifier verifier;
    } scram;
};

/* response: decoded; has_response false: none came. */
void exchange_begin(struct exchange *e, const struct mechanism *mechanism, const struct exchange_terms *terms,
                    bool has_response, struct span response);
void exchange_respond(struct exchange *e, struct span response);
/* A SCRAM verifier: the user's, or one that no proof fits. */
void exchange_user(struct exchange *e, const struct verifier *verifier);
void exchange_judge(struct exchange *e, bool is_right);
void exchange_done(struct exchange *e); /* wipes and frees */
/* The next response decides, by itself, whether the client is who it says. */
bool exchange_is_proof_next(const struct exchange *e);
