/* From hosts to their TLS policies. */
#include "courier/policy_search.h"

#include <string.h>

#include "base/mem.h"
#include "courier/dane.h"
#include "courier/sts.h"

/* The settings were judged before they came into force. */
static void setting_of(const struct policy_search *s, const char *host, struct tls_setting *ret_setting)
{
    AUTO_FREE char *why = NULL;
    const char *text = s->transport->tls ? s->transport->tls : tls_setting_find(conf_get(), s->domain, host);
    int r = tls_setting_parse(span_of(text), ret_setting, &why);

    must(r == 0);
}

static bool is_name(const char *text)
{
    struct ip ip;

    return text && text[0] != '[' && ip_parse(span_of(text), &ip) < 0;
}

/* ---- answers ---- */

static void decide(struct policy_search *s, struct policy_host *h, const struct dane_answer *dane)
{
    struct tls_facts facts = {
        .setting = &h->setting,
        .domain = s->domain,
        .host = h->name,
        .is_by_mx = h->is_by_mx,
        .is_name_secure = !h->is_by_mx || h->is_mx_secure,
        .is_guarded = s->transport->user || (s->transport->is_wrapped && h->setting.wish != TLS_WISH_ENCRYPT),
        .dane = dane,
        .sts = s->sts && (h->is_by_mx || h->setting.wish == TLS_WISH_STS) ? s->sts : NULL,
    };

    h->policy = tls_policy_make(&facts);
}

static void answered(struct policy_search *s)
{
    if (s->open_count == 0 && s->on_done)
        s->on_done(s->context);
}

static void on_dane(void *context, const struct dane_answer *a)
{
    struct policy_host *h = context;

    h->dane = NULL;
    decide(h->search, h, a);
    h->search->open_count--;
    answered(h->search);
}

/* ---- questions ---- */

/* RFC 7672 section 2.2: only where the way to the host's name is secure, and its addresses are, or at least its being an alias may be. */
static bool can_have_dane(const struct policy_host *h)
{
    bool is_alias = h->expanded[0] && strcmp(h->expanded, h->name) != 0;

    return conf_get()->dns.validates &&
           (h->setting.wish == TLS_WISH_AUTO || h->setting.wish == TLS_WISH_DANE) && is_name(h->name) &&
           (!h->is_by_mx || h->is_mx_secure) && (h->is_secure || is_alias);
}

static void ask_dane(struct policy_search *s, struct policy_host *h)
{
    const char *expanded = !h->is_secure ? NULL : h->expanded[0] ? h->expanded : h->name;

    if (h->policy)
        return;
    if (!can_have_dane(h)) {
        decide(s, h, NULL);
        return;
    }
    s->open_count++;
    h->dane = dane_ask(s->courier, h->name, expanded, h->port, on_dane, h);
}

/* A socket of this machine needs no protection. */
static void look_at(struct policy_search *s, struct policy_host *h)
{
    h->search = s;
    if (!h->name) {
        h->policy = tls_policy_none();
        return;
    }
    setting_of(s, h->is_by_mx ? NULL : h->name, &h->setting);
}

static void ask_all(struct policy_search *s)
{
    for (size_t i = 0; i < s->count; i++)
        ask_dane(s, &s->hosts[i]);
}

static void on_sts(void *context, struct sts_policy *policy, enum sts_trouble trouble)
{
    struct policy_search *s = context;

    s->sts_search = NULL;
    s->sts = policy;
    s->sts_trouble = trouble;
    s->is_sts_open = false;
    if (!s->on_done)
        return;
    ask_all(s);
    answered(s);
}

static bool can_have_sts(const struct policy_search *s)
{
    struct tls_setting setting;
    bool is_wanted;

    if (!is_name(s->domain))
        return false;
    setting_of(s, NULL, &setting);
    is_wanted = setting.wish == TLS_WISH_STS ||
                (setting.wish == TLS_WISH_AUTO && conf_get()->tls_out.mta_sts &&
                 s->transport->kind == TRANSPORT_MX);
    tls_setting_done(&setting);
    return is_wanted;
}

void policy_search_begin(struct policy_search *s, struct courier *c, const char *domain,
                         const struct transport *t)
{
    *s = (struct policy_search){.courier = c, .domain = domain, .transport = t};
    s->is_sts_open = can_have_sts(s);
    if (s->is_sts_open)
        s->sts_search = sts_ask(c, domain, on_sts, s);
}

bool policy_search_hosts(struct policy_search *s, struct policy_host *hosts, size_t count,
                         void (*on_done)(void *context), void *context)
{
    s->hosts = hosts;
    s->count = count;
    for (size_t i = 0; i < count; i++)
        look_at(s, &hosts[i]);
    if (!s->is_sts_open)
        ask_all(s);
    if (!s->is_sts_open && s->open_count == 0)
        return true;
    s->on_done = on_done;
    s->context = context;
    return false;
}

void policy_search_end(struct policy_search *s)
{
    s->sts_search = sts_cancel(s->sts_search);
    s->sts = sts_policy_release(s->sts);
    for (size_t i = 0; i < s->count; i++) {
        struct policy_host *h = &s->hosts[i];

        if (h->dane)
            dane_cancel(h->dane);
        h->dane = NULL;
        h->policy = tls_policy_release(h->policy);
        tls_setting_done(&h->setting);
    }
    s->count = 0;
}
