/*
 * The SMTP client engine: AUTH (RFC 4954) by SCRAM-SHA-256 (RFC 5802, 7677), PLAIN (RFC 4616) or LOGIN. A password is said inside TLS, or where
 * nobody else listens; what was made of it is wiped. Names and passwords are the bytes they are: no SASLprep. A host that does not know our
 * password, and says 235 all the same, is not the host it should be.
 */
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "courier/smtp_client_private.h"
#include "io/crypto.h"

enum { LINE_MAX_BYTES = 510 /* of a command, RFC 5321 section 4.5.3.1.4 */, NONCE_BYTES = 24 };

/* What one round comes to. */
enum answer {
    ANSWER_SAY, /* the response */
    ANSWER_WAIT /* for the key */,
    ANSWER_MALFORMED, /* the challenge was */
    ANSWER_UNPROVEN,
};

/* ---- PLAIN and LOGIN: what they ask is known before ---- */

static enum answer answer_plain(struct smtp_client *c, struct span challenge UNUSED, struct buf *response)
{
    buf_add_char(response, '\0');
    buf_add_text(response, c->terms->user);
    buf_add_char(response, '\0');
    buf_add_text(response, c->terms->password ? c->terms->password : "");
    return ANSWER_SAY;
}

static enum answer answer_login(struct smtp_client *c, struct span challenge UNUSED, struct buf *response)
{
    if (c->login.round == 0)
        buf_add_text(response, c->terms->user);
    else
        buf_add_text(response, c->terms->password ? c->terms->password : "");
    return ANSWER_SAY;
}

/* ---- SCRAM ---- */

static struct span span_at(const uint8_t *bytes, size_t len)
{
    return (struct span){.at = (const char *) bytes, .len = len};
}

/* "x=..." gives what is behind the equals sign. */
static bool attribute(struct span part, char name, struct span *ret_value)
{
    if (part.len < 3 || part.at[0] != name || part.at[1] != '=')
        return false;
    *ret_value = (struct span){.at = part.at + 2, .len = part.len - 2};
    return true;
}

static void put_saslname(const char *name, struct buf *out)
{
    for (const char *p = name; *p; p++) {
        if (*p == ',')
            buf_add_text(out, "=2C");
        else if (*p == '=')
            buf_add_text(out, "=3D");
        else
            buf_add_char(out, *p);
    }
}

static enum answer client_first(struct smtp_client *c, struct buf *response)
{
    struct login *l = &c->login;
    uint8_t random[NONCE_BYTES];

    if (c->terms->nonce) {
        buf_add_text(&l->nonce, c->terms->nonce);
    } else {
        crypto_random(random, sizeof(random));
        base64_encode(span_at(random, sizeof(random)), &l->nonce);
    }
    buf_add_text(&l->client_first, "n=");
    put_saslname(c->terms->user, &l->client_first);
    buf_add_text(&l->client_first, ",r=");
    buf_add_span(&l->client_first, buf_span(&l->nonce));
    buf_add_text(response, "n,,");
    buf_add_span(response, buf_span(&l->client_first));
    return ANSWER_SAY;
}

/* Ours, and something of the host's behind it. */
static bool is_our_nonce(const struct login *l, struct span nonce)
{
    if (nonce.len <= l->nonce.len || memcmp(nonce.at, l->nonce.data, l->nonce.len) != 0)
        return false;
    for (size_t i = 0; i < nonce.len; i++) {
        if (nonce.at[i] < 0x21 || nonce.at[i] > 0x7e)
            return false;
    }
    return true;
}

/* "r=nonce,s=salt,i=iterations", and what may stand behind it. "m=" in front is an extension we would have to understand. */
static enum answer server_first(struct smtp_client *c, struct span challenge)
{
    struct login *l = &c->login;
    struct span rest = challenge, nonce, salt, count;
    uint64_t iterations;

    if (!attribute(span_cut(&rest, ','), 'r', &nonce) || !attribute(span_cut(&rest, ','), 's', &salt) ||
        !attribute(span_cut(&rest, ','), 'i', &count) || base64_decode(salt, &l->salt) < 0 ||
        span_number(count, CLIENT_ITERATIONS_MOST, &iterations) < 0 || iterations < CLIENT_ITERATIONS_LEAST)
        return ANSWER_MALFORMED;
    if (!is_our_nonce(l, nonce))
        return ANSWER_UNPROVEN;
    buf_clear(&l->nonce);
    buf_add_span(&l->nonce, nonce);
    buf_add_span(&l->server_first, challenge);
    l->iterations = (uint32_t) iterations;
    c->awaits = ASK_KEY;
    return ANSWER_WAIT;
}

/* "v=signature"; anything else, "e=error" too, comes from who does not know our password. */
static enum answer server_final(struct smtp_client *c, struct span challenge)
{
    AUTO_BUF struct buf signature = {0};
    struct span rest = challenge, text;

    if (!attribute(span_cut(&rest, ','), 'v', &text) || base64_decode(text, &signature) < 0 ||
        !crypto_is_equal(buf_span(&signature),
                         span_at(c->login.server_signature, sizeof(c->login.server_signature))))
        return ANSWER_UNPROVEN;
    return ANSWER_SAY; /* nothing: the round is all that is asked for */
}

static enum answer answer_scram(struct smtp_client *c, struct span challenge, struct buf *response)
{
    AUTO_BUF struct buf text = {0};

    if (c->login.round == 0)
        return client_first(c, response);
    if (base64_decode(challenge, &text) < 0)
        return ANSWER_MALFORMED;
    return c->login.round == 1 ? server_first(c, buf_span(&text)) : server_final(c, buf_span(&text));
}

void smtp_client_key_request(const struct smtp_client *c, struct span *ret_password, struct span *ret_salt,
                             uint32_t *ret_iterations)
{
    must(c->awaits == ASK_KEY);
    *ret_password = span_of(c->terms->password);
    *ret_salt = buf_span(&c->login.salt);
    *ret_iterations = c->login.iterations;
}

/* The client's proof, and the signature to expect of the host: RFC 5802 section 3. */
static void put_proof(struct login *l, const uint8_t key[static CLIENT_KEY_BYTES], struct span message,
                      struct buf *out)
{
    uint8_t client_key[SHA256_BYTES], stored_key[SHA256_BYTES], proof[SHA256_BYTES], server_key[SHA256_BYTES];
    struct span salted = span_at(key, CLIENT_KEY_BYTES);

    crypto_hmac(salted, SPAN("Client Key"), client_key);
    crypto_sha256(span_at(client_key, sizeof(client_key)), stored_key);
    crypto_hmac(span_at(stored_key, sizeof(stored_key)), message, proof);
    for (size_t i = 0; i < sizeof(proof); i++)
        proof[i] ^= client_key[i];
    crypto_hmac(salted, SPAN("Server Key"), server_key);
    crypto_hmac(span_at(server_key, sizeof(server_key)), message, l->server_signature);
    base64_encode(span_at(proof, sizeof(proof)), out);
    explicit_bzero(client_key, sizeof(client_key));
    explicit_bzero(stored_key, sizeof(stored_key));
    explicit_bzero(server_key, sizeof(server_key));
}

/* ---- the exchange ---- */

struct mechanism {
    const char *keyword;
    unsigned rounds;
    bool speaks_first;
    enum answer (*answer)(struct smtp_client *c, struct span challenge, struct buf *response);
};

static const struct mechanism mechanisms[] = {
#define MECHANISM(name, keyword, rounds, speaks_first, answer) {keyword, rounds, speaks_first, answer},
#include "courier/smtp_client_mechanism.def"
#undef MECHANISM
};

bool client_has_login(const struct smtp_client *c)
{
    return c->terms->user && *c->terms->user;
}

void client_read_mechanisms(struct smtp_client *c, struct span words)
{
    while (words.len > 0) {
        struct span word = span_cut(&words, ' ');

        for (unsigned i = 0; i < ARRAY_LEN(mechanisms); i++) {
            if (span_equal_nocase(word, span_of(mechanisms[i].keyword)))
                c->login.offered |= 1u << i;
        }
    }
}

static bool is_allowed(const struct conf_list *list, const char *keyword)
{
    if (!list || list->count == 0)
        return true;
    for (size_t i = 0; i < list->count; i++) {
        if (span_equal_nocase(span_of(list->items[i]), span_of(keyword)))
            return true;
    }
    return false;
}

static void end_login(struct smtp_client *c, enum status status, const char *detail)
{
    struct verdict why = {0};

    verdict_set(&why, status, detail);
    why.remote = (mem_free(why.remote), mem_string(c->remote));
    client_over(c, FAULT_AUTH, &why);
    client_login_wipe(c);
    verdict_done(&why);
}

/* The response just made is our next line; bytes become base64 in l->said. */
static void say(struct smtp_client *c, struct buf *response, struct buf *out)
{
    struct login *l = &c->login;

    buf_wipe(&l->said);
    base64_encode(buf_span(response), &l->said);
    buf_add_span(out, buf_span(&l->said));
    buf_add_text(out, "\r\n");
    client_expect(c, STEP_AUTH, NULL, 0);
    l->round++;
}

/* AUTH, with the first response where the line has room for it (RFC 4954 section 4). */
static void begin(struct smtp_client *c, struct buf *out)
{
    const struct mechanism *m = &mechanisms[c->login.mechanism];
    struct login *l = &c->login;
    struct buf response = {0};

    buf_printf(out, "AUTH %s", m->keyword);
    if (m->speaks_first) {
        must(m->answer(c, (struct span){0}, &response) == ANSWER_SAY);
        base64_encode(buf_span(&response), &l->said);
        l->is_held = strlen("AUTH  ") + strlen(m->keyword) + l->said.len > LINE_MAX_BYTES;
        l->round++;
        buf_wipe(&response);
        if (!l->is_held) {
            buf_add_char(out, ' ');
            buf_add_span(out, buf_span(&l->said));
        }
    }
    buf_add_text(out, "\r\n");
    client_expect(c, STEP_AUTH, NULL, 0);
}

void client_log_in(struct smtp_client *c, struct buf *out)
{
    if (!c->is_secured && !c->terms->is_private) {
        end_login(c, STATUS_AUTH_NOT_OFFERED, "not without TLS");
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(mechanisms); i++) {
        if ((c->login.offered & 1u << i) && is_allowed(c->terms->mechanisms, mechanisms[i].keyword)) {
            c->login.mechanism = i;
            begin(c, out);
            return;
        }
    }
    end_login(c, STATUS_AUTH_NOT_OFFERED, NULL);
}

static void on_challenge(struct smtp_client *c, struct buf *out)
{
    const struct mechanism *m = &mechanisms[c->login.mechanism];
    struct login *l = &c->login;
    struct buf response = {0};

    if (l->is_held) {
        l->is_held = false;
        buf_add_span(out, buf_span(&l->said));
        buf_add_text(out, "\r\n");
        client_expect(c, STEP_AUTH, NULL, 0);
        return;
    }
    if (l->round == m->rounds || c->reply.line_count > 1) {
        end_login(c, STATUS_AUTH_REFUSED, "a challenge out of place");
        return;
    }
    switch (m->answer(c, buf_span(&c->reply.text), &response)) {
    case ANSWER_SAY: say(c, &response, out); break;
    case ANSWER_WAIT: break;
    case ANSWER_MALFORMED: end_login(c, STATUS_AUTH_REFUSED, "a challenge that is not understood"); break;
    case ANSWER_UNPROVEN: end_login(c, STATUS_AUTH_UNPROVEN, NULL); break;
    }
    buf_wipe(&response);
}

void smtp_client_key(struct smtp_client *c, const uint8_t key[static CLIENT_KEY_BYTES], struct buf *out)
{
    struct login *l = &c->login;
    AUTO_BUF struct buf message = {0};
    struct buf response = {0};
    size_t from = out->len;

    must(c->awaits == ASK_KEY && !c->is_over);
    c->awaits = ASK_REPLY;
    buf_add_text(&response, "c=biws,r="); /* "n,,": no binding to the channel */
    buf_add_span(&response, buf_span(&l->nonce));
    buf_add_span(&message, buf_span(&l->client_first));
    buf_add_char(&message, ',');
    buf_add_span(&message, buf_span(&l->server_first));
    buf_add_char(&message, ',');
    buf_add_span(&message, buf_span(&response));
    buf_add_text(&response, ",p=");
    put_proof(l, key, buf_span(&message), &response);
    say(c, &response, out);
    if (c->dialog)
        client_tell_secret(c, out, from);
    buf_wipe(&response);
}

void client_on_auth(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out)
{
    const struct mechanism *m = &mechanisms[c->login.mechanism];
    unsigned class = client_reply_class(c);

    if (c->reply.code == 334) {
        on_challenge(c, out);
    } else if (class == 4 || class == 5) {
        client_over_by_reply(c, FAULT_AUTH, STATUS_AUTH_REFUSED);
        client_login_wipe(c);
    } else if (c->reply.code != 235) {
        end_login(c, STATUS_AUTH_REFUSED, "an answer to AUTH out of place");
    } else if (c->login.round < m->rounds || c->login.is_held) { /* it took us in unseen */
        end_login(c, STATUS_AUTH_UNPROVEN, NULL);
    } else {
        client_login_wipe(c);
        c->is_ready = c->is_logged_in = true;
    }
}

/* ---- secrets ---- */

static bool repeats(struct span text, struct span secret)
{
    return secret.len > 0 && memmem(text.at, text.len, secret.at, secret.len);
}

void client_hide_echo(struct smtp_client *c)
{
    struct span text = buf_span(&c->reply.text);

    if (c->reply.code != 334 &&
        (repeats(text, buf_span(&c->login.said)) || repeats(text, span_of(c->terms->password))))
        buf_clear(&c->reply.text);
}

void client_login_wipe(struct smtp_client *c)
{
    struct login *l = &c->login;

    buf_wipe(&l->said);
    buf_wipe(&l->client_first);
    buf_wipe(&l->server_first);
    buf_wipe(&l->nonce);
    buf_wipe(&l->salt);
    explicit_bzero(l, sizeof(*l));
}
