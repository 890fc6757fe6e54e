/*
 * Does: what the AUTH exchanges of one reactor share: back ends, slow checks of passwords on other threads, a memory of those that were right, the
 *       cluster's secret behind unknown names.
 * Does not: run an exchange (sasl.h).
 * Owns: the connections to back ends; checks under way until they end.
 * Fails: auth_check() -EINVAL with a sentence.
 */
#pragma once

#include <stdbool.h>

#include "cluster/user.h"
#include "cluster/verifier.h"
#include "ingress/dovecot.h"
#include "ingress/oauth.h"

struct reactor;

enum auth_backend { AUTH_USERS, AUTH_DOVECOT, AUTH_OAUTH, AUTH_BACKEND_COUNT };

struct auth;
int auth_check(const struct conf *conf, char **ret_error);
struct auth *auth_new(struct reactor *r);
struct auth *auth_free(struct auth *a); /* no exchange is under way; always NULL */
bool auth_has(const struct auth *a, enum auth_backend backend);
struct dovecot *auth_dovecot(struct auth *a); /* NULL unless it is one of the back ends; the same below */
struct oauth *auth_oauth(struct auth *a);

/*
 * The secret that the verifiers of unknown names are made of; the same on all nodes, so that none can be told from a real one by asking twice.
 * on_ready comes once, never inside; false: the store is away. Cannot be taken back.
 */
bool auth_has_secret(const struct auth *a);
void auth_fetch_secret(struct auth *a, void (*on_ready)(void *context, bool is_ready), void *context);
/* A SCRAM verifier that no password fits, always the same for a name. Needs the secret. */
void auth_make_dummy(const struct auth *a, struct span name, struct verifier *ret_verifier);

/* Passwords that were right against this very verifier lately. */
bool auth_remembers(const struct auth *a, struct span name, const struct verifier *v, struct span password);
void auth_remember(struct auth *a, struct span name, const struct verifier *v, struct span password);

/* A check on another thread; NULL: too many are under way in this process. on_checked comes once, never inside. */
struct auth_check;
struct auth_check *auth_check_password(struct loop *l, const struct verifier *v, struct span password,
                                       void (*on_checked)(void *context, bool is_right), void *context);
struct auth_check *auth_check_cancel(
    struct auth_check *c); /* it runs on, unheard; NULL is fine; always NULL */
