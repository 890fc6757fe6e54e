/*
 * Who asks for a domain's MTA-STS policy, and what is kept of whom. One entry per domain joins all who ask; they are answered when it rests again, at
 * once when the policy in force is only to be renewed, and after tls_out.sts_wait in any case.
 */
#include "courier/sts.h"

#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/metric.h"
#include "courier/courier.h"
#include "courier/sts_private.h"
#include "io/http_client.h"

enum { LABEL_BYTES = sizeof("_mta-sts.") - 1 };

struct sts_search {
    struct list link;
    struct sts_entry *entry; /* NULL: a domain that has no policy by its name */
    struct timer wait;
    struct tail tail;
    sts_on_policy *on_policy;
    void *context;
};

/* ---- answers ---- */

static void search_answer(struct sts_search *s, struct sts_policy *policy, enum sts_trouble trouble)
{
    sts_on_policy *on_policy = s->on_policy;
    void *context = s->context;

    sts_cancel(s);
    on_policy(context, policy && policy->mode != STS_NONE ? sts_policy_hold(policy) : NULL, trouble);
}

/* The last thing done with an entry: those who are answered may have it forgotten. */
void sts_answer_all(struct sts_entry *e)
{
    struct list all;
    struct sts_policy *policy = sts_is_in_force(e) ? sts_policy_hold(e->policy) : NULL;
    enum sts_trouble trouble = e->trouble;

    list_init(&all);
    LIST_EACH(&e->searches, it, save) {
        list_remove(it);
        list_append(&all, it);
    }
    while (!list_is_empty(&all))
        search_answer(LIST_FIRST(&all, struct sts_search, link), policy, trouble);
    sts_policy_release(policy);
}

static void answer_one(struct sts_search *s)
{
    struct sts_entry *e = s->entry;

    search_answer(s, e && sts_is_in_force(e) ? e->policy : NULL, e ? e->trouble : STS_TROUBLE_NONE);
}

static void on_tail(struct tail *t)
{
    answer_one(CONTAINER_OF(t, struct sts_search, tail));
}

static void on_wait(struct timer *t)
{
    answer_one(CONTAINER_OF(t, struct sts_search, wait));
}

/* ---- entries ---- */

static void entry_free(struct sts_entry *e)
{
    struct sts *s = e->sts;

    map_remove(&s->entries, span_of(e->domain));
    list_remove(&e->link);
    s->bytes -= e->bytes;
    timer_stop(&e->timer);
    if (e->txt)
        dns_cancel(e->txt);
    e->call = sts_call_cancel(e->call);
    e->fetch = sts_fetch_cancel(e->fetch);
    sts_policy_release(e->policy);
    mem_free(e);
}

/* Those asked for longest ago go first; what Redis has of them stays there. */
static void make_room(struct sts *s)
{
    LIST_EACH(&s->order, it, save) {
        struct sts_entry *e = LIST_ENTRY(it, struct sts_entry, link);

        if (s->bytes <= conf_get()->tls_out.sts_cache_bytes)
            break;
        if (e->step == STS_RESTING && list_is_empty(&e->searches))
            entry_free(e);
    }
}

static struct sts_entry *entry_of(struct sts *s, const char *domain)
{
    struct sts_entry *e = map_get(&s->entries, span_of(domain));

    if (!e) {
        make_room(s);
        e = NEW(struct sts_entry);
        e->sts = s;
        list_init(&e->searches);
        memcpy(e->domain, domain, strlen(domain) + 1);
        sts_entry_take(e, NULL); /* books its own bytes */
        map_set(&s->entries, span_of(domain), e);
    }
    list_remove(&e->link);
    list_append(&s->order, &e->link);
    metric_set(METRIC_STS_DOMAINS, (int64_t) s->entries.count);
    return e;
}

/* ---- who asks ---- */

/* Whether there can be hosts of these names below it; a literal has none. */
static bool can_have_policy(const char *domain)
{
    return strlen(domain) + LABEL_BYTES <= DOMAIN_MAX && domain_check(span_of(domain)) == 0;
}

struct sts_search *sts_ask(struct courier *c, const char *domain, sts_on_policy *on_policy, void *context)
{
    struct sts_search *s = NEW(struct sts_search);
    const struct conf *conf = conf_get();
    struct sts_entry *e;

    s->on_policy = on_policy;
    s->context = context;
    if (!conf->tls_out.mta_sts || !can_have_policy(domain)) {
        tail_add(c->loop, &s->tail, on_tail);
        return s;
    }
    e = s->entry = entry_of(c->sts, domain);
    e->asked_ms = clock_ms();
    list_append(&e->searches, &s->link);
    timer_start(c->loop, &s->wait, conf->tls_out.sts_wait_ms, on_wait);
    if (e->step == STS_RESTING)
        sts_entry_look(e);
    else if (e->step != STS_LOOKING && sts_is_in_force(e) && !sts_is_new_due(e))
        tail_add(c->loop, &s->tail, on_tail); /* it is being renewed: nobody waits for that */
    return s;
}

struct sts_search *sts_cancel(struct sts_search *s)
{
    if (!s)
        return NULL;
    list_remove(&s->link);
    timer_stop(&s->wait);
    tail_remove(&s->tail);
    return mem_free(s);
}

struct sts *sts_open(struct courier *c)
{
    struct sts *s = NEW(struct sts);

    s->courier = c;
    list_init(&s->order);
    return s;
}

struct sts *sts_close(struct sts *s)
{
    if (!s)
        return NULL;
    LIST_EACH(&s->order, it, save) {
        struct sts_entry *e = LIST_ENTRY(it, struct sts_entry, link);

        LIST_EACH(&e->searches, each, keep)
            sts_cancel(LIST_ENTRY(each, struct sts_search, link));
        entry_free(e);
    }
    s->http = http_client_free(s->http);
    map_done(&s->entries);
    return mem_free(s);
}
