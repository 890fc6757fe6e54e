/* The SMTP client engine. Invariants: replies are matched to `expected` in order; at most two transactions live, the second only behind the first one's dot. */
#include "courier/smtp_client.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "courier/dot_stuffing.h"
#include "mail/reply.h"

enum step {
#define STEP(name, limit, handler) STEP_##name,
#include "courier/smtp_client.def"
#undef STEP
};

enum phase {
    PHASE_ENVELOPE,
    PHASE_CONTENT,
    PHASE_DOT_READY, /* content is out, the dot is not */
    PHASE_DOT_SENT,  /* the point of no return: a connection lost here leaves the message in doubt */
    PHASE_OVER,
};

struct transaction {
    struct client_message *message; /* NULL: free */
    enum phase phase;
    bool mail_ok, mail_refused;
    size_t accepted;
    bool *is_accepted; /* per recipient */
};

struct expected {
    enum step step;
    struct transaction *transaction; /* NULL for the connection's own */
    size_t recipient;
};

struct smtp_client {
    const struct client_settings *settings;
    char *remote;
    struct reply reply;
    struct transaction slots[2];
    struct transaction *current, *next; /* current is the elder; next only with current */
    struct expected *expected;          /* ring */
    size_t expected_first, expected_count, expected_cap;
    struct dot_stuffing stuffing;
    bool is_ready, is_over, is_quitting;
    bool has_pipelining, has_size, has_8bitmime;
    uint64_t size_limit; /* 0: none told */
    enum client_fault fault;
    struct verdict fault_verdict;
    unsigned sent_count, reply_count;
};

/* ---- expected replies ---- */

static void expect(struct smtp_client *c, enum step step, struct transaction *t, size_t recipient)
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
    c->expected[(c->expected_first + c->expected_count++) % c->expected_cap] = (struct expected){step, t, recipient};
}

static struct expected expected_take(struct smtp_client *c)
{
    struct expected e = c->expected[c->expected_first];

    c->expected_first = (c->expected_first + 1) % c->expected_cap;
    c->expected_count--;
    return e;
}

/* ---- the end of a connection ---- */

static void connection_over(struct smtp_client *c, enum client_fault fault, const struct verdict *why)
{
    if (c->is_over)
        return;
    c->is_over = true;
    c->is_ready = false;
    c->fault = fault;
    c->expected_count = 0;
    verdict_copy(&c->fault_verdict, why);
    for (struct transaction *t = c->current; t; t = t == c->current ? c->next : NULL) {
        struct client_message *m = t->message;

        if (t->phase == PHASE_OVER)
            continue;
        m->fault = fault;
        verdict_copy(&m->fault_verdict, why);
        if (t->phase == PHASE_DOT_SENT && fault != FAULT_CLOSING) { /* RFC 5321 section 4.2.5, BEHAVIOURS H13 */
            for (size_t i = 0; i < m->count; i++) {
                if (!t->is_accepted[i])
                    continue;
                verdict_set(&m->verdicts[i], STATUS_REPLY_LOST, why->text);
                m->verdicts[i].remote = (mem_free(m->verdicts[i].remote), mem_string(c->remote));
                m->verdicts[i].in_doubt = true;
            }
        }
        t->phase = PHASE_OVER;
    }
}

void smtp_client_end(struct smtp_client *c, enum client_fault fault, const char *detail)
{
    static const enum status statuses[] = {
        [FAULT_REFUSED] = STATUS_NO_CONNECTION,  [FAULT_CLOSING] = STATUS_CONNECTION_LOST, [FAULT_LOST] = STATUS_CONNECTION_LOST,
        [FAULT_TIMEOUT] = STATUS_TIMED_OUT,      [FAULT_BAD_REPLY] = STATUS_BAD_REPLY,     [FAULT_LOOP] = STATUS_LOOPS_NOW,
        [FAULT_ABORTED] = STATUS_CONNECTION_LOST,
    };
    struct verdict why = {0};

    must(fault != FAULT_NONE && fault < ARRAY_LEN(statuses));
    verdict_set(&why, statuses[fault], detail);
    mem_free(why.remote);
    why.remote = mem_string(c->remote);
    connection_over(c, fault, &why);
    verdict_done(&why);
}

/* Ends the connection with what the remote just said; never worse than deferred: another host, or another day, may do. */
static void end_by_reply(struct smtp_client *c, enum client_fault fault)
{
    struct verdict why = {0};

    reply_verdict(&c->reply, c->remote, &why);
    why.class = VERDICT_DEFERRED;
    if (why.status[0] != '4')
        memcpy(why.status, "4.4.0", sizeof("4.4.0"));
    connection_over(c, fault, &why);
    verdict_done(&why);
}

/* ---- transactions ---- */

static void transaction_over(struct smtp_client *c, struct transaction *t, struct buf *out)
{
    if (t->mail_ok && t->phase < PHASE_DOT_SENT) {
        buf_add_text(out, "RSET\r\n");
        expect(c, STEP_RSET, NULL, 0);
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

static void put_mail(struct smtp_client *c, struct transaction *t, struct buf *out)
{
    const struct client_message *m = t->message;

    buf_add_text(out, "MAIL FROM:<");
    buf_add_text(out, m->sender);
    buf_add_char(out, '>');
    if (c->has_size) {
        buf_add_text(out, " SIZE=");
        buf_add_number(out, m->size_bytes);
    }
    if (c->has_8bitmime && m->is_8bit)
        buf_add_text(out, " BODY=8BITMIME");
    buf_add_text(out, "\r\n");
    expect(c, STEP_MAIL, t, 0);
}

static void put_rcpt(struct smtp_client *c, struct transaction *t, size_t recipient, struct buf *out)
{
    buf_add_text(out, "RCPT TO:<");
    buf_add_text(out, t->message->recipients[recipient]);
    buf_add_text(out, ">\r\n");
    expect(c, STEP_RCPT, t, recipient);
}

static void put_data(struct smtp_client *c, struct transaction *t, struct buf *out)
{
    buf_add_text(out, "DATA\r\n");
    expect(c, STEP_DATA, t, 0);
}

bool smtp_client_has_room(const struct smtp_client *c)
{
    return c->is_ready && !c->is_over && !c->is_quitting && c->has_pipelining && c->current && !c->next && c->current->phase == PHASE_DOT_SENT;
}

void smtp_client_send(struct smtp_client *c, struct client_message *m, struct buf *out)
{
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
    if (c->size_limit && m->size_bytes > c->size_limit) { /* RFC 1870 section 5, BEHAVIOURS H19 */
        for (size_t i = 0; i < m->count; i++) {
            verdict_set(&m->verdicts[i], STATUS_TOO_BIG, NULL);
            m->verdicts[i].remote = (mem_free(m->verdicts[i].remote), mem_string(c->remote));
        }
        t->phase = PHASE_OVER;
        return;
    }
    put_mail(c, t, out);
    if (!c->has_pipelining)
        return;
    for (size_t i = 0; i < m->count; i++)
        put_rcpt(c, t, i, out);
    put_data(c, t, out);
}

struct client_message *smtp_client_current(const struct smtp_client *c)
{
    return c->current ? c->current->message : NULL;
}

void smtp_client_content(struct smtp_client *c, struct span content, struct buf *out)
{
    must(c->current && c->current->phase == PHASE_CONTENT);
    dot_stuffing_add(&c->stuffing, content, out);
}

void smtp_client_content_end(struct smtp_client *c, struct buf *out)
{
    must(c->current && c->current->phase == PHASE_CONTENT);
    dot_stuffing_end(&c->stuffing, out);
    c->current->phase = PHASE_DOT_READY;
}

void smtp_client_dot(struct smtp_client *c, struct buf *out)
{
    must(c->current && c->current->phase == PHASE_DOT_READY);
    buf_add_text(out, ".\r\n");
    expect(c, STEP_DOT, c->current, 0);
    c->current->phase = PHASE_DOT_SENT;
    c->current->message->dot_sent = true;
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
    expect(c, step, NULL, 0);
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

static void read_extensions(struct smtp_client *c)
{
    struct span text = buf_span(&c->reply.text);

    span_cut(&text, '\n');
    while (text.len > 0) {
        struct span line = span_cut(&text, '\n'), word = span_cut(&line, ' ');

        if (span_equal_nocase(word, SPAN("PIPELINING"))) {
            c->has_pipelining = true;
        } else if (span_equal_nocase(word, SPAN("8BITMIME"))) {
            c->has_8bitmime = true;
        } else if (span_equal_nocase(word, SPAN("SIZE"))) {
            c->has_size = true;
            if (span_number(span_trim(line), UINT64_MAX, &c->size_limit) < 0)
                c->size_limit = 0;
        }
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
        if (!c->has_pipelining)
            put_rcpt(c, t, 0, out);
        return;
    }
    t->mail_refused = true;
    verdict_for_all(c, t, false);
    if (!c->has_pipelining)
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
    if (c->has_pipelining)
        return;
    if (e->recipient + 1 < t->message->count)
        put_rcpt(c, t, e->recipient + 1, out);
    else if (t->accepted > 0)
        put_data(c, t, out);
    else
        transaction_over(c, t, out);
}

static void on_data(struct smtp_client *c, const struct expected *e, struct buf *out)
{
    struct transaction *t = e->transaction;

    if (c->reply.code == 354 && t->accepted > 0) {
        t->phase = PHASE_CONTENT;
        dot_stuffing_begin(&c->stuffing);
    } else if (c->reply.code == 354) { /* nobody to send to: an empty message is all that ends this politely (BEHAVIOURS H10) */
        buf_add_text(out, ".\r\n");
        expect(c, STEP_EMPTY_DOT, t, 0);
    } else {
        verdict_for_all(c, t, true);
        transaction_over(c, t, out);
    }
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
    else if (t && (e->step == STEP_DATA || e->step == STEP_DOT))
        verdict_for_all(c, t, true);
    if (e->step == STEP_GREETING || e->step == STEP_EHLO || e->step == STEP_HELO)
        end_by_reply(c, FAULT_REFUSED);
    else
        end_by_reply(c, FAULT_CLOSING);
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

/* ---- life ---- */

struct smtp_client *smtp_client_new(const struct client_settings *settings, const char *remote)
{
    struct smtp_client *c = NEW(struct smtp_client);

    c->settings = settings;
    c->remote = mem_string(remote);
    expect(c, STEP_GREETING, NULL, 0);
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
    if (c->expected_count == 0)
        return LIMIT_IDLE;
    return steps[c->expected[c->expected_first].step].limit;
}

void smtp_client_quit(struct smtp_client *c, struct buf *out)
{
    if (c->is_over || c->is_quitting)
        return;
    c->is_quitting = true;
    buf_add_text(out, "QUIT\r\n");
    expect(c, STEP_QUIT, NULL, 0);
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
