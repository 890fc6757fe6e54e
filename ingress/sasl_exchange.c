/* The engine around the mechanisms, and those in which the client sends its password: PLAIN, LOGIN. */
#include "ingress/sasl_exchange.h"

#include <string.h>

#include "base/mem.h"
#include "cluster/user.h"
#include "ingress/sasl_private.h"

const struct mechanism mechanisms[MECHANISM_COUNT] = {
#define MECHANISM(NAME, name_, step_, prompt_, asks_, help) \
    {.name = name_, .step = exchange_##step_, .prompt = prompt_, .asks = SASL_ASKS_##asks_},
#include "ingress/sasl.def"
#undef MECHANISM
};

const struct mechanism *mechanism_find(struct span name)
{
    for (size_t i = 0; i < MECHANISM_COUNT; i++)
        if (span_equal_nocase(name, span_of(mechanisms[i].name)))
            return &mechanisms[i];
    return NULL;
}

/* ---- what mechanisms share */

void exchange_end(struct exchange *e, enum exchange_state state)
{
    e->state = state;
    buf_wipe(&e->password);
    buf_wipe(&e->token);
}

bool exchange_set_name(struct exchange *e, struct span name)
{
    if (user_name_check(name) < 0)
        return false;
    buf_clear(&e->name);
    buf_add_span(&e->name, name);
    return true;
}

bool exchange_set_password(struct exchange *e, struct span password)
{
    if (password_check(password) < 0)
        return false;
    buf_clear(&e->password);
    buf_add_span(&e->password, password);
    return true;
}

void exchange_challenge(struct exchange *e, struct span challenge)
{
    buf_clear(&e->challenge);
    buf_add_span(&e->challenge, challenge);
    e->state = EXCHANGE_CHALLENGE;
}

/* ---- PLAIN and LOGIN */

/* [authzid] NUL authcid NUL password. To act for somebody else is not possible: an authzid is the authcid again, or nothing (BEHAVIOURS D05). */
void exchange_plain(struct exchange *e, struct span response)
{
    size_t nuls = 0;
    for (size_t i = 0; i < response.len; i++)
        nuls += response.at[i] == '\0';
    if (nuls != 2) {
        exchange_end(e, EXCHANGE_MALFORMED);
        return;
    }
    struct span authzid = span_cut(&response, '\0'), name = span_cut(&response, '\0');
    if (exchange_set_name(e, name) && exchange_set_password(e, response) &&
        (authzid.len == 0 || span_equal(authzid, name)))
        e->state = EXCHANGE_PASSWORD;
    else
        exchange_end(e, EXCHANGE_REFUSED);
}

void exchange_login(struct exchange *e, struct span response)
{
    if (e->step++ == 0) {
        if (exchange_set_name(e, response))
            exchange_challenge(e, SPAN("Password:"));
        else
            exchange_end(e, EXCHANGE_REFUSED);
        return;
    }
    if (exchange_set_password(e, response))
        e->state = EXCHANGE_PASSWORD;
    else
        exchange_end(e, EXCHANGE_REFUSED);
}

/* ---- the engine */

void exchange_begin(struct exchange *e, const struct mechanism *mechanism, const struct exchange_terms *terms,
                    bool has_response, struct span response)
{
    *e = (struct exchange){.mechanism = mechanism, .terms = terms, .state = EXCHANGE_CHALLENGE};
    if (has_response)
        exchange_respond(e, response);
    else
        exchange_challenge(e, span_of(mechanism->prompt));
}

void exchange_respond(struct exchange *e, struct span response)
{
    must(e->state == EXCHANGE_CHALLENGE);
    if (e->is_failed)
        exchange_end(e, EXCHANGE_REFUSED);
    else if (response.len > EXCHANGE_RESPONSE_MAX)
        exchange_end(e, EXCHANGE_MALFORMED);
    else
        e->mechanism->step(e, response);
}

void exchange_judge(struct exchange *e, bool is_right)
{
    must(e->state == EXCHANGE_PASSWORD || e->state == EXCHANGE_TOKEN);
    if (is_right)
        exchange_end(e, EXCHANGE_ACCEPTED);
    else if (e->state == EXCHANGE_TOKEN)
        exchange_refuse_token(e);
    else
        exchange_end(e, EXCHANGE_REFUSED);
}

void exchange_done(struct exchange *e)
{
    buf_wipe(&e->name);
    buf_wipe(&e->password);
    buf_wipe(&e->token);
    buf_wipe(&e->challenge);
    buf_wipe(&e->scram.client_first);
    buf_wipe(&e->scram.server_first);
    buf_wipe(&e->scram.binding);
    buf_wipe(&e->scram.nonce);
    explicit_bzero(e, sizeof *e);
}
