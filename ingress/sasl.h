/*
 * Does: one AUTH exchange of a session: mechanisms, user, password, lock-out, delay after a failure; asks the back ends (auth.h).
 * Does not: know SMTP: base64, "*" and the replies are the session's and the engine's; sasl_reply() says which reply belongs to a state.
 * Owns: the exchange and its secrets, wiped with it.
 * Fails: never; every outcome is a state. Nothing of what was said is logged, but a name that was refused, made printable.
 * See: RFC 4954, 4422, 4616, 5802, 7677, 9266, 7628; BEHAVIOURS D03-D12.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "cluster/user.h"
#include "ingress/smtp_server.h"
#include "mail/addr.h"

struct reactor;
struct service;
struct stream;

/* All pointers are borrowed for the life of the exchange. */
struct sasl_client {
    const struct ip *ip;
    const char *ip_text, *session, *listener;
    struct stream *stream; /* for channel binding; NULL: there is none */
    bool is_secured;
};

enum sasl_state {
    SASL_CHALLENGE,   /* 334: sasl_respond() goes on */
    SASL_ACCEPTED,    /* 235 */
    SASL_REFUSED,     /* 535 5.7.8; comes after auth.failure_delay */
    SASL_MALFORMED,   /* 501 5.5.2: not of the mechanism's grammar */
    SASL_AWAY,        /* 454 4.7.0: store or back end away, or too busy */
    SASL_LOCKED,      /* 454 4.7.0: too many failures; the password was not looked at */
    SASL_UNSUPPORTED, /* 504 5.5.4: not a mechanism offered here */
    SASL_STATE_COUNT
};
struct sasl_result {
    enum sasl_state state;
    struct span challenge; /* bytes, not base64; valid during the call */
    struct user *user;     /* SASL_ACCEPTED: user_ref() it to keep it */
};
/* May come inside sasl_start() and sasl_respond(). Each but SASL_CHALLENGE is the last. */
typedef void sasl_on_result(void *owner, const struct sasl_result *result);

struct sasl;
/* response: decoded; has_response false: none came with AUTH ("=" is an empty one). sasl_free() may be called inside on_result. */
struct sasl *sasl_start(struct reactor *r, const struct service *service, const struct sasl_client *client,
                        struct span mechanism, bool has_response, struct span response,
                        sasl_on_result *on_result, void *owner);
void sasl_respond(struct sasl *s, struct span response);
struct sasl *sasl_free(struct sasl *s); /* also while it waits: nothing comes any more; always NULL */

/* The reply that belongs to a state other than SASL_CHALLENGE. */
struct smtp_answer sasl_answer(enum sasl_state state);
/* "PLAIN LOGIN ...": what EHLO offers; empty: no AUTH. */
void sasl_mechanisms(struct reactor *r, const struct service *service, bool is_secured, struct buf *out);
