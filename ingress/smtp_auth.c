/*
 * AUTH (RFC 4954): its lines, strict base64, and what may be asked when. Who somebody is the owner finds out. What a client says here is kept no
 * longer than its ask is pending, and wiped.
 */
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "ingress/smtp_private.h"

static void wipe(struct smtp_sasl *sasl)
{
    if (sasl->text.data)
        explicit_bzero(sasl->text.data, sasl->text.cap);
    buf_done(&sasl->text);
    sasl->response = (struct span){0};
}

void smtp_sasl_done(struct smtp_server *s)
{
    if (!s->sasl)
        return;
    wipe(s->sasl);
    s->sasl = mem_free(s->sasl);
}

/* False: it is not base64. */
static bool decode(struct smtp_sasl *sasl, struct span text)
{
    if (base64_decode(text, &sasl->text) < 0)
        return false;
    sasl->response = buf_span(&sasl->text);
    return true;
}

/* The one of those offered, as it is written there; empty: none. */
static struct span find_mechanism(const struct smtp_server *s, struct span name)
{
    struct span rest = span_of(smtp_mechanisms(s));
    while (rest.at) {
        struct span word = span_cut(&rest, ' ');
        if (word.len > 0 && word.len <= SMTP_MECHANISM_MAX && span_equal_nocase(word, name))
            return word;
    }
    return (struct span){0};
}

/* False: AUTH cannot be taken now, and was answered. */
static bool is_auth_due(struct smtp_server *s)
{
    if (s->profile->auth == SMTP_AUTH_OFF)
        smtp_say(s, 502, "5.5.1", "That command is not offered");
    else if (s->phase == SMTP_FIRST)
        smtp_say(s, 503, "5.5.1", "Send EHLO first");
    else if (s->transaction)
        smtp_say(s, 503, "5.5.1", "Not within a transaction");
    else if (s->is_authenticated)
        smtp_say(s, 503, "5.5.1", "You are logged in already");
    else if (!s->is_secured && !s->profile->auth_without_tls)
        smtp_say(s, 538, "5.7.11", "Encryption is needed for that; send STARTTLS first");
    else
        return true;
    return false;
}

/* "PLAIN", "PLAIN =", "PLAIN AHUAcA==". */
void smtp_auth(struct smtp_server *s, struct span argument)
{
    if (!is_auth_due(s))
        return;
    struct span response = argument, name = span_cut(&response, ' ');
    struct span mechanism = find_mechanism(s, name);
    if (name.len == 0) {
        smtp_say(s, 501, "5.5.4", "Use AUTH mechanism");
        return;
    }
    if (mechanism.len == 0) {
        smtp_say(s, 504, "5.5.4", "That mechanism is not offered");
        return;
    }
    s->sasl = NEW(struct smtp_sasl);
    memcpy(s->sasl->mechanism, mechanism.at, mechanism.len);
    s->sasl->step = SMTP_SASL_START;
    s->sasl->has_response = response.len > 0;
    if (response.len > 0 && !span_equal(response, SPAN("=")) && !decode(s->sasl, response)) {
        smtp_sasl_done(s);
        smtp_say(s, 501, "5.5.2", "That is not base64");
        return;
    }
    s->ask = SMTP_ASK_AUTH;
}

void smtp_sasl_cancel(struct smtp_server *s, unsigned code, const char *status, const char *literal)
{
    wipe(s->sasl);
    s->sasl->step = SMTP_SASL_CANCEL;
    s->sasl->refusal = (struct smtp_answer){code, status, literal, NULL, 0};
    s->ask = SMTP_ASK_AUTH;
}

void smtp_sasl_line(struct smtp_server *s, struct span line)
{
    if (span_equal(line, SPAN("*"))) {
        smtp_sasl_cancel(s, 501, "5.7.0", "As you wish");
    } else if (!decode(s->sasl, line)) {
        smtp_sasl_cancel(s, 501, "5.5.2", "That is not base64");
    } else {
        s->sasl->step = SMTP_SASL_RESPONSE;
        s->sasl->has_response = true;
        s->ask = SMTP_ASK_AUTH;
    }
}

void smtp_sasl_challenge(struct smtp_server *s, struct span bytes)
{
    wipe(s->sasl);
    s->phase = SMTP_SASL;
    s->last_code = 334;
    buf_add_text(s->out, "334 ");
    base64_encode(bytes, s->out);
    buf_add(s->out, "\r\n", 2);
}

void smtp_answer_auth(struct smtp_server *s, const struct smtp_answer *a)
{
    struct smtp_answer answer = *a; /* it may lie in what is freed */
    smtp_sasl_done(s);
    s->phase = SMTP_IDLE;
    s->is_authenticated = answer.code == 235;
    smtp_say_answer(s, &answer);
}
