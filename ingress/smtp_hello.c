/* EHLO and HELO: who the client says it is, and what it is offered. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ingress/smtp_private.h"
#include "mail/ascii.h"

bool smtp_is_host(struct span name)
{
    struct ip ip;
    if (name.len == 0 || name.len > DOMAIN_MAX)
        return false;
    if (name.at[0] == '[')
        return name.at[name.len - 1] == ']' &&
               ip_parse((struct span){.at = name.at + 1, .len = name.len - 2}, &ip) == 0;
    for (size_t i = 0; i < name.len; i++)
        if (!is_alnum(name.at[i]) && !strchr("-._:", name.at[i]))
            return false;
    return true;
}

static bool take_helo(struct smtp_server *s, struct span name)
{
    if (!smtp_is_host(name)) {
        smtp_say(s, 501, "5.5.4", "That is not a host name");
        return false;
    }
    if (s->profile->limits.requires_fqdn && name.at[0] != '[' && !memchr(name.at, '.', name.len)) {
        smtp_say(s, 504, "5.5.2", "A full host name is needed");
        return false;
    }
    smtp_abandon_transaction(s);
    s->phase = SMTP_IDLE;
    mem_free(s->helo);
    s->helo = mem_text(name.at, name.len);
    s->last_code = 250;
    return true;
}

const char *smtp_mechanisms(const struct smtp_server *s)
{
    const char *some = s->is_secured                  ? s->profile->tls_mechanisms
                       : s->profile->auth_without_tls ? s->profile->mechanisms
                                                      : NULL;
    return some && s->profile->auth != SMTP_AUTH_OFF ? some : "";
}

static void list(struct smtp_server *s, bool is_offered, const char *line)
{
    if (!is_offered)
        return;
    buf_add_text(s->out, "250-");
    buf_add_text(s->out, line);
    buf_add_text(s->out, "\r\n");
}

static void list_auth(struct smtp_server *s)
{
    const char *mechanisms = smtp_mechanisms(s);
    if (mechanisms[0] == '\0' || s->is_authenticated)
        return;
    buf_add_text(s->out, "250-AUTH ");
    buf_add_text(s->out, mechanisms);
    buf_add_text(s->out, "\r\n");
}

/* RFC 4865 section 3: so many seconds ahead, and the time that is. */
static void list_future(struct smtp_server *s)
{
    uint64_t max_ms = s->profile->future_max_ms;
    AUTO_BUF struct buf stamp = {0};
    clock_add_stamp(&stamp, (uint64_t) ((int64_t) s->now_ms + s->wall_offset_ms) + max_ms);
    buf_printf(s->out, "250-FUTURERELEASE %llu %.19sZ\r\n", (unsigned long long) (max_ms / 1000), stamp.data);
}

/* What works, and nothing else (BEHAVIOURS B36, C01, D02, N01). */
static void list_extensions(struct smtp_server *s)
{
    const struct smtp_profile *p = s->profile;
    list(s, true, "PIPELINING");
    buf_printf(s->out, "250-SIZE %llu\r\n", (unsigned long long) p->limits.message_bytes);
    list(s, true, "8BITMIME");
    list(s, p->tls != SMTP_TLS_OFF && !s->is_secured, "STARTTLS");
    list_auth(s);
    list(s, smtp_offers(s, SMTP_CHUNKING), "CHUNKING");
    list(s, smtp_offers(s, SMTP_BINARYMIME), "BINARYMIME");
    list(s, smtp_offers(s, SMTP_DSN), "DSN");
    list(s, smtp_offers(s, SMTP_UTF8), "SMTPUTF8");
    list(s, smtp_offers(s, SMTP_REQUIRETLS), "REQUIRETLS");
    if (smtp_offers(s, SMTP_LIMITS))
        buf_printf(s->out, "250-LIMITS MAILMAX=%llu RCPTMAX=%llu\r\n",
                   (unsigned long long) p->limits.transactions, (unsigned long long) p->limits.recipients);
    if (smtp_offers(s, SMTP_FUTURERELEASE))
        list_future(s);
    if (smtp_offers(s, SMTP_DELIVERBY))
        buf_printf(s->out, "250-DELIVERBY %llu\r\n", (unsigned long long) p->by_min_s);
    list(s, s->is_xclient_allowed, "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT");
    buf_add_text(s->out, "250 ENHANCEDSTATUSCODES\r\n");
}

void smtp_ehlo(struct smtp_server *s, struct span argument)
{
    if (!take_helo(s, argument))
        return;
    s->is_esmtp = true;
    list(s, true, s->name);
    list_extensions(s);
}

void smtp_helo(struct smtp_server *s, struct span argument)
{
    if (!take_helo(s, argument))
        return;
    s->is_esmtp = false;
    smtp_say(s, 250, "", s->name);
}
