/* What is offered, and the replies. */
#include "ingress/sasl_offer.h"

#include "base/mem.h"
#include "ingress/auth.h"
#include "ingress/reactor.h"
#include "ingress/sasl.h"
#include "ingress/sasl_exchange.h"
#include "ingress/service.h"

static const struct smtp_answer answers[SASL_STATE_COUNT] = {
    [SASL_ACCEPTED] = {.code = 235, .status = "2.7.0", .text = "Authentication succeeded"},
    [SASL_REFUSED] = {.code = 535, .status = "5.7.8", .text = "Authentication failed"},
    [SASL_MALFORMED] = {.code = 501, .status = "5.5.2", .text = "Not what the mechanism asks for"},
    [SASL_AWAY] = {.code = 454,
                   .status = "4.7.0",
                   .text = "Authentication is not possible now; try again later"},
    [SASL_LOCKED] = {.code = 454, .status = "4.7.0", .text = "Too many failures; try again later"},
    [SASL_UNSUPPORTED] = {.code = 504, .status = "5.5.4", .text = "No such mechanism here"},
};

struct smtp_answer sasl_answer(enum sasl_state state)
{
    must(state != SASL_CHALLENGE && state < SASL_STATE_COUNT);
    return answers[state];
}

/* A back end can serve it. */
static bool is_served(struct reactor *r, const struct mechanism *m, bool is_secured)
{
    switch (m->asks) {
    case SASL_ASKS_PASSWORD:
        return auth_has(r->auth, AUTH_USERS) ||
               (auth_has(r->auth, AUTH_DOVECOT) && dovecot_has(auth_dovecot(r->auth), SPAN("PLAIN")));
    case SASL_ASKS_PROOF: return auth_has(r->auth, AUTH_USERS);
    case SASL_ASKS_BOUND: return auth_has(r->auth, AUTH_USERS) && is_secured;
    case SASL_ASKS_TOKEN: return auth_has(r->auth, AUTH_OAUTH);
    }
    return false;
}

/* No list: all of ours, and nothing that only Dovecot has under a name we do not know (BEHAVIOURS D11: CRAM-MD5 is asked for by name). */
static bool is_listed(const struct conf_list *list, struct span name, const struct mechanism *own)
{
    for (size_t i = 0; i < list->count; i++)
        if (span_equal_nocase(name, span_of(list->items[i])))
            return true;
    return list->count == 0 && own != NULL;
}

bool sasl_offers(struct reactor *r, const struct service *service, bool is_secured, struct span name,
                 const struct mechanism **ret_own)
{
    const struct conf_listener *listener = service->conf;
    const struct mechanism *own = mechanism_find(name);
    if ((!is_secured && !listener->auth_without_tls) || !is_listed(&listener->mechanisms, name, own))
        return false;
    *ret_own = own;
    if (own && is_served(r, own, is_secured))
        return true;
    *ret_own = NULL;
    return auth_has(r->auth, AUTH_DOVECOT) && (!own || own->asks != SASL_ASKS_BOUND) &&
           dovecot_has(auth_dovecot(r->auth), name);
}

static void offer(struct reactor *r, const struct service *service, bool is_secured, const char *name,
                  struct buf *out)
{
    const struct mechanism *own;
    if (!sasl_offers(r, service, is_secured, span_of(name), &own))
        return;
    if (out->len > 0)
        buf_add_char(out, ' ');
    buf_add_text(out, name);
}

void sasl_mechanisms(struct reactor *r, const struct service *service, bool is_secured, struct buf *out)
{
    const struct conf_list *list = &service->conf->mechanisms;
    for (size_t i = 0; i < list->count; i++)
        offer(r, service, is_secured, list->items[i], out);
    for (size_t i = 0; list->count == 0 && i < MECHANISM_COUNT; i++)
        offer(r, service, is_secured, mechanisms[i].name, out);
}
