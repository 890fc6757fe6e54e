/* What the remote said, and what follows from it: one handler for each step of smtp_client.def but those of hello and login. */
#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "courier/smtp_client_private.h"

/* ---- what a reply comes to ---- */

unsigned client_reply_class(const struct smtp_client *c)
{
    return c->reply.code / 100;
}

void client_end_by_reply(struct smtp_client *c, enum client_fault fault)
{
    struct verdict why = {0};

    reply_verdict(&c->reply, c->remote, &why);
    why.class = VERDICT_DEFERRED;
    if (why.status[0] != '4')
        memcpy(why.status, "4.4.0", sizeof("4.4.0"));
    client_over(c, fault, &why);
    verdict_done(&why);
}

void client_over_by_reply(struct smtp_client *c, enum client_fault fault, enum status status)
{
    struct verdict said = {0}, why = {0};
    AUTO_BUF struct buf detail = {0};

    reply_verdict(&c->reply, c->remote, &said);
    buf_printf(&detail, "%u %s%c", said.code, said.text, '\0');
    verdict_set(&why, status, detail.data);
    why.remote = (mem_free(why.remote), mem_string(c->remote));
    client_over(c, fault, &why);
    verdict_done(&said);
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

/* What a reply that is not the one hoped for means; a yes in the wrong place (354 to MAIL) is never taken for a delivery. */
static void refuse(struct smtp_client *c, struct verdict *v)
{
    if (client_reply_class(c) == 4 || client_reply_class(c) == 5) {
        reply_verdict(&c->reply, c->remote, v);
        return;
    }
    verdict_set(v, STATUS_BAD_REPLY, c->reply.text.len ? "an answer out of place" : NULL);
    mem_free(v->remote);
    v->remote = mem_string(c->remote);
}

/* The reply's verdict for a recipient. */
static void take_verdict(struct smtp_client *c, struct transaction *t, size_t recipient)
{
    struct verdict *v = &t->message->verdicts[recipient];

    if (t->phase == PHASE_DOT_SENT && client_reply_class(c) == 2)
        reply_verdict(&c->reply, c->remote, v);
    else
        refuse(c, v);
}

/* The same for all recipients that wait for one: every one (MAIL), or the accepted (DATA, piece, dot). */
static void take_verdict_for_all(struct smtp_client *c, struct transaction *t, bool accepted_only)
{
    for (size_t i = 0; i < t->message->count; i++) {
        if (accepted_only ? t->is_accepted[i] : t->message->verdicts[i].class == VERDICT_NONE)
            take_verdict(c, t, i);
    }
}

/* What answers a dot: in LMTP one recipient's mail store, else the host for all of them (RFC 2033 section 4.2). */
static void take_verdict_of_dot(struct smtp_client *c, const struct expected *e)
{
    if (c->terms->is_lmtp)
        take_verdict(c, e->transaction, e->recipient);
    else
        take_verdict_for_all(c, e->transaction, true);
}

/* ---- replies ---- */

static void on_mail(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    struct transaction *t = e->transaction;

    if (client_reply_class(c) == 2) {
        t->mail_ok = true;
        if (!client_offers(c, OFFERS_PIPELINING))
            client_put_rcpt(c, t, 0, out);
        return;
    }
    t->mail_refused = true;
    take_verdict_for_all(c, t, false);
    if (!client_offers(c, OFFERS_PIPELINING))
        transaction_over(c, t, out);
}

static void on_rcpt(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    struct transaction *t = e->transaction;
    unsigned code = c->reply.code;

    if (client_reply_class(c) == 2) {
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
    } else if (c->reply.code == 354 && c->terms->is_lmtp) {
        /* A dot for nobody has no replies, or one: we could not tell whose the next is (RFC 2033 section 4.2 demands 503). */
        smtp_client_end(c, FAULT_BAD_REPLY, "content is asked for without a recipient");
    } else if (
        c->reply.code ==
        354) { /* nobody to send to: an empty message is all that ends this politely (BEHAVIOURS H10) */
        buf_add_text(out, ".\r\n");
        client_expect(c, STEP_EMPTY_DOT, t, 0);
    } else {
        take_verdict_for_all(c, t, true);
        transaction_over(c, t, out);
    }
}

static void on_piece(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    if (client_reply_class(c) == 2)
        return;
    take_verdict_for_all(c, e->transaction, true);
    transaction_over(c, e->transaction,
                     out); /* RFC 3030 section 2: after a refused piece only RSET goes on */
}

static void on_dot(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    take_verdict_of_dot(c, e);
    if (--e->transaction->dots_owed == 0)
        transaction_over(c, e->transaction, out);
    else
        FAULT_POINT(store_answered);
}

static void on_empty_dot(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    e->transaction->mail_ok = false; /* the dot has ended it: no RSET */
    transaction_over(c, e->transaction, out);
}

static void on_rset(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out UNUSED)
{
    if (client_reply_class(c) != 2)
        client_end_by_reply(c, FAULT_CLOSING);
}

static void on_quit(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out UNUSED)
{
    c->is_over = true; /* whatever it said (BEHAVIOURS H14) */
}

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
    else if (t && (e->step == STEP_DATA || e->step == STEP_PIECE))
        take_verdict_for_all(c, t, true);
    else if (t && e->step == STEP_DOT)
        take_verdict_of_dot(c, e);
    client_end_by_reply(c, c->is_ready ? FAULT_CLOSING : FAULT_REFUSED);
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
    size_t from = out->len;

    c->reply_count++;
    if (c->dialog && c->expected_count == 0)
        client_tell_heard(c);
    if (c->expected_count == 0) { /* it speaks unasked: 421 of a server that will close, or nonsense */
        client_end_by_reply(c, c->reply.code == 421 ? FAULT_CLOSING : FAULT_BAD_REPLY);
        return;
    }
    e = expected_take(c);
    if (e.step == STEP_AUTH)
        client_hide_echo(c);
    if (c->dialog)
        client_tell_heard(c);
    if (e.transaction && !(c->reply.code == 421 && e.step == STEP_MAIL))
        e.transaction->message->was_answered = true;
    if (c->reply.code == 421 && e.step != STEP_QUIT)
        on_closing(c, &e);
    else
        steps[e.step].handler(c, &e, out);
    if (c->dialog && e.step == STEP_AUTH)
        client_tell_secret(c, out, from);
    else if (c->dialog)
        client_tell_said(c, out, from);
}

/* Nothing is read before the ask is answered. */
static bool owes_answer(const struct smtp_client *c)
{
    return smtp_client_ask(c) == ASK_RESULT || c->awaits == ASK_KEY;
}

size_t smtp_client_feed(struct smtp_client *c, struct span in, struct buf *out)
{
    size_t used = 0;

    while (used < in.len && !c->is_over && !owes_answer(c)) {
        /* RFC 3207 section 6: what stands in plain where a handshake must come was put there by somebody in between (BEHAVIOURS L02). */
        bool is_injected = c->awaits == ASK_TLS;
        int r = is_injected ? -EBADMSG : reply_feed(&c->reply, (struct span){in.at + used, in.len - used});

        if (r < 0) {
            smtp_client_end(c, FAULT_BAD_REPLY,
                            is_injected ? "it speaks in plain where a handshake must come" : NULL);
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
