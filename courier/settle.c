/* Who decides what verdicts do. */
#include "courier/settle.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/fault.h"
#include "base/log.h"
#include "cluster/wire.h"
#include "courier/settle_private.h"
#include "courier/work.h"
#include "mail/retry.h"

enum { CLOCKS_APART_MS = 60000 };

static void put_state(struct entry *e)
{
    for (size_t i = 0; i < e->job->state.recipient_count; i++)
        e->job->state.recipients[i].is_fresh = false;
    wire_put_state(&e->job->state, &e->state);
}

/* ---- deciding ---- */

static void add_detail(struct buf *detail, const char *addr, const struct verdict *v)
{
    if (detail->len >= DETAIL_MAX)
        return;
    if (detail->len > 0)
        buf_add_text(detail, "; ");
    buf_add_printable(detail, span_of(addr), 256);
    buf_printf(detail, " %s %s %s", verdict_class_name(v->class), v->status, v->remote);
    buf_add_text(detail, *v->remote ? ": " : "");
    buf_add_printable(detail, span_of(v->text), 200);
}

bool settle_is_expired(const struct job *j)
{
    const struct conf *conf = conf_get();
    struct retry retry = {conf->retry.first_ms, conf->retry.longest_ms, conf->retry.lifetime_ms,
                          conf->retry.bounce_lifetime_ms};
    int64_t apart = store_clock_offset_ms(j->work->courier->store);

    if (apart > CLOCKS_APART_MS || apart < -CLOCKS_APART_MS)
        return false; /* one of the clocks is wrong: no lifetime ends by it */
    return retry_is_expired(&retry, job_age_ms(j), !*j->envelope.sender);
}

static uint64_t retry_delay(const struct job *j)
{
    const struct conf *conf = conf_get();
    struct retry retry = {conf->retry.first_ms, conf->retry.longest_ms, conf->retry.lifetime_ms,
                          conf->retry.bounce_lifetime_ms};
    struct id random = id_new(0, 0);
    uint64_t bits;

    memcpy(&bits, random.bytes + 7, sizeof(bits));
    uint64_t delay = retry_delay_ms(&retry, job_age_ms(j), bits);
    if (j->envelope.by_mode != BY_NONE && !job_is_late(j)) { /* when the sender's time ends it is looked at */
        uint64_t left = j->envelope.by_ms - store_redis_ms(j->work->courier->store);
        delay = left < delay ? left + 1 : delay;
    }
    return delay;
}

/* What a recipient's last verdict comes to. */
struct finding {
    enum dsn_action action; /* the sender is to be told of it, as that; DSN_ACTION_COUNT: is not */
    const struct verdict *verdict, *last;
    struct verdict ended; /* of its time, or the sender's patience */
};

struct tally {
    size_t delivered, deferred, failed, told, silent;
    struct finding *findings;
};

static bool wants(const struct job *j, size_t recipient, uint32_t notify)
{
    uint32_t said = j->envelope.recipients[recipient].notify;

    return said ? (said & notify) != 0 : notify == NOTIFY_FAILURE;
}

/* It is late, by the time its sender set (RFC 2852 section 4, mode N) or by ours, and nobody said so yet (BEHAVIOURS K12). */
static bool is_delay_due(const struct job *j, size_t recipient)
{
    uint32_t notify = j->envelope.recipients[recipient].notify;

    if (!*j->envelope.sender || j->state.recipients[recipient].is_delay_told)
        return false;
    if (j->envelope.by_mode == BY_NOTIFY && job_is_late(j))
        return !notify || (notify & NOTIFY_DELAY);
    return (notify & NOTIFY_DELAY) && job_age_ms(j) >= conf_get()->dsn.delay_after_ms;
}

/* A deferral past the last moment is a failure: which of our rows says so, or STATUS_COUNT. */
static enum status end_of_patience(const struct job *j, bool is_expired)
{
    if (j->envelope.by_mode == BY_RETURN && job_is_late(j))
        return STATUS_TOO_LATE;
    return is_expired ? STATUS_EXPIRED : STATUS_COUNT;
}

static void find(struct job *j, size_t i, enum status end, struct tally *t)
{
    struct recipient_state *s = &j->state.recipients[i];
    struct finding *f = &t->findings[i];

    f->verdict = &s->last;
    if (s->last.class == VERDICT_DEFERRED && end != STATUS_COUNT) {
        verdict_set(&f->ended, end, NULL);
        f->last = &s->last;
        f->verdict = &f->ended;
    }
    if (f->verdict->class == VERDICT_DEFERRED) {
        t->deferred++;
        if (is_delay_due(j, i))
            f->action = DSN_DELAYED;
        s->is_delay_told |= f->action == DSN_DELAYED;
        return;
    }
    s->is_done = true;
    if (f->verdict->class == VERDICT_DELIVERED) {
        t->delivered++;
        return;
    }
    t->failed++;
    if (wants(j, i, NOTIFY_FAILURE))
        f->action = DSN_FAILED;
    else
        t->silent++;
}

static void count_up(struct job *j, struct entry *e, struct tally *t)
{
    enum status end = end_of_patience(j, settle_is_expired(j));

    t->findings = mem_array(j->state.recipient_count, sizeof(*t->findings));
    for (size_t i = 0; i < j->state.recipient_count; i++) {
        struct recipient_state *s = &j->state.recipients[i];

        t->findings[i].action = DSN_ACTION_COUNT;
        if (!s->is_done && s->last.class == VERDICT_NONE) {
            t->deferred++; /* this courier was declared dead before its turn: never taken for done */
        } else if (!s->is_done) {
            if (s->is_fresh || s->last.class == VERDICT_FAILED)
                add_detail(&e->detail, j->envelope.recipients[i].addr, &s->last);
            find(j, i, end, t);
        }
        if (s->is_done && s->is_report_due) {
            t->findings[i].verdict = &s->last;
            t->findings[i].action = DSN_RELAYED;
            s->is_report_due = false;
        }
        t->told += t->findings[i].action != DSN_ACTION_COUNT;
    }
}

static void tally_done(const struct job *j, struct tally *t)
{
    for (size_t i = 0; i < j->state.recipient_count; i++)
        verdict_done(&t->findings[i].ended);
    mem_free(t->findings);
}

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
static int make_dsn(struct job *j, struct entry *e, const struct tally *t)
{
    struct dsn_recipient *report = mem_array(t->told, sizeof(*report));
    size_t *indexes = mem_array(t->told, sizeof(*indexes)), n = 0;
    int reported;

    for (enum dsn_action action = 0; action < DSN_ACTION_COUNT; action++) {
        for (size_t i = 0; i < j->state.recipient_count; i++) {
            const struct finding *f = &t->findings[i];
            const struct recipient *r = &j->envelope.recipients[i];

            if (f->action != action)
                continue;
            indexes[n] = i;
            report[n++] = (struct dsn_recipient){r->addr, action, r->orcpt, f->verdict, f->last};
        }
    }
    must(n == t->told);
    reported = dsn_job_make(j, report, n, &e->dsn);
    for (size_t i = (size_t) reported; reported >= 0 && i < n; i++)
        tell_later(&j->state.recipients[indexes[i]], report[i].action);
    mem_free(indexes);
    mem_free(report);
    return reported < 0 ? reported : (int) n - reported;
}

static void drop_dsn(const struct job *j, size_t count, const char *why)
{
    if (count > 0)
        log_event(LOG_DSN_DROPPED, F("job", j->name), F("from", j->envelope.sender), FN("recipients", count),
                  F("why", why));
}

/* BEHAVIOURS K01, K03, K12: reported once, and never to a null sender. Returns how many are left for another notification. */
static size_t add_dsn(struct job *j, struct entry *e, const struct tally *t)
{
    int left;

    drop_dsn(j, t->silent, "the sender asked not to be told");
    if (t->told == 0)
        return 0;
    if (!*j->envelope.sender) {
        drop_dsn(j, t->told, "the sender is null");
        return 0;
    }
    left = make_dsn(j, e, t);
    if (left < 0) {
        drop_dsn(j, t->told, "the sender's address cannot be sent to");
        return 0;
    }
    e->has_dsn = true;
    FAULT_POINT(dsn_made);
    return (size_t) left;
}

void settle_attempt(struct job *j)
{
    struct entry *e = entry_new(j, OUTCOME_END, "delivered");
    struct tally t = {0};
    size_t unreported;

    j->state.attempts++;
    j->state.last_attempt_ms = store_redis_ms(j->work->courier->store);
    count_up(j, e, &t);
    unreported = add_dsn(j, e, &t);
    if (t.deferred > 0 || unreported > 0) {
        e->outcome = OUTCOME_BACK;
        e->event = "deferred";
        e->delay_ms = unreported > 0 ? 0 : retry_delay(j);
        put_state(e);
        buf_printf(&e->detail, "; next try in %llu s", (unsigned long long) (e->delay_ms / 1000));
    } else if (t.failed > 0) {
        e->event = t.delivered > 0 ? "delivered" : "bounced";
    }
    if (j->work->route)
        buf_printf(&e->detail, "; by %s", j->work->route->how);
    if (e->has_dsn)
        buf_printf(&e->detail, "; dsn %s", e->dsn.name);
    tally_done(j, &t);
    entry_send(j->work->courier, e);
}

void settle_bounce(struct job *j)
{
    struct verdict v = {0};

    verdict_set(&v, STATUS_BOUNCED_BY_OPERATOR, NULL);
    job_decide(j, &v);
    verdict_done(&v);
    settle_attempt(j);
}

/* ---- the rest ---- */

/* "<incarnation>.<seq>" of the claim, and the number of the note: never used before. */
static void make_next_token(struct job *j, char *next, size_t size)
{
    const char *dot = strchr(j->token, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;
    size_t len = second ? (size_t) (second - j->token) : strlen(j->token);
    int n = snprintf(next, size, "%.*s.%u", (int) len, j->token, ++j->notes);

    must(n > 0 && (size_t) n < size);
}

void settle_note(struct job *j, void (*on_noted)(struct job *j))
{
#ifdef PLANT_NO_NOTE /* a planted bug, for the test that must find its second copy: the next transaction begins, nothing is recorded */
    on_noted(j);
    return;
#endif
    struct entry *e = entry_new(j, OUTCOME_KEEP, "attempted");

    for (size_t i = 0; i < j->state.recipient_count; i++) {
        struct recipient_state *s = &j->state.recipients[i];

        if (s->is_fresh && !s->is_done)
            add_detail(&e->detail, j->envelope.recipients[i].addr, &s->last);
        if (s->is_fresh && s->last.class == VERDICT_DELIVERED)
            s->is_done = true;
        if (s->last.class != VERDICT_DEFERRED) /* a deferred one stays decided until this attempt is over */
            s->is_fresh = false;
    }
    e->on_noted = on_noted;
    make_next_token(j, e->next, sizeof(e->next));
    wire_put_state(&j->state, &e->state);
    entry_send(j->work->courier, e);
}

void settle_release(struct job *j)
{
    if (j->is_dropped) {
        work_job_over(j->work, j);
        return;
    }
    entry_send(j->work->courier, entry_new(j, OUTCOME_BACK, "released"));
}

void settle_postpone(struct job *j, uint64_t delay_ms, const char *why)
{
    struct entry *e = entry_new(j, OUTCOME_BACK, "deferred");

    buf_add_text(&e->detail, why);
    e->delay_ms = delay_ms;
    entry_send(j->work->courier, e);
}

void settle_hold(struct job *j, const char *why)
{
    struct entry *e = entry_new(j, OUTCOME_HOLD, "held");

    buf_add_text(&e->detail, why);
    put_state(e);
    entry_send(j->work->courier, e);
}

void settle_end(struct job *j, const char *event, const char *detail)
{
    struct entry *e = entry_new(j, OUTCOME_END, event);

    buf_add_printable(&e->detail, span_of(detail), DETAIL_MAX);
    entry_send(j->work->courier, e);
}

void settle_wait(struct job *j, uint64_t delay_ms, bool is_exact, const char *detail)
{
    struct entry *e = entry_new(j, OUTCOME_BACK, "expanded");

    buf_add_printable(&e->detail, span_of(detail), DETAIL_MAX);
    e->delay_ms = delay_ms;
    e->is_exact = is_exact;
    put_state(e);
    entry_send(j->work->courier, e);
}

void settle_stray(struct courier *c, const struct stray *stray, enum outcome outcome, const char *why)
{
    struct entry *e = NEW(struct entry);

    e->name = mem_text(stray->job.at, stray->job.len);
    e->token = mem_text(stray->token.at, stray->token.len);
    e->partition = stray->partition;
    e->queue = mem_text(stray->queue.at, stray->queue.len);
    e->outcome = outcome;
    e->event = outcome == OUTCOME_HOLD ? "held" : "released";
    e->chunk_count = stray->chunk_count;
    e->delay_ms = stray->delay_ms;
    buf_add_text(&e->detail, why);
    entry_send(c, e);
}
