/* XCLIENT, as Postfix' XCLIENT_README has it: a trusted peer says for whom it speaks. A value is xtext; one that is unknown is in brackets. */
#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_private.h"
#include "mail/xtext.h"

enum { VALUE_MAX = 255 };

void smtp_xclient_done(struct smtp_server *s)
{
    if (!s->xclient)
        return;
    mem_free(s->xclient->name);
    mem_free(s->xclient->helo);
    mem_free(s->xclient->login);
    mem_free(s->xclient->proto);
    s->xclient = mem_free(s->xclient);
}

static bool take_text(char **text, struct span value)
{
    mem_free(*text);
    *text = mem_text(value.at, value.len);
    return true;
}

static bool take_host(char **text, struct span value)
{
    return (value.len == 0 || smtp_is_host(value)) && take_text(text, value);
}

/* IPv4, or IPv6 behind "IPV6:". */
static bool take_ip(bool *has_ip, struct ip *ip, struct span value)
{
    *has_ip = value.len > 0;
    return value.len == 0 || ip_parse(value, ip) == 0;
}

static bool take_port(uint16_t *port, struct span value)
{
    uint64_t number = 0;
    if (value.len > 0 && (span_number(value, UINT16_MAX, &number) < 0 || number == 0))
        return false;
    *port = (uint16_t) number;
    return true;
}

static bool take_proto(char **proto, struct span value)
{
    return (span_equal_nocase(value, SPAN("SMTP")) || span_equal_nocase(value, SPAN("ESMTP"))) &&
           take_text(proto, value);
}

/* value: decoded; empty: unknown. */
static bool take_attribute(struct smtp_xclient *x, struct span name, struct span value)
{
    if (span_equal_nocase(name, SPAN("NAME")))
        return take_host(&x->name, value);
    if (span_equal_nocase(name, SPAN("ADDR")))
        return take_ip(&x->has_ip, &x->ip, value);
    if (span_equal_nocase(name, SPAN("PORT")))
        return take_port(&x->port, value);
    if (span_equal_nocase(name, SPAN("PROTO")))
        return take_proto(&x->proto, value);
    if (span_equal_nocase(name, SPAN("HELO")))
        return take_host(&x->helo, value);
    if (span_equal_nocase(name, SPAN("LOGIN")))
        return take_text(&x->login, value);
    if (span_equal_nocase(name, SPAN("DESTADDR")))
        return take_ip(&x->has_destination_ip, &x->destination_ip, value);
    return span_equal_nocase(name, SPAN("DESTPORT")) && take_port(&x->destination_port, value);
}

static bool is_unknown(struct span value)
{
    return span_equal_nocase(value, SPAN("[UNAVAILABLE]")) || span_equal_nocase(value, SPAN("[TEMPUNAVAIL]"));
}

/* "NAME=value" */
static bool take_word(struct smtp_xclient *x, struct span word)
{
    AUTO_BUF struct buf text = {0};
    struct span value = word, name = span_cut(&value, '=');
    if (is_unknown(value))
        return take_attribute(x, name, SPAN(""));
    return value.len > 0 && xtext_decode(value, true, &text) == 0 && text.len <= VALUE_MAX &&
           take_attribute(x, name, buf_span(&text));
}

void smtp_xclient(struct smtp_server *s, struct span argument)
{
    bool is_good = true;
    s->xclient = NEW(struct smtp_xclient);
    while (argument.at && is_good) {
        struct span word = span_trim(span_cut(&argument, ' '));
        is_good = word.len == 0 || take_word(s->xclient, word);
    }
    if (is_good) {
        s->ask = SMTP_ASK_XCLIENT;
        return;
    }
    smtp_xclient_done(s);
    smtp_say(s, 501, "5.5.4", "Use XCLIENT attribute=value ...");
}
