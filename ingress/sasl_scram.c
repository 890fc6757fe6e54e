/*
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: client-first, server-first, client-final, server-final, and an empty response to end it (RFC 4954 has no
 * final message beside 235). Names and passwords are the bytes they are: what SASLprep would change is somebody else's name (RFC 8265 in spirit:
 * control bytes and bad UTF-8 are refused).
 */
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "ingress/sasl_private.h"
#include "io/crypto.h"

enum { SCRAM_FIRST, SCRAM_FINAL, SCRAM_OVER };
enum { CLIENT_NONCE_MAX = 512 };

static struct span span_at(const uint8_t *bytes, size_t len)
{
    return (struct span){.at = (const char *) bytes, .len = len};
}

/* "x=..." gives what is behind the equals sign. */
static bool attribute(struct span part, char name, struct span *ret_value)
{
    if (part.len < 2 || part.at[0] != name || part.at[1] != '=')
        return false;
    *ret_value = (struct span){.at = part.at + 2, .len = part.len - 2};
    return true;
}

static bool is_nonce(struct span nonce)
{
    if (nonce.len == 0 || nonce.len > CLIENT_NONCE_MAX)
        return false;
    for (size_t i = 0; i < nonce.len; i++)
        if (nonce.at[i] < 0x21 || nonce.at[i] > 0x7e || nonce.at[i] == ',')
            return false;
    return true;
}

bool saslname_decode(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        struct span rest = {.at = text.at + i, .len = text.len - i};
        if (c == '=') {
            if (span_starts_nocase(rest, SPAN("=2C")))
                c = ',';
            else if (!span_starts_nocase(rest, SPAN("=3D")))
                return false;
            i += 2;
        }
        buf_add_char(out, c);
    }
    return true;
}

bool gs2_cut(struct span *rest, struct gs2 *ret_gs2)
{
    struct span all = *rest, authzid;
    ret_gs2->flag = span_cut(rest, ',');
    struct span part = span_cut(rest, ',');
    if (rest->at == NULL)
        return false; /* there were no two commas */
    ret_gs2->whole = (struct span){.at = all.at, .len = (size_t) (rest->at - all.at)};
    if (part.len == 0)
        return true;
    return attribute(part, 'a', &authzid) && saslname_decode(authzid, &ret_gs2->authzid);
}

/* ---- client-first */

/* The data the client must have bound itself to: the header, and with "p=" the channel's. */
static bool set_binding(struct exchange *e, const struct gs2 *gs2)
{
    bool is_plus = e->mechanism->asks == SASL_ASKS_BOUND;
    struct span type = {0}, data = {0};
    if (attribute(gs2->flag, 'p', &type)) {
        for (size_t i = 0; i < EXCHANGE_BINDINGS; i++)
            if (e->terms->bindings[i].type && span_equal(type, span_of(e->terms->bindings[i].type)))
                data = e->terms->bindings[i].data;
        if (!is_plus || data.len == 0)
            return false;
    } else if (is_plus) {
        return false;
    } else if (span_equal(gs2->flag, SPAN("y"))) {
        /* It could bind, and thinks we cannot: somebody in between took PLUS out of what we offered (RFC 5802 section 6). */
        if (e->terms->offers_plus)
            return false;
    }
    buf_add_span(&e->scram.binding, gs2->whole);
    buf_add_span(&e->scram.binding, data);
    return true;
}

static bool flag_is_known(struct span flag)
{
    return span_equal(flag, SPAN("n")) || span_equal(flag, SPAN("y")) || span_starts_nocase(flag, SPAN("p="));
}

static enum exchange_state take_first(struct exchange *e, struct span response, struct gs2 *gs2)
{
    AUTO_BUF struct buf name = {0};
    struct span rest = response, bare, text, nonce;
    if (!gs2_cut(&rest, gs2) || !flag_is_known(gs2->flag))
        return EXCHANGE_MALFORMED;
    bare = rest;
    if (!attribute(span_cut(&rest, ','), 'n',
                   &text)) /* "m=" is an extension we must understand, and do not */
        return EXCHANGE_MALFORMED;
    if (!attribute(span_cut(&rest, ','), 'r', &nonce) || !is_nonce(nonce) || !saslname_decode(text, &name))
        return EXCHANGE_MALFORMED;
    if (!exchange_set_name(e, buf_span(&name)) || !set_binding(e, gs2))
        return EXCHANGE_REFUSED;
    if (gs2->authzid.len > 0 && !span_equal(buf_span(&gs2->authzid), buf_span(&name)))
        return EXCHANGE_REFUSED;
    buf_add_span(&e->scram.client_first, bare);
    buf_add_span(&e->scram.nonce, nonce);
    buf_add_span(&e->scram.nonce, e->terms->nonce);
    return EXCHANGE_USER;
}

static void client_first(struct exchange *e, struct span response)
{
    struct gs2 gs2 = {0};
    enum exchange_state state = take_first(e, response, &gs2);
    buf_done(&gs2.authzid);
    if (state == EXCHANGE_USER)
        e->state = state;
    else
        exchange_end(e, state);
}

void exchange_user(struct exchange *e, const struct verifier *verifier)
{
    struct buf *first = &e->scram.server_first;
    must(e->state == EXCHANGE_USER && verifier->kind == VERIFIER_SCRAM);
    e->scram.verifier = *verifier;
    buf_add_text(first, "r=");
    buf_add_span(first, buf_span(&e->scram.nonce));
    buf_add_text(first, ",s=");
    base64_encode(span_at(verifier->salt, verifier->salt_len), first);
    buf_add_text(first, ",i=");
    buf_add_number(first, verifier->iterations);
    exchange_challenge(e, buf_span(first));
    e->step = SCRAM_FINAL;
}

/* ---- client-final */

/* The client's key, out of its proof, is the one whose hash is stored. */
static bool proof_is_right(struct exchange *e, struct span proof, struct span auth_message)
{
    uint8_t signature[SHA256_BYTES], key[SHA256_BYTES], stored[SHA256_BYTES];
    const struct verifier *v = &e->scram.verifier;
    crypto_hmac(span_at(v->stored_key, sizeof v->stored_key), auth_message, signature);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t) proof.at[i] ^ signature[i];
    crypto_sha256(span_at(key, sizeof key), stored);
    explicit_bzero(key, sizeof key);
    return crypto_is_equal(span_at(stored, sizeof stored), span_at(v->stored_key, sizeof v->stored_key));
}

static void say_server_final(struct exchange *e, struct span auth_message)
{
    uint8_t signature[SHA256_BYTES];
    AUTO_BUF struct buf final = {0};
    crypto_hmac(span_at(e->scram.verifier.server_key, VERIFIER_KEY_BYTES), auth_message, signature);
    buf_add_text(&final, "v=");
    base64_encode(span_at(signature, sizeof signature), &final);
    exchange_challenge(e, buf_span(&final));
    e->step = SCRAM_OVER;
}

static void client_final(struct exchange *e, struct span response)
{
    AUTO_BUF struct buf binding = {0}, proof = {0}, message = {0};
    struct span rest = response, text, nonce, proof_text = {0};
    struct span first = span_cut(&rest, ','), second = span_cut(&rest, ',');
    const char *last = response.len > 0 ? memrchr(response.at, ',', response.len) : NULL;
    size_t before = last ? (size_t) (last - response.at) : 0;
    struct span last_part = {.at = response.at + before + 1, .len = last ? response.len - before - 1 : 0};
    if (!rest.at || !attribute(first, 'c', &text) || !attribute(second, 'r', &nonce) ||
        !attribute(last_part, 'p', &proof_text) || base64_decode(text, &binding) < 0 ||
        base64_decode(proof_text, &proof) < 0) {
        exchange_end(e, EXCHANGE_MALFORMED);
        return;
    }
    buf_add_span(&message, buf_span(&e->scram.client_first));
    buf_add_char(&message, ',');
    buf_add_span(&message, buf_span(&e->scram.server_first));
    buf_add_char(&message, ',');
    buf_add_span(&message, (struct span){.at = response.at, .len = before});
    if (proof.len == SHA256_BYTES && crypto_is_equal(buf_span(&binding), buf_span(&e->scram.binding)) &&
        crypto_is_equal(nonce, buf_span(&e->scram.nonce)) &&
        proof_is_right(e, buf_span(&proof), buf_span(&message)))
        say_server_final(e, buf_span(&message));
    else
        exchange_end(e, EXCHANGE_REFUSED);
}

void exchange_scram(struct exchange *e, struct span response)
{
    switch (e->step) {
    case SCRAM_FIRST: client_first(e, response); break;
    case SCRAM_FINAL: client_final(e, response); break;
    default: exchange_end(e, response.len == 0 ? EXCHANGE_ACCEPTED : EXCHANGE_MALFORMED); break;
    }
}

bool exchange_is_proof_next(const struct exchange *e)
{
    return e->mechanism->step == exchange_scram && e->step == SCRAM_FINAL;
}
