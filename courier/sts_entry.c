/*
 * What one domain's MTA-STS policy goes through. What is in force is never dropped before its time: DNS, Redis and the policy host can only bring
 * another policy, or the same again. The steps, any of the middle ones may be left out:
 *
 *   RESTING -> LOOKING (TXT record; Redis) -> CLAIMING (who fetches?) -> FETCHING -> RESTING
 *                                              ^ WAITING: another courier does
 */
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"
#include "courier/courier.h"
#include "courier/sts_private.h"
#include "io/http_client.h"

enum {
    LOOK_KEEP_MS = 5 * 60 * 1000, /* Redis had no policy: not asked again for so long */
    OTHERS_MS = 500,              /* how often to see whether another courier is ready */
};

static void entry_claim(struct sts_entry *e);

/* ---- what is known ---- */

static uint64_t redis_ms(const struct sts_entry *e)
{
    return store_redis_ms(e->sts->courier->store);
}

bool sts_is_in_force(const struct sts_entry *e)
{
    return e->policy && redis_ms(e) < e->policy->until_ms;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* By the clock of Redis: when the policy in force should be fetched anew. */
static uint64_t renew_at_ms(const struct sts_entry *e)
{
    uint64_t half_ms = (e->policy->until_ms - e->policy->fetched_ms) / 2;

    return e->policy->fetched_ms + smaller(half_ms, conf_get()->tls_out.sts_refresh_ms);
}

/* One that is fetched is good for sts_retry at least: couriers whose resolvers tell different ids, while old answers are kept, do not take turns at fetching. */
bool sts_is_new_due(const struct sts_entry *e)
{
    if (e->id[0] == '\0')
        return false;
    return !sts_is_in_force(e) || (strcmp(e->id, e->policy->id) != 0 &&
                                   redis_ms(e) >= e->policy->fetched_ms + conf_get()->tls_out.sts_retry_ms);
}

static bool is_renewal_due(const struct sts_entry *e)
{
    return sts_is_in_force(e) && redis_ms(e) >= renew_at_ms(e);
}

void sts_entry_take(struct sts_entry *e, struct sts_policy *p)
{
    size_t bytes = p ? 2 * strlen(p->text) : 0; /* as text, and in parts */

    sts_policy_release(e->policy);
    e->policy = p;
    e->sts->bytes += sizeof(*e) + bytes - e->bytes;
    e->bytes = sizeof(*e) + bytes;
}

/* ---- rest ---- */

/* A policy is in use while somebody asks for it at least once in its time. */
static void on_renew(struct timer *t)
{
    struct sts_entry *e = CONTAINER_OF(t, struct sts_entry, timer);

    if (conf_get()->tls_out.mta_sts && sts_is_in_force(e) &&
        clock_ms() - e->asked_ms < e->policy->until_ms - e->policy->fetched_ms)
        sts_entry_look(e);
}

static void entry_rest(struct sts_entry *e)
{
    uint64_t now = clock_ms(), from = redis_ms(e);

    e->step = STS_RESTING;
    timer_stop(&e->timer);
    if (sts_is_in_force(e)) {
        uint64_t at = renew_at_ms(e), delay = at > from ? at - from : 0;
        uint64_t failed = e->failed_until_ms > now ? e->failed_until_ms - now : 0;

        timer_start(e->sts->courier->loop, &e->timer, delay > failed ? delay : failed, on_renew);
    } else {
        sts_entry_take(e, NULL);
    }
    sts_answer_all(e);
}

/* ---- the fetch ---- */

static void on_fetched(void *context, struct sts_policy *policy, enum sts_trouble trouble, const char *why)
{
    struct sts_entry *e = context;
    struct courier *c = e->sts->courier;
    const struct conf *conf = conf_get();

    e->fetch = NULL;
    e->trouble = trouble;
    if (policy) {
        uint64_t life_ms = policy->max_age_s * 1000;

        policy->domain = mem_string(e->domain);
        memcpy(policy->id, e->id[0] != '\0' || !e->policy ? e->id : e->policy->id, sizeof(policy->id));
        policy->fetched_ms = redis_ms(e);
        policy->until_ms = policy->fetched_ms +
                           (life_ms > conf->tls_out.sts_min_age_ms ? life_ms : conf->tls_out.sts_min_age_ms);
        sts_entry_take(e, policy);
        e->failed_until_ms = 0;
        sts_store_keep(c, policy);
        log_event(LOG_STS_FETCHED, F("domain", e->domain), F("id", policy->id),
                  FN("max_age", policy->max_age_s), FN("mx", policy->mx_count));
    } else {
        metric_add(METRIC_STS_FETCHES_FAILED_TOTAL, 1);
        e->failed_until_ms = clock_ms() + conf->tls_out.sts_retry_ms;
        sts_store_fail(c, e->domain, trouble);
        if (sts_is_in_force(e))
            log_event(LOG_STS_NOT_RENEWED, F("domain", e->domain), F("why", why),
                      FN("expires_in", (e->policy->until_ms - redis_ms(e)) / 1000));
        else
            log_event(LOG_STS_FAILED, F("domain", e->domain), F("why", why));
    }
    entry_rest(e);
}

static void entry_fetch(struct sts_entry *e)
{
    struct sts *s = e->sts;

    if (!s->http)
        s->http = http_client_new(s->courier->loop);
    e->step = STS_FETCHING;
    metric_add(METRIC_STS_FETCHES_TOTAL, 1);
    e->fetch = sts_fetch_start(s->courier, s->http, e->domain, on_fetched, e);
}

/* ---- the claim ---- */

/* Keeps what is newer than ours. */
static void take_news(struct sts_entry *e, const struct sts_news *news)
{
    if (!news->policy || (e->policy && news->policy->fetched_ms <= e->policy->fetched_ms))
        return;
    sts_entry_take(e, sts_policy_hold(news->policy));
    e->trouble = STS_TROUBLE_NONE;
}

static void on_others(struct timer *t)
{
    entry_claim(CONTAINER_OF(t, struct sts_entry, timer));
}

static void on_claim(void *context, const struct sts_news *news)
{
    struct sts_entry *e = context;

    e->call = NULL;
    take_news(e, news);
    if (news->policy && !sts_is_new_due(e) && !is_renewal_due(e)) { /* another courier has done it */
        if (news->is_claimed)
            sts_store_release(e->sts->courier, e->domain);
        entry_rest(e);
    } else if (!news->is_known || news->is_claimed) {
        entry_fetch(e);
    } else if (news->retry_ms > 0) {
        e->trouble = news->trouble;
        e->failed_until_ms = clock_ms() + news->retry_ms;
        entry_rest(e);
    } else {
        e->step = STS_WAITING;
        timer_start(e->sts->courier->loop, &e->timer, OTHERS_MS, on_others);
    }
}

static void entry_claim(struct sts_entry *e)
{
    struct courier *c = e->sts->courier;

    timer_stop(&e->timer);
    if (!store_is_ready(c->store)) {
        entry_fetch(e); /* each courier for itself */
        return;
    }
    e->step = STS_CLAIMING;
    e->call = sts_store_claim(c, e->domain, on_claim, e);
}

/* ---- the look ---- */

static void look_done(struct sts_entry *e)
{
    bool is_new = sts_is_new_due(e);

    if (e->txt || e->call)
        return;
    if (clock_ms() < e->failed_until_ms || !(is_new || is_renewal_due(e))) {
        entry_rest(e);
        return;
    }
    entry_claim(e);
    if (!is_new)
        sts_answer_all(e);
}

static void on_look(void *context, const struct sts_news *news)
{
    struct sts_entry *e = context;

    e->call = NULL;
    take_news(e, news);
    if (news->is_known)
        e->looked_until_ms = clock_ms() + LOOK_KEEP_MS;
    look_done(e);
}

static void on_txt(void *context, const struct dns_answer *a)
{
    struct sts_entry *e = context;
    size_t count = a->result == DNS_OK ? a->count : 0;
    AUTO_FREE struct span *records = mem_array(count + 1, sizeof(*records));

    e->txt = NULL;
    for (size_t i = 0; i < count; i++)
        records[i] = a->records[i].data;
    if (!sts_record_parse(records, count, e->id))
        e->id[0] = '\0';
    look_done(e);
}

void sts_entry_look(struct sts_entry *e)
{
    struct courier *c = e->sts->courier;
    AUTO_FREE char *name = mem_format("_mta-sts.%s", e->domain);

    e->step = STS_LOOKING;
    timer_stop(&e->timer);
    e->txt = dns_ask(c->dns, name, DNS_TXT, on_txt, e);
    if (!sts_is_in_force(e) && clock_ms() >= e->looked_until_ms && store_is_ready(c->store))
        e->call = sts_store_look(c, e->domain, on_look, e);
}
