/* queue and msg retry, hold, release, delete, bounce. */
#include "ctl/campaign.h"
#include "ctl/selection.h"
#include "ctl/story.h"

/* How often it looks for jobs that moved while it went through them, or were made meanwhile. */
enum { PASSES_MAX = 3, MESSAGE_PASSES_MAX = 25, MESSAGE_PAUSE_MS = 200, CLOCKS_APART_MS = 60000 };

/* ---- a queue */

/* A report that the bounces of this very order may have made: who is to get it has not had it yet. */
static bool is_fresh_report(const struct campaign *c, const struct selected *s)
{
    const struct record *r = &s->record;

    return c->order == ORDER_BOUNCE && r->is_readable && r->envelope.is_dsn &&
           id_time_ms(&r->envelope.id) + CLOCKS_APART_MS > c->first_page_ms;
}

static int on_page(void *context, struct selected *jobs, size_t count, uint64_t now_ms)
{
    struct campaign *c = context;

    if (c->first_page_ms == 0)
        c->first_page_ms = now_ms;
    for (size_t i = 0; i < count; i++) {
        if (is_fresh_report(c, &jobs[i]))
            continue;
        campaign_meet(c, jobs[i].job, jobs[i].partition, jobs[i].place, jobs[i].score, &jobs[i].record,
                      now_ms);
    }
    if (c->orders)
        orders_wait(c->orders);
    campaign_tell_progress(c);
    return c->tally.count[EFFECT_UNKNOWN] > 0 ? say_failed("Redis does not answer: stopped") : EXIT_OK;
}

static int on_queue(void *context, unsigned partition, const char *queue)
{
    return campaign_resume(context, partition, queue);
}

static int go_through_queue(struct campaign *c, const void *context)
{
    const struct selection *selection = context;
    uint64_t before;
    int status = EXIT_OK, passes = 0;

    do {
        before = tally_sum(&c->tally);
        status = selection_walk(c->ask, selection, on_page, c);
        c->is_again = true;
    } while (status == EXIT_OK && c->orders && tally_sum(&c->tally) > before && ++passes < PASSES_MAX);
    if (status != EXIT_OK)
        return status;
    if (is_queue_pattern(selection->queue))
        return selection_each_queue(c->ask, selection->queue, on_queue, c);
    return on_queue(c, partition_of(span_of(selection->queue)), selection->queue);
}

static int order_queue(const struct arguments *a, enum order order)
{
    struct selection s = {.queue = a->operands[0]};

    int status = queue_name_check(s.queue);
    if (status == EXIT_OK)
        status = filter_parse(a, &s.filter);
    if (status != EXIT_OK)
        return status;
    s.waiting = order != ORDER_RELEASE;
    s.claimed = order != ORDER_RETRY;
    s.held = order != ORDER_RETRY && order != ORDER_HOLD;
    s.with_texts = order_needs_texts(order) || filter_needs_texts(&s.filter) || !argument_is_given(a, "yes");
    return campaign_run(a, order, go_through_queue, &s);
}

int verb_queue_retry(const struct arguments *a)
{
    return order_queue(a, ORDER_RETRY);
}

int verb_queue_hold(const struct arguments *a)
{
    return order_queue(a, ORDER_HOLD);
}

int verb_queue_release(const struct arguments *a)
{
    return order_queue(a, ORDER_RELEASE);
}

int verb_queue_delete(const struct arguments *a)
{
    return order_queue(a, ORDER_DELETE);
}

int verb_queue_bounce(const struct arguments *a)
{
    return order_queue(a, ORDER_BOUNCE);
}

/* ---- a message */

struct message {
    struct id id;
    int64_t only_job;
};

static int message_pass(struct campaign *c, const struct message *m, bool *ret_is_expanding)
{
    struct story story;
    int status = story_read(c->ask, &m->id, &story);

    if (status != EXIT_OK)
        return status;
    if (m->only_job != ANY_JOB)
        status = story_find_held(&story, (uint32_t) m->only_job);
    if (status == EXIT_OK && !story_is_known(&story) && !c->is_again)
        status = say_failed("nothing is known of %s: it was never here, or its history is forgotten by now",
                            story.text);
    *ret_is_expanding = false;
    for (size_t i = 0; status == EXIT_OK && i < story.job_count; i++) {
        const struct story_job *job = &story.jobs[i];
        char name[JOB_TEXT_MAX + 1];
        if (m->only_job != ANY_JOB && (uint32_t) m->only_job != job->index)
            continue;
        job_format(&story.id, job->index, name);
        campaign_meet(c, name, job->partition, job->place, job->score, &job->record, story.now_ms);
        if (c->orders)
            orders_wait(
                c->orders); /* one after the other: a parent makes no further jobs before its jobs are met */
        *ret_is_expanding |= strcmp(job->record.queue, QUEUE_FANOUT) == 0 && job->place == PLACE_CLAIMED;
        if (job->place != PLACE_GONE)
            status = campaign_resume(c, job->partition, job->record.queue);
    }
    story_done(&story);
    return status;
}

/* Again while it is being expanded: there may be jobs that have not met the order. */
static int go_through_message(struct campaign *c, const void *context)
{
    bool is_expanding;
    uint64_t before;
    int status, passes = 0;

    for (;;) {
        before = tally_sum(&c->tally);
        status = message_pass(c, context, &is_expanding);
        c->is_again = true;
        if (status != EXIT_OK || !c->orders || is_interrupted() || ++passes == MESSAGE_PASSES_MAX ||
            (!is_expanding && tally_sum(&c->tally) == before))
            return status;
        if (is_expanding)
            ask_pause(c->ask, MESSAGE_PAUSE_MS);
    }
}

static int order_message(const struct arguments *a, enum order order)
{
    struct message m;

    if (!subject_parse(a->operands[0], &m.id, &m.only_job))
        return subject_say_unknown(a->operands[0]);
    return campaign_run(a, order, go_through_message, &m);
}

int verb_msg_retry(const struct arguments *a)
{
    return order_message(a, ORDER_RETRY);
}

int verb_msg_hold(const struct arguments *a)
{
    return order_message(a, ORDER_HOLD);
}

int verb_msg_release(const struct arguments *a)
{
    return order_message(a, ORDER_RELEASE);
}

int verb_msg_delete(const struct arguments *a)
{
    return order_message(a, ORDER_DELETE);
}

int verb_msg_bounce(const struct arguments *a)
{
    return order_message(a, ORDER_BOUNCE);
}
