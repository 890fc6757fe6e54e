/* The SMTP client engine: MAIL and RCPT with what the sender asked for, as far as the host offers it; and mail that it cannot take. */
#include <string.h>

#include "base/mem.h"
#include "courier/smtp_client_private.h"
#include "mail/ascii.h"
#include "mail/orcpt.h"
#include "mail/xtext.h"

bool client_offers(const struct smtp_client *c, unsigned extensions)
{
    return (c->extensions & extensions) == extensions;
}

static const struct recipient *recipient_of(const struct client_message *m, size_t i)
{
    return &m->envelope->recipients[m->recipients[i]];
}

/* ---- what a host must offer ---- */

static bool takes_utf8(const struct smtp_client *c)
{
    return client_offers(c, OFFERS_SMTPUTF8);
}

static bool can_take_recipient(const struct smtp_client *c, const struct client_message *m, size_t i)
{
    return takes_utf8(c) || is_ascii_text(recipient_of(m, i)->addr);
}

/* Is every one of them out of this host's reach (BEHAVIOURS N06)? */
static bool can_take_none(const struct smtp_client *c, const struct client_message *m)
{
    for (size_t i = 0; i < m->count; i++) {
        if (can_take_recipient(c, m, i))
            return false;
    }
    return true;
}

/* RFC 2852 section 4: mail to be returned when it is late does not go where nobody looks at the clock, or nobody takes so short a time. */
static bool is_late_for(const struct smtp_client *c, const struct client_message *m)
{
    if (m->envelope->by_mode != BY_RETURN)
        return false;
    return !client_offers(c, OFFERS_DELIVERBY) || m->by_left_s <= 0 ||
           (uint64_t) m->by_left_s < c->by_least_s;
}

/*
 * RFC 8689 section 4.2.1: what must stay protected goes to a host that has proven who it is and promises to go on so (BEHAVIOURS L15). A mail store
 * reached through nothing but this machine is the end of the way.
 */
static bool keeps_tls(const struct smtp_client *c)
{
    return (c->is_proven && client_offers(c, OFFERS_REQUIRETLS)) ||
           (c->terms->is_lmtp && c->terms->is_private);
}

/* STATUS_COUNT: nothing is in the way. */
static enum status unfit(const struct smtp_client *c, const struct client_message *m)
{
    const struct envelope *e = m->envelope;

    if (e->requires_tls && !keeps_tls(c))
        return STATUS_NO_REQUIRETLS;
    if (e->is_binary && !client_offers(c, OFFERS_CHUNKING | OFFERS_BINARYMIME))
        return STATUS_NO_BINARY;
    if (!takes_utf8(c) && !is_ascii_text(e->sender))
        return STATUS_NO_UTF8_ADDRESS;
    if (!takes_utf8(c) && e->has_utf8_header)
        return STATUS_NO_UTF8_HEADER;
    if (can_take_none(c, m))
        return STATUS_NO_UTF8_ADDRESS;
    return is_late_for(c, m) ? STATUS_NO_DELIVERBY : STATUS_COUNT;
}

static void verdict_of_ours(const struct smtp_client *c, enum status status, struct verdict *v)
{
    verdict_set(v, status, NULL);
    v->remote = (mem_free(v->remote), mem_string(c->remote));
}

bool client_can_take(const struct smtp_client *c, struct transaction *t)
{
    struct client_message *m = t->message;
    enum status status = unfit(c, m);

    if (status != STATUS_COUNT) {
        m->fault = FAULT_UNFIT;
        verdict_of_ours(c, status, &m->fault_verdict);
        t->phase = PHASE_OVER;
        return false;
    }
    if (!c->size_limit || m->envelope->size_bytes <= c->size_limit)
        return true;
    for (size_t i = 0; i < m->count; i++) /* RFC 1870 section 5, BEHAVIOURS H19 */
        verdict_of_ours(c, STATUS_TOO_BIG, &m->verdicts[i]);
    t->phase = PHASE_OVER;
    return false;
}

/* ---- MAIL ---- */

/* Only when something of it needs it (BEHAVIOURS N04). */
static bool needs_smtputf8(const struct client_message *m)
{
    if (m->envelope->has_utf8_header || !is_ascii_text(m->envelope->sender))
        return true;
    for (size_t i = 0; i < m->count; i++) {
        const struct recipient *r = recipient_of(m, i);

        if (!is_ascii_text(r->addr) || (r->orcpt && !is_ascii_text(r->orcpt)))
            return true;
    }
    return false;
}

static void put_body(const struct smtp_client *c, struct transaction *t, struct buf *out)
{
    const struct envelope *e = t->message->envelope;

    if (e->is_binary)
        buf_add_text(out, " BODY=BINARYMIME");
    else if (e->is_8bit && client_offers(c, OFFERS_8BITMIME))
        buf_add_text(out, " BODY=8BITMIME");
    t->is_bdat = e->is_binary;
}

static void put_deliver_by(const struct client_message *m, struct buf *out)
{
    const struct envelope *e = m->envelope;

    buf_printf(out, " BY=%lld;%s%s", (long long) m->by_left_s, e->by_mode == BY_RETURN ? "R" : "N",
               e->by_trace ? "T" : "");
}

/* RFC 4954 section 5: who is told that it is us is told who first submitted the mail. */
static void put_auth(const struct smtp_client *c, const struct envelope *e, struct buf *out)
{
    if (!c->is_logged_in || !e->auth)
        return;
    buf_add_text(out, " AUTH=");
    if (*e->auth && is_ascii_text(e->auth))
        xtext_encode(span_of(e->auth), out);
    else
        buf_add_text(out, "<>");
}

void client_put_mail(struct smtp_client *c, struct transaction *t, struct buf *out)
{
    struct client_message *m = t->message;
    const struct envelope *e = m->envelope;

    buf_add_text(out, "MAIL FROM:<");
    buf_add_text(out, e->sender);
    buf_add_char(out, '>');
    if (client_offers(c, OFFERS_SIZE)) {
        buf_add_text(out, " SIZE=");
        buf_add_number(out, e->size_bytes);
    }
    put_body(c, t, out);
    if (takes_utf8(c) && needs_smtputf8(m))
        buf_add_text(out, " SMTPUTF8");
    if (e->requires_tls && client_offers(c, OFFERS_REQUIRETLS))
        buf_add_text(out, " REQUIRETLS");
    m->is_dsn_passed = client_offers(c, OFFERS_DSN);
    if (m->is_dsn_passed && e->ret != RET_UNSAID)
        buf_add_text(out, e->ret == RET_FULL ? " RET=FULL" : " RET=HDRS");
    if (m->is_dsn_passed && e->envid && *e->envid)
        buf_printf(out, " ENVID=%s", e->envid);
    put_auth(c, e, out);
    if (e->by_mode != BY_NONE && client_offers(c, OFFERS_DELIVERBY))
        put_deliver_by(m, out);
    buf_add_text(out, "\r\n");
    client_expect(c, STEP_MAIL, t, 0);
}

/* ---- RCPT ---- */

static void put_notify(const struct smtp_client *c, const struct recipient *r, struct buf *out)
{
    if (r->notify) {
        buf_add_text(out, " NOTIFY=");
        notify_add(r->notify, out);
    }
    if (!r->orcpt)
        return;
    buf_add_text(out, " ORCPT=");
    if (takes_utf8(c))
        buf_add_text(out, r->orcpt);
    else
        orcpt_add_ascii(span_of(r->orcpt), out);
}

size_t client_put_rcpt(struct smtp_client *c, struct transaction *t, size_t recipient, struct buf *out)
{
    struct client_message *m = t->message;

    while (recipient < m->count && !can_take_recipient(c, m, recipient))
        recipient++;
    if (recipient == m->count)
        return recipient;
    buf_add_text(out, "RCPT TO:<");
    buf_add_text(out, recipient_of(m, recipient)->addr);
    buf_add_char(out, '>');
    if (m->is_dsn_passed)
        put_notify(c, recipient_of(m, recipient), out);
    buf_add_text(out, "\r\n");
    client_expect(c, STEP_RCPT, t, recipient);
    t->last_rcpt = recipient;
    return recipient;
}
