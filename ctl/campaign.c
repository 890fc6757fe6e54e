/* An order to many jobs: counted, asked about, given, told. */
#include "ctl/campaign.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
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

void campaign_meet(struct campaign *c, const char *job, unsigned partition, enum place place, uint64_t score,
                   const struct record *r, uint64_t now_ms)
{
    enum effect effect = order_foresee(c->order, place, score, now_ms, r);

    if (effect == EFFECT_NONE || (effect == EFFECT_UNREADABLE && c->is_again))
        return;
    if (c->orders && effect != EFFECT_UNREADABLE) {
        orders_give(c->orders, c->order, partition, job, r->queue, &c->tally);
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
    static const char *const words[] = {"made due", "held", "released", "deleted",
                                        "given back to be returned to their senders"};

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
    json_put_flag(json, "interrupted", c->is_interrupted);
    if (!c->orders)
        json_put(json, "sample", STEAL(c->sample));
    print_json(json);
}

static void add_count(struct buf *out, uint64_t count, const char *words)
{
    if (count > 0)
        buf_printf(out, "%s%llu %s", out->len ? "; " : "", (unsigned long long) count, words);
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
    if (c->is_interrupted)
        printf("interrupted: the rest is as it was\n");
}

static void campaign_begin(struct campaign *c, struct orders *orders)
{
    c->orders = orders;
    c->tally = (struct tally){.has_resumed = false};
    c->would_resume = c->is_again = false;
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
static int campaign_ask(struct campaign *c, campaign_go *go, const void *context)
{
    AUTO_BUF struct buf question = {.data = NULL};

    campaign_begin(c, NULL);
    int status = go(c, context);
    if (status != EXIT_OK)
        return is_interrupted() ? say_failed("nothing was done") : status;
    print_outcome(c);
    if (tally_sum(&c->tally) == 0 && !c->would_resume)
        return EXIT_ASKED_FAILED;
    buf_printf(&question, "%s %llu jobs?", order_name(c->order), (unsigned long long) tally_sum(&c->tally));
    AUTO_FREE char *text = buf_steal_text(&question);
    return order_confirm(text);
}

static int run(const struct arguments *a, enum order order, bool is_asked, const char *why, campaign_go *go,
               const void *context)
{
    struct campaign c = {.order = order, .subject = a->operands[0], .sample = json_new_array()};
    bool is_dry = argument_is_given(a, "dry-run");
    struct orders *orders = NULL;
    int status = is_asked ? order_check_consent(a) : EXIT_OK;

    grid_init(&c.table, "job|place||>age|from|to");
    if (status == EXIT_OK)
        status = ask_open(a, &c.ask);
    if (status == EXIT_OK) {
        interrupt_watch();
        if (!is_dry && is_asked && !argument_is_given(a, "yes"))
            status = campaign_ask(&c, go, context);
        if (status == EXIT_OK && !is_dry)
            status = orders_open(c.ask, &orders);
        if (status == EXIT_OK) {
            if (orders)
                orders_because(orders, why);
            campaign_begin(&c, orders);
            status = campaign_finish(&c, a->is_json, go(&c, context));
        }
        orders_close(orders);
        ask_close(c.ask);
    }
    json_free(c.sample);
    grid_done(&c.table);
    return status;
}

int campaign_run(const struct arguments *a, enum order order, campaign_go *go, const void *context)
{
    return run(a, order, true, NULL, go, context);
}

int campaign_run_unasked(const struct arguments *a, enum order order, const char *why, campaign_go *go,
                         const void *context)
{
    return run(a, order, false, why, go, context);
}
