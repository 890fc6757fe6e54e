/* What the remote said, and what follows from it: one handler for each step of smtp_client.def. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "courier/smtp_client_private.h"

/* ---- what a reply comes to ---- */

/* Ends the connection with what the remote just said; never worse than deferred: another host, or another day, may do. */
static void end_by_reply(struct smtp_client *c, enum client_fault fault)
{
    struct verdict why = {0};

    reply_verdict(&c->reply, c->remote, &why);
    why.class = VERDICT_DEFERRED;
    if (why.status[0] != '4')
        memcpy(why.status, "4.4.0", sizeof("4.4.0"));
    client_over(c, fault, &why);
    verdict_done(&why);
}

static void transaction_over(struct smtp_client *c, struct transaction *t, struct buf *out)
{
    if (t->mail_ok && t->phase < PHASE_DOT_SENT) {
        buf_add_text(out, "RSET\r\n");
        client_expect(c, STEP_RSET, NULL, 0);
    }
    t->phase = PHASE_OVER;
}

static unsigned reply_class(const struct smtp_client *c)
{
    return c->reply.code / 100;
}

/* What a reply that is not the one hoped for means; a yes in the wrong place (354 to MAIL) is never taken for a delivery. */
static void refuse(struct smtp_client *c, struct verdict *v)
{
    if (reply_class(c) == 4 || reply_class(c) == 5) {
        reply_verdict(&c->reply, c->remote, v);
        return;
    }
    verdict_set(v, STATUS_BAD_REPLY, c->reply.text.len ? "an answer out of place" : NULL);
    mem_free(v->remote);
    v->remote = mem_string(c->remote);
}

/* The reply's verdict for all recipients that wait for one: every one (MAIL), or the accepted (DATA, dot). */
static void verdict_for_all(struct smtp_client *c, struct transaction *t, bool accepted_only)
{
    struct client_message *m = t->message;

    for (size_t i = 0; i < m->count; i++) {
        if (accepted_only ? !t->is_accepted[i] : m->verdicts[i].class != VERDICT_NONE)
            continue;
        if (t->phase == PHASE_DOT_SENT && reply_class(c) == 2)
            reply_verdict(&c->reply, c->remote, &m->verdicts[i]);
        else
            refuse(c, &m->verdicts[i]);
    }
}

/* ---- replies ---- */

/* The first word of a greeting or EHLO reply is the host's name. */
static bool is_own_name(const struct smtp_client *c)
{
    struct span text = buf_span(&c->reply.text), name;

    name = span_cut(&text, '\n');
    name = span_cut(&name, ' ');
    for (size_t i = 0; i < c->settings->own_name_count; i++) {
        if (span_equal_nocase(name, span_of(c->settings->own_names[i])))
            return true;
    }
    return false;
}

static void say_hello(struct smtp_client *c, enum step step, struct buf *out)
{
    buf_add_text(out, step == STEP_EHLO ? "EHLO " : "HELO ");
    buf_add_text(out, c->settings->helo_name);
    buf_add_text(out, "\r\n");
    client_expect(c, step, NULL, 0);
}

static void on_greeting(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out)
{
    if (reply_class(c) != 2) {
        end_by_reply(c, FAULT_REFUSED);
        return;
    }
    if (is_own_name(c)) {
        smtp_client_end(c, FAULT_LOOP, "it greets with our own name");
        return;
    }
    say_hello(c, STEP_EHLO, out);
}

static void read_extension(struct smtp_client *c, struct span word, struct span rest)
{
    static const char *const keywords[] = {
#define EXTENSION(name, keyword) keyword,
#include "courier/smtp_client_extension.def"
#undef EXTENSION
    };

    for (unsigned i = 0; i < ARRAY_LEN(keywords); i++) {
        if (span_equal_nocase(word, span_of(keywords[i])))
            c->extensions |= 1u << i;
    }
    if (span_equal_nocase(word, SPAN("SIZE")) && span_number(rest, UINT64_MAX, &c->size_limit) < 0)
        c->size_limit = 0;
    else if (span_equal_nocase(word, SPAN("DELIVERBY")) && span_number(rest, UINT64_MAX, &c->by_least_s) < 0)
        c->by_least_s = 0;
}

static void read_extensions(struct smtp_client *c)
{
    struct span text = buf_span(&c->reply.text);

    span_cut(&text, '\n');
    while (text.len > 0) {
        struct span line = span_cut(&text, '\n'), word = span_cut(&line, ' ');

        read_extension(c, word, span_trim(line));
    }
}

static void on_ehlo(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out)
{
    if (reply_class(c) == 5) {
        say_hello(c, STEP_HELO, out);
    } else if (reply_class(c) != 2) {
        end_by_reply(c, FAULT_REFUSED);
    } else if (is_own_name(c)) {
        smtp_client_end(c, FAULT_LOOP, "it answers EHLO with our own name");
    } else {
        read_extensions(c);
        c->is_ready = true;
    }
}

static void on_helo(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out UNUSED)
{
    if (reply_class(c) == 2)
        c->is_ready = true;
    else
        end_by_reply(c, FAULT_REFUSED);
}

static void on_mail(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    struct transaction *t = e->transaction;

    if (reply_class(c) == 2) {
        t->mail_ok = true;
        if (!client_offers(c, OFFERS_PIPELINING))
            client_put_rcpt(c, t, 0, out);
        return;
    }
    t->mail_refused = true;
    verdict_for_all(c, t, false);
    if (!client_offers(c, OFFERS_PIPELINING))
        transaction_over(c, t, out);
}

static void on_rcpt(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    struct transaction *t = e->transaction;
    unsigned code = c->reply.code;

    if (reply_class(c) == 2) {
        t->is_accepted[e->recipient] = t->mail_ok;
        t->accepted += t->is_accepted[e->recipient];
    } else if (!t->mail_refused && !((code == 452 || code == 552) && t->accepted > 0)) {
        /* 452, and 552 as older servers say it, after accepted ones: too many for one transaction, undecided (RFC 5321 section 4.5.3.1.10) */
        refuse(c, &t->message->verdicts[e->recipient]);
    }
    if (client_offers(c, OFFERS_PIPELINING)
            ? !t->is_bdat || e->recipient != t->last_rcpt /* more replies are on their way */
            : client_put_rcpt(c, t, e->recipient + 1, out) < t->message->count)
        return;
    if (t->accepted > 0)
        client_put_data(c, t, out);
    else
        transaction_over(c, t, out);
}

static void on_data(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    struct transaction *t = e->transaction;

    if (c->reply.code == 354 && t->accepted > 0) {
        t->phase = PHASE_CONTENT;
        dot_stuffing_begin(&c->stuffing);
    } else if (
        c->reply.code ==
        354) { /* nobody to send to: an empty message is all that ends this politely (BEHAVIOURS H10) */
        buf_add_text(out, ".\r\n");
        client_expect(c, STEP_EMPTY_DOT, t, 0);
    } else {
        verdict_for_all(c, t, true);
        transaction_over(c, t, out);
    }
}

static void on_piece(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    if (reply_class(c) == 2)
        return;
    verdict_for_all(c, e->transaction, true);
    transaction_over(c, e->transaction,
                     out); /* RFC 3030 section 2: after a refused piece only RSET goes on */
}

static void on_dot(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    verdict_for_all(c, e->transaction, true);
    transaction_over(c, e->transaction, out);
}

static void on_empty_dot(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    e->transaction->mail_ok = false; /* the dot has ended it: no RSET */
    transaction_over(c, e->transaction, out);
}

static void on_rset(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out UNUSED)
{
    if (reply_class(c) != 2)
        end_by_reply(c, FAULT_CLOSING);
}

static void on_quit(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out UNUSED)
{
    c->is_over = true; /* whatever it said (BEHAVIOURS H14) */
}

typedef void on_reply(struct smtp_client *c, const struct expected *e, struct buf *out);

static const struct {
    enum client_limit limit;
    on_reply *handler;
} steps[] = {
#define STEP(name, limit, handler) {limit, handler},
#include "courier/smtp_client.def"
#undef STEP
};

static void on_closing(struct smtp_client *c, const struct expected *e)
{
    struct transaction *t = e->transaction;

    if (t && e->step == STEP_RCPT && !t->mail_refused)
        refuse(c, &t->message->verdicts[e->recipient]);
    else if (t && (e->step == STEP_DATA || e->step == STEP_PIECE || e->step == STEP_DOT))
        verdict_for_all(c, t, true);
    if (e->step == STEP_GREETING || e->step == STEP_EHLO || e->step == STEP_HELO)
        end_by_reply(c, FAULT_REFUSED);
    else
        end_by_reply(c, FAULT_CLOSING);
}

static struct expected expected_take(struct smtp_client *c)
{
    struct expected e = c->expected[c->expected_first];

    c->expected_first = (c->expected_first + 1) % c->expected_cap;
    c->expected_count--;
    return e;
}

static void handle_reply(struct smtp_client *c, struct buf *out)
{
    struct expected e;

    c->reply_count++;
    if (c->expected_count == 0) { /* it speaks unasked: 421 of a server that will close, or nonsense */
        end_by_reply(c, c->reply.code == 421 ? FAULT_CLOSING : FAULT_BAD_REPLY);
        return;
    }
    e = expected_take(c);
    if (e.transaction && !(c->reply.code == 421 && e.step == STEP_MAIL))
        e.transaction->message->was_answered = true;
    if (c->reply.code == 421 && e.step != STEP_QUIT)
        on_closing(c, &e);
    else
        steps[e.step].handler(c, &e, out);
}

size_t smtp_client_feed(struct smtp_client *c, struct span in, struct buf *out)
{
    size_t used = 0;

    while (used < in.len && !c->is_over && smtp_client_ask(c) != ASK_RESULT) {
        int r = reply_feed(&c->reply, (struct span){in.at + used, in.len - used});

        if (r < 0) {
            smtp_client_end(c, FAULT_BAD_REPLY, NULL);
            break;
        }
        used += (size_t) r;
        if (!c->reply.is_complete)
            break;
        handle_reply(c, out);
        reply_clear(&c->reply);
    }
    return c->is_over ? in.len : used;
}

enum client_limit client_reply_limit(const struct smtp_client *c)
{
    return steps[c->expected[c->expected_first].step].limit;
}
