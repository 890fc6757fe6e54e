/* queue and msg retry, hold, release, delete, bounce. */
#include "base/mem.h"
#include "ctl/campaign.h"
#include "ctl/rulebook.h"
#include "ctl/selection.h"
#include "ctl/story.h"
#include "ctl/verb_rule.h"

/* How often it looks for jobs that moved while it went through them, or were made meanwhile. */
enum {
    PASSES_MAX = 3,
    MESSAGE_PASSES_MAX = 25,
    MESSAGE_PAUSE_MS = 200,
    CLOCKS_APART_MS = 60000,
    NODES_SEE_MS = 1500
};

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
    if (status != EXIT_OK || c->order == ORDER_UNDO)
        return status;
    return selection_each_queue(c->ask, selection->queue, on_queue, c);
}

static const enum rule_action actions[] = {[ORDER_RETRY] = RULE_RETRY,
                                           [ORDER_HOLD] = RULE_HOLD,
                                           [ORDER_RELEASE] = RULE_RELEASE,
                                           [ORDER_DELETE] = RULE_DELETE,
                                           [ORDER_BOUNCE] = RULE_BOUNCE};

/* --status: only in one of the places that the order looks in. */
static int choose_places(const struct arguments *a, struct selection *s)
{
    const char *status = argument_text(a, "status", NULL);
    struct {
        enum place place;
        bool *is_wanted;
    } places[] = {{PLACE_WAITING, &s->waiting}, {PLACE_CLAIMED, &s->claimed}, {PLACE_HELD, &s->held}};
    bool is_known = !status, is_one = !status;

    for (size_t i = 0; status && i < ARRAY_LEN(places); i++) {
        bool is_meant = strcmp(status, place_name(places[i].place)) == 0;
        is_known |= is_meant;
        is_one |= is_meant && *places[i].is_wanted;
        *places[i].is_wanted &= is_meant;
    }
    if (!is_known)
        return say_usage("--status: expected waiting, claimed or held, not \"%s\"", status);
    return is_one ? EXIT_OK : say_usage("%s concerns no job that is %s", a->verb->name, status);
}

static int order_queue(const struct arguments *a, enum order order)
{
    struct selection s = {.queue = a->operands[0], .with_apart = true};
    struct campaign_plan p = {.order = order,
                              .subject = a->operands[0],
                              .rule = {.action = actions[order], .to = "", .by = ""},
                              .go = go_through_queue,
                              .context = &s};

    int status = queue_name_check(s.queue);
    if (status == EXIT_OK)
        status = filter_parse(a, &s.filter);
    if (status == EXIT_OK)
        status = rule_options(a, &p.rule, &p.for_ms);
    if (status == EXIT_OK && p.rule.is_standing)
        status = rule_pattern_check(s.queue);
    if (status != EXIT_OK)
        return status;
    p.rule.filter = filter_as_rule(&s.filter);
    p.rule.filter.queue = s.queue;
    p.rule.filter.message = "";
    s.waiting = order != ORDER_RELEASE;
    s.claimed = order != ORDER_RETRY;
    s.held = order != ORDER_RETRY && order != ORDER_HOLD;
    s.with_texts = order_needs_texts(order) || filter_needs_texts(&s.filter) || !argument_is_given(a, "yes");
    if (p.rule.is_standing && argument_is_given(a, "status"))
        return say_usage("--status is of jobs that are there now: it does not go with --standing or --for");
    status = choose_places(a, &s);
    p.goes_on_empty = p.rule.is_standing;
    p.is_of_partition = !is_queue_pattern(s.queue) && strcmp(s.queue, QUEUE_FANOUT) != 0;
    p.partition = partition_of(span_of(s.queue));
    if (order == ORDER_DELETE && p.rule.is_standing)
        p.beforehand =
            "what is deleted, now and of what comes until the rule is undone or its time is over, cannot be "
            "brought back";
    else if (order == ORDER_DELETE)
        p.beforehand = "what is deleted cannot be brought back";
    else if (p.rule.is_standing)
        p.beforehand = "and what comes later, until the rule is undone or its time is over";
    return status == EXIT_OK ? campaign_run(a, &p) : status;
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
        status = story_say_unknown(&story);
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
    struct campaign_plan p = {.order = order,
                              .subject = a->operands[0],
                              .rule = {.action = actions[order], .to = "", .by = ""},
                              .go = go_through_message,
                              .context = &m};
    int status = rule_options(a, &p.rule, &p.for_ms);
    p.rule.filter = (struct rule_filter){.queue = "", .message = a->operands[0]};
    if (order == ORDER_DELETE)
        p.beforehand = "what is deleted cannot be brought back";
    return status == EXIT_OK ? campaign_run(a, &p) : status;
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

/* ---- undo: the jobs of a rule, wherever they are, by what their records say of it */

static int go_back(struct campaign *c, const void *context)
{
    const struct rule *rule = context;
    struct message m = {.only_job = ANY_JOB};
    AUTO_BUF struct buf reason = {.data = NULL};

    if (c->orders) {
        int status = rulebook_mark(c->ask, orders_store(c->orders), rule->number, UINT64_MAX, true);
        if (status != EXIT_OK)
            return status;
        if (rule->is_standing)
            ask_pause(c->ask, NODES_SEE_MS); /* nobody obeys it any more */
    }
    if (*rule->filter.message)
        return subject_parse(rule->filter.message, &m.id, &m.only_job)
                   ? go_through_message(c, &m)
                   : subject_say_unknown(rule->filter.message);
    rule_reason_add(rule, &reason);
    AUTO_FREE char *because = buf_steal_text(&reason);
    const struct selection s = {.queue = *rule->filter.queue ? rule->filter.queue : "*",
                                .filter = {.ruled = c->rule_id, .because = because},
                                .waiting = true,
                                .claimed = true,
                                .held = true,
                                .with_texts = true};
    return go_through_queue(c, &s);
}

int rule_undo_jobs(const struct arguments *a, const struct rule *rule)
{
    struct campaign_plan p = {.order = ORDER_UNDO,
                              .subject = a->operands[0],
                              .rule = *rule,
                              .goes_on_empty = rule_is_in_force(rule, 0),
                              .go = go_back,
                              .context = rule};

    if (rule->action == RULE_HOLD && rule->is_standing)
        p.beforehand = "and the rule ends";
    return campaign_run(a, &p);
}
