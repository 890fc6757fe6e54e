/* Who decides what verdicts do. */
#include "courier/settle.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/fault.h"
#include "base/log.h"
#include "cluster/retry_schedule.h"
#include "cluster/wire.h"
#include "courier/settle_private.h"
#include "courier/work.h"

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
    buf_printf(detail, " %s %s", verdict_class_name(v->class), v->status);
    if (v->bounce != BOUNCE_NONE)
        buf_printf(detail, " (%s)", bounce_name(v->bounce));
    buf_printf(detail, " %s", v->remote);
    buf_add_text(detail, *v->remote ? ": " : "");
    buf_add_printable(detail, span_of(v->text), 200);
}

/* why: of the last deferral, or BOUNCE_NONE. */
static bool is_expired(const struct job *j, const char *queue, enum bounce why)
{
    int64_t apart = store_clock_offset_ms(j->work->courier->store);
    struct retry retry;

    if (apart > CLOCKS_APART_MS || apart < -CLOCKS_APART_MS)
        return false; /* one of the clocks is wrong: no lifetime ends by it */
    retry_find(conf_get(), queue, why, &retry);
    return retry_is_expired(&retry, job_age_ms(j), !*j->envelope.sender);
}

bool settle_is_expired(const struct job *j)
{
    return is_expired(j, j->work->queue, BOUNCE_NONE);
}

/*
 * Until the first of those that wait is due, by its class. When no host of the queue can be used it rests as a whole (dispatcher.pause_longest at
 * most); none of its mail waits longer than that, so that all of it flows when the destination is back (BEHAVIOURS J06).
 */
static uint64_t shortest_delay(const struct job *j, uint64_t random)
{
    const struct conf *conf = conf_get();
    bool is_away = j->work->trouble.class != VERDICT_NONE;
    uint64_t shortest = UINT64_MAX;
    bool is_seen[BOUNCE_COUNT] = {false};

    for (size_t i = 0; i < j->state.recipient_count; i++) {
        const struct recipient_state *s = &j->state.recipients[i];
        struct retry retry;

        if (s->is_done || is_seen[s->last.bounce])
            continue;
        is_seen[s->last.bounce] = true;
        retry_find(conf, j->work->queue, s->last.bounce, &retry);
        if (is_away && retry.longest_ms > conf->dispatcher.pause_longest_ms)
            retry.longest_ms = conf->dispatcher.pause_longest_ms;
        uint64_t delay = retry_delay_ms(&retry, job_age_ms(j), random);
        shortest = delay < shortest ? delay : shortest;
    }
    must(shortest < UINT64_MAX);
    return shortest;
}

static uint64_t retry_delay(const struct job *j)
{
    struct id random = id_new(0, 0);
    uint64_t bits;

    memcpy(&bits, random.bytes + 7, sizeof(bits));
    uint64_t delay = shortest_delay(j, bits);
    if (j->envelope.by_mode != BY_NONE && !job_is_late(j)) { /* when the sender's time ends it is looked at */
        uint64_t left = j->envelope.by_ms - store_redis_ms(j->work->courier->store);
        delay = left < delay ? left + 1 : delay;
    }
    return delay;
}

const char *settle_queue(const struct job *j, size_t recipient)
{
    return j->work->is_fanout ? j->envelope.queues[j->envelope.recipients[recipient].queue] : j->work->queue;
}

enum status settle_end_of_patience(const struct job *j, size_t recipient, const struct verdict *last)
{
    if (last->class != VERDICT_DEFERRED)
        return STATUS_COUNT;
    if (j->envelope.by_mode == BY_RETURN && job_is_late(j))
        return STATUS_TOO_LATE;
    return is_expired(j, settle_queue(j, recipient), last->bounce) ? STATUS_EXPIRED : STATUS_COUNT;
}

static void give_up(struct job *j, size_t i, enum status end, struct entry *e)
{
    struct finding *f = &e->notice.findings[i];

    verdict_set(&f->ended, end, NULL);
    f->last = f->verdict;
    f->verdict = &f->ended;
    job_give_up(j, i, &f->ended);
    if (e->detail.len < DETAIL_MAX)
        buf_printf(&e->detail, ", given up: %s (%s)", f->ended.status, bounce_name(f->ended.bounce));
}

void entry_judge(struct entry *e, size_t i)
{
    struct job *j = e->job;
    struct recipient_state *s = &j->state.recipients[i];
    struct finding *f = &e->notice.findings[i];
    enum status end = settle_end_of_patience(j, i, &s->last);

    f->verdict = &s->last;
    if (end != STATUS_COUNT)
        give_up(j, i, end, e);
    if (f->verdict->class == VERDICT_DEFERRED) {
        e->deferred++;
        notice_deferred(&e->notice, j, i);
        return;
    }
    s->is_done = true;
    if (f->verdict->class == VERDICT_DELIVERED) {
        e->delivered++;
        return;
    }
    e->failed++;
    notice_failed(&e->notice, j, i);
}

static void count_up(struct job *j, struct entry *e)
{
    notice_init(&e->notice, j);
    for (size_t i = 0; i < j->state.recipient_count; i++) {
        struct recipient_state *s = &j->state.recipients[i];

        if (!s->is_done && s->last.class == VERDICT_NONE) {
            e->deferred++; /* this courier was declared dead before its turn: never taken for done */
        } else if (!s->is_done) {
            if (s->is_fresh || s->last.class == VERDICT_FAILED)
                add_detail(&e->detail, j->envelope.recipients[i].addr, &s->last);
            entry_judge(e, i);
        }
        if (s->is_done && s->is_report_due)
            notice_delivered(&e->notice, j, i);
    }
}

/* Notification and all are known: unreported recipients are told of by the next one, at once. */
static void finish(struct entry *e, size_t unreported)
{
    struct job *j = e->job;

    if (e->deferred > 0 || unreported > 0) {
        e->outcome = OUTCOME_BACK;
        e->event = "deferred";
        e->delay_ms = unreported > 0 ? 0 : retry_delay(j);
        put_state(e);
        buf_printf(&e->detail, "; next try in %llu s", (unsigned long long) (e->delay_ms / 1000));
    } else if (e->failed > 0) {
        e->event = e->delivered > 0 ? "delivered" : "bounced";
    }
    if (j->work->route)
        buf_printf(&e->detail, "; by %s", j->work->route->how);
    if (*j->tls.session)
        buf_printf(&e->detail, "; %s, proof: %s", j->tls.session, j->tls.proof);
    if (e->has_dsn)
        buf_printf(&e->detail, "; dsn %s", e->dsn.name);
    entry_send(j->work->courier, e);
}

void settle_attempt(struct job *j)
{
    struct entry *e = entry_new(j, OUTCOME_END, "delivered");

    j->state.attempts++;
    j->state.last_attempt_ms = store_redis_ms(j->work->courier->store);
    count_up(j, e);
    notice_make(e, finish);
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

void settle_move(struct job *j, const char *queue, uint64_t delay_ms)
{
    struct entry *e = entry_new(j, OUTCOME_BACK, "moved");

    buf_printf(&e->detail, "from %s to %s", e->queue, queue);
    mem_free(e->queue);
    e->queue = mem_string(queue);
    e->is_moved = true;
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
