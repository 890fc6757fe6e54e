/*
 * Does: what the files of the exchange engine share: the steps of the mechanisms, and how they end.
 * Does not: serve anybody else (sasl_exchange.h).
 * Owns: nothing.
 * Fails: the setters say false for what can be no name or password.
 */
#pragma once

#include "ingress/sasl_exchange.h"

#define MECHANISM(NAME, name, step, prompt, asks, help) \
    void exchange_##step(struct exchange *e, struct span response);
#include "ingress/sasl.def"
#undef MECHANISM

/* The password and token are wiped. */
void exchange_end(struct exchange *e, enum exchange_state state);
void exchange_challenge(struct exchange *e, struct span challenge);
bool exchange_set_name(struct exchange *e, struct span name);
bool exchange_set_password(struct exchange *e, struct span password);
/* Says why as the mechanism wants it; the client's next response, whatever it is, is refused. */
void exchange_refuse_token(struct exchange *e);

/* A gs2 header (RFC 5801): "n,a=name,". */
struct gs2 {
    struct span whole;  /* with its second comma */
    struct span flag;   /* "n", "y", "p=..." */
    struct buf authzid; /* decoded; empty: none */
};
/* Cuts it off *rest. False: it is none; the authzid is the caller's to free in any case. */
bool gs2_cut(struct span *rest, struct gs2 *ret_gs2);
/* A saslname: "=2C" is a comma, "=3D" an equals sign. */
bool saslname_decode(struct span text, struct buf *out);
