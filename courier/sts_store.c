/*
 * MTA-STS policies in Redis. KEY_STS holds a policy until it ends. KEY_STS_FETCH is held by the one courier that fetches it; after a failure it
 * stays for tls_out.sts_retry and says why, so that the whole cluster leaves the policy host alone for so long. Both may be lost.
 */
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/wire.h"
#include "courier/courier.h"
#include "courier/sts_private.h"
#include "io/crypto.h"

enum { ASK_TIME_MS = 3000, CLAIM_SPARE_MS = 5000, TOKEN_BYTES = 12 };
#define FAILED "failed "

struct sts_call {
    struct store_call call;
    struct courier *courier;
    sts_on_news *on_news; /* NULL: nobody wants to know any more */
    void *context;
    char *token; /* of a claim; NULL: only a look */
    char domain[DOMAIN_MAX + 1];
};

static void call_free(struct sts_call *c)
{
    store_call_done(&c->call);
    mem_free(c->token);
    mem_free(c);
}

struct sts_call *sts_call_cancel(struct sts_call *call)
{
    if (call)
        call->on_news = NULL; /* its reply frees it */
    return NULL;
}

/* ---- what Redis says ---- */

/* NULL: nothing that is a policy of this domain in force, whoever wrote it. */
static struct sts_policy *to_policy(const struct sts_call *c, const struct redis_value *v)
{
    struct sts_record r = {.domain = NULL};
    struct sts_policy *p = NULL;
    const char *why;

    if (v->type != REDIS_STRING || wire_get_sts(v->text, &r) < 0)
        return NULL;
    if (strcmp(r.domain, c->domain) == 0 && r.until_ms > store_redis_ms(c->courier->store))
        p = sts_policy_parse(span_of(r.text), &why);
    if (p) {
        p->domain = STEAL(r.domain);
        memcpy(p->id, r.id, strlen(r.id) + 1);
        p->fetched_ms = r.fetched_ms;
        p->until_ms = r.until_ms;
    }
    sts_record_done(&r);
    return p;
}

/* Who holds the claim, and for how long: values of GET and PTTL. */
static void read_claim(const struct sts_call *c, const struct redis_value *values, struct sts_news *news)
{
    struct span holder = redis_text(&values[0]), failed = span_of(FAILED);
    int64_t left_ms = 0;
    uint64_t trouble;

    news->is_claimed = span_equal(holder, span_of(c->token));
    if (!span_starts_nocase(holder, failed))
        return;
    holder = (struct span){holder.at + failed.len, holder.len - failed.len};
    if (span_number(holder, STS_TROUBLE_CERT, &trouble) == 0 && redis_number(&values[1], &left_ms) == 0 &&
        left_ms > 0) {
        news->trouble = (enum sts_trouble) trouble;
        news->retry_ms = (uint64_t) left_ms;
    }
}

static void on_answer(struct store_call *call, enum store_result result, const struct redis_value *values)
{
    struct sts_call *c = CONTAINER_OF(call, struct sts_call, call);
    struct sts_news news = {.is_known = result == STORE_OK};
    sts_on_news *on_news = c->on_news;
    void *context = c->context;
    size_t record = c->token ? 1 : 0;

    if (news.is_known && on_news) {
        news.policy = to_policy(c, &values[record]);
        if (c->token)
            read_claim(c, &values[record + 1], &news);
    }
    call_free(c);
    if (on_news)
        on_news(context, &news);
    sts_policy_release(news.policy);
}

/* ---- what it is told ---- */

static struct sts_call *call_new(struct courier *c, const char *domain)
{
    struct sts_call *call = NEW(struct sts_call);

    call->courier = c;
    memcpy(call->domain, domain, strlen(domain) + 1);
    call->call.give_up_ms = clock_ms() + ASK_TIME_MS;
    call->call.on_done = on_answer;
    call->call.accepts_errors = true; /* a key of another type is no policy */
    return call;
}

static void add_command(struct sts_call *c, const char *command, const char *key, size_t more)
{
    struct buf *bytes = &c->call.request.bytes;
    AUTO_BUF struct buf text = {.data = NULL};

    call_begin(&c->call, 2 + more);
    resp_arg_text(bytes, command);
    buf_add_text(&text, key);
    buf_add_text(&text, c->domain);
    resp_arg(bytes, buf_span(&text));
}

/* SET with a time to live; further words are the caller's. */
static void add_set(struct sts_call *c, const char *key, struct span value, uint64_t life_ms, size_t more)
{
    struct buf *bytes = &c->call.request.bytes;

    add_command(c, "SET", key, 3 + more);
    resp_arg(bytes, value);
    resp_arg(bytes, SPAN("PX"));
    resp_arg_number(bytes, (int64_t) life_ms);
}

struct sts_call *sts_store_look(struct courier *c, const char *domain, sts_on_news *on_news, void *context)
{
    struct sts_call *call = call_new(c, domain);

    call->on_news = on_news;
    call->context = context;
    add_command(call, "GET", KEY_STS, 0);
    store_send(c->store, &call->call);
    return call;
}

/* A repeat after a lost reply finds its own token. */
struct sts_call *sts_store_claim(struct courier *c, const char *domain, sts_on_news *on_news, void *context)
{
    struct sts_call *call = call_new(c, domain);
    AUTO_BUF struct buf token = {.data = NULL};
    uint8_t random[TOKEN_BYTES];

    crypto_random(random, sizeof(random));
    buf_add_text(&token, "by ");
    for (size_t i = 0; i < sizeof(random); i++)
        buf_printf(&token, "%02x", random[i]);
    call->token = buf_steal_text(&token);
    call->on_news = on_news;
    call->context = context;
    add_set(call, KEY_STS_FETCH, span_of(call->token), conf_get()->tls_out.sts_fetch_time_ms + CLAIM_SPARE_MS,
            1);
    resp_arg(&call->call.request.bytes, SPAN("NX"));
    add_command(call, "GET", KEY_STS, 0);
    add_command(call, "GET", KEY_STS_FETCH, 0);
    add_command(call, "PTTL", KEY_STS_FETCH, 0);
    store_send(c->store, &call->call);
    return call;
}

void sts_store_keep(struct courier *c, const struct sts_policy *p)
{
    struct sts_call *call = call_new(c, p->domain);
    AUTO_BUF struct buf record = {.data = NULL};
    const struct sts_record r = {.domain = p->domain,
                                 .id = (char *) (uintptr_t) p->id,
                                 .text = p->text,
                                 .fetched_ms = p->fetched_ms,
                                 .until_ms = p->until_ms};

    wire_put_sts(&r, &record);
    add_set(call, KEY_STS, buf_span(&record), p->until_ms - p->fetched_ms, 0);
    add_command(call, "DEL", KEY_STS_FETCH, 0);
    store_send(c->store, &call->call);
}

void sts_store_fail(struct courier *c, const char *domain, enum sts_trouble trouble)
{
    struct sts_call *call = call_new(c, domain);
    AUTO_FREE char *value = mem_format(FAILED "%d", (int) trouble);

    add_set(call, KEY_STS_FETCH, span_of(value), conf_get()->tls_out.sts_retry_ms, 0);
    store_send(c->store, &call->call);
}

void sts_store_release(struct courier *c, const char *domain)
{
    struct sts_call *call = call_new(c, domain);

    add_command(call, "DEL", KEY_STS_FETCH, 0);
    store_send(c->store, &call->call);
}
