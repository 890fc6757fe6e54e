/*
 * The content of a transaction, piece after piece: up to the dot, or chunk after chunk (RFC 3030).
 *
 * Each BDAT is answered behind its last byte. One that cannot be taken ends its transaction, and its bytes are read past before it is answered,
 * for what they hold must never be read as commands (BEHAVIOURS B28); so are those of the chunks that come behind it, which find no transaction.
 */
#include <errno.h>

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

/* ---- pieces */

uint64_t smtp_content_until(const struct smtp_content *c)
{
    uint64_t total_ms = c->started_ms + c->total_ms;
    if (c->rate == 0)
        return total_ms;
    uint64_t rate_ms = c->started_ms + c->waited_ms + c->piece_ms + c->size_bytes * 1000 / c->rate;
    return rate_ms < total_ms ? rate_ms : total_ms;
}

void smtp_content_deadline(struct smtp_server *s)
{
    const struct smtp_content *c = s->transaction->content;
    uint64_t piece_ms = s->now_ms + c->piece_ms, until_ms = smtp_content_until(c);
    s->deadline_ms = piece_ms < until_ms ? piece_ms : until_ms;
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

void smtp_advance_content(struct smtp_server *s)
{
    struct smtp_transaction *t = s->transaction;
    struct smtp_content *c = t->content;
    bool is_chunk_over = t->is_chunked && t->chunk_left == 0;
    if (is_chunk_over && t->is_last_chunk && !c->is_ended)
        smtp_content_end(c);
    if (c->fault != SMTP_FAULT_NONE && !c->is_dropped) {
        c->is_dropped = true;
        s->ask = SMTP_ASK_DROP;
    } else if ((c->is_ended || is_chunk_over) && c->fault != SMTP_FAULT_NONE) {
        refuse_content(s);
    } else if (c->is_ended) {
        s->ask = SMTP_ASK_COMMIT;
    } else if (is_chunk_over) {
        s->phase = SMTP_BETWEEN;
        smtp_say(s, 250, "2.0.0", "Ok, more");
    }
}

size_t smtp_feed_content(struct smtp_server *s, struct span in)
{
    struct smtp_transaction *t = s->transaction;
    struct smtp_content *c = t->content;
    struct span run;
    if (t->is_chunked && in.len > t->chunk_left)
        in.len = t->chunk_left;
    size_t used = smtp_content_feed(c, in, &run);
    if (t->is_chunked)
        t->chunk_left -= used;
    smtp_content_deadline(s);
    if (run.len > 0 && c->fault == SMTP_FAULT_NONE) {
        must(!c->is_ended);
        s->content = run;
        s->ask = SMTP_ASK_CONTENT;
    } else {
        smtp_advance_content(s);
    }
    return used;
}

/* ---- chunks that are not taken */

void smtp_skip_done(struct smtp_server *s)
{
    if (!s->skip)
        return;
    mem_free(s->skip->status);
    mem_free(s->skip->text);
    s->skip = mem_free(s->skip);
}

static uint64_t skip_max(const struct smtp_server *s)
{
    uint64_t message_bytes = s->profile->limits.message_bytes;
    return message_bytes > SMTP_CHUNK_SKIP_MAX ? message_bytes : SMTP_CHUNK_SKIP_MAX;
}

static void set_skip_deadline(struct smtp_server *s)
{
    uint64_t piece_ms = s->now_ms + s->profile->limits.data_ms;
    s->deadline_ms = piece_ms < s->skip->until_ms ? piece_ms : s->skip->until_ms;
}

void smtp_skip_chunk(struct smtp_server *s, uint64_t bytes, const struct smtp_answer *a)
{
    if (bytes == 0 || bytes > skip_max(s) || a->code == 421) {
        smtp_say_answer(s, a);
        if (bytes > 0)
            smtp_close(s);
        return;
    }
    struct smtp_skip *skip = NEW(struct smtp_skip);
    skip->left = bytes;
    skip->until_ms = s->now_ms + s->profile->limits.data_total_ms;
    skip->status = mem_string(a->status);
    skip->text = mem_string(a->text);
    skip->answer = (struct smtp_answer){a->code, skip->status, skip->text, NULL, 0};
    s->skip = skip;
    set_skip_deadline(s);
}

size_t smtp_feed_skip(struct smtp_server *s, struct span in)
{
    size_t used = in.len < s->skip->left ? in.len : s->skip->left;
    s->skip->left -= used;
    set_skip_deadline(s);
    if (s->skip->left == 0) {
        smtp_say_answer(s, &s->skip->answer);
        smtp_skip_done(s);
    }
    return used;
}

static void refuse_chunk(struct smtp_server *s, uint64_t bytes, unsigned code, const char *status,
                         const char *literal)
{
    const struct smtp_answer a = {code, status, literal, NULL, 0};
    smtp_abandon_transaction(s);
    smtp_skip_chunk(s, bytes, &a);
}

/* ---- BDAT */

/* "6", "6 LAST". -EINVAL: no number; -ERANGE: none that could be meant. *ret_is_good: nothing else behind it. */
static int parse_chunk(struct span argument, uint64_t *ret_bytes, bool *ret_is_last, bool *ret_is_good)
{
    struct span number = span_cut(&argument, ' ');
    int r = span_number(number, INT64_MAX, ret_bytes);
    argument = span_trim(argument);
    *ret_is_last = span_equal_nocase(argument, SPAN("LAST"));
    *ret_is_good = argument.len == 0 || *ret_is_last;
    return r;
}

/* True: a chunk may be taken now. False: it was refused. */
static bool is_chunk_due(struct smtp_server *s, uint64_t bytes)
{
    const struct smtp_transaction *t = s->transaction;
    if (smtp_tls_is_due(s))
        refuse_chunk(s, bytes, 530, "5.7.0", "Send STARTTLS first");
    else if (s->phase == SMTP_AWAY)
        refuse_chunk(s, bytes, 503, "5.5.1", "No service for you; send QUIT");
    else if (s->phase == SMTP_FIRST)
        refuse_chunk(s, bytes, 503, "5.5.1", "Send EHLO first");
    else if (!t)
        refuse_chunk(s, bytes, 503, "5.5.1", "Send MAIL first");
    else if (t->recipient_count == 0 && t->has_refused)
        refuse_chunk(s, bytes, 554, "5.5.1", "No recipient was accepted");
    else if (t->recipient_count == 0)
        refuse_chunk(s, bytes, 503, "5.5.1", "Send RCPT first");
    else if (bytes > skip_max(s) || (!t->content && bytes > s->profile->limits.message_bytes))
        refuse_chunk(s, bytes, 552, "5.3.4", "The message is too big");
    else
        return true;
    return false;
}

static void take_chunk(struct smtp_server *s)
{
    struct smtp_content *c = s->transaction->content;
    if (s->transaction->chunk_left > c->message_max_bytes - c->size_bytes)
        smtp_content_refuse(c, SMTP_FAULT_SIZE); /* known before it comes */
    s->phase = SMTP_CONTENT;
    smtp_content_deadline(s);
    smtp_advance_content(s);
}

void smtp_bdat(struct smtp_server *s, struct span argument)
{
    uint64_t bytes = 0;
    bool is_last, is_good;
    if (!smtp_offers(s, SMTP_CHUNKING)) {
        smtp_say(s, 502, "5.5.1", "That command is not offered, and what follows it is no command");
        smtp_close(s);
        return;
    }
    int r = parse_chunk(argument, &bytes, &is_last, &is_good);
    if (r < 0) { /* where the next command begins cannot be known */
        smtp_say(s, r == -ERANGE ? 552 : 501, r == -ERANGE ? "5.3.4" : "5.5.4",
                 r == -ERANGE ? "The message is too big" : "Use BDAT bytes [LAST]");
        smtp_close(s);
        return;
    }
    if (!is_good) {
        refuse_chunk(s, bytes, 501, "5.5.4", "Use BDAT bytes [LAST]");
        return;
    }
    if (!is_chunk_due(s, bytes))
        return;
    s->transaction->is_chunked = true;
    s->transaction->is_last_chunk = is_last;
    s->transaction->chunk_left = bytes;
    if (s->phase == SMTP_BETWEEN)
        take_chunk(s);
    else
        s->ask = SMTP_ASK_BODY;
}
