/*
 * Questions are rows of steps. A step says go on, gives the answer, or waits; what waits goes on where it stopped. A question that needs no
 * waiting uses the reactor's spare one, so that it costs no allocation.
 */
#include "ingress/admission.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/domain_check.h"
#include "ingress/rate.h"
#include "ingress/reactor.h"
#include "ingress/tables.h"
#include "io/idn.h"

enum { WORDS_BYTES = 160 };
enum step_result { STEP_NEXT, STEP_SAID, STEP_WAITS };
typedef enum step_result admission_step(struct admission *a);

struct admission {
    const struct admission_client *client;
    admission_step *const *next;
    admission_on_answer *on_answer;
    void *owner;
    struct smtp_answer answer;
    struct limit_hold **ret_hold; /* of a session */
    uint64_t bytes;
    bool is_ours; /* the recipient's domain is a relay domain */
    /* Under way, at most one of them. */
    struct limit_call *limit;
    struct tables_call *tables;
    struct domain_question *question;
    bool is_quota_asked;
    /* The address; its spans lie in text once it has waited. */
    struct addr address;
    char domain[DOMAIN_MAX + 1]; /* as A-labels; "" for a literal, or none */
    char text[PATH_MAX_LEN + 1];
    char rewritten[PATH_MAX_LEN + DOMAIN_MAX + 1];
    const char *addresses[1];
    char words[WORDS_BYTES];
};

static struct reactor *reactor_of(const struct admission *a)
{
    return a->client->service->reactor;
}

static enum step_result say(struct admission *a, unsigned code, const char *status, const char *text)
{
    a->answer = (struct smtp_answer){.code = code, .status = status, .text = text};
    return STEP_SAID;
}

/* ---- its life */

static struct admission *admission_new(const struct admission_client *c, admission_step *const *steps,
                                       admission_on_answer *on_answer, void *owner)
{
    struct reactor *r = c->service->reactor;
    struct admission *a = STEAL(r->spare_admission);
    if (!a)
        a = NEW(struct admission);
    a->client = c;
    a->next = steps;
    a->on_answer = on_answer;
    a->owner = owner;
    a->ret_hold = NULL;
    a->domain[0] = '\0';
    a->is_ours = false;
    return a;
}

static void admission_release(struct admission *a)
{
    struct reactor *r = reactor_of(a);
    if (r->spare_admission)
        mem_free(a);
    else
        r->spare_admission = a;
}

static struct span moved(struct span part, struct span from, char *to)
{
    if (part.len == 0)
        return (struct span){.at = NULL};
    return (struct span){.at = to + (part.at - from.at), .len = part.len};
}

/* The client's bytes are gone when a question is answered late. */
static void keep_address(struct admission *a)
{
    struct span whole = a->address.whole;
    if (whole.len == 0 || whole.at == a->text)
        return;
    must(whole.len <= PATH_MAX_LEN);
    memcpy(a->text, whole.at, whole.len);
    a->address.local = moved(a->address.local, whole, a->text);
    a->address.domain = moved(a->address.domain, whole, a->text);
    a->address.whole = moved(whole, whole, a->text);
}

/* True: the answer is there. */
static bool run(struct admission *a)
{
    for (; *a->next; a->next++) {
        enum step_result r = (*a->next)(a);
        if (r == STEP_SAID)
            return true;
        if (r == STEP_WAITS) {
            keep_address(a);
            return false;
        }
    }
    return true;
}

static struct admission *begin(struct admission *a, struct smtp_answer *ret_answer)
{
    if (!run(a))
        return a;
    *ret_answer = a->answer;
    admission_release(a);
    return NULL;
}

/* What a step waited for has come; it made `r` of it. */
static void go_on(struct admission *a, enum step_result r)
{
    if (r == STEP_NEXT) {
        a->next++;
        if (!run(a))
            return;
    }
    a->on_answer(a->owner, &a->answer);
    admission_release(a);
}

struct admission *admission_cancel(struct admission *a)
{
    if (!a)
        return NULL;
    if (a->limit)
        limit_cancel(STEAL(a->limit));
    a->tables = tables_cancel(a->tables);
    a->question = domain_cancel(a->question);
    if (a->is_quota_asked)
        quota_cancel(reactor_of(a)->quota, a);
    a->is_quota_asked = false;
    admission_release(a);
    return NULL;
}

/* ---- rates */

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
        return say(a, is_session ? 421 : 451, "4.3.0", "Limits cannot be looked up now; try again later");
    (void) snprintf(a->words, sizeof a->words, "Too much for now (%s); try again later",
                    result->label ? result->label : "limit"); /* cut, if need be */
    return say(a, is_session ? 421 : 450, is_session ? "4.7.0" : "4.7.1", a->words);
}

static void on_rate(void *context, const struct limit_result *result)
{
    struct admission *a = context;
    a->limit = NULL;
    go_on(a, judge_rate(a, result));
}

static enum step_result take_rate(struct admission *a, enum rate_what what, uint64_t count)
{
    const struct rate_subject who = subject_of(a->client);
    struct limit_result result;
    if (rate_take(a->client->service->rate, reactor_of(a)->limiter, what, count, &who, on_rate, a, &result))
        return judge_rate(a, &result);
    a->limit = result.call;
    return STEP_WAITS;
}

static enum step_result take_session(struct admission *a)
{
    return take_rate(a, RATE_SESSIONS, 1);
}

static enum step_result take_connection(struct admission *a)
{
    return take_rate(a, RATE_CONNECTIONS, 1);
}

static enum step_result take_message(struct admission *a)
{
    return take_rate(a, RATE_MESSAGES, 1);
}

static enum step_result judge_quota(struct admission *a, const struct limit_result *result)
{
    if (rate_passes(result))
        return STEP_NEXT;
    if (result->answer == LIMIT_UNKNOWN)
        return say(a, 451, "4.3.0", "Your quota cannot be looked up now; try again later");
    (void) snprintf(a->words, sizeof a->words, "Your part of the queue is full (%s); try again later",
                    result->label ? result->label : "quota"); /* cut, if need be */
    return say(a, 452, "4.3.1", a->words);
}

/* What the tenant has in the queue already. */
static void on_quota(void *context, const struct limit_result *result)
{
    struct admission *a = context;
    a->is_quota_asked = false;
    go_on(a, judge_quota(a, result));
}

static enum step_result ask_quota(struct admission *a)
{
    struct limit_result result;
    if (quota_ask(reactor_of(a)->quota, a->client->tenant, a->bytes, on_quota, a, &result))
        return judge_quota(a, &result);
    a->is_quota_asked = true;
    return STEP_WAITS;
}

static enum step_result take_recipient(struct admission *a)
{
    return take_rate(a, RATE_RECIPIENTS, 1);
}

static enum step_result take_bytes(struct admission *a)
{
    return take_rate(a, RATE_BYTES, a->bytes);
}

void admission_give_back_session(const struct admission_client *c)
{
    const struct rate_subject who = subject_of(c);
    rate_give_back(c->service->rate, c->service->reactor->limiter, RATE_CONNECTIONS, 1, &who);
}

/* ---- DNS */

static void on_domain(void *owner, const struct domain_answer *answer)
{
    struct admission *a = owner;
    a->question = NULL;
    go_on(a, answer->code == 250 ? STEP_NEXT : say(a, answer->code, answer->status, answer->text));
}

static enum step_result ask_domain(struct admission *a, enum domain_use use)
{
    if (a->domain[0] == '\0')
        return STEP_NEXT;
    a->question = domain_ask(reactor_of(a)->domain_check, a->domain, use, on_domain, a);
    return STEP_WAITS;
}

static enum step_result ask_sender_domain(struct admission *a)
{
    return a->client->service->conf->check_sender_domain ? ask_domain(a, DOMAIN_OF_SENDER) : STEP_NEXT;
}

static enum step_result ask_recipient_domain(struct admission *a)
{
    bool is_asked = a->client->service->conf->check_recipient_domain && !a->is_ours;
    return is_asked ? ask_domain(a, DOMAIN_OF_RECIPIENT) : STEP_NEXT;
}

/* ---- the sender */

static enum step_result ask_store(struct admission *a)
{
    const struct store *store = reactor_of(a)->store;
    if (!store_is_ready(store))
        return say(a, 451, "4.3.0", "The queue is away; try again later");
    if (store_is_full(store))
        return say(a, 452, "4.3.1", "The queue is full; try again later");
    return STEP_NEXT;
}

static enum step_result ask_user(struct admission *a)
{
    const struct user *user = a->client->user;
    if (user && !user_may_send(user, &a->address))
        return say(a, 553, "5.7.1", "You may not send as this address");
    return STEP_NEXT;
}

struct admission *admission_sender(const struct admission_client *c, const struct addr *sender,
                                   uint64_t bytes, admission_on_answer *on_answer, void *owner,
                                   struct smtp_answer *ret_answer)
{
    static admission_step *const steps[] = {ask_store, ask_user,          take_message,
                                            ask_quota, ask_sender_domain, NULL};
    struct admission *a = admission_new(c, steps, on_answer, owner);
    a->address = *sender;
    a->bytes = bytes;
    if (!sender->is_literal && sender->domain.len > 0 && idn_domain(sender->domain, a->domain) < 0) {
        (void) say(a, 501, "5.1.7", "That is not a mail domain"); /* it is the answer */
        a->next = steps + ARRAY_LEN(steps) - 1;
    } else {
        (void) say(a, 250, "2.1.0", "Ok"); /* if nothing objects */
    }
    return begin(a, ret_answer);
}

/* ---- a recipient */

bool admission_may_relay(const struct admission_client *c)
{
    return c->user || c->has_certificate || policy_is_trusted(c->service->policy, &c->ip);
}

static enum step_result ask_policy(struct admission *a)
{
    policy_recipient(a->client->service->policy, admission_may_relay(a->client), &a->address, &a->answer);
    if (a->answer.code != 250)
        return STEP_SAID;
    if (a->answer.address_count > 0)
        must(addr_parse(span_of(a->answer.addresses[0]), &a->address) == 0); /* the policy's own */
    must(idn_domain(a->address.domain, a->domain) == 0);
    a->is_ours = policy_is_ours(a->client->service->policy, a->domain);
    return STEP_NEXT;
}

/* What waited, or is better written otherwise, is given as an address of its own. */
static void give_address(struct admission *a)
{
    struct buf ascii = {.data = NULL};
    struct span given = a->address.whole;
    if (idn_address(given, &ascii))
        given = buf_span(&ascii);
    else if (given.at != a->text)
        return;
    must(given.len < sizeof a->rewritten);
    memcpy(a->rewritten, given.at, given.len);
    a->rewritten[given.len] = '\0';
    a->addresses[0] = a->rewritten;
    a->answer.addresses = a->addresses;
    a->answer.address_count = 1;
    buf_done(&ascii);
}

static enum step_result judge_tables(struct admission *a, const struct tables_result *result)
{
    if (result->code != 250)
        return say(a, result->code, result->status, result->text);
    if (result->address_count > 0) {
        a->answer.addresses = result->addresses;
        a->answer.address_count = result->address_count;
    } else {
        give_address(a);
    }
    return STEP_NEXT;
}

static void on_tables(void *owner, const struct tables_result *result)
{
    struct admission *a = owner;
    a->tables = NULL;
    go_on(a, judge_tables(a, result));
}

static enum step_result ask_tables(struct admission *a)
{
    const struct tables_question question = {
        .address = &a->address,
        .is_ours = a->is_ours,
        .refuses_unknown = a->is_ours && a->client->service->conf->refuse_unknown_recipients,
        .postmaster = a->client->service->conf->postmaster,
    };
    struct tables_result result;
    a->tables = tables_recipient(reactor_of(a)->tables, &question, on_tables, a, &result);
    return a->tables ? STEP_WAITS : judge_tables(a, &result);
}

struct admission *admission_recipient(const struct admission_client *c, const struct addr *recipient,
                                      admission_on_answer *on_answer, void *owner,
                                      struct smtp_answer *ret_answer)
{
    /* The tables last: what they give is not kept. */
    static admission_step *const steps[] = {ask_policy, take_recipient, ask_recipient_domain, ask_tables,
                                            NULL};
    struct admission *a = admission_new(c, steps, on_answer, owner);
    a->address = *recipient;
    return begin(a, ret_answer);
}

/* ---- session and content */

struct admission *admission_session(const struct admission_client *c, struct limit_hold **ret_hold,
                                    admission_on_answer *on_answer, void *owner,
                                    struct smtp_answer *ret_answer)
{
    static admission_step *const steps[] = {take_session, take_connection, NULL};
    struct admission *a = admission_new(c, steps, on_answer, owner);
    a->address = (struct addr){.is_literal = false};
    a->ret_hold = ret_hold;
    (void) say(a, 220, "", ""); /* if nothing objects */
    return begin(a, ret_answer);
}

struct admission *admission_content(const struct admission_client *c, uint64_t bytes,
                                    admission_on_answer *on_answer, void *owner,
                                    struct smtp_answer *ret_answer)
{
    static admission_step *const steps[] = {take_bytes, NULL};
    struct admission *a = admission_new(c, steps, on_answer, owner);
    a->address = (struct addr){.is_literal = false};
    a->bytes = bytes;
    (void) say(a, 250, "2.0.0", "Ok"); /* if nothing objects */
    return begin(a, ret_answer);
}
