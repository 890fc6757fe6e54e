/* A and AAAA of a web server, less those we never connect to. */
#include "courier/web_host.h"

#include "base/conf.h"
#include "base/mem.h"
#include "courier/route.h"
#include "io/dns.h"

struct web_host {
    struct web_question {
        struct web_host *host;
        struct dns_question *question; /* NULL: answered */
    } questions[2];
    struct ip ips[WEB_HOST_IPS_MAX];
    size_t count;
    bool is_away, was_refused; /* DNS did not answer; addresses we never connect to */
    web_host_on_found *on_found;
    void *context;
};

struct web_host *web_host_cancel(struct web_host *h)
{
    if (!h)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(h->questions); i++) {
        if (h->questions[i].question)
            dns_cancel(h->questions[i].question);
    }
    return mem_free(h);
}

static void add_address(struct web_host *h, const struct ip *ip)
{
    const struct conf *conf = conf_get();

    if (!route_may_connect(ip, &conf->courier.own_addresses, &conf->courier.allow_private,
                           conf->courier.refuse_private))
        h->was_refused = true;
    else if (h->count < WEB_HOST_IPS_MAX)
        h->ips[h->count++] = *ip;
}

static void on_addresses(void *context, const struct dns_answer *a)
{
    struct web_question *q = context;
    struct web_host *h = q->host;

    q->question = NULL;
    h->is_away |= a->result == DNS_AWAY;
    for (size_t i = 0; a->result == DNS_OK && i < a->count; i++)
        add_address(h, &a->records[i].ip);
    if (h->questions[0].question || h->questions[1].question)
        return;
    struct web_host found = *h;
    mem_free(h);
    found.on_found(found.context, found.ips, found.count,
                   found.count > 0     ? ""
                   : found.was_refused ? "its host's address is none to connect to"
                   : found.is_away     ? "its host's address cannot be found now"
                                       : "its host has no address");
}

struct web_host *web_host_find(struct courier *c, const char *host, web_host_on_found *on_found,
                               void *context)
{
    static const enum dns_type types[] = {DNS_A, DNS_AAAA};
    struct web_host *h = NEW(struct web_host);

    h->on_found = on_found;
    h->context = context;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        h->questions[i].host = h;
        h->questions[i].question = dns_ask(c->dns, host, types[i], on_addresses, &h->questions[i]);
    }
    return h;
}
