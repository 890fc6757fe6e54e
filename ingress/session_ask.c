/* What the engine asks about sender and recipients, TLS, and for whom a proxy speaks. */
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/session_private.h"

/* ---- sender and recipients */

static void on_judged(void *owner, const struct smtp_answer *answer)
{
    struct session *s = session_check(owner);
    s->admission = NULL;
    session_answer(s, answer);
    session_resume(s);
}

void session_serve_sender(struct session *s)
{
    struct smtp_answer answer;
    reactor_refresh(s->reactor);
    session_trace_address(s);
    s->admission = admission_sender(&s->who, &s->engine.address, s->engine.transaction->declared_bytes,
                                    on_judged, s, &answer);
    s->is_waiting = s->admission != NULL;
    if (!s->is_waiting)
        session_answer(s, &answer);
}

void session_serve_recipient(struct session *s)
{
    struct smtp_answer answer;
    session_trace_address(s);
    s->admission = admission_recipient(&s->who, &s->engine.address, on_judged, s, &answer);
    s->is_waiting = s->admission != NULL;
    if (!s->is_waiting)
        session_answer(s, &answer);
}

/* ---- TLS */

void session_serve_tls(struct session *s)
{
    static const struct smtp_answer go = {.code = 220, .status = "2.0.0", .text = "Go ahead"};
    static const struct smtp_answer away = {
        .code = 454, .status = "4.7.0", .text = "TLS cannot be had now; try again later"};
    session_answer(s, session_has_tls(s) ? &go : &away);
}

void session_serve_handshake(struct session *s)
{
    s->is_waiting = true;
    stream_written(s->stream);
    session_start_tls(s);
}

/* ---- XCLIENT: from here on the session is another client's (BEHAVIOURS E08) */

static void on_entered(void *owner, const struct smtp_answer *answer)
{
    struct session *s = session_check(owner);
    s->admission = NULL;
    s->is_charged = answer->code == 220;
    if (answer->code != 220)
        metric_add(METRIC_SESSIONS_REFUSED_TOTAL, 1);
    session_answer(s, answer);
    session_resume(s);
}

/* Whoever logged in with the proxy is none of ours. */
static bool is_xclient_taken(const struct smtp_xclient *x)
{
    return x->has_ip && (!x->login || x->login[0] == '\0');
}

void session_serve_xclient(struct session *s)
{
    static const struct smtp_answer welcome = {.code = 220, .status = "", .text = ""};
    static const struct smtp_answer odd = {
        .code = 501, .status = "5.5.4", .text = "XCLIENT needs an address, and no login is believed"};
    static const struct smtp_answer too_many = {
        .code = 421, .status = "4.7.0", .text = "Too many sessions of that client; try again later"};
    struct smtp_answer answer = welcome;
    if (!is_xclient_taken(s->engine.xclient)) {
        session_answer(s, &odd);
        return;
    }
    session_leave(s);
    session_logout(s);
    s->who.has_certificate = false;
    mem_free(s->client_name);
    s->client_name = s->engine.xclient->name ? mem_string(s->engine.xclient->name) : NULL;
    session_set_client(s, &s->engine.xclient->ip);
    session_set_rights(s);
    if (!session_enter(s)) {
        session_answer(s, &too_many);
        return;
    }
    s->admission = admission_session(&s->who, &s->hold, on_entered, s, &answer);
    s->is_waiting = s->admission != NULL;
    if (!s->is_waiting)
        on_entered(s, &answer);
}
