/*
 * Who is told of what. Nothing fails silently: the sender hears of it, or a line of the log, a metric and the message's story say why not.
 * Limits are asked before the notification is written; the verdict waits for their answer, so that both are one write all the same.
 */
#include "courier/notice.h"

#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/retry_schedule.h"
#include "cluster/transport.h"
#include "courier/settle_private.h"
#include "courier/work.h"
#include "mail/addr.h"
#include "mail/ascii.h"
#include "mail/mail_kind.h"

enum warn_unasked { WARN_NONE, WARN_USERS, WARN_ALL }; /* as the words of dsn.warn_unasked */

void notice_init(struct notice *n, const struct job *j)
{
    *n = (struct notice){.count = j->state.recipient_count};
    n->findings = mem_array(n->count, sizeof(*n->findings));
    for (size_t i = 0; i < n->count; i++)
        n->findings[i].action = DSN_ACTION_COUNT;
}

void notice_done(struct notice *n)
{
    for (size_t i = 0; i < n->count; i++)
        verdict_done(&n->findings[i].ended);
    mem_free(n->findings);
    *n = (struct notice){0};
}

/* ---- what the sender wants to hear */

static void tell(struct notice *n, size_t recipient, enum dsn_action action)
{
    n->findings[recipient].action = action;
    n->told++;
}

void notice_failed(struct notice *n, const struct job *j, size_t recipient)
{
    uint32_t notify = j->envelope.recipients[recipient].notify;

    if (notify && !(notify & NOTIFY_FAILURE))
        n->silent++;
    else
        tell(n, recipient, DSN_FAILED);
}

/* Its whole header is read for that. */
static const struct mail_kind *kind_of(struct notice *n, const struct job *j)
{
    if (!n->has_kind)
        n->kind = mail_kind_of(buf_span(&j->chunk));
    n->has_kind = true;
    return &n->kind;
}

static uint64_t warn_of(struct notice *n, const struct job *j)
{
    struct retry retry;

    if (!n->warn_ms) {
        retry_find(conf_get(), j->work->queue, BOUNCE_NONE, &retry);
        n->warn_ms = retry.warn_ms;
    }
    return n->warn_ms;
}

/* Whoever did not speak of delays is told where the settings say so, but no program and no list is (BEHAVIOURS J07). */
static bool is_warned_unasked(struct notice *n, const struct job *j)
{
    unsigned warn = conf_get()->dsn.warn_unasked;

    if (warn == WARN_NONE || (warn == WARN_USERS && !(j->envelope.user && *j->envelope.user)))
        return false;
    return !kind_of(n, j)->is_automatic;
}

/* It is late, by the time its sender set (RFC 2852 section 4, mode N) or by ours, and nobody said so yet (BEHAVIOURS K12). */
static bool is_delay_due(struct notice *n, const struct job *j, size_t recipient)
{
    uint32_t notify = j->envelope.recipients[recipient].notify;

    if (!*j->envelope.sender || j->state.recipients[recipient].is_delay_told)
        return false;
    if (notify && !(notify & NOTIFY_DELAY))
        return false;
    if (j->envelope.by_mode == BY_NOTIFY && job_is_late(j))
        return true;
    return job_age_ms(j) >= warn_of(n, j) && (notify || is_warned_unasked(n, j));
}

void notice_deferred(struct notice *n, struct job *j, size_t recipient)
{
    if (!is_delay_due(n, j, recipient))
        return;
    tell(n, recipient, DSN_DELAYED);
    j->state.recipients[recipient].is_delay_told = true;
}

/* RFC 3461 section 4.1: delivered is what a mail store has; what a host without DSN has is relayed. */
void notice_delivered(struct notice *n, struct job *j, size_t recipient)
{
    struct transport transport;

    work_transport(j->work, &transport);
    tell(n, recipient, transport.is_lmtp ? DSN_DELIVERED : DSN_RELAYED);
    n->findings[recipient].verdict = &j->state.recipients[recipient].last;
    transport_done(&transport);
    j->state.recipients[recipient].is_report_due = false;
}

/* ---- writing it */

/* The notification had no room for it: another one will tell. */
static void tell_later(struct recipient_state *s, enum dsn_action action)
{
    if (action == DSN_FAILED)
        s->is_done = false;
    else if (action == DSN_DELAYED)
        s->is_delay_told = false;
    else
        s->is_report_due = true;
}

/* Returns how many are left for another one, or why there can be none. */
static int write_dsn(struct entry *e)
{
    struct job *j = e->job;
    const struct notice *notice = &e->notice;
    struct dsn_recipient *told = mem_array(notice->told, sizeof(*told));
    size_t *indexes = mem_array(notice->told, sizeof(*indexes)), n = 0;
    int reported;

    for (enum dsn_action action = 0; action < DSN_ACTION_COUNT; action++) {
        for (size_t i = 0; i < notice->count; i++) {
            const struct finding *f = &notice->findings[i];
            const struct recipient *recipient = &j->envelope.recipients[i];

            if (f->action != action)
                continue;
            indexes[n] = i;
            told[n++] = (struct dsn_recipient){recipient->addr, action, recipient->orcpt, f->verdict,
                                               f->last};
        }
    }
    must(n == notice->told);
    reported = dsn_job_make(j, e->dsn_to, told, n, &e->dsn);
    for (size_t i = (size_t) reported; reported >= 0 && i < n; i++)
        tell_later(&j->state.recipients[indexes[i]], told[i].action);
    mem_free(indexes);
    mem_free(told);
    return reported < 0 ? reported : (int) n - reported;
}

static void drop(struct entry *e, size_t count, const char *why)
{
    if (count == 0)
        return;
    metric_add(METRIC_DSN_DROPPED_TOTAL, (int64_t) count);
    log_event(LOG_DSN_DROPPED, F("job", e->name), F("from", e->job->envelope.sender), FN("recipients", count),
              F("why", why));
    buf_printf(&e->detail, "; no dsn: %s", why);
}

static void make(struct entry *e)
{
    int left = write_dsn(e);

    if (left < 0) {
        drop(e, e->notice.told, "the address cannot be sent to");
        left = 0;
    } else {
        e->has_dsn = true;
        FAULT_POINT(dsn_made);
    }
    e->on_made(e, (size_t) left);
}

/* ---- whether it may be */

/* BEHAVIOURS K03, K23: why nobody is told, or NULL. */
static const char *find_reader(struct entry *e)
{
    const struct job *j = e->job;
    const char *postmaster = conf_get()->dsn.double_bounces;
    const struct mail_kind *kind = kind_of(&e->notice, j);

    if (*j->envelope.sender) {
        e->dsn_to = mem_string(j->envelope.sender);
        return kind->is_report ? "it is a notification itself" : NULL;
    }
    if (!*postmaster)
        return "the sender is null";
    if (kind->is_double_bounce)
        return "it is about mail of the null sender already";
    e->dsn_to = mem_string(postmaster);
    return NULL;
}

struct wants {
    struct limit_want items[2];
    char keys[2][LIMIT_KEY_MAX];
    size_t count;
};

/* Addresses in any case are one: who floods us may write them as he likes. */
static void add_want(struct wants *w, const char *label, struct span subject, const struct limit_rule *rule)
{
    char *key = w->keys[w->count];
    size_t len = (size_t) snprintf(key, LIMIT_KEY_MAX, "%s:", label);

    if (rule->count == 0)
        return;
    for (size_t i = 0; i < subject.len && len < LIMIT_KEY_MAX; i++)
        key[len++] = to_lower(subject.at[i]);
    w->items[w->count++] = (struct limit_want){
        .key = {.at = key, .len = len}, .rule = *rule, .count = 1, .label = label};
}

static void judge(struct entry *e, const struct limit_result *result)
{
    char why[80];

    if (result->answer != LIMIT_REFUSED) { /* when nobody knows, it is sent */
        make(e);
        return;
    }
    snprintf(why, sizeof(why), "more than %s allows", result->label);
    metric_add(METRIC_DSN_LIMITED_TOTAL, 1);
    drop(e, e->notice.told, why);
    e->on_made(e, 0);
}

static void on_answer(void *context, const struct limit_result *result)
{
    judge(context, result);
}

/* BEHAVIOURS K19 */
static void ask_limits(struct entry *e)
{
    struct courier *c = e->job->work->courier;
    struct wants wants = {.count = 0};
    struct limit_result result;
    const char *at = strrchr(e->dsn_to, '@');

    add_want(&wants, "dsn.limit_per_sender", span_of(e->dsn_to), &c->dsn.per_sender);
    add_want(&wants, "dsn.limit_per_domain", span_of(at ? at + 1 : ""), &c->dsn.per_domain);
    if (wants.count == 0) {
        make(e);
        return;
    }
    if (!c->limiter)
        c->limiter = limiter_open(c->store);
    if (limit_take(c->limiter, wants.items, wants.count, on_answer, e, &result))
        judge(e, &result);
}

void notice_make(struct entry *e, notice_on_made *on_made)
{
    const char *why = NULL;

    e->on_made = on_made;
    drop(e, e->notice.silent, "the sender asked not to be told");
    if (e->notice.told > 0)
        why = find_reader(e);
    if (why)
        drop(e, e->notice.told, why);
    if (why || e->notice.told == 0)
        on_made(e, 0);
    else
        ask_limits(e);
}

void notice_load_settings(struct courier *c)
{
    struct dsn_settings next;
    AUTO_FREE char *error = NULL;

    if (dsn_settings_load(conf_get(), &next, &error) <
        0) { /* it was fine a moment ago, when it was checked */
        log_event(LOG_DSN_SETTINGS_REFUSED, F("error", error));
        return;
    }
    dsn_settings_done(&c->dsn);
    c->dsn = next;
}
