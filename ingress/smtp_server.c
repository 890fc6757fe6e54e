/*
 * The SMTP server engine: calls, replies, and the life of a session.
 *
 * Normal path: NEW -> greeting -> FIRST -> EHLO -> IDLE -> MAIL -> OPEN -> DATA -> CONTENT -> reply to the dot -> IDLE.
 * By chunks: OPEN -> BDAT -> CONTENT -> BETWEEN -> BDAT -> CONTENT ... -> reply to the last -> IDLE.
 * STARTTLS and XCLIENT lead back to FIRST. AUTH: IDLE -> (challenge -> SASL -> response ...) -> IDLE.
 * Abort path: smtp_close() from anywhere. Special: a 554 greeting leads to AWAY, where only QUIT is served.
 * Every way out of a transaction goes through smtp_end_transaction(), so that no state outlives it (BEHAVIOURS B07).
 */
#include "ingress/smtp_server.h"

#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_private.h"

void smtp_server_init(struct smtp_server *s, const char *name, const struct smtp_profile *profile)
{
    *s = (struct smtp_server){.name = name, .profile = profile, .phase = SMTP_NEW};
}

void smtp_server_done(struct smtp_server *s)
{
    s->transaction = smtp_transaction_free(s->transaction);
    s->helo = mem_free(s->helo);
    smtp_sasl_done(s);
    smtp_xclient_done(s);
    smtp_skip_done(s);
}

/* ---- replies */

static void count_reply(struct smtp_server *s, unsigned code)
{
    s->last_code = (uint16_t) code;
    if (code >= 500)
        s->errors++;
}

static void add_start(struct buf *out, unsigned code, const char *status)
{
    char digits[4] = {(char) ('0' + code / 100), (char) ('0' + code / 10 % 10), (char) ('0' + code % 10),
                      ' '};
    buf_add(out, digits, sizeof digits);
    if (status[0] != '\0') {
        buf_add_text(out, status);
        buf_add_char(out, ' ');
    }
}

void smtp_say(struct smtp_server *s, unsigned code, const char *status, const char *literal)
{
    count_reply(s, code);
    add_start(s->out, code, status);
    buf_add_text(s->out, literal);
    buf_add(s->out, "\r\n", 2);
}

void smtp_say_answer(struct smtp_server *s, const struct smtp_answer *a)
{
    must(a->code >= 200 && a->code < 600);
    count_reply(s, a->code);
    add_start(s->out, a->code, a->status);
    buf_add_printable(s->out, span_of(a->text), SMTP_REPLY_TEXT_MAX);
    buf_add(s->out, "\r\n", 2);
}

void smtp_say_greeting(struct smtp_server *s)
{
    const char *banner = s->profile->banner ? s->profile->banner : "ESMTP";
    s->last_code = 220;
    add_start(s->out, 220, "");
    buf_add_text(s->out, s->name);
    buf_add_char(s->out, ' ');
    buf_add_printable(s->out, span_of(banner), SMTP_REPLY_TEXT_MAX / 2);
    buf_add(s->out, "\r\n", 2);
}

/* ---- endings */

void smtp_close(struct smtp_server *s)
{
    smtp_end_transaction(s);
    smtp_sasl_done(s);
    smtp_skip_done(s);
    s->phase = SMTP_CLOSED;
    s->ask = SMTP_ASK_CLOSE;
}

void smtp_end_transaction(struct smtp_server *s)
{
    s->transaction = smtp_transaction_free(s->transaction);
    s->address = (struct addr){0};
    s->content = (struct span){0};
    if (s->phase == SMTP_OPEN || s->phase == SMTP_CONTENT || s->phase == SMTP_BETWEEN)
        s->phase = SMTP_IDLE;
}

void smtp_abandon_transaction(struct smtp_server *s)
{
    bool has_content = s->phase == SMTP_BETWEEN;
    smtp_end_transaction(s);
    if (has_content)
        s->ask = SMTP_ASK_DROP;
}

void smtp_begin_anew(struct smtp_server *s)
{
    smtp_end_transaction(s);
    s->helo = mem_free(s->helo);
    s->is_esmtp = s->is_authenticated = false;
    s->phase = SMTP_FIRST;
}

/* ---- limits and the end of the node */

static void start_call(struct smtp_server *s, uint64_t now_ms, struct buf *out)
{
    s->now_ms = now_ms;
    s->out = out;
    if (s->dialog)
        s->dialog->from = out->len;
}

/* Nothing is half said, in either direction. */
static bool is_at_boundary(const struct smtp_server *s)
{
    return s->ask == SMTP_ASK_NONE && !s->skip && s->phase != SMTP_CONTENT && s->phase != SMTP_NEW &&
           s->phase != SMTP_CLOSED;
}

static void set_command_deadline(struct smtp_server *s)
{
    s->deadline_ms = s->now_ms + s->profile->limits.command_ms;
    if (s->phase != SMTP_BETWEEN)
        return;
    uint64_t until_ms = smtp_content_until(s->transaction->content);
    if (until_ms < s->deadline_ms)
        s->deadline_ms = until_ms;
}

/* What every call does last: the session may have used up its errors, or the owner wants its end. used: input, or an answer. */
static void end_call(struct smtp_server *s, size_t used)
{
    if (used > 0 && s->errors > s->profile->limits.errors && s->phase != SMTP_CONTENT &&
        s->phase != SMTP_CLOSED && !s->skip) {
        smtp_say(s, 421, "4.7.0", "Too many errors");
        smtp_close(s);
    }
    if (s->end.code != 0 && is_at_boundary(s)) {
        smtp_say_answer(s, &s->end);
        smtp_close(s);
    }
    if (s->is_stopping && is_at_boundary(s) && !s->transaction && s->phase != SMTP_AWAY) {
        smtp_say(s, 421, "4.3.2", "The server is going down");
        smtp_close(s);
    }
    if (s->phase != SMTP_CONTENT && s->skipped == 0 && !s->skip && (used > 0 || s->deadline_ms == 0))
        set_command_deadline(s);
    if (s->dialog)
        smtp_tell_said(s);
    s->out = NULL;
}

void smtp_server_stop(struct smtp_server *s, bool at_once, uint64_t now_ms, struct buf *out)
{
    start_call(s, now_ms, out);
    s->is_stopping = true;
    if (at_once && s->ask != SMTP_ASK_COMMIT && s->phase != SMTP_CLOSED && s->phase != SMTP_NEW) {
        if (s->ask != SMTP_ASK_HANDSHAKE) /* a word in plain would be none of TLS */
            smtp_say(s, 421, "4.3.2", "The server is going down");
        smtp_close(s);
    }
    end_call(s, 0);
}

void smtp_server_end(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out)
{
    must(a->code == 421);
    start_call(s, now_ms, out);
    s->end = *a;
    end_call(s, 0);
}

uint64_t smtp_server_deadline(const struct smtp_server *s)
{
    return s->ask != SMTP_ASK_NONE || s->phase == SMTP_CLOSED ? 0 : s->deadline_ms;
}

void smtp_server_hurry(struct smtp_server *s, uint64_t deadline_ms)
{
    if (s->deadline_ms > deadline_ms)
        s->deadline_ms = deadline_ms;
}

void smtp_server_tick(struct smtp_server *s, uint64_t now_ms, struct buf *out)
{
    uint64_t deadline_ms = smtp_server_deadline(s);
    if (deadline_ms == 0 || now_ms < deadline_ms)
        return;
    start_call(s, now_ms, out);
    smtp_say(s, 421, "4.4.2",
             s->phase == SMTP_CONTENT || s->skip ? "Content took too long" : "No command came in time");
    smtp_close(s);
    end_call(s, 0);
}

/* ---- the greeting */

void smtp_server_greet(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out)
{
    must(s->phase == SMTP_NEW || s->phase == SMTP_CLOSED);
    if (s->phase == SMTP_CLOSED)
        return;
    start_call(s, now_ms, out);
    s->phase = SMTP_FIRST;
    if (a->code == 220) {
        smtp_say_greeting(s);
    } else {
        smtp_say_answer(s, a);
        s->phase = SMTP_AWAY;
        if (a->code != 554)
            smtp_close(s);
    }
    end_call(s, 1);
}

/* ---- content and input */

void smtp_server_go_on(struct smtp_server *s, uint64_t now_ms, struct buf *out)
{
    enum smtp_ask ask = s->ask;
    must(ask == SMTP_ASK_CONTENT || ask == SMTP_ASK_DROP || ask == SMTP_ASK_AUTH);
    if (s->phase == SMTP_CONTENT)
        s->transaction->content->waited_ms += now_ms - s->now_ms; /* for us, not for the client */
    start_call(s, now_ms, out);
    s->ask = SMTP_ASK_NONE;
    s->content = (struct span){0};
    if (ask == SMTP_ASK_AUTH) {
        must(s->sasl->step == SMTP_SASL_CANCEL);
        smtp_answer_auth(s, &s->sasl->refusal);
    } else if (s->phase == SMTP_CONTENT) {
        smtp_content_deadline(s);
        smtp_advance_content(s);
    }
    end_call(s, 1);
}

size_t smtp_server_feed(struct smtp_server *s, struct span in, uint64_t now_ms, struct buf *out)
{
    size_t used = in.len;
    if (s->ask != SMTP_ASK_NONE || in.len == 0)
        return 0;
    start_call(s, now_ms, out);
    enum smtp_heard heard = s->dialog ? smtp_what_comes(s) : SMTP_HEARD_NOTHING;
    switch (s->phase) {
    case SMTP_CLOSED: break;
    case SMTP_NEW: /* BEHAVIOURS B15 */
        smtp_say(s, 554, "5.5.0", "You spoke before the greeting");
        smtp_close(s);
        break;
    case SMTP_CONTENT: used = smtp_feed_content(s, in); break;
    default: used = s->skip ? smtp_feed_skip(s, in) : smtp_feed_line(s, in); break;
    }
    if (heard != SMTP_HEARD_NOTHING)
        smtp_tell_heard(s, heard, (struct span){.at = in.at, .len = used});
    end_call(s, used);
    return used;
}

/* ---- answers */

static void answer_sender(struct smtp_server *s, const struct smtp_answer *a)
{
    smtp_say_answer(s, a);
    if (a->code != 250) {
        smtp_end_transaction(s);
        return;
    }
    s->address = (struct addr){0};
    s->phase = SMTP_OPEN;
    s->transactions++;
}

static void answer_recipient(struct smtp_server *s, const struct smtp_answer *a)
{
    if (a->code == 250) {
        smtp_recipient_accepted(s, a);
        return;
    }
    s->transaction->has_refused = true;
    s->transaction->text.len = s->transaction->asked_at;
    s->address = (struct addr){0};
    smtp_say_answer(s, a);
}

static void answer_body(struct smtp_server *s, const struct smtp_answer *a)
{
    struct smtp_transaction *t = s->transaction;
    if (a->code != 354) {
        bool is_chunked = t->is_chunked;
        uint64_t bytes = t->chunk_left;
        smtp_end_transaction(s);
        if (is_chunked)
            smtp_skip_chunk(s, bytes, a);
        else
            smtp_say_answer(s, a);
        return;
    }
    t->content = smtp_content_new(s->profile, t, s->now_ms);
    s->phase = SMTP_CONTENT;
    smtp_content_deadline(s);
    if (t->is_chunked)
        smtp_advance_content(s);
    else
        smtp_say(s, 354, "", "End the message with a dot on a line of its own");
}

static void answer_commit(struct smtp_server *s, const struct smtp_answer *a)
{
    smtp_end_transaction(s);
    s->junk = 0;
    if (a->code == 250) {
        s->accepted++;
        s->errors = 0;
    }
    smtp_say_answer(s, a);
}

static void answer_tls(struct smtp_server *s, const struct smtp_answer *a)
{
    smtp_say_answer(s, a);
    if (a->code == 220)
        s->ask = SMTP_ASK_HANDSHAKE;
}

static void answer_xclient(struct smtp_server *s, const struct smtp_answer *a)
{
    smtp_xclient_done(s);
    if (a->code != 220) {
        smtp_say_answer(s, a);
        return;
    }
    smtp_begin_anew(s);
    s->transactions = s->errors = s->junk = 0;
    smtp_say_greeting(s);
}

void smtp_server_answer(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out)
{
    enum smtp_ask ask = s->ask;
    start_call(s, now_ms, out);
    s->ask = SMTP_ASK_NONE;
    switch (ask) {
    case SMTP_ASK_SENDER: answer_sender(s, a); break;
    case SMTP_ASK_RECIPIENT: answer_recipient(s, a); break;
    case SMTP_ASK_TLS: answer_tls(s, a); break;
    case SMTP_ASK_AUTH: smtp_answer_auth(s, a); break;
    case SMTP_ASK_XCLIENT: answer_xclient(s, a); break;
    case SMTP_ASK_BODY: answer_body(s, a); break;
    default: must(ask == SMTP_ASK_COMMIT); answer_commit(s, a);
    }
    if (a->code == 421)
        smtp_close(s);
    end_call(s, 1);
}

void smtp_server_challenge(struct smtp_server *s, struct span bytes, uint64_t now_ms, struct buf *out)
{
    must(s->ask == SMTP_ASK_AUTH && s->sasl->step != SMTP_SASL_CANCEL && bytes.len <= 9000);
    start_call(s, now_ms, out);
    s->ask = SMTP_ASK_NONE;
    smtp_sasl_challenge(s, bytes);
    end_call(s, 1);
}

void smtp_server_secured(struct smtp_server *s, uint64_t now_ms, struct buf *out)
{
    must(s->ask == SMTP_ASK_HANDSHAKE);
    start_call(s, now_ms, out);
    s->ask = SMTP_ASK_NONE;
    s->is_secured = true;
    smtp_begin_anew(s);
    end_call(s, 1);
}
