/*
 * AUTH, and the user it leads to. What a session knows of its user is from the moment of AUTH; as soon as the table of users or tenants has
 * changed, the record is read again before the next command, and the session ends if it may not go on. Where it cannot be read the session goes
 * on, and asks again: a change is never taken for seen before it was.
 */
#include <string.h>

#include "base/mem.h"
#include "ingress/change.h"
#include "ingress/sasl.h"
#include "ingress/session_private.h"

enum { READ_MS = 2000, AGAIN_MS = 1000 };

/* A read that is answered in any case, whether the session is still there or not. */
struct inquiry {
    struct session *session; /* NULL: nobody waits any more */
};

struct login {
    struct sasl *sasl;         /* under way */
    struct sasl_client client; /* what it borrows */
    struct inquiry *inquiry;   /* under way */
    uint64_t users, tenants;   /* versions of the tables that user and tenant are from */
    uint64_t version;          /* of the table that the inquiry asks */
    uint64_t again_ms;         /* not before then, since the last one was not answered */
    bool is_new;               /* AUTH waits for the tenant */
    char mechanism[SMTP_MECHANISM_MAX + 1];
};

static struct inquiry *ask(struct session *s)
{
    must(!s->login->inquiry);
    s->login->inquiry = NEW(struct inquiry);
    s->login->inquiry->session = s;
    s->is_waiting = true;
    return s->login->inquiry;
}

/* The session that asked, NULL if it has gone. */
static struct session *answered(void *context)
{
    struct inquiry *i = context;
    struct session *s = i->session;
    mem_free(i);
    if (s)
        session_check(s)->login->inquiry = NULL;
    return s;
}

const char *session_mechanism(const struct session *s)
{
    return s->who.user ? s->login->mechanism : NULL;
}

void session_stop_auth(struct session *s)
{
    if (!s->login)
        return;
    s->login->sasl = sasl_free(s->login->sasl);
    if (s->login->inquiry)
        s->login->inquiry->session = NULL;
    s->login->inquiry = NULL;
}

void session_logout(struct session *s)
{
    session_stop_auth(s);
    s->who.user = user_unref(s->who.user);
    s->who.tenant = tenant_unref(s->who.tenant);
    s->login = mem_free(s->login);
}

/* ---- the tenant */

static void on_tenant(void *context, enum tenant_answer found, struct tenant *tenant)
{
    static const struct smtp_answer away = {
        .code = 454, .status = "4.7.0", .text = "Your account cannot be looked up now; try again later"};
    struct session *s = answered(context);
    if (!s)
        return;
    bool is_known = found == TENANT_FOUND || found == TENANT_NONE, is_new = s->login->is_new;
    s->login->is_new = false;
    if (!is_known)
        s->login->again_ms = loop_now_ms(s->reactor->loop) + AGAIN_MS;
    if (is_known) {
        s->login->tenants = s->login->version;
        s->who.tenant = tenant_unref(s->who.tenant);
        s->who.tenant = tenant ? tenant_ref(tenant) : NULL;
    }
    if (is_new && !is_known)
        s->who.user = user_unref(s->who.user);
    if (is_new) {
        const struct smtp_answer accepted = sasl_answer(SASL_ACCEPTED);
        session_set_rights(s);
        session_answer(s, is_known ? &accepted : &away);
    }
    session_resume(s);
}

/* True: it comes later. */
static bool looks_up_tenant(struct session *s)
{
    const char *name = s->who.user->tenant;
    s->login->version = change_version(TABLE_TENANTS);
    if (!name || change_is_empty(TABLE_TENANTS)) {
        s->login->tenants = s->login->version;
        s->who.tenant = tenant_unref(s->who.tenant);
        return false;
    }
    tenant_get(s->reactor->store, span_of(name), READ_MS, on_tenant, ask(s));
    return true;
}

/* ---- AUTH */

static void accept_user(struct session *s, struct user *user)
{
    const struct smtp_answer accepted = sasl_answer(SASL_ACCEPTED);
    s->who.user = user_ref(user);
    s->login->is_new = looks_up_tenant(s);
    if (s->login->is_new)
        return;
    session_set_rights(s);
    session_answer(s, &accepted);
    session_resume(s);
}

static void on_result(void *owner, const struct sasl_result *result)
{
    struct session *s = session_check(owner);
    uint64_t now_ms;
    if (result->state == SASL_CHALLENGE) {
        struct buf *out = session_output(s, &now_ms);
        smtp_server_challenge(&s->engine, result->challenge, now_ms, out);
        session_resume(s);
        return;
    }
    s->login->sasl = NULL; /* it frees itself */
    if (result->state == SASL_ACCEPTED) {
        accept_user(s, result->user);
        return;
    }
    const struct smtp_answer answer = sasl_answer(result->state);
    session_answer(s, &answer);
    session_resume(s);
}

static void start(struct session *s)
{
    const struct smtp_sasl *said = s->engine.sasl;
    struct login *login = s->login ? s->login : NEW(struct login);
    s->login = login;
    (void) memccpy(login->mechanism, said->mechanism, '\0',
                   sizeof login->mechanism);    /* as long as the engine's */
    login->users = change_version(TABLE_USERS); /* before the record is read */
    login->client = (struct sasl_client){.ip = &s->who.ip,
                                         .ip_text = s->client_text,
                                         .session = s->id,
                                         .listener = s->who.service->name,
                                         .stream = s->stream,
                                         .is_secured = s->engine.is_secured};
    s->is_waiting = true;
    struct sasl *sasl = sasl_start(s->reactor, s->who.service, &login->client, span_of(login->mechanism),
                                   said->has_response, said->response, on_result, s);
    if (s->login)
        s->login->sasl = sasl;
}

void session_serve_auth(struct session *s)
{
    switch (s->engine.sasl->step) {
    case SMTP_SASL_START: start(s); break;
    case SMTP_SASL_RESPONSE:
        s->is_waiting = true;
        sasl_respond(s->login->sasl, s->engine.sasl->response);
        break;
    case SMTP_SASL_CANCEL:
        session_stop_auth(s);
        session_go_on(s);
        break;
    }
}

/* ---- what has become of the user */

static void on_user(void *context, enum user_answer found, struct user *user)
{
    static const struct smtp_answer changed = {
        .code = 421, .status = "4.7.0", .text = "Your account was changed; log in again"};
    struct session *s = answered(context);
    if (!s)
        return;
    if (found == USER_AWAY || found == USER_BROKEN) {
        s->login->again_ms = loop_now_ms(s->reactor->loop) + AGAIN_MS;
    } else if (!user_may_go_on(s->who.user, found, user)) {
        uint64_t now_ms;
        struct buf *out = session_output(s, &now_ms);
        smtp_server_end(&s->engine, &changed, now_ms, out);
    } else {
        s->login->users = s->login->version;
        if (found == USER_FOUND) {
            s->who.user = user_unref(s->who.user);
            s->who.user = user_ref(user);
        }
        if (looks_up_tenant(s))
            return;
    }
    session_resume(s);
}

bool session_looks_up_user(struct session *s)
{
    if (!s->who.user || s->engine.phase == SMTP_CONTENT || loop_now_ms(s->reactor->loop) < s->login->again_ms)
        return false;
    uint64_t users = change_version(TABLE_USERS);
    if (users != s->login->users) {
        s->login->version = users;
        user_get(s->reactor->store, span_of(s->who.user->name), READ_MS, on_user, ask(s));
        return true;
    }
    return change_version(TABLE_TENANTS) != s->login->tenants && looks_up_tenant(s);
}
