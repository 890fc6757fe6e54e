/* An order to many jobs: counted, asked about, given, told. */
#include "ctl/campaign.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ctl/away.h"
#include "ctl/rulebook.h"
#include "ctl/selection.h"

enum { SAMPLE_MAX = 10, PROGRESS_MS = 1000 };

/* ---- the sample */

static void add_sample(struct campaign *c, const char *job, enum place place, const struct record *r,
                       enum effect effect, uint64_t now_ms)
{
    static const char *const words[EFFECT_COUNT] = {[EFFECT_DONE] = "at once",
                                                    [EFFECT_LATER] = "later",
                                                    [EFFECT_GONE] = "without record",
                                                    [EFFECT_UNREADABLE] = "cannot be read"};
    struct json *json = json_new_object();
    AUTO_BUF struct buf age = {.data = NULL}, to = {.data = NULL};

    json_put_text(json, "job", span_of(job));
    json_put_text(json, "queue", span_of(r->queue));
    json_put_text(json, "place", span_of(place_name(place)));
    json_put_text(json, "effect", span_of(words[effect]));
    put_record(json, r, now_ms);
    json_put(c->sample, NULL, json);
    grid_cell_safe(&c->table, span_of(job));
    grid_cell(&c->table, "%s", place_name(place));
    grid_cell(&c->table, "%s", words[effect]);
    if (r->is_readable) {
        add_duration(&age, later_by(now_ms, r->envelope.arrival_ms));
        add_open_recipients(&to, r);
    }
    grid_cell_safe(&c->table, buf_span(&age));
    grid_cell_safe(&c->table,
                   span_of(r->is_readable ? *r->envelope.sender ? r->envelope.sender : "<>" : "?"));
    grid_cell_safe(&c->table, buf_span(&to));
}

/* ---- one job, and a page of them */

/* What it is to do now it does when its queue is resumed. */
static bool is_resting(const struct campaign *c, const struct record *r)
{
    return (c->order == ORDER_BOUNCE || c->order == ORDER_RETRY || c->order == ORDER_RELEASE) &&
           ruling_suspends(&c->ruling, r->queue) != NULL;
}

void campaign_meet(struct campaign *c, const char *job, unsigned partition, enum place place, uint64_t score,
                   const struct record *r, uint64_t now_ms)
{
    enum order order = c->order;

    if (order == ORDER_UNDO && !order_is_of(r, c->rule_id))
        order = ORDER_RELEASE; /* a courier held it by that rule */
    enum effect effect = order_foresee(order, place, score, now_ms, r);
    if (effect == EFFECT_NONE || (effect == EFFECT_UNREADABLE && c->is_again))
        return;
    c->resting += effect != EFFECT_UNREADABLE && is_resting(c, r);
    if (c->orders && effect != EFFECT_UNREADABLE) {
        orders_give(c->orders, order, partition, job, r->queue, &c->tally);
        return;
    }
    if (!c->orders && c->table.rows < SAMPLE_MAX)
        add_sample(c, job, place, r, effect, now_ms);
    c->tally.count[effect]++;
}

void campaign_tell_progress(struct campaign *c)
{
    uint64_t now_ms = clock_ms();

    if (!isatty(STDERR_FILENO) || now_ms < c->told_ms + PROGRESS_MS)
        return;
    c->told_ms = now_ms;
    fprintf(stderr, "\r%llu jobs in %llu s; Ctrl-C stops ", (unsigned long long) tally_sum(&c->tally),
            (unsigned long long) ((now_ms - c->started_ms) / 1000));
}

/* ---- paused queues */

static void on_pause(void *context, const struct redis_value *values)
{
    *(bool *) context = values[0].type != REDIS_NIL;
}

/* Also one that is over: as long as it is on record, mail that has expired is returned without another try. */
int campaign_resume(struct campaign *c, unsigned partition, const char *queue)
{
    bool is_on_record = false;

    if ((c->order != ORDER_RETRY && c->order != ORDER_BOUNCE) || !*queue || strcmp(queue, QUEUE_FANOUT) == 0)
        return EXIT_OK;
    resp_arg_text(ask_key(c->ask, "HGET", 3, KEY_OF_STATE, partition, span_of(queue)), "until");
    ask_send(c->ask, on_pause, &is_on_record);
    int status = ask_wait(c->ask);
    if (status != EXIT_OK || !is_on_record)
        return status;
    c->would_resume = true;
    if (c->orders) {
        orders_resume(c->orders, partition, queue, &c->tally);
        orders_wait(c->orders);
    }
    return EXIT_OK;
}

/* ---- what came of it */

static const char *done_words(enum order order)
{
    static const char *const words[] = {"made due",
                                        "held",
                                        "released",
                                        "deleted",
                                        "given back to be returned to their senders",
                                        "put back as they were"};

    return words[order];
}

static void print_outcome_json(struct campaign *c)
{
    static const char *const words[EFFECT_COUNT] = {NULL, "done", "later", "gone", "unreadable", "unknown"};
    struct json *json = json_new_object();

    json_put_text(json, "order", span_of(order_name(c->order)));
    json_put_text(json, "subject", span_of(c->subject));
    json_put_flag(json, "dry_run", !c->orders);
    json_put_number(json, "jobs", (int64_t) tally_sum(&c->tally));
    for (enum effect effect = EFFECT_DONE; effect < EFFECT_COUNT; effect++)
        json_put_number(json, words[effect], (int64_t) c->tally.count[effect]);
    json_put_flag(json, "resumed", c->orders ? c->tally.has_resumed : c->would_resume);
    json_put_number(json, "suspended", (int64_t) c->resting);
    json_put_flag(json, "interrupted", c->is_interrupted);
    if (!c->orders)
        json_put(json, "sample", STEAL(c->sample));
    if (c->rule_id)
        json_put_text(json, "rule", span_of(c->rule_id));
    else
        json_put_null(json, "rule");
    print_json(json);
}

static void add_count(struct buf *out, uint64_t count, const char *words)
{
    if (count > 0)
        buf_printf(out, "%s%llu %s", out->len ? "; " : "", (unsigned long long) count, words);
}

static void print_rule(const struct campaign *c)
{
    if (c->rule.is_standing)
        printf(
            "rule %s holds for what comes, in force everywhere in about a second; `baridctl undo %s` ends it\n",
            c->rule_id, c->rule_id);
    else if (rule_undoes(c->rule.action) && tally_sum(&c->tally) > 0)
        printf("rule %s: `baridctl undo %s` puts back those that have not been attempted by then\n",
               c->rule_id, c->rule_id);
}

static void print_outcome(struct campaign *c)
{
    AUTO_BUF struct buf out = {.data = NULL};
    const uint64_t *count = c->tally.count;

    add_count(&out, count[EFFECT_DONE], done_words(c->order));
    add_count(
        &out, count[EFFECT_LATER],
        "later: claimed now, or its content is being read; obeyed when given back, unless it is delivered first");
    add_count(&out, count[EFFECT_GONE],
              c->order == ORDER_DELETE ? "had no record left" : "had ended already");
    add_count(&out, count[EFFECT_UNREADABLE],
              "left alone: the record cannot be read; `baridctl msg delete` removes such a job");
    add_count(&out, count[EFFECT_UNKNOWN], "without an answer: it may have happened");
    if (out.len == 0)
        buf_add_text(&out, "no job is concerned");
    printf("%s", c->orders ? "" : "dry run, nothing was done: ");
    print_safe(span_of(c->subject));
    printf(": %.*s\n", SPAN_ARG(buf_span(&out)));
    if (c->would_resume)
        printf("%s\n", c->orders ? "the queue was paused and is resumed"
                                 : "the queue is paused and would be resumed");
    if (!c->orders && c->table.rows > 0)
        grid_print(&c->table);
    if (c->resting > 0)
        printf(
            "%llu of them %s in a suspended queue: nothing of it moves, and %s, before `baridctl queue resume`\n",
            (unsigned long long) c->resting, c->orders ? "wait" : "would wait",
            c->order == ORDER_BOUNCE ? "nothing is returned" : "nothing is tried");
    if (c->is_interrupted)
        printf("interrupted: the rest is as it was\n");
    if (c->orders && c->rule_id && c->order != ORDER_UNDO)
        print_rule(c);
}

static void campaign_begin(struct campaign *c, struct orders *orders)
{
    c->orders = orders;
    c->tally = (struct tally){.has_resumed = false};
    c->would_resume = c->is_again = false;
    c->resting = 0;
    c->started_ms = c->told_ms = clock_ms();
}

static int campaign_finish(struct campaign *c, bool is_json, int status)
{
    const uint64_t *count = c->tally.count;

    c->is_interrupted = is_interrupted();
    if (status != EXIT_OK && !c->is_interrupted && count[EFFECT_UNKNOWN] == 0)
        return status; /* said already */
    if (isatty(STDERR_FILENO) && c->told_ms > c->started_ms)
        fprintf(stderr, "\n");
    if (is_json)
        print_outcome_json(c);
    else
        print_outcome(c);
    if (c->is_interrupted || count[EFFECT_UNKNOWN] > 0)
        return EXIT_ASKED_FAILED;
    return c->orders && count[EFFECT_UNREADABLE] > 0 && count[EFFECT_UNREADABLE] == tally_sum(&c->tally)
               ? EXIT_ASKED_FAILED
               : EXIT_OK;
}

/* Without --yes it counts first and asks. */
static int campaign_ask(struct campaign *c, const struct campaign_plan *p)
{
    AUTO_BUF struct buf question = {.data = NULL};

    campaign_begin(c, NULL);
    int status = p->go(c, p->context);
    if (status != EXIT_OK)
        return is_interrupted() ? say_failed("nothing was done") : status;
    print_outcome(c);
    if (tally_sum(&c->tally) == 0 && !c->would_resume && !p->goes_on_empty)
        return EXIT_ASKED_FAILED;
    if (p->beforehand)
        printf("%s\n", p->beforehand);
    buf_printf(&question, "%s %llu jobs?", order_name(c->order), (unsigned long long) tally_sum(&c->tally));
    AUTO_FREE char *text = buf_steal_text(&question);
    return order_confirm(text);
}

/* The rule comes first: jobs are told its id. */
static int leave_rule(struct campaign *c, const struct campaign_plan *p, struct orders *orders,
                      char **ret_why)
{
    struct buf why = {.data = NULL};

    if (c->order != ORDER_UNDO) {
        int status = rulebook_add(c->ask, orders_store(orders), &c->rule, p->for_ms);
        if (status != EXIT_OK)
            return status;
        c->rule_id = rule_id_text(&c->rule);
    }
    if (c->rule.is_standing || *c->rule.because)
        rule_reason_add(&c->rule, &why);
    *ret_why = why.len > 0 ? buf_steal_text(&why) : NULL;
    orders_because(orders, *ret_why, c->rule_id, c->order == ORDER_UNDO);
    return EXIT_OK;
}

static int carry_out(struct campaign *c, const struct campaign_plan *p, struct orders *orders)
{
    AUTO_FREE char *why = NULL;
    int status = leave_rule(c, p, orders, &why);

    if (status != EXIT_OK)
        return status;
    campaign_begin(c, orders);
    status = p->go(c, p->context);
    if (c->order != ORDER_UNDO && tally_sum(&c->tally) > 0) {
        int marked = rulebook_mark(c->ask, orders_store(orders), c->rule.number, tally_sum(&c->tally), false);
        status = status == EXIT_OK ? marked : status;
    }
    return status;
}

static void campaign_init(struct campaign *c, enum order order, const char *subject)
{
    *c = (struct campaign){.order = order, .subject = subject, .sample = json_new_array()};
    grid_init(&c->table, "job|place||>age|from|to");
}

static void campaign_done(struct campaign *c, struct orders *orders)
{
    orders_close(orders);
    if (c->ask)
        ask_close(c->ask);
    ruling_done(&c->ruling);
    mem_free(c->rule_id);
    json_free(c->sample);
    grid_done(&c->table);
}

/* An order is written down among the common keys before it is given. */
static int campaign_reaches(struct campaign *c, const struct campaign_plan *p, bool is_dry)
{
    if (!is_dry && away_has_common()) {
        return say_partly(
            "nothing was done: an order is first written down among the common keys, which are away");
    }
    int status = ruling_read(c->ask, &c->ruling);
    if (status != EXIT_OK)
        return status;
    return p->is_of_partition ? ask_reaches(c->ask, p->partition, c->subject) : EXIT_OK;
}

int campaign_run(const struct arguments *a, const struct campaign_plan *p)
{
    struct campaign c;
    bool is_dry = argument_is_given(a, "dry-run");
    struct orders *orders = NULL;
    int status = order_check_consent(a);

    campaign_init(&c, p->order, p->subject);
    c.rule = p->rule;
    c.rule_id = c.rule.number ? rule_id_text(&c.rule) : NULL;
    if (status == EXIT_OK)
        status = ask_open_partly(a, &c.ask);
    if (status == EXIT_OK)
        status = campaign_reaches(&c, p, is_dry);
    if (status == EXIT_OK) {
        interrupt_watch();
        if (!is_dry && !argument_is_given(a, "yes"))
            status = campaign_ask(&c, p);
        if (status == EXIT_OK && !is_dry)
            status = orders_open(c.ask, &orders);
        if (status == EXIT_OK && is_dry) {
            campaign_begin(&c, NULL);
            status = campaign_finish(&c, a->is_json, p->go(&c, p->context));
        } else if (status == EXIT_OK) {
            status = campaign_finish(&c, a->is_json, carry_out(&c, p, orders));
        }
    }
    campaign_done(&c, orders);
    return status;
}

int campaign_run_unasked(const struct arguments *a, enum order order, const char *why, campaign_go *go,
                         const void *context)
{
    struct campaign c;
    struct orders *orders = NULL;
    int status;

    campaign_init(&c, order, a->operands[0]);
    status = ask_open_partly(a, &c.ask);
    if (status == EXIT_OK) {
        interrupt_watch();
        if (!argument_is_given(a, "dry-run"))
            status = orders_open(c.ask, &orders);
        if (status == EXIT_OK) {
            if (orders)
                orders_because(orders, why, NULL, false);
            campaign_begin(&c, orders);
            status = campaign_finish(&c, a->is_json, go(&c, context));
        }
    }
    campaign_done(&c, orders);
    return status;
}
