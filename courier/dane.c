/* TLSA records of mail hosts: one question for each name the host may be known by, until one has records. */
#include "courier/dane.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct dane_question {
    struct dns_question *dns;
    struct dns *resolver;
    dane_on_answer *on_answer;
    void *context;
    uint16_t port;
    bool is_expanded; /* the name asked for now is the expanded one, and the host's own comes after it */
    char host[DOMAIN_MAX + 1];
    struct dane_answer answer;
    struct tls_association records[DANE_RECORDS_MAX];
};

int dane_record_parse(struct span rdata, struct tls_association *ret_record)
{
    struct tls_association a;

    if (rdata.len < 4)
        return -EINVAL;
    a = (struct tls_association){.usage = (uint8_t) rdata.at[0],
                                 .selector = (uint8_t) rdata.at[1],
                                 .matching = (uint8_t) rdata.at[2],
                                 .data = {rdata.at + 3, rdata.len - 3}};
    if (!tls_association_is_usable(&a))
        return -EINVAL;
    *ret_record = a;
    return 0;
}

void dane_cancel(struct dane_question *q)
{
    if (q->dns)
        dns_cancel(q->dns);
    mem_free(q);
}

static void answer(struct dane_question *q)
{
    q->on_answer(q->context, &q->answer);
    mem_free(q);
}

static void take_records(struct dane_question *q, const struct dns_answer *a)
{
    for (size_t i = 0; i < a->count; i++) {
        if (q->answer.count == DANE_RECORDS_MAX ||
            dane_record_parse(a->records[i].data, &q->records[q->answer.count]) < 0)
            q->answer.unusable_count++;
        else
            q->answer.count++;
    }
    q->answer.records = q->records;
    q->answer.result = DANE_FOUND;
}

static void ask(struct dane_question *q);

/* A zone that is not signed says nothing (RFC 7672 section 2.1.1); an answer that did not come, or is not to be believed, is not "no records". */
static void on_tlsa(void *context, const struct dns_answer *a)
{
    struct dane_question *q = context;

    q->dns = NULL;
    if (a->result == DNS_AWAY) {
        q->answer.result = DANE_AWAY;
        q->answer.why = q->answer.base;
    } else if (a->result == DNS_OK && a->is_secure && a->count > 0) {
        take_records(q, a);
    } else if (q->is_expanded) {
        q->is_expanded = false;
        memcpy(q->answer.base, q->host, sizeof(q->host));
        ask(q);
        return;
    }
    answer(q);
}

static void ask(struct dane_question *q)
{
    AUTO_FREE char *name = mem_format("_%u._tcp.%s", q->port, q->answer.base);

    q->dns = dns_ask(q->resolver, name, DNS_TLSA, on_tlsa, q);
}

static void on_alias(void *context, const struct dns_answer *a)
{
    struct dane_question *q = context;

    q->dns = NULL;
    if (a->result == DNS_OK && a->is_secure) {
        ask(q);
        return;
    }
    if (a->result == DNS_AWAY) {
        q->answer.result = DANE_AWAY;
        q->answer.why = q->answer.base;
    }
    answer(q);
}

struct dane_question *dane_ask(struct courier *c, const char *host, const char *expanded, uint16_t port,
                               dane_on_answer *on_answer, void *context)
{
    struct dane_question *q = NEW(struct dane_question);
    const char *base = expanded ? expanded : host;

    must(strlen(host) <= DOMAIN_MAX && strlen(base) <= DOMAIN_MAX);
    q->resolver = c->dns;
    q->on_answer = on_answer;
    q->context = context;
    q->port = port;
    q->is_expanded = strcmp(host, base) != 0;
    memcpy(q->host, host, strlen(host) + 1);
    memcpy(q->answer.base, base, strlen(base) + 1);
    if (expanded)
        ask(q);
    else
        q->dns = dns_ask(q->resolver, host, DNS_CNAME, on_alias, q);
    return q;
}
