/*
 * Questions are rows of steps. A step says go on, gives the answer, or waits; what waits goes on where it stopped. A question that needs no
 * waiting uses the reactor's spare one, so that it costs no allocation.
 */
#include "ingress/admission.h"

#include <string.h>

#include "base/mem.h"
#include "ingress/admission_private.h"
#include "io/idn.h"

/* Steps of a question, ended by NULL. */
#define STEPS(name) static enum step_result (*const name[])(struct admission * a)

/* ---- its life */

static struct admission *admission_new(const struct admission_client *c,
                                       enum step_result (*const *steps)(struct admission *a),
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
    struct reactor *r = admission_reactor(a);
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
void admission_go_on(struct admission *a, enum step_result r)
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
        quota_cancel(admission_reactor(a)->quota, a);
    a->is_quota_asked = false;
    admission_release(a);
    return NULL;
}

/* ---- DNS */

static void on_domain(void *owner, const struct domain_answer *answer)
{
    struct admission *a = owner;
    a->question = NULL;
    admission_go_on(a, answer->code == 250 ? STEP_NEXT
                                           : admission_say(a, answer->code, answer->status, answer->text));
}

static enum step_result ask_domain(struct admission *a, enum domain_use use)
{
    if (a->domain[0] == '\0')
        return STEP_NEXT;
    a->question = domain_ask(admission_reactor(a)->domain_check, a->domain, use, on_domain, a);
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

static enum step_result say_away(struct admission *a)
{
    return admission_say(a, 451, "4.3.0", "The queue is away; try again later");
}

static enum step_result say_full(struct admission *a)
{
    return admission_say(a, 452, "4.3.1", "The queue is full; try again later");
}

/* Of several shards one is enough here: whether it is the right one shows with the recipients. */
static enum step_result ask_store(struct admission *a)
{
    const struct store *store = admission_reactor(a)->store;
    if (!store_has_ready(store))
        return say_away(a);
    return store_is_full(store) ? say_full(a) : STEP_NEXT;
}

/* The shard where the mail for this domain waits. */
static enum step_result ask_shard(struct admission *a, const char *domain)
{
    const struct store *store = admission_reactor(a)->store;
    unsigned partition = partition_of(span_of(domain));
    if (!store_partition_is_ready(store, partition))
        return say_away(a);
    return store_partition_is_full(store, partition) ? say_full(a) : STEP_NEXT;
}

static enum step_result ask_shards(struct admission *a)
{
    enum step_result r = STEP_NEXT;
    if (!store_has_slots(admission_reactor(a)->store))
        return STEP_NEXT; /* one shard, which was asked at MAIL */
    if (a->answer.address_count == 0)
        return ask_shard(a, a->domain);
    for (size_t i = 0; r == STEP_NEXT && i < a->answer.address_count; i++) {
        const char *at_sign = strrchr(a->answer.addresses[i], '@');
        char domain[DOMAIN_MAX + 1];
        must(at_sign && idn_domain(span_of(at_sign + 1), domain) == 0); /* as submit does */
        r = ask_shard(a, domain);
    }
    return r;
}

static enum step_result ask_user(struct admission *a)
{
    const struct user *user = a->client->user;
    if (user && !user_may_send(user, &a->address))
        return admission_say(a, 553, "5.7.1", "You may not send as this address");
    return STEP_NEXT;
}

struct admission *admission_sender(const struct admission_client *c, const struct addr *sender,
                                   uint64_t bytes, admission_on_answer *on_answer, void *owner,
                                   struct smtp_answer *ret_answer)
{
    STEPS(steps) = {ask_store,         ask_user, admission_ask_quota, admission_take_message,
                    ask_sender_domain, NULL};
    struct admission *a = admission_new(c, steps, on_answer, owner);
    a->address = *sender;
    a->bytes = bytes;
    if (!sender->is_literal && sender->domain.len > 0 && idn_domain(sender->domain, a->domain) < 0) {
        (void) admission_say(a, 501, "5.1.7", "That is not a mail domain"); /* it is the answer */
        a->next = steps + ARRAY_LEN(steps) - 1;
    } else {
        (void) admission_say(a, 250, "2.1.0", "Ok"); /* if nothing objects */
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
        return admission_say(a, result->code, result->status, result->text);
    if (result->address_count > 0) {
        a->answer.addresses = result->addresses;
        a->answer.address_count = result->address_count;
    } else {
        give_address(a);
    }
    return ask_shards(a);
}

static void on_tables(void *owner, const struct tables_result *result)
{
    struct admission *a = owner;
    a->tables = NULL;
    admission_go_on(a, judge_tables(a, result));
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
    a->tables = tables_recipient(admission_reactor(a)->tables, &question, on_tables, a, &result);
    return a->tables ? STEP_WAITS : judge_tables(a, &result);
}

struct admission *admission_recipient(const struct admission_client *c, const struct addr *recipient,
                                      admission_on_answer *on_answer, void *owner,
                                      struct smtp_answer *ret_answer)
{
    /* The tables last: what they give is not kept. */
    STEPS(steps) = {ask_policy, admission_take_recipient, ask_recipient_domain, ask_tables, NULL};
    struct admission *a = admission_new(c, steps, on_answer, owner);
    a->address = *recipient;
    return begin(a, ret_answer);
}

/* ---- session and content */

struct admission *admission_session(const struct admission_client *c, struct limit_hold **ret_hold,
                                    admission_on_answer *on_answer, void *owner,
                                    struct smtp_answer *ret_answer)
{
    STEPS(steps) = {admission_take_session, admission_take_connection, NULL};
    struct admission *a = admission_new(c, steps, on_answer, owner);
    a->address = (struct addr){.is_literal = false};
    a->ret_hold = ret_hold;
    (void) admission_say(a, 220, "", ""); /* if nothing objects */
    return begin(a, ret_answer);
}

struct admission *admission_content(const struct admission_client *c, uint64_t bytes,
                                    admission_on_answer *on_answer, void *owner,
                                    struct smtp_answer *ret_answer)
{
    STEPS(steps) = {admission_take_bytes, NULL};
    struct admission *a = admission_new(c, steps, on_answer, owner);
    a->address = (struct addr){.is_literal = false};
    a->bytes = bytes;
    (void) admission_say(a, 250, "2.0.0", "Ok"); /* if nothing objects */
    return begin(a, ret_answer);
}
