/*
 * The SMTP server engine: calls, replies, and the life of a session.
 *
 * Normal path: NEW -> greeting -> FIRST -> EHLO -> IDLE -> MAIL -> OPEN -> DATA -> CONTENT -> reply to the dot -> IDLE.
 * Abort path: smtp_close() from anywhere. Special: a 554 greeting leads to AWAY, where only QUIT is served.
 * Every way out of a transaction goes through smtp_end_transaction(), so that no state outlives it (BEHAVIOURS B07).
 */
#include "ingress/smtp_server.h"

#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_private.h"

static const struct {
    bool closes;
    uint16_t code;
    const char *status, *text;
} faults[] = {
#define SMTP_FAULT(name, closes_, code_, status_, text_) \
    [SMTP_FAULT_##name] = {.closes = (closes_), .code = (code_), .status = (status_), .text = (text_)},
#include "ingress/smtp_server.def"
#undef SMTP_FAULT
};

void smtp_server_init(struct smtp_server *s, const char *name, const struct smtp_limits *limits)
{
    *s = (struct smtp_server){.name = name, .limits = limits, .phase = SMTP_NEW};
}

void smtp_server_done(struct smtp_server *s)
{
    s->transaction = smtp_transaction_free(s->transaction);
    s->helo = mem_free(s->helo);
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

void smtp_say_span(struct smtp_server *s, unsigned code, const char *status, struct span text)
{
    count_reply(s, code);
    add_start(s->out, code, status);
    buf_add_printable(s->out, text, SMTP_REPLY_TEXT_MAX);
    buf_add(s->out, "\r\n", 2);
}

static void say_answer(struct smtp_server *s, const struct smtp_answer *a)
{
    must(a->code >= 200 && a->code < 600);
    smtp_say_span(s, a->code, a->status, span_of(a->text));
}

void smtp_close(struct smtp_server *s)
{
    smtp_end_transaction(s);
    s->phase = SMTP_CLOSED;
    s->ask = SMTP_ASK_CLOSE;
}

void smtp_end_transaction(struct smtp_server *s)
{
    s->transaction = smtp_transaction_free(s->transaction);
    s->address = (struct addr){0};
    s->content = (struct span){0};
    if (s->phase == SMTP_OPEN || s->phase == SMTP_CONTENT)
        s->phase = SMTP_IDLE;
}

/* ---- limits and the end of the node */

static void start_call(struct smtp_server *s, uint64_t now_ms, struct buf *out)
{
    s->now_ms = now_ms;
    s->out = out;
}

static bool is_between_transactions(const struct smtp_server *s)
{
    return s->ask == SMTP_ASK_NONE && !s->transaction && (s->phase == SMTP_FIRST || s->phase == SMTP_IDLE);
}

/* What every call does last: the session may have used up its errors, or the node wants to end. used: input, or an answer. */
static void end_call(struct smtp_server *s, size_t used)
{
    if (s->errors > s->limits->errors && s->phase != SMTP_CONTENT && s->phase != SMTP_CLOSED) {
        smtp_say(s, 421, "4.7.0", "Too many errors");
        smtp_close(s);
    }
    if (s->is_stopping && is_between_transactions(s)) {
        smtp_say(s, 421, "4.3.2", "The server is going down");
        smtp_close(s);
    }
    if (s->phase != SMTP_CONTENT && s->skipped == 0 && (used > 0 || s->deadline_ms == 0))
        s->deadline_ms = s->now_ms + s->limits->command_ms;
    s->out = NULL;
}

void smtp_server_stop(struct smtp_server *s, bool at_once, uint64_t now_ms, struct buf *out)
{
    start_call(s, now_ms, out);
    s->is_stopping = true;
    if (at_once && s->ask != SMTP_ASK_COMMIT && s->phase != SMTP_CLOSED && s->phase != SMTP_NEW) {
        smtp_say(s, 421, "4.3.2", "The server is going down");
        smtp_close(s);
    }
    end_call(s, 0);
}

uint64_t smtp_server_deadline(const struct smtp_server *s)
{
    return s->ask != SMTP_ASK_NONE || s->phase == SMTP_CLOSED ? 0 : s->deadline_ms;
}

void smtp_server_tick(struct smtp_server *s, uint64_t now_ms, struct buf *out)
{
    uint64_t deadline_ms = smtp_server_deadline(s);
    if (deadline_ms == 0 || now_ms < deadline_ms)
        return;
    start_call(s, now_ms, out);
    smtp_say(s, 421, "4.4.2", s->phase == SMTP_CONTENT ? "Content took too long" : "No command came in time");
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
        s->last_code = 220;
        add_start(out, 220, "");
        buf_add_text(out, s->name);
        buf_add_text(out, " ESMTP\r\n");
    } else {
        say_answer(s, a);
        s->phase = SMTP_AWAY;
        if (a->code != 554)
            smtp_close(s);
    }
    end_call(s, 1);
}

/* ---- content */

static void set_content_deadline(struct smtp_server *s)
{
    const struct smtp_content *c = s->transaction->content;
    uint64_t piece_ms = s->now_ms + c->piece_ms, total_ms = c->started_ms + c->total_ms;
    s->deadline_ms = piece_ms < total_ms ? piece_ms : total_ms;
}

static void refuse_content(struct smtp_server *s)
{
    enum smtp_fault fault = s->transaction->content->fault;
    smtp_end_transaction(s);
    s->junk = 0;
    smtp_say(s, faults[fault].code, faults[fault].status, faults[fault].text);
    if (faults[fault].closes)
        smtp_close(s);
}

/* After each piece: what to ask next. */
static void advance_content(struct smtp_server *s)
{
    struct smtp_content *c = s->transaction->content;
    if (c->fault != SMTP_FAULT_NONE && !c->is_dropped) {
        c->is_dropped = true;
        s->ask = SMTP_ASK_DROP;
    } else if (c->is_ended && c->fault != SMTP_FAULT_NONE) {
        refuse_content(s);
    } else if (c->is_ended) {
        s->ask = SMTP_ASK_COMMIT;
    }
}

static size_t feed_content(struct smtp_server *s, struct span in)
{
    struct smtp_content *c = s->transaction->content;
    struct span run;
    size_t used = smtp_content_feed(c, in, &run);
    set_content_deadline(s);
    if (run.len > 0 && c->fault == SMTP_FAULT_NONE) {
        must(!c->is_ended);
        s->content = run;
        s->ask = SMTP_ASK_CONTENT;
    } else {
        advance_content(s);
    }
    return used;
}

void smtp_server_go_on(struct smtp_server *s, uint64_t now_ms, struct buf *out)
{
    must(s->ask == SMTP_ASK_CONTENT || s->ask == SMTP_ASK_DROP);
    start_call(s, now_ms, out);
    s->ask = SMTP_ASK_NONE;
    s->content = (struct span){0};
    set_content_deadline(s);
    advance_content(s);
    end_call(s, 1);
}

/* ---- commands */

/* An over-long command is read past to its CR LF, and answered there. */
static size_t skip_line(struct smtp_server *s, struct span in)
{
    size_t i = 0;
    bool is_over = false;
    while (i < in.len && !is_over) {
        is_over = s->skipped_cr && in.at[i] == '\n';
        s->skipped_cr = in.at[i++] == '\r';
    }
    s->skipped += (uint32_t) (i < SMTP_SKIP_MAX ? i : SMTP_SKIP_MAX);
    if (!is_over && s->skipped < SMTP_SKIP_MAX)
        return i;
    s->skipped = 0;
    s->skipped_cr = false;
    smtp_say(s, 500, "5.5.2", "Line too long");
    if (!is_over)
        smtp_close(s);
    return i;
}

/* A TLS ClientHello starts so: whoever speaks TLS here would never understand our reply (BEHAVIOURS B18). */
static bool is_tls(struct span in)
{
    return in.at[0] == 0x16;
}

static size_t feed_command(struct smtp_server *s, struct span in)
{
    if (s->skipped > 0)
        return skip_line(s, in);
    if (is_tls(in)) {
        smtp_close(s);
        return in.len;
    }
    const char *lf = memchr(in.at, '\n', in.len < SMTP_LINE_MAX ? in.len : SMTP_LINE_MAX);
    if (!lf)
        return in.len < SMTP_LINE_MAX ? 0 : skip_line(s, in);
    size_t used = (size_t) (lf + 1 - in.at);
    if (used == 1 || lf[-1] != '\r') {
        smtp_say(s, 500, "5.5.2", "Bare LF; lines must end with CR LF");
        smtp_close(s);
        return in.len;
    }
    struct span line = {.at = in.at, .len = used - 2};
    if (memchr(line.at, '\r', line.len) || memchr(line.at, '\0', line.len))
        smtp_say(s, 500, "5.5.2", "Bare CR or NUL in a command");
    else
        smtp_command(s, line, used < in.len);
    return used;
}

size_t smtp_server_feed(struct smtp_server *s, struct span in, uint64_t now_ms, struct buf *out)
{
    size_t used = in.len;
    if (s->ask != SMTP_ASK_NONE || in.len == 0)
        return 0;
    start_call(s, now_ms, out);
    switch (s->phase) {
    case SMTP_CLOSED: break;
    case SMTP_NEW: /* BEHAVIOURS B15 */
        smtp_say(s, 554, "5.5.0", "You spoke before the greeting");
        smtp_close(s);
        break;
    case SMTP_CONTENT: used = feed_content(s, in); break;
    default: used = feed_command(s, in); break;
    }
    end_call(s, used);
    return used;
}

/* ---- answers */

static void answer_sender(struct smtp_server *s, const struct smtp_answer *a)
{
    say_answer(s, a);
    if (a->code != 250) {
        smtp_end_transaction(s);
        return;
    }
    s->phase = SMTP_OPEN;
    s->transactions++;
}

static void answer_recipient(struct smtp_server *s, const struct smtp_answer *a)
{
    say_answer(s, a);
    if (a->code == 250)
        smtp_recipient_accepted(s, a->address);
    else
        s->transaction->has_refused = true;
}

static void answer_body(struct smtp_server *s, const struct smtp_answer *a)
{
    if (a->code != 354) {
        say_answer(s, a);
        smtp_end_transaction(s);
        return;
    }
    smtp_say(s, 354, "", "End the message with a dot on a line of its own");
    s->transaction->content = smtp_content_new(s->limits, s->now_ms);
    s->phase = SMTP_CONTENT;
    set_content_deadline(s);
}

static void answer_commit(struct smtp_server *s, const struct smtp_answer *a)
{
    smtp_end_transaction(s);
    s->junk = 0;
    if (a->code == 250) {
        s->accepted++;
        s->errors = 0;
    }
    say_answer(s, a);
}

void smtp_server_answer(struct smtp_server *s, const struct smtp_answer *a, uint64_t now_ms, struct buf *out)
{
    enum smtp_ask ask = s->ask;
    start_call(s, now_ms, out);
    s->ask = SMTP_ASK_NONE;
    switch (ask) {
    case SMTP_ASK_SENDER: answer_sender(s, a); break;
    case SMTP_ASK_RECIPIENT: answer_recipient(s, a); break;
    case SMTP_ASK_BODY: answer_body(s, a); break;
    default: must(ask == SMTP_ASK_COMMIT); answer_commit(s, a);
    }
    end_call(s, 1);
}
