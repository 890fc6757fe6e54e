/*
 * AUTH exchanges: any mechanism, any responses. Who gets in said, byte for byte, what the mechanism asks of user "user" with password "pencil" (SCRAM: the
 * exchange of RFC 7677) or of the token "token"; names that reach the owner are names; nothing is left of a password when it is over.
 * First byte: mechanism, what the channel offers, whether AUTH brings a response; then responses, each ended by two bytes 0xff.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "cluster/user.h"
#include "ingress/sasl_exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RESPONSES_MAX = 6 };
static const char nonce[] = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
static const char client_first[] = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
static const char client_final[] = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                   "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

struct said {
    struct span responses[RESPONSES_MAX];
    size_t count;
};

static const struct verifier *verifier(void)
{
    static struct verifier v;
    struct buf salt = {0};
    if (v.kind == VERIFIER_NONE) {
        must(base64_decode(SPAN("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt) == 0);
        verifier_make_with(SPAN("pencil"), buf_span(&salt), 4096, &v);
        buf_done(&salt);
    }
    return &v;
}

/* Cuts off one response, as a copy of its exact size. False: there is none left. */
static bool next_response(struct span *rest, struct said *said, struct span *ret_response)
{
    if (rest->len == 0 || said->count == RESPONSES_MAX)
        return false;
    size_t len = 0;
    while (len + 1 < rest->len && !((uint8_t) rest->at[len] == 0xff && (uint8_t) rest->at[len + 1] == 0xff))
        len++;
    if (len + 1 >= rest->len)
        len = rest->len;
    char *copy = malloc(len ? len : 1);
    must(copy);
    memcpy(copy, rest->at, len);
    *ret_response = said->responses[said->count++] = (struct span){.at = copy, .len = len};
    size_t gone = len + 2 < rest->len ? len + 2 : rest->len;
    rest->at += gone;
    rest->len -= gone;
    return true;
}

static bool is(const struct said *said, size_t i, const char *text)
{
    return i < said->count && span_equal(said->responses[i], span_of(text));
}

static void check_accepted(const struct exchange *e, const struct exchange_terms *t, const struct said *said,
                           struct span token)
{
    struct span last = said->responses[said->count - 1];
    must(span_equal(buf_span(&e->name), SPAN("user")) || e->mechanism->asks == SASL_ASKS_TOKEN);
    must(e->password.len == 0 && e->token.len == 0);
    switch (e->mechanism->asks) {
    case SASL_ASKS_PASSWORD:
        if (e->mechanism == &mechanisms[MECHANISM_PLAIN])
            must(span_equal(last, SPAN("\0user\0pencil")) || span_equal(last, SPAN("user\0user\0pencil")));
        else
            must(is(said, said->count - 2, "user") && is(said, said->count - 1, "pencil"));
        break;
    case SASL_ASKS_PROOF:
        must(said->count == 3 && is(said, 0, client_first) && is(said, 1, client_final) && last.len == 0);
        break;
    case SASL_ASKS_BOUND: must(!"the RFC's exchange is bound to no channel"); break;
    case SASL_ASKS_TOKEN: must(span_equal(token, SPAN("token"))); break;
    }
    (void) t; /* what was offered is in what was said */
}

/* The owner's part. */
static void answer(struct exchange *e)
{
    switch (e->state) {
    case EXCHANGE_USER:
        must(user_name_check(buf_span(&e->name)) == 0);
        exchange_user(e, verifier());
        must(span_is_text(buf_span(&e->challenge)));
        break;
    case EXCHANGE_PASSWORD:
        must(user_name_check(buf_span(&e->name)) == 0 && password_check(buf_span(&e->password)) == 0);
        exchange_judge(e, span_equal(buf_span(&e->name), SPAN("user")) &&
                              span_equal(buf_span(&e->password), SPAN("pencil")));
        break;
    case EXCHANGE_TOKEN:
        must(e->name.len == 0 || user_name_check(buf_span(&e->name)) == 0);
        must(span_is_text(buf_span(&e->token)) && e->token.len > 0);
        exchange_judge(e, span_equal(buf_span(&e->token), SPAN("token")));
        break;
    default: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exchange e;
    struct said said = {.count = 0};
    struct span response = {0}, token = {0};
    if (size == 0)
        return 0;
    struct span rest = {.at = (const char *) data + 1, .len = size - 1};
    struct exchange_terms t = {.nonce = span_of(nonce), .offers_plus = data[0] & 64};
    if (data[0] & 128)
        t.bindings[0] = (struct exchange_binding){.type = "tls-exporter", .data = SPAN("channel")};
    bool has_response = (data[0] & 32) && next_response(&rest, &said, &response);
    exchange_begin(&e, &mechanisms[(data[0] & 31) % MECHANISM_COUNT], &t, has_response, response);
    for (;;) {
        if (e.state == EXCHANGE_TOKEN && span_equal(buf_span(&e.token), SPAN("token")))
            token = SPAN("token");
        if (e.state == EXCHANGE_CHALLENGE) {
            if (!next_response(&rest, &said, &response))
                break;
            exchange_respond(&e, response);
        } else if (e.state == EXCHANGE_USER || e.state == EXCHANGE_PASSWORD || e.state == EXCHANGE_TOKEN) {
            answer(&e);
        } else {
            break;
        }
    }
    if (e.state == EXCHANGE_ACCEPTED)
        check_accepted(&e, &t, &said, token);
    exchange_done(&e);
    for (size_t i = 0; i < said.count; i++)
        free((void *) (uintptr_t) said.responses[i].at);
    return 0;
}
