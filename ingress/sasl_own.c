/* Users of our own table: the secret behind unknown names first, then the record, then the slow check or the engine's own. */
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/sasl_driver.h"

static void on_checked(void *context, bool is_right)
{
    struct sasl *s = context;
    must(s->magic == SASL_MAGIC);
    s->check = NULL;
    if (is_right && s->user)
        auth_remember(s->reactor->auth, buf_span(&s->exchange.name), &s->user->verifier,
                      buf_span(&s->exchange.password));
    sasl_judge(s, is_right && s->user != NULL);
}

static void check_password(struct sasl *s)
{
    struct auth *a = s->reactor->auth;
    struct span name = buf_span(&s->exchange.name), password = buf_span(&s->exchange.password);
    struct verifier v;
    if (s->user && auth_remembers(a, name, &s->user->verifier, password)) {
        sasl_judge(s, true);
        return;
    }
    if (s->user && s->user->verifier.kind != VERIFIER_NONE)
        v = s->user->verifier;
    else
        auth_make_dummy(a, name, &v);
    metric_add(METRIC_AUTH_CHECKS_TOTAL, 1);
    s->check = auth_check_password(s->reactor->loop, &v, password, on_checked, s);
    explicit_bzero(&v, sizeof v);
    if (!s->check)
        sasl_finish(s, SASL_AWAY);
}

static void give_verifier(struct sasl *s)
{
    struct verifier dummy;
    if (s->user && s->user->verifier.kind == VERIFIER_SCRAM) {
        exchange_user(&s->exchange, &s->user->verifier);
    } else {
        auth_make_dummy(s->reactor->auth, buf_span(&s->exchange.name), &dummy);
        exchange_user(&s->exchange, &dummy);
    }
    sasl_advance(s);
}

/* Its own password decides; who has none, or is not known here, is Dovecot's if there is one. */
static void on_own_user(void *context, enum user_answer answer, struct user *user)
{
    struct sasl *s = context;
    if (!sasl_is_waiting(s))
        return;
    if (answer == USER_AWAY || answer == USER_BROKEN) {
        sasl_finish(s, SASL_AWAY);
        return;
    }
    if (answer == USER_FOUND)
        s->user = user_ref(user);
    if (s->exchange.state == EXCHANGE_USER) {
        give_verifier(s);
    } else if ((!s->user || s->user->verifier.kind == VERIFIER_NONE) &&
               auth_has(s->reactor->auth, AUTH_DOVECOT)) {
        s->user = user_unref(s->user);
        sasl_ask_dovecot_password(s);
    } else {
        check_password(s);
    }
}

static void ask_own_user(struct sasl *s)
{
    s->waits++;
    user_get(s->reactor->store, buf_span(&s->exchange.name), conf_get()->auth.timeout_ms, on_own_user, s);
}

static void on_secret(void *context, bool is_ready)
{
    struct sasl *s = context;
    if (!sasl_is_waiting(s))
        return;
    if (is_ready)
        ask_own_user(s);
    else
        sasl_finish(s, SASL_AWAY);
}

/* The secret before the user: so an unknown one does not take longer, the first time. */
void sasl_ask_own(struct sasl *s)
{
    if (auth_has_secret(s->reactor->auth)) {
        ask_own_user(s);
        return;
    }
    s->waits++;
    auth_fetch_secret(s->reactor->auth, on_secret, s);
}
