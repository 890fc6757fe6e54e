/* A claimed job in memory. A recipient is decided once its state says done, or this attempt or an earlier transaction of it gave a verdict. */
#include "courier/job.h"

#include <errno.h>
#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/lane.h"
#include "cluster/rule.h"
#include "cluster/spool.h"
#include "cluster/wire.h"
#include "courier/work.h"

/* Its envelope says the queue that it was committed to; it may have moved to another lane of the domain since. */
static bool is_of_domain(const char *queue, const struct work *w)
{
    struct span domain, lane;

    queue_split(span_of(queue), &domain, &lane);
    return span_equal(domain, span_of(w->domain));
}

/*
 * What the record says of its job is so. In another domain's queue it would go to hosts that are not its recipients'; with another count of
 * chunks its content would stay for ever.
 */
static bool is_its_own(const struct job *j, const struct queue_claimed *claimed, const struct work *w)
{
    const struct envelope *e = &j->envelope;
    uint32_t own_chunks = strcmp(e->content_job, j->name) == 0 ? e->chunk_count : 0;

    return claimed->chunk_count == own_chunks &&
           (w->is_fanout || (e->queue_count == 1 && is_of_domain(e->queues[0], w)));
}

int job_new(struct work *w, const struct queue_claimed *claimed, const char *token, struct job **ret_job)
{
    struct job *j = NEW(struct job);
    struct id id;
    uint32_t index;
    int r;

    if (claimed->job.len >= sizeof(j->name) || job_parse(claimed->job, &id, &index) < 0) {
        mem_free(j);
        return -EBADMSG;
    }
    memcpy(j->name, claimed->job.at, claimed->job.len);
    must(strlen(token) < sizeof(j->token));
    memcpy(j->token, token, strlen(token) + 1);
    r = wire_get_envelope(claimed->envelope, &j->envelope);
    if (r == 0 && (!id_equal(&j->envelope.id, &id) || !is_its_own(j, claimed, w)))
        r = -EBADMSG;
    if (r == 0)
        r = wire_get_state(claimed->state, &j->envelope, &j->state);
    if (r < 0) {
        envelope_done(&j->envelope);
        mem_free(j);
        return r;
    }
    j->work = w;
    j->incarnation = w->courier->incarnation;
    j->own_chunks = claimed->chunk_count;
    j->fate = claimed->fate;
    uint64_t released = claimed->ruled.len > 0 ? rule_released(claimed->ruled) : 0;
    if (released > j->state.past_rule)
        j->state.past_rule = released;
    j->crashes = claimed->crashes;
    j->exact_ms = claimed->exact_ms;
    *ret_job = j;
    return 0;
}

struct job *job_free(struct job *j)
{
    if (!j)
        return NULL;
    must(!list_is_linked(&j->link));
    for (size_t i = 0; i < j->transaction_max; i++)
        verdict_done(&j->verdicts[i]);
    mem_free(j->verdicts);
    mem_free(j->indexes);
    verdict_done(&j->message.fault_verdict);
    verdict_done(&j->fault);
    buf_done(&j->chunk);
    job_state_done(&j->state);
    envelope_done(&j->envelope);
    return mem_free(j);
}

/*
 * A verdict in the state that is not done is from the last attempt (deferred: try again), or failed: recorded by a note, its report is
 * still to be written. This attempt's own verdicts are marked by is_fresh while they are not settled.
 */
bool job_is_undecided(const struct job *j, size_t recipient)
{
    const struct recipient_state *s = &j->state.recipients[recipient];

    return !s->is_done && !s->is_fresh && s->last.class != VERDICT_FAILED;
}

size_t job_undecided_count(const struct job *j)
{
    size_t count = 0;

    for (size_t i = 0; i < j->state.recipient_count; i++)
        count += job_is_undecided(j, i);
    return count;
}

bool job_next_transaction(struct job *j, size_t max)
{
    size_t n = 0, open = job_undecided_count(j);

    if (open == 0)
        return false;
    max = open < max ? open : max;
    if (max > j->transaction_max) {
        mem_free(j->verdicts);
        mem_free(j->indexes);
        j->verdicts = mem_array(max, sizeof(*j->verdicts));
        j->indexes = mem_array(max, sizeof(*j->indexes));
        j->transaction_max = max;
    }
    for (size_t i = 0; i < j->state.recipient_count && n < max; i++) {
        if (job_is_undecided(j, i))
            j->indexes[n++] = (uint32_t) i;
    }
    verdict_done(&j->message.fault_verdict);
    j->message = (struct client_message){
        .envelope = &j->envelope,
        .recipients = j->indexes,
        .verdicts = j->verdicts,
        .count = n,
        .by_left_s = job_by_left_s(j),
        .owner = j,
    };
    return true;
}

static void count(const struct job *j, const struct verdict *v)
{
    const char *site = j->work->best_host;

    metric_add_busiest(METRIC_SITE_RECIPIENTS_TOTAL, span_of(site && *site ? site : "none"),
                       v->class - VERDICT_DELIVERED, 1);
    if (v->class != VERDICT_DELIVERED) {
        must(v->bounce != BOUNCE_NONE);
        metric_add_labelled(v->class == VERDICT_FAILED ? METRIC_FAILED_TOTAL : METRIC_DEFERRED_TOTAL,
                            v->bounce - 1, 1);
        return;
    }
    metric_add(METRIC_DELIVERED_TOTAL, 1);
    metric_observe_us(METRIC_DELIVERY_SECONDS, job_age_ms(j) * 1000);
}

static void tell(const struct job *j, size_t recipient, const struct verdict *v)
{
    static const enum log_event events[] = {[VERDICT_DELIVERED] = LOG_DELIVERED,
                                            [VERDICT_DEFERRED] = LOG_DEFERRED,
                                            [VERDICT_FAILED] = LOG_BOUNCED};
    char message[ID_TEXT_LEN + 1];

    count(j, v);
    if (!log_is_on(events[v->class]) && !v->in_doubt)
        return;
    id_format(&j->envelope.id, message);
    log_event(events[v->class], F("msg", message), F("job", j->name), F("queue", j->work->queue),
              F("from", j->envelope.sender), F("to", j->envelope.recipients[recipient].addr),
              FN("code", v->code), F("status", v->status),
              F("class", v->bounce ? bounce_name(v->bounce) : NULL), F("remote", v->remote),
              F("reply", v->text), F("tls", *j->tls.session ? j->tls.session : NULL),
              F("proof", j->tls.proof), FN("delay_ms", job_age_ms(j)), FN("attempt", j->state.attempts + 1));
    if (v->in_doubt)
        log_event(LOG_IN_DOUBT, F("msg", message), F("job", j->name),
                  F("to", j->envelope.recipients[recipient].addr), F("remote", v->remote),
                  F("why", "the reply to the message was lost"));
}

/* Our own verdicts come with their class. */
static enum bounce judge(const struct verdict *v)
{
    if (v->class == VERDICT_DELIVERED || v->bounce != BOUNCE_NONE)
        return v->bounce;
    return bounce_of(v, &conf_get()->courier.bounce_rules);
}

static void decide(struct job *j, size_t recipient, const struct verdict *v, enum bounce bounce)
{
    struct recipient_state *s = &j->state.recipients[recipient];

    verdict_copy(&s->last, v);
    s->last.bounce = bounce;
    s->is_fresh = true;
    if (v->in_doubt)
        metric_add(METRIC_IN_DOUBT_TOTAL, 1);
    tell(j, recipient, &s->last);
}

void job_give_up(const struct job *j, size_t recipient, const struct verdict *ended)
{
    const struct verdict *last = &j->state.recipients[recipient].last;
    char message[ID_TEXT_LEN + 1];

    count(j, ended);
    id_format(&j->envelope.id, message);
    log_event(LOG_BOUNCED, F("msg", message), F("job", j->name), F("queue", j->work->queue),
              F("from", j->envelope.sender), F("to", j->envelope.recipients[recipient].addr),
              F("status", ended->status), F("class", bounce_name(ended->bounce)), F("why", ended->text),
              F("last_class", bounce_name(last->bounce)), F("last_status", last->status),
              F("remote", last->remote), F("reply", last->text), FN("delay_ms", job_age_ms(j)),
              FN("attempt", j->state.attempts));
}

/* The host will not tell the sender that it has the message, or every one on the way is to tell (RFC 2852 section 4). */
static bool wants_to_hear_of_success(const struct job *j, size_t recipient)
{
    const struct envelope *e = &j->envelope;
    uint32_t notify = e->recipients[recipient].notify;

    if (!*e->sender || notify == NOTIFY_NEVER)
        return false;
    return ((notify & NOTIFY_SUCCESS) && !j->message.is_dsn_passed) || (e->by_mode != BY_NONE && e->by_trace);
}

void job_take_verdicts(struct job *j)
{
    for (size_t i = 0; i < j->message.count; i++) {
        if (j->verdicts[i].class == VERDICT_NONE)
            continue;
        decide(j, j->indexes[i], &j->verdicts[i], judge(&j->verdicts[i]));
        j->state.recipients[j->indexes[i]].is_report_due = j->verdicts[i].class == VERDICT_DELIVERED &&
                                                           wants_to_hear_of_success(j, j->indexes[i]);
        verdict_done(&j->verdicts[i]);
    }
}

void job_decide(struct job *j, const struct verdict *v)
{
    enum bounce bounce = judge(v);

    for (size_t i = 0; i < j->state.recipient_count; i++) {
        if (job_is_undecided(j, i))
            decide(j, i, v, bounce);
    }
}

uint64_t job_age_ms(const struct job *j)
{
    const struct envelope *e = &j->envelope;
    uint64_t now = store_redis_ms(j->work->courier->store),
             from = e->release_ms > e->arrival_ms ? e->release_ms : e->arrival_ms;

    return now > from ? now - from : 0;
}

int64_t job_by_left_s(const struct job *j)
{
    int64_t left_ms = (int64_t) j->envelope.by_ms - (int64_t) store_redis_ms(j->work->courier->store);

    return left_ms >= 0 ? left_ms / 1000 : -((999 - left_ms) / 1000);
}

bool job_is_relaxable(const struct job *j)
{
    return j->envelope.tls_optional && !j->envelope.requires_tls;
}

bool job_is_late(const struct job *j)
{
    return j->envelope.by_mode != BY_NONE && store_redis_ms(j->work->courier->store) >= j->envelope.by_ms;
}
