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
    return retry_delay_ms(&retry, job_age_ms(j), bits);
}

struct tally {
    size_t delivered, deferred, failed;
    struct dsn_recipient *report; /* the failed ones */
    size_t *indexes;              /* which recipients those are */
    struct verdict *expired;      /* storage for verdicts of expiry */
};

/* What each recipient's last verdict comes to. */
static void count_up(struct job *j, struct entry *e, struct tally *t)
{
    bool expired = settle_is_expired(j);

    t->report = mem_array(j->state.recipient_count, sizeof(*t->report));
    t->indexes = mem_array(j->state.recipient_count, sizeof(*t->indexes));
    t->expired = mem_array(j->state.recipient_count, sizeof(*t->expired));
    for (size_t i = 0; i < j->state.recipient_count; i++) {
        struct recipient_state *s = &j->state.recipients[i];
        const struct verdict *last = NULL, *v = &s->last;

        if (s->is_done)
            continue;
        if (v->class ==
            VERDICT_NONE) { /* this courier was declared dead before its turn: never taken for done */
            t->deferred++;
            continue;
        }
        if (s->is_fresh || v->class == VERDICT_FAILED)
            add_detail(&e->detail, j->envelope.recipients[i].addr, v);
        if (v->class == VERDICT_DEFERRED && expired) {
            last = v;
            v = &t->expired[i];
            verdict_set(&t->expired[i], STATUS_EXPIRED, NULL);
        }
        if (v->class == VERDICT_DEFERRED) {
            t->deferred++;
            continue;
        }
        s->is_done = true;
        if (v->class == VERDICT_DELIVERED) {
            t->delivered++;
            continue;
        }
        t->indexes[t->failed] = i;
        t->report[t->failed++] = (struct dsn_recipient){j->envelope.recipients[i].addr, v, last};
    }
}

static void tally_done(const struct job *j, struct tally *t)
{
    for (size_t i = 0; i < j->state.recipient_count; i++)
        verdict_done(&t->expired[i]);
    mem_free(t->expired);
    mem_free(t->indexes);
    mem_free(t->report);
}

/* BEHAVIOURS K01, K03: reported once, and never to a null sender. Returns how many failures are left for another DSN. */
static size_t add_dsn(struct job *j, struct entry *e, const struct tally *t)
{
    const char *why = NULL;
    int reported = 0;

    if (t->failed == 0)
        return 0;
    if (!*j->envelope.sender)
        why = "the sender is null";
    else if ((reported = dsn_job_make(j, t->report, t->failed, &e->dsn)) < 0)
        why = "the sender's address cannot be sent to";
    if (!why) {
        e->has_dsn = true;
        FAULT_POINT(dsn_made);
        for (size_t i = (size_t) reported; i < t->failed; i++)
            j->state.recipients[t->indexes[i]].is_done = false;
        return t->failed - (size_t) reported;
    }
    log_event(LOG_DSN_DROPPED, F("job", j->name), F("from", j->envelope.sender), FN("recipients", t->failed),
              F("why", why));
    return 0;
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
