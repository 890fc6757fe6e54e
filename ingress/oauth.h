/*
 * Does: asks the introspection end point (RFC 7662) whose a bearer token is, and remembers good answers for a minute, by the token's hash.
 * Does not: look into tokens, log them, or keep them.
 * Owns: the questions under way, the memory of one reactor.
 * Fails: OAUTH_AWAY: no answer in time, or one that is none.
 * See: settings auth.oauth_*.
 */
#pragma once

#include "base/buf.h"
#include "base/conf.h"
#include "io/loop.h"

struct oauth;
struct oauth *oauth_new(struct loop *l);
struct oauth *oauth_free(
    struct oauth *o); /* questions under way are never answered; NULL is fine; always NULL */
/* Whether the settings make sense: -EINVAL with a sentence. */
int oauth_check_conf(const struct conf_auth *conf, char **ret_error);

enum oauth_answer { OAUTH_GOOD, OAUTH_REFUSED, OAUTH_AWAY };
/* user: of OAUTH_GOOD, as the end point names it; valid during the call. Never inside oauth_ask(). */
typedef void oauth_on_answer(void *context, enum oauth_answer answer, struct span user);
struct oauth_call;
struct oauth_call *oauth_ask(struct oauth *o, struct span token, oauth_on_answer *on_answer, void *context);
struct oauth_call *oauth_cancel(struct oauth_call *c); /* NULL is fine; always NULL */
