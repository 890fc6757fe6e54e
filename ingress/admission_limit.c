/* The steps that ask for tokens: rates of a client, user, tenant or listener, and the tenant's part of the queue. */
#include <stdio.h>

#include "ingress/admission_private.h"

static struct rate_subject subject_of(const struct admission_client *c)
{
    return (struct rate_subject){
        .listener = c->service->name, .ip = &c->ip, .user = c->user, .tenant = c->tenant};
}

static enum step_result judge_rate(struct admission *a, const struct limit_result *result)
{
    bool is_session = a->ret_hold != NULL;
    if (result->hold)
        *a->ret_hold = result->hold;
    if (rate_passes(result))
        return STEP_NEXT;
    if (result->answer == LIMIT_UNKNOWN)
        return admission_say(a, is_session ? 421 : 451, is_session ? "4.7.0" : "4.7.1",
                             "Limits cannot be looked up now; try again later");
    (void) snprintf(a->words, sizeof a->words, "Too much for now (%s); try again later",
                    result->label ? result->label : "limit"); /* cut, if need be */
    return admission_say(a, is_session ? 421 : 450, is_session ? "4.7.0" : "4.7.1", a->words);
}

static void on_rate(void *context, const struct limit_result *result)
{
    struct admission *a = context;
    a->limit = NULL;
    admission_go_on(a, judge_rate(a, result));
}

static enum step_result take_rate(struct admission *a, enum rate_what what, uint64_t count)
{
    const struct rate_subject who = subject_of(a->client);
    struct limit_result result;
    if (rate_take(a->client->service->rate, admission_reactor(a)->limiter, what, count, &who, on_rate, a,
                  &result))
        return judge_rate(a, &result);
    a->limit = result.call;
    return STEP_WAITS;
}

enum step_result admission_take_session(struct admission *a)
{
    return take_rate(a, RATE_SESSIONS, 1);
}

enum step_result admission_take_connection(struct admission *a)
{
    return take_rate(a, RATE_CONNECTIONS, 1);
}

enum step_result admission_take_message(struct admission *a)
{
    return take_rate(a, RATE_MESSAGES, 1);
}

static enum step_result judge_quota(struct admission *a, const struct limit_result *result)
{
    if (rate_passes(result))
        return STEP_NEXT;
    if (result->answer == LIMIT_UNKNOWN)
        return admission_say(a, 451, "4.3.0", "Your quota cannot be looked up now; try again later");
    (void) snprintf(a->words, sizeof a->words, "Your part of the queue is full (%s); try again later",
                    result->label ? result->label : "quota"); /* cut, if need be */
    return admission_say(a, 452, "4.3.1", a->words);
}

/* What the tenant has in the queue already. */
static void on_quota(void *context, const struct limit_result *result)
{
    struct admission *a = context;
    a->is_quota_asked = false;
    admission_go_on(a, judge_quota(a, result));
}

enum step_result admission_ask_quota(struct admission *a)
{
    struct limit_result result;
    if (quota_ask(admission_reactor(a)->quota, a->client->tenant, a->bytes, on_quota, a, &result))
        return judge_quota(a, &result);
    a->is_quota_asked = true;
    return STEP_WAITS;
}

enum step_result admission_take_recipient(struct admission *a)
{
    return take_rate(a, RATE_RECIPIENTS, 1);
}

enum step_result admission_take_bytes(struct admission *a)
{
    return take_rate(a, RATE_BYTES, a->bytes);
}

void admission_give_back_session(const struct admission_client *c)
{
    const struct rate_subject who = subject_of(c);
    rate_give_back(c->service->rate, c->service->reactor->limiter, RATE_CONNECTIONS, 1, &who);
}
