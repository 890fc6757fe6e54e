/* One question of ours is one to three of DNS: the MX, and without one both kinds of address (RFC 5321 section 5.1). */
#include "ingress/domain_check.h"

#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/transport.h"
#include "io/dns.h"

enum found { FOUND_FINE, FOUND_NONE, FOUND_NULL_MX, FOUND_AWAY };
enum { DNS_UNKNOWN_REFUSES, DNS_UNKNOWN_PASSES }; /* ingress.dns_unknown: "refuse pass" */
enum { ASKED_MX, ASKED_A, ASKED_AAAA, ASKED_COUNT };

struct domain_check {
    struct loop *loop;
    struct dns *dns; /* NULL: not asked for yet, or it could not be opened */
};

struct domain_question {
    struct domain_check *check;
    enum domain_use use;
    domain_on_answer *on_answer;
    void *owner;
    char domain[DOMAIN_MAX + 1];
    struct dns_question *asked[ASKED_COUNT];
    bool is_away, has_address;
    struct tail tail; /* answers without a question */
    enum found found;
};

static const struct domain_answer answers[][2] = {
    [FOUND_FINE] = {{250, "2.1.0", "Ok"}, {250, "2.1.5", "Ok"}},
    [FOUND_NONE] = {{550, "5.1.8", "The sender's domain does not exist"},
                    {550, "5.1.2", "The recipient's domain does not exist"}},
    [FOUND_NULL_MX] = {{550, "5.7.27", "The sender's domain says that it takes no mail"},
                       {556, "5.1.10", "The recipient's domain says that it takes no mail"}},
    [FOUND_AWAY] = {{451, "4.1.8", "The sender's domain cannot be looked up now; try again later"},
                    {451, "4.4.3", "The recipient's domain cannot be looked up now; try again later"}},
};

struct domain_check *domain_check_new(struct loop *l)
{
    struct domain_check *d = NEW(struct domain_check);

    d->loop = l;
    return d;
}

struct domain_check *domain_check_free(struct domain_check *d)
{
    if (d)
        d->dns = dns_close(d->dns);
    return mem_free(d);
}

static bool has_dns(struct domain_check *d)
{
    const struct dns_settings settings = dns_settings_of(conf_get());

    return d->dns || dns_open(d->loop, &settings, &d->dns) == 0;
}

static void question_free(struct domain_question *q)
{
    tail_remove(&q->tail);
    for (size_t i = 0; i < ASKED_COUNT; i++)
        if (q->asked[i])
            dns_cancel(q->asked[i]);
    mem_free(q);
}

/* The end of the question. */
static void finish(struct domain_question *q, enum found found)
{
    domain_on_answer *on_answer = q->on_answer;
    enum domain_use use = q->use;
    void *owner = q->owner;

    question_free(q);
    if (found == FOUND_AWAY && conf_get()->ingress.dns_unknown == DNS_UNKNOWN_PASSES)
        found = FOUND_FINE;
    on_answer(owner, &answers[found][use]);
}

static void on_tail(struct tail *t)
{
    struct domain_question *q = CONTAINER_OF(t, struct domain_question, tail);

    finish(q, q->found);
}

static void on_address(struct domain_question *q, unsigned asked, const struct dns_answer *a)
{
    q->asked[asked] = NULL;
    q->is_away |= a->result == DNS_AWAY;
    q->has_address |= a->result == DNS_OK && a->count > 0;
    if (q->has_address)
        finish(q, FOUND_FINE);
    else if (!q->asked[ASKED_A] && !q->asked[ASKED_AAAA])
        finish(q, q->is_away ? FOUND_AWAY : FOUND_NONE);
}

static void on_a(void *context, const struct dns_answer *a)
{
    on_address(context, ASKED_A, a);
}

static void on_aaaa(void *context, const struct dns_answer *a)
{
    on_address(context, ASKED_AAAA, a);
}

static void on_mx(void *context, const struct dns_answer *a)
{
    struct domain_question *q = context;

    q->asked[ASKED_MX] = NULL;
    switch (a->result) {
    case DNS_OK: finish(q, a->count == 1 && !a->records[0].name[0] ? FOUND_NULL_MX : FOUND_FINE); break;
    case DNS_NO_NAME: finish(q, FOUND_NONE); break;
    case DNS_AWAY: finish(q, FOUND_AWAY); break;
    case DNS_NO_DATA:
        q->asked[ASKED_A] = dns_ask(q->check->dns, q->domain, DNS_A, on_a, q);
        q->asked[ASKED_AAAA] = dns_ask(q->check->dns, q->domain, DNS_AAAA, on_aaaa, q);
        break;
    }
}

/* Mail for it does not go by MX: DNS has no say. */
static bool has_route(const char *domain)
{
    return transport_kind_of(conf_get(), domain) != TRANSPORT_MX;
}

struct domain_question *domain_ask(struct domain_check *d, const char *domain, enum domain_use use,
                                   domain_on_answer *on_answer, void *owner)
{
    struct domain_question *q = NEW(struct domain_question);
    bool is_routed = use == DOMAIN_OF_RECIPIENT && has_route(domain);

    q->check = d;
    q->use = use;
    q->on_answer = on_answer;
    q->owner = owner;
    must(strlen(domain) <= DOMAIN_MAX);
    memcpy(q->domain, domain, strlen(domain) + 1);
    if (!is_routed && has_dns(d)) {
        q->asked[ASKED_MX] = dns_ask(d->dns, q->domain, DNS_MX, on_mx, q);
        return q;
    }
    q->found = is_routed ? FOUND_FINE : FOUND_AWAY;
    tail_add(d->loop, &q->tail, on_tail);
    return q;
}

struct domain_question *domain_cancel(struct domain_question *q)
{
    if (q)
        question_free(q);
    return NULL;
}
