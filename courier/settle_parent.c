/* Many-queue messages that wait, and what becomes of recipients whose jobs cannot be made: they have the lifetime of all mail. */
#include "base/conf.h"
#include "cluster/retry_schedule.h"
#include "cluster/wire.h"
#include "courier/settle_private.h"
#include "courier/work.h"
#include "mail/children.h"

void settle_wait(struct job *j, uint64_t delay_ms, const char *detail)
{
    struct entry *e = entry_new(j, OUTCOME_BACK, "expanded");

    buf_add_printable(&e->detail, span_of(detail), DETAIL_MAX);
    e->delay_ms = delay_ms;
    wire_put_state(&j->state, &e->state);
    entry_send(j->work->courier, e);
}

/* Of a job that is not there, for certain. One that may be tells for itself. */
static bool is_left(const struct job *j, size_t recipient)
{
    size_t queue = j->envelope.recipients[recipient].queue;

    return !j->state.recipients[recipient].is_done && queue < j->state.reached &&
           children_find(&j->state, queue) == CHILD_LEFT;
}

static bool is_late(const struct job *j, size_t recipient)
{
    struct retry retry;

    retry_find(conf_get(), settle_queue(j, recipient), BOUNCE_NONE, &retry);
    return !j->state.recipients[recipient].is_delay_told &&
           (job_age_ms(j) >= retry.warn_ms || (j->envelope.by_mode == BY_NOTIFY && job_is_late(j)));
}

bool settle_left_tells(const struct job *j)
{
    struct verdict v = {0};
    bool tells = false;

    verdict_set(&v, STATUS_STORE_AWAY, NULL);
    for (size_t i = 0; !tells && i < j->state.recipient_count; i++)
        tells = is_left(j, i) && (is_late(j, i) || settle_end_of_patience(j, i, &v) != STATUS_COUNT);
    verdict_done(&v);
    return tells;
}

/* Whose recipients are all told of is not left any more. */
static void take_off_told(struct job *j)
{
    bool *is_open = mem_array(j->envelope.queue_count, sizeof(*is_open));

    for (size_t i = 0; i < j->state.recipient_count; i++)
        is_open[j->envelope.recipients[i].queue] |= !j->state.recipients[i].is_done;
    for (size_t queue = 0; queue < j->state.reached; queue++)
        if (!is_open[queue] && children_find(&j->state, queue) == CHILD_LEFT)
            children_mark(&j->state, queue, CHILD_MADE);
    mem_free(is_open);
}

static void on_told(struct entry *e, size_t unreported)
{
    struct job *j = e->job;

    for (size_t i = 0; i < j->state.recipient_count; i++) {
        struct recipient_state *s = &j->state.recipients[i];

        if (!s->is_done && !s->is_delay_told) /* as before: the state stays short */
            verdict_done(&s->last);
    }
    if (e->failed > 0)
        take_off_told(j);
    if (unreported > 0 || j->state.cursor == j->envelope.queue_count)
        e->delay_ms = 0;
    if (e->has_dsn)
        buf_printf(&e->detail, "; dsn %s", e->dsn.name);
    wire_put_state(&j->state, &e->state);
    entry_send(j->work->courier, e);
}

void settle_left(struct job *j, uint64_t delay_ms, const char *detail)
{
    struct entry *e = entry_new(j, OUTCOME_BACK, "expanded");

    buf_add_printable(&e->detail, span_of(detail), DETAIL_MAX);
    e->delay_ms = delay_ms;
    notice_init(&e->notice, j);
    for (size_t i = 0; i < j->state.recipient_count; i++) {
        if (!is_left(j, i))
            continue;
        verdict_set(&j->state.recipients[i].last, STATUS_STORE_AWAY, NULL);
        entry_judge(e, i);
    }
    notice_make(e, on_told);
}
