/*
 * Does: asks Dovecot's auth service (the socket that Postfix uses) to run an exchange: one connection per reactor, many requests under way.
 * Does not: know SMTP, or what a user may do. The lines it reads are parsed in dovecot_line.h.
 * Owns: the connection, which comes back by itself; requests until their last answer.
 * Fails: DOVECOT_AWAY: no connection, no answer in time, or an answer that says "temporary".
 * See: Dovecot's "Authentication Protocol" 1.2, client side.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "io/loop.h"
#include "mail/addr.h"

struct dovecot;
/* address: a path, or host:port with a numeric host. -EINVAL with a sentence. */
int dovecot_check(const char *address, char **ret_error);
/* address: a sound one. on_hello: dovecot_has() may say something else now; may be NULL. */
struct dovecot *dovecot_open(struct loop *l, const char *address, void (*on_hello)(void *context),
                             void *context);
struct dovecot *dovecot_close(
    struct dovecot *d); /* requests under way are never answered; NULL is fine; always NULL */
/* As of its last hello; before the first it is taken to have PLAIN. */
bool dovecot_has(const struct dovecot *d, struct span mechanism);

/* Borrowed during the call. */
struct dovecot_client {
    const struct ip *remote, *local; /* local may be NULL */
    const char *session;
    bool is_secured;
};
enum dovecot_answer { DOVECOT_CHALLENGE, DOVECOT_ACCEPTED, DOVECOT_REFUSED, DOVECOT_AWAY };
struct dovecot_result {
    enum dovecot_answer answer;
    struct span challenge; /* decoded; valid during the call */
    struct span user;      /* ACCEPTED: the name as Dovecot has it */
};
/* Each but a challenge is the last, and the request is gone after it. Never inside the calls below. */
typedef void dovecot_on_result(void *context, const struct dovecot_result *result);

struct dovecot_request;
struct dovecot_request *dovecot_ask(struct dovecot *d, const struct dovecot_client *client,
                                    struct span mechanism, bool has_response, struct span response,
                                    uint64_t time_ms, dovecot_on_result *on_result, void *context);
void dovecot_respond(struct dovecot_request *r, struct span response);
struct dovecot_request *dovecot_cancel(struct dovecot_request *r); /* NULL is fine; always NULL */
