/* The SMTP client engine: its life, and content. What we hear is in smtp_client_reply.c, what comes before the first message in smtp_client_hello.c. */
#include "courier/smtp_client.h"

#include <string.h>

#include "base/mem.h"
#include "courier/smtp_client_private.h"

/* ---- expected replies ---- */

void client_expect(struct smtp_client *c, enum step step, struct transaction *t, size_t recipient)
{
    if (c->expected_count == c->expected_cap) {
        size_t cap = c->expected_cap ? 2 * c->expected_cap : 8;
        struct expected *grown = mem_array(cap, sizeof(*grown));

        for (size_t i = 0; i < c->expected_count; i++)
            grown[i] = c->expected[(c->expected_first + i) % c->expected_cap];
        mem_free(c->expected);
        c->expected = grown;
        c->expected_first = 0;
        c->expected_cap = cap;
    }
    c->expected[(c->expected_first + c->expected_count++) % c->expected_cap] = (struct expected){step, t,
                                                                                                 recipient};
}

/* ---- the end of a connection ---- */

/* The dot is out, and somebody's reply to it will not come (RFC 5321 section 4.2.5, BEHAVIOURS H13). In LMTP others may have theirs. */
static void leave_in_doubt(const struct smtp_client *c, const struct transaction *t,
                           const struct verdict *why)
{
    struct client_message *m = t->message;

    for (size_t i = 0; i < m->count; i++) {
        if (!t->is_accepted[i] || m->verdicts[i].class != VERDICT_NONE)
            continue;
        verdict_set(&m->verdicts[i], STATUS_REPLY_LOST, why->text);
        m->verdicts[i].remote = (mem_free(m->verdicts[i].remote), mem_string(c->remote));
        m->verdicts[i].in_doubt = true;
    }
}

void client_over(struct smtp_client *c, enum client_fault fault, const struct verdict *why)
{
    if (c->is_over)
        return;
    c->is_over = true;
    c->is_ready = false;
    c->fault = fault;
    c->awaits = ASK_REPLY;
    c->expected_count = 0;
    verdict_copy(&c->fault_verdict, why);
    for (struct transaction *t = c->current; t; t = t == c->current ? c->next : NULL) {
        struct client_message *m = t->message;

        if (t->phase == PHASE_OVER)
            continue;
        m->fault = fault;
        verdict_copy(&m->fault_verdict, why);
        if (t->phase == PHASE_DOT_SENT)
            leave_in_doubt(c, t, why);
        t->phase = PHASE_OVER;
    }
}

void smtp_client_end(struct smtp_client *c, enum client_fault fault, const char *detail)
{
    static const enum status statuses[] = {
        [FAULT_REFUSED] = STATUS_NO_CONNECTION,   [FAULT_CLOSING] = STATUS_CONNECTION_LOST,
        [FAULT_LOST] = STATUS_CONNECTION_LOST,    [FAULT_TIMEOUT] = STATUS_TIMED_OUT,
        [FAULT_BAD_REPLY] = STATUS_BAD_REPLY,     [FAULT_LOOP] = STATUS_LOOPS_NOW,
        [FAULT_ABORTED] = STATUS_CONNECTION_LOST, [FAULT_TLS] = STATUS_TLS_FAILED,
        [FAULT_AUTH] = STATUS_AUTH_REFUSED,
    };
    struct verdict why = {0};

    must(fault != FAULT_NONE && fault < ARRAY_LEN(statuses));
    verdict_set(&why, statuses[fault], detail);
    mem_free(why.remote);
    why.remote = mem_string(c->remote);
    client_over(c, fault, &why);
    verdict_done(&why);
}

/* ---- transactions ---- */

void client_put_data(struct smtp_client *c, struct transaction *t, struct buf *out)
{
    if (t->is_bdat) {
        t->phase = PHASE_CONTENT;
        return;
    }
    buf_add_text(out, "DATA\r\n");
    client_expect(c, STEP_DATA, t, 0);
}

bool client_awaits_piece(const struct smtp_client *c)
{
    return c->expected_count > 0 && c->expected[c->expected_first].step == STEP_PIECE;
}

bool smtp_client_has_room(const struct smtp_client *c)
{
    return c->is_ready && !c->is_over && !c->is_quitting && client_offers(c, OFFERS_PIPELINING) &&
           c->current && !c->next && c->current->phase == PHASE_DOT_SENT;
}

/* Its commands, as far as they can go at once. */
static void put_envelope(struct smtp_client *c, struct transaction *t, struct buf *out)
{
    client_put_mail(c, t, out);
    if (!client_offers(c, OFFERS_PIPELINING))
        return;
    for (size_t i = 0; i < t->message->count; i++)
        i = client_put_rcpt(c, t, i, out);
    if (!t->is_bdat) /* content behind a BDAT would be for nobody if all are refused */
        client_put_data(c, t, out);
}

void smtp_client_send(struct smtp_client *c, struct client_message *m, struct buf *out)
{
    size_t from = out->len;
    struct transaction *t = c->slots[0].message ? &c->slots[1] : &c->slots[0];

    must(m->count > 0 && (smtp_client_has_room(c) || smtp_client_ask(c) == ASK_MESSAGE));
    mem_free(t->is_accepted);
    *t = (struct transaction){.message = m, .is_accepted = mem_array(m->count, sizeof(bool))};
    m->fault = FAULT_NONE;
    m->was_answered = m->dot_sent = false;
    m->is_first = c->sent_count == 0;
    if (c->current)
        c->next = t;
    else
        c->current = t;
    c->sent_count++;
    if (client_can_take(c, t))
        put_envelope(c, t, out);
    if (c->dialog)
        client_tell_said(c, out, from);
}

struct client_message *smtp_client_current(const struct smtp_client *c)
{
    return c->current ? c->current->message : NULL;
}

void smtp_client_content(struct smtp_client *c, struct span content, struct buf *out)
{
    size_t from = out->len;

    must(c->current && c->current->phase == PHASE_CONTENT && !client_awaits_piece(c));
    if (!c->current->is_bdat) {
        dot_stuffing_add(&c->stuffing, content, out);
    } else if (content.len > 0) {
        buf_printf(out, "BDAT %zu\r\n", content.len);
        buf_add_span(out, content);
        client_expect(c, STEP_PIECE, c->current, 0);
    }
    if (c->dialog)
        client_tell_content(c, out, from);
}

void smtp_client_content_end(struct smtp_client *c, struct buf *out)
{
    size_t from = out->len;

    must(c->current && c->current->phase == PHASE_CONTENT);
    if (!c->current->is_bdat)
        dot_stuffing_end(&c->stuffing, out);
    if (c->dialog)
        client_tell_content(c, out, from);
    c->current->phase = PHASE_DOT_READY;
}

/* RFC 2033 section 4.2: in LMTP one reply for each accepted recipient, in the order of RCPT; also behind BDAT LAST (RFC 3030 section 2). */
static void expect_dots(struct smtp_client *c, struct transaction *t)
{
    for (size_t i = 0; i < t->message->count; i++) {
        if (t->is_accepted[i] && (c->terms->is_lmtp || t->dots_owed == 0)) {
            client_expect(c, STEP_DOT, t, i);
            t->dots_owed++;
        }
    }
}

void smtp_client_dot(struct smtp_client *c, struct buf *out)
{
    struct transaction *t = c->current;

    size_t from = out->len;

    must(t && t->phase == PHASE_DOT_READY && !client_awaits_piece(c));
    buf_add_text(out, t->is_bdat ? "BDAT 0 LAST\r\n" : ".\r\n");
    if (c->dialog)
        client_tell_said(c, out, from);
    expect_dots(c, t);
    t->phase = PHASE_DOT_SENT;
    t->message->dot_sent = true;
}

struct client_message *smtp_client_result(struct smtp_client *c)
{
    struct transaction *t = c->current;
    struct client_message *m;

    if (!t || t->phase != PHASE_OVER)
        return NULL;
    m = t->message;
    t->message = NULL;
    c->current = c->next;
    c->next = NULL;
    return m;
}

/* ---- life ---- */

struct smtp_client *smtp_client_new(const struct client_settings *settings, const struct client_terms *terms,
                                    const char *remote)
{
    struct smtp_client *c = NEW(struct smtp_client);

    c->settings = settings;
    c->terms = terms;
    c->remote = mem_string(remote);
    if (terms->is_wrapped)
        c->awaits = ASK_TLS;
    else
        client_expect(c, STEP_GREETING, NULL, 0);
    return c;
}

struct smtp_client *smtp_client_free(struct smtp_client *c)
{
    if (!c)
        return NULL;
    must(!c->current && !c->next);
    mem_free(c->slots[0].is_accepted);
    mem_free(c->slots[1].is_accepted);
    mem_free(c->expected);
    mem_free(c->remote);
    client_login_wipe(c);
    reply_done(&c->reply);
    verdict_done(&c->fault_verdict);
    return mem_free(c);
}

enum client_ask smtp_client_ask(const struct smtp_client *c)
{
    const struct transaction *t = c->current;

    if (t && t->phase == PHASE_OVER)
        return ASK_RESULT;
    if (c->is_over)
        return ASK_CLOSE;
    if (c->awaits != ASK_REPLY)
        return c->awaits;
    if (client_awaits_piece(c))
        return ASK_REPLY;
    if (t && t->phase == PHASE_CONTENT)
        return ASK_CONTENT;
    if (t && t->phase == PHASE_DOT_READY)
        return ASK_DOT;
    if (c->is_ready && !c->is_quitting && !t)
        return ASK_MESSAGE;
    return ASK_REPLY;
}

enum client_limit smtp_client_limit(const struct smtp_client *c)
{
    if (c->current && (c->current->phase == PHASE_CONTENT || c->current->phase == PHASE_DOT_READY))
        return LIMIT_BLOCK;
    if (c->awaits != ASK_REPLY) /* a handshake, or a key of ours */
        return LIMIT_COMMAND;
    if (c->expected_count == 0)
        return LIMIT_IDLE;
    return client_reply_limit(c);
}

void smtp_client_quit(struct smtp_client *c, struct buf *out)
{
    if (c->is_over || c->is_quitting)
        return;
    size_t from = out->len;
    c->is_quitting = true;
    buf_add_text(out, "QUIT\r\n");
    if (c->dialog)
        client_tell_said(c, out, from);
    client_expect(c, STEP_QUIT, NULL, 0);
}

enum client_fault smtp_client_fault(const struct smtp_client *c)
{
    return c->fault;
}

const struct verdict *smtp_client_fault_verdict(const struct smtp_client *c)
{
    return &c->fault_verdict;
}

unsigned smtp_client_sent_count(const struct smtp_client *c)
{
    return c->sent_count;
}

unsigned smtp_client_reply_count(const struct smtp_client *c)
{
    return c->reply_count;
}
