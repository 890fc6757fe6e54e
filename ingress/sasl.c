/*
 * The driver of one AUTH exchange. Normal path: the engine (sasl_exchange.h) asks whose verifier, or whether a password or token is right; before
 * any answer the locks are looked at; then the user's record, the slow check, 235. A failure is counted at once, for client and user, and answered
 * after a delay. An unknown user takes the same path with a verifier that no password fits (BEHAVIOURS D08).
 */
#include "ingress/sasl.h"

#include <string.h>

#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/sasl_driver.h"
#include "ingress/sasl_offer.h"
#include "io/crypto.h"
#include "io/stream.h"

/* ---- the end */

static void sasl_wipe(struct sasl *s)
{
    timer_stop(&s->delay);
    if (s->look)
        limit_cancel(STEAL(s->look));
    s->check = auth_check_cancel(s->check);
    s->dovecot = dovecot_cancel(s->dovecot);
    s->oauth = oauth_cancel(s->oauth);
    exchange_done(&s->exchange);
    s->user = user_unref(s->user);
    buf_wipe(&s->response);
    buf_done(&s->foreign);
    buf_done(&s->nonce);
    for (size_t i = 0; i < EXCHANGE_BINDINGS; i++)
        buf_wipe(&s->bindings[i]);
}

static void sasl_drop(struct sasl *s)
{
    if (s->waits > 0 || s->is_starting)
        return;
    s->magic = 0;
    mem_free(s);
}

struct sasl *sasl_free(struct sasl *s)
{
    if (!s || s->is_over)
        return NULL;
    must(s->magic == SASL_MAGIC);
    s->is_over = s->is_left = true;
    if (s->check || s->oauth || (s->dovecot && s->exchange.state == EXCHANGE_PASSWORD))
        sasl_count_failure(s); /* who does not wait to hear whether it was right pays as if it was not */
    sasl_wipe(s);
    sasl_drop(s);
    return NULL;
}

static struct span name_of(const struct sasl *s)
{
    return s->user ? span_of(s->user->name) : buf_span(&s->exchange.name);
}

static void tell(const struct sasl *s, enum sasl_state state)
{
    static const char *const why[SASL_STATE_COUNT] = {[SASL_REFUSED] = "refused",
                                                      [SASL_MALFORMED] = "malformed",
                                                      [SASL_AWAY] = "away",
                                                      [SASL_LOCKED] = "locked"};
    static const enum metric metrics[SASL_STATE_COUNT] = {[SASL_ACCEPTED] = METRIC_AUTH_TOTAL,
                                                          [SASL_REFUSED] = METRIC_AUTH_REFUSED_TOTAL,
                                                          [SASL_MALFORMED] = METRIC_AUTH_REFUSED_TOTAL,
                                                          [SASL_AWAY] = METRIC_AUTH_AWAY_TOTAL,
                                                          [SASL_LOCKED] = METRIC_AUTH_LOCKED_TOTAL};
    enum log_event event = state == SASL_ACCEPTED ? LOG_AUTHENTICATED : LOG_AUTH_FAILED;
    metric_add(metrics[state], 1);
    if (!log_is_on(event))
        return;
    if (state == SASL_ACCEPTED)
        log_event(event, F("session", s->client->session), F("client", s->client->ip_text),
                  F("listener", s->client->listener), FS("user", name_of(s)), F("mechanism", s->mechanism));
    else
        log_event(event, F("session", s->client->session), F("client", s->client->ip_text),
                  F("listener", s->client->listener), FS("user", name_of(s)), F("mechanism", s->mechanism),
                  F("why", why[state]));
}

void sasl_finish(struct sasl *s, enum sasl_state state)
{
    const struct sasl_result result = {.state = state, .user = state == SASL_ACCEPTED ? s->user : NULL};
    tell(s, state);
    s->is_over = true;
    s->on_result(s->owner, &result);
    s->is_left = true;
    sasl_wipe(s);
    sasl_drop(s);
}

bool sasl_is_waiting(struct sasl *s)
{
    must(s->magic == SASL_MAGIC);
    s->waits--;
    if (s->is_left)
        sasl_drop(s);
    else
        return true;
    return false;
}

/* ---- the steps */

void sasl_judge(struct sasl *s, bool is_right)
{
    if (is_right) {
        sasl_confirm(s);
        return;
    }
    sasl_count_failure(s); /* now: the client may not stay for its answer */
    exchange_judge(&s->exchange, false);
    sasl_advance(s);
}

/* Right, and the locks are open still: whoever tries many passwords at once learns no more of them than one after the other. */
static void go_on_confirmed(struct sasl *s)
{
    struct exchange *e = &s->exchange;
    s->is_right = false;
    if (e->mechanism == NULL) {
        sasl_take_foreign(s);
        return;
    }
    if (e->state == EXCHANGE_PASSWORD || e->state == EXCHANGE_TOKEN)
        exchange_judge(e, true);
    sasl_advance(s);
}

/* The locks are open: what was asked may be answered. */
void sasl_go_on(struct sasl *s)
{
    struct exchange *e = &s->exchange;
    if (s->is_right) {
        go_on_confirmed(s);
    } else if (s->has_response) {
        s->has_response = false;
        exchange_respond(e, buf_span(&s->response));
        buf_wipe(&s->response);
        if (e->state == EXCHANGE_CHALLENGE) /* a proof that is right */
            sasl_confirm(s);
        else
            sasl_advance(s);
    } else if (e->mechanism == NULL) {
        sasl_ask_dovecot(s, span_of(s->mechanism), s->response.data != NULL, buf_span(&s->response));
        buf_wipe(&s->response);
    } else if (e->state == EXCHANGE_TOKEN) {
        sasl_ask_oauth(s);
    } else if (auth_has(s->reactor->auth, AUTH_USERS)) {
        sasl_ask_own(s);
    } else {
        sasl_ask_dovecot_password(s);
    }
}

static void accept_exchange(struct sasl *s)
{
    if (s->foreign.len > 0) {
        sasl_take_foreign(s);
        return;
    }
    must(s->user != NULL);
    if (s->user->is_disabled)
        sasl_refuse(s);
    else
        sasl_finish(s, SASL_ACCEPTED);
}

void sasl_advance(struct sasl *s)
{
    const struct sasl_result challenge = {.state = SASL_CHALLENGE,
                                          .challenge = buf_span(&s->exchange.challenge)};
    switch (s->exchange.state) {
    case EXCHANGE_CHALLENGE: s->on_result(s->owner, &challenge); break;
    case EXCHANGE_USER:
    case EXCHANGE_PASSWORD:
    case EXCHANGE_TOKEN: sasl_look(s); break;
    case EXCHANGE_ACCEPTED: accept_exchange(s); break;
    case EXCHANGE_REFUSED: sasl_refuse(s); break;
    case EXCHANGE_MALFORMED: sasl_finish(s, SASL_MALFORMED); break;
    }
}

void sasl_respond(struct sasl *s, struct span response)
{
    must(s->magic == SASL_MAGIC && !s->is_over);
    if (s->dovecot) {
        dovecot_respond(s->dovecot, response);
    } else if (s->exchange.mechanism && exchange_is_proof_next(&s->exchange)) {
        buf_add_span(&s->response, response);
        s->has_response = true;
        sasl_look(s);
    } else {
        exchange_respond(&s->exchange, response);
        sasl_advance(s);
    }
}

/* ---- the start */

static void set_terms(struct sasl *s, bool offers_plus)
{
    static const struct {
        const char *type;
        enum tls_binding which;
    } types[EXCHANGE_BINDINGS] = {{"tls-exporter", TLS_EXPORTER},
                                  {"tls-server-end-point", TLS_SERVER_END_POINT}};
    uint8_t nonce[EXCHANGE_NONCE_BYTES];
    crypto_random(nonce, sizeof nonce);
    base64_encode((struct span){.at = (const char *) nonce, .len = sizeof nonce}, &s->nonce);
    s->terms.nonce = buf_span(&s->nonce);
    s->terms.offers_plus = offers_plus;
    if (!s->client->stream || !s->client->is_secured)
        return;
    for (size_t i = 0; i < EXCHANGE_BINDINGS; i++) {
        if (stream_tls_binding(s->client->stream, types[i].which, &s->bindings[i]) >= 0)
            s->terms.bindings[i] = (struct exchange_binding){.type = types[i].type,
                                                             .data = buf_span(&s->bindings[i])};
    }
}

static void begin(struct sasl *s, const struct mechanism *own, bool has_response, struct span response)
{
    if (own) {
        exchange_begin(&s->exchange, own, &s->terms, has_response, response);
        sasl_advance(s);
        return;
    }
    if (has_response) {
        buf_add_span(&s->response, response);
        (void) buf_reserve(&s->response, 1); /* an empty one is one, too */
    }
    sasl_look(s);
}

struct sasl *sasl_start(struct reactor *r, const struct service *service, const struct sasl_client *client,
                        struct span mechanism, bool has_response, struct span response,
                        sasl_on_result *on_result, void *owner)
{
    static const struct sasl_result unsupported = {.state = SASL_UNSUPPORTED};
    const struct mechanism *own = NULL;
    if (mechanism.len > MECHANISM_NAME_MAX || !sasl_offers(r, service, client->is_secured, mechanism, &own)) {
        on_result(owner, &unsupported);
        return NULL;
    }
    struct sasl *s = NEW(struct sasl);
    s->magic = SASL_MAGIC;
    s->reactor = r;
    s->client = client;
    s->on_result = on_result;
    s->owner = owner;
    s->is_starting = true;
    memcpy(s->mechanism, mechanism.at, mechanism.len);
    for (char *c = s->mechanism; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char) (*c - 'a' + 'A') : *c;
    if (own && (own->asks == SASL_ASKS_PROOF || own->asks == SASL_ASKS_BOUND)) {
        const struct mechanism *plus;
        set_terms(s, sasl_offers(r, service, client->is_secured, SPAN("SCRAM-SHA-256-PLUS"), &plus));
    }
    begin(s, own, has_response, response);
    s->is_starting = false;
    if (!s->is_over)
        return s;
    sasl_drop(s);
    return NULL;
}
