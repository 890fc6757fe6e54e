/* OAUTHBEARER (RFC 7628) and XOAUTH2: the client shows a bearer token. A refusal is told in JSON first; the client answers it, and gets its 535. */
#include "base/mem.h"
#include "ingress/sasl_private.h"

enum { TOKEN_MAX = 8192 };
static const char separator = '\x01';

/* RFC 6750's b64token. */
static bool is_token(struct span token)
{
    if (token.len == 0 || token.len > TOKEN_MAX)
        return false;
    for (size_t i = 0; i < token.len; i++)
        if (token.at[i] < 0x21 || token.at[i] > 0x7e)
            return false;
    return true;
}

/* key=value pairs, each ended by ^A, and one ^A more at the end. */
static enum exchange_state take_pairs(struct exchange *e, struct span rest, bool has_user)
{
    static const struct span scheme = {.at = "Bearer ", .len = 7};
    struct span token = {0};
    if (rest.len == 0 || rest.at[rest.len - 1] != separator)
        return EXCHANGE_MALFORMED;
    rest.len--;
    while (rest.len > 0) {
        if (rest.at[rest.len - 1] != separator)
            return EXCHANGE_MALFORMED;
        struct span value = span_cut(&rest, separator), key = span_cut(&value, '=');
        if (value.at == NULL)
            return EXCHANGE_MALFORMED;
        if (has_user && span_equal(key, SPAN("user")) && value.len > 0 && !exchange_set_name(e, value))
            return EXCHANGE_REFUSED;
        if (!span_equal(key, SPAN("auth")))
            continue;
        if (token.at != NULL || !span_starts_nocase(value, scheme))
            return EXCHANGE_REFUSED;
        token = span_trim((struct span){.at = value.at + scheme.len, .len = value.len - scheme.len});
    }
    if (!is_token(token))
        return EXCHANGE_REFUSED;
    buf_add_span(&e->token, token);
    return EXCHANGE_TOKEN;
}

/* A refusal of what was not even asked for: told like every other. */
static void take_state(struct exchange *e, enum exchange_state state)
{
    e->state = state;
    if (state == EXCHANGE_MALFORMED)
        exchange_end(e, state);
    else if (state == EXCHANGE_REFUSED)
        exchange_refuse_token(e);
}

void exchange_bearer(struct exchange *e, struct span response)
{
    struct gs2 gs2 = {0};
    enum exchange_state state = EXCHANGE_MALFORMED;
    if (gs2_cut(&response, &gs2) && (span_equal(gs2.flag, SPAN("n")) || span_equal(gs2.flag, SPAN("y"))) &&
        response.len > 0 && response.at[0] == separator) {
        response = (struct span){.at = response.at + 1, .len = response.len - 1};
        state = gs2.authzid.len > 0 && !exchange_set_name(e, buf_span(&gs2.authzid))
                    ? EXCHANGE_REFUSED
                    : take_pairs(e, response, false);
    }
    buf_done(&gs2.authzid);
    take_state(e, state);
}

void exchange_xoauth2(struct exchange *e, struct span response)
{
    take_state(e, take_pairs(e, response, true));
}

void exchange_refuse_token(struct exchange *e)
{
    buf_wipe(&e->token);
    e->is_failed = true;
    exchange_challenge(e, e->mechanism == &mechanisms[MECHANISM_XOAUTH2]
                              ? SPAN("{\"status\":\"401\",\"schemes\":\"bearer\"}")
                              : SPAN("{\"status\":\"invalid_token\"}"));
}
