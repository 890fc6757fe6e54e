/*
 * Locks: wrong passwords are counted for the client and for the user name in the whole cluster; where a bucket is empty nobody looks at a password.
 * Many may look at once before the first of them is counted. So what was found right is not told before a second look, and what was found wrong
 * when the bucket was empty already is told in the same words, after the same delay.
 */
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "ingress/sasl_driver.h"
#include "mail/ascii.h"

static struct limit_want want_of(const char *kind, struct span subject, const char *setting, uint64_t count,
                                 struct buf *key)
{
    struct limit_want want = {.count = count, .label = kind};
    const char *why;
    must(limit_parse(span_of(setting), false, &want.rule, &why) >= 0); /* auth_check() */
    buf_add_text(key, kind);
    buf_add_span(key, subject);
    want.key = buf_span(key);
    return want;
}

/* An address; of IPv6 the network of 64 bits, which one customer has all of. */
static void add_client(const struct ip *ip, struct buf *out)
{
    struct ip network = *ip;
    if (!ip->is_v4)
        memset(network.bytes + 8, 0, sizeof network.bytes - 8);
    network.scope = 0;
    ip_format(&network, out);
}

/* The locks that apply: of the client, and of the user once it has a name. */
static size_t lock_wants(const struct sasl *s, uint64_t count, struct buf keys[2], struct limit_want wants[2])
{
    const struct conf *conf = conf_get();
    struct span name = buf_span(&s->exchange.name);
    AUTO_BUF struct buf client = {0}, folded = {0};
    size_t n = 0;
    if (conf->auth.failures_per_client[0] != '\0') {
        add_client(s->client->ip, &client);
        wants[n] = want_of("auth:client:", buf_span(&client), conf->auth.failures_per_client, count,
                           &keys[n]);
        n++;
    }
    if (conf->auth.failures_per_user[0] != '\0' && name.len > 0) {
        for (size_t i = 0; i < name.len; i++) /* Dovecot, for one, takes them in any case */
            buf_add_char(&folded, to_lower(name.at[i]));
        wants[n] = want_of("auth:user:", buf_span(&folded), conf->auth.failures_per_user, count, &keys[n]);
        n++;
    }
    return n;
}

/* It is answered when the delay is over, and when every node can know of it; a failure that nobody counted is not told. */
static void answer_refused(struct sasl *s)
{
    if (s->is_delay_over && s->counting == 0)
        sasl_finish(s, s->is_locked ? SASL_LOCKED : s->is_uncounted ? SASL_AWAY : SASL_REFUSED);
}

static void note_count(struct sasl *s, const struct limit_result *result)
{
    s->is_locked = s->is_locked || result->answer == LIMIT_REFUSED;
    s->is_uncounted = s->is_uncounted || result->answer == LIMIT_UNKNOWN;
}

static void on_counted(void *context, const struct limit_result *result)
{
    struct sasl *s = context;
    if (!sasl_is_waiting(s))
        return;
    s->counting--;
    note_count(s, result);
    answer_refused(s);
}

/* Each for itself: that one lock is shut already does not spare the other. Where Redis is away nothing is counted, and nobody gets in either. */
void sasl_count_failure(struct sasl *s)
{
    struct buf keys[2] = {{0}, {0}};
    struct limit_want wants[2];
    struct limit_result result;
    if (s->is_counted)
        return;
    s->is_counted = true;
    size_t n = lock_wants(s, 1, keys, wants);
    for (size_t i = 0; i < n; i++) {
        if (limit_take(s->reactor->limiter, &wants[i], 1, on_counted, s, &result)) {
            note_count(s, &result);
            continue;
        }
        s->counting++;
        s->waits++; /* also when the client hangs up: it is counted */
    }
    buf_done(&keys[0]);
    buf_done(&keys[1]);
}

static void on_delay(struct timer *t)
{
    struct sasl *s = CONTAINER_OF(t, struct sasl, delay);
    s->is_delay_over = true;
    answer_refused(s);
}

static void delay(struct sasl *s)
{
    timer_start(s->reactor->loop, &s->delay, conf_get()->auth.failure_delay_ms, on_delay);
}

void sasl_refuse(struct sasl *s)
{
    sasl_count_failure(s);
    delay(s);
}

static void take_look(struct sasl *s, const struct limit_result *result)
{
    if (result->answer == LIMIT_PASS) {
        sasl_go_on(s);
    } else if (result->answer == LIMIT_REFUSED && s->is_right) {
        s->is_locked = true;
        delay(s);
    } else {
        sasl_finish(s, result->answer == LIMIT_REFUSED ? SASL_LOCKED : SASL_AWAY);
    }
}

static void on_look(void *context, const struct limit_result *result)
{
    struct sasl *s = context;
    must(s->magic == SASL_MAGIC);
    s->look = NULL;
    take_look(s, result);
}

/* Are the locks open? Asked before anything is done that could tell right from wrong. */
void sasl_look(struct sasl *s)
{
    struct buf keys[2] = {{0}, {0}};
    struct limit_want wants[2];
    struct limit_result result = {.answer = LIMIT_PASS};
    size_t n = lock_wants(s, 0, keys, wants);
    bool is_known = n == 0 || limit_take(s->reactor->limiter, wants, n, on_look, s, &result);
    if (!is_known)
        s->look = result.call;
    buf_done(&keys[0]);
    buf_done(&keys[1]);
    if (is_known)
        take_look(s, &result);
}

void sasl_confirm(struct sasl *s)
{
    s->is_right = true;
    sasl_look(s);
}
