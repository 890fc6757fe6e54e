/* Jobs of a queue, page by page: ZSCAN of each index, then the record of each job on the page. */
#include "ctl/selection.h"

#include <signal.h>

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/lane.h"
#include "ctl/away.h"
#include "ctl/order.h"
#include "ctl/rulebook.h"
#include "ctl/survey.h"

enum { PAGE_JOBS = 500, CURSOR_MAX = 24 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void) signal;
    interrupted = 1;
}

void interrupt_watch(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};

    (void) sigaction(SIGINT, &action, NULL); /* cannot fail for SIGINT */
}

bool is_interrupted(void)
{
    return interrupted;
}

/* ---- names */

void queue_partitions(const char *queue, unsigned *ret_first, unsigned *ret_last)
{
    bool is_everywhere = strcmp(queue, QUEUE_FANOUT) == 0;

    *ret_first = is_everywhere ? 0 : partition_of(span_of(queue));
    *ret_last = is_everywhere ? PARTITION_COUNT - 1 : *ret_first;
}

bool is_queue_pattern(const char *queue)
{
    return queue[0] == '*' || queue[0] == '.';
}

int queue_name_check(const char *queue)
{
    size_t len = strlen(queue);
    bool has_no_lane = is_queue_pattern(queue) && queue[len - 1] == '/'; /* a script's word was empty */

    if (len > 0 && len <= QUEUE_TEXT_MAX && !has_no_lane)
        return EXIT_OK;
    return say_usage("\"%s\" is not a queue's name: a domain, a domain/lane, or " QUEUE_FANOUT, queue);
}

/* A queue, and those where mail of it travels apart: of each rule that sends some of it another way, or did lately. */
static int each_of_one(struct ask *k, const char *queue, selection_on_queue *on_queue, void *context)
{
    struct rules rules;
    struct span domain, lane;
    uint64_t now_ms;
    int status = on_queue(context, partition_of(span_of(queue)), queue);

    if (status != EXIT_OK || strcmp(queue, QUEUE_FANOUT) == 0 || queue_apart(span_of(queue)).len > 0)
        return status;
    status = rulebook_read(k, &rules, &now_ms);
    if (status != EXIT_OK)
        return status;
    queue_split(span_of(queue), &domain, &lane);
    AUTO_FREE char *lane_text = mem_text(lane.at, lane.len);
    for (size_t i = 0; status == EXIT_OK && i < rules.count; i++) {
        const struct rule *r = &rules.items[i];
        AUTO_BUF struct buf name = {.data = NULL};
        if (r->action != RULE_REDIRECT || rule_filter_is_queue_only(&r->filter) ||
            !rule_queue_fits(r->filter.queue, queue))
            continue;
        queue_name_apart(domain, lane_text, r->number, &name);
        buf_add_char(&name, '\0');
        status = on_queue(context, partition_of(span_of(name.data)), name.data);
    }
    rules_done(&rules);
    return status;
}

static int each_of_pattern(struct ask *k, const char *pattern, selection_on_queue *on_queue, void *context)
{
    struct survey survey;
    bool has_fanout = false;
    int status = survey_take(k, &survey);

    if (status != EXIT_OK)
        return status;
    for (size_t i = 0; i < survey.queue_count && status == EXIT_OK; i++) {
        const struct survey_queue *q = &survey.queues[i];
        bool is_fanout = strcmp(q->name, QUEUE_FANOUT) == 0;
        if (queue_fits(pattern, q->name) && !(is_fanout && has_fanout))
            status = on_queue(context, q->partition, q->name);
        has_fanout |= is_fanout;
    }
    survey_done(&survey);
    return status;
}

int selection_each_queue(struct ask *k, const char *queue, selection_on_queue *on_queue, void *context)
{
    return is_queue_pattern(queue) ? each_of_pattern(k, queue, on_queue, context)
                                   : each_of_one(k, queue, on_queue, context);
}

/* ---- filters */

int filter_parse(const struct arguments *a, struct filter *ret_filter)
{
    struct filter f = {.sender = argument_text(a, "sender", NULL),
                       .recipient = argument_text(a, "recipient", NULL),
                       .error = argument_text(a, "error", NULL),
                       .user = argument_text(a, "user", NULL),
                       .tenant = argument_text(a, "tenant", NULL),
                       .client = argument_text(a, "client", NULL)};
    const char *older = argument_text(a, "older", NULL), *class = argument_text(a, "class", NULL);

    if (older && (conf_parse_time(span_of(older), &f.older_ms) < 0 || f.older_ms > RULE_TIME_MAX))
        return say_usage("--older: expected a time such as 90s, 30min, 6h or 2d, not \"%s\"", older);
    if (f.recipient && !strchr(f.recipient, '@'))
        return say_usage("--recipient: expected an address or @domain, not \"%s\"", f.recipient);
    if (f.sender && !strchr(f.sender, '@') && strcmp(f.sender, "<>") != 0)
        return say_usage("--sender: expected an address, @domain or <>, not \"%s\"", f.sender);
    if (class && (f.bounce = bounce_named(span_of(class))) == BOUNCE_NONE)
        return say_usage("--class: \"%s\" is no class; `baridctl bounces` tells which there are", class);
    *ret_filter = f;
    return EXIT_OK;
}

struct rule_filter filter_as_rule(const struct filter *f)
{
    return (struct rule_filter){.sender = f->sender,
                                .recipient = f->recipient,
                                .user = f->user,
                                .tenant = f->tenant,
                                .error = f->error,
                                .class = f->bounce == BOUNCE_NONE ? NULL : bounce_name(f->bounce),
                                .client = f->client,
                                .older_ms = f->older_ms};
}

bool filter_needs_texts(const struct filter *f)
{
    return f->sender || f->recipient || f->error || f->bounce || f->user || f->tenant || f->client;
}

bool filter_is_any(const struct filter *f)
{
    return f->older_ms == 0 && !f->because && !f->ruled && !filter_needs_texts(f);
}

bool filter_passes(const struct filter *f, const char *job, const struct record *r, uint64_t now_ms)
{
    const struct rule_filter texts = filter_as_rule(f);
    const struct rule_subject subject = {
        .queue = r->queue, .job = job, .envelope = r->is_readable ? &r->envelope : NULL, .state = &r->state};
    bool is_because = f->because && r->held_because && strcmp(f->because, r->held_because) == 0;

    if (f->ruled ? !is_because && !order_is_of(r, f->ruled) : f->because && !is_because)
        return false;
    return rule_filter_fits(&texts, &subject, now_ms);
}

/* ---- walking */

struct walk {
    struct ask *ask;
    const struct selection *selection;
    unsigned partition;
    enum place place;
    char cursor[CURSOR_MAX + 1];
    uint64_t now_ms;
    struct selected *jobs;
    size_t count, room, read; /* read: those whose record is */
};

static void on_members(void *context, const struct redis_value *values)
{
    struct walk *w = context;
    const struct redis_value *page = &values[1];
    struct span cursor = {.at = NULL};

    w->now_ms = answer_time_ms(&values[0]);
    if (page->type == REDIS_ARRAY && page->count == 2)
        cursor = redis_text(&page->items[0]);
    if (cursor.len == 0 || cursor.len > CURSOR_MAX) { /* a key of another type holds no jobs */
        memcpy(w->cursor, "0", 2);
        return;
    }
    memcpy(w->cursor, cursor.at, cursor.len);
    w->cursor[cursor.len] = '\0';
    const struct redis_value *list = &page->items[1];
    for (size_t i = 0; list->type == REDIS_ARRAY && i + 1 < list->count; i += 2) {
        if (w->count == w->room) {
            w->room = w->room ? 2 * w->room : PAGE_JOBS;
            w->jobs = mem_resize(w->jobs, w->room * sizeof(*w->jobs));
        }
        w->jobs[w->count++] = (struct selected){.job = answer_text(&list->items[i]),
                                                .partition = w->partition,
                                                .place = w->place,
                                                .score = answer_score(&list->items[i + 1])};
    }
}

static void on_records(void *context, const struct redis_value *values)
{
    struct walk *w = context;

    for (size_t i = 0; w->read < w->count && i < PAGE_JOBS; i++)
        record_read(&values[i], &w->jobs[w->read++].record);
}

static void ask_records(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++) {
        record_ask(w->ask, w->partition, span_of(w->jobs[i].job), w->selection->with_texts);
        if (i % PAGE_JOBS == PAGE_JOBS - 1 || i + 1 == w->count)
            ask_send(w->ask, on_records, w); /* answered in this order: one connection */
    }
}

static void selected_done(struct selected *s)
{
    record_done(&s->record);
    mem_free(s->job);
}

/* What travels apart from a queue is walked by its own name, and met once, though both may be in one partition. */
static bool is_of_queue(const struct selection *s, const char *queue)
{
    bool is_one = s->queue && !is_queue_pattern(s->queue);

    return is_one ? strcmp(s->queue, queue) == 0 : rule_queue_fits(s->queue, queue);
}

/* Keeps what is meant, at the front. */
static void sift(struct walk *w)
{
    const struct selection *s = w->selection;
    size_t kept = 0;

    for (size_t i = 0; i < w->count; i++) {
        struct selected *job = &w->jobs[i];
        if (is_of_queue(s, job->record.queue) && filter_passes(&s->filter, job->job, &job->record, w->now_ms))
            w->jobs[kept++] = *job;
        else
            selected_done(job);
    }
    w->count = kept;
}

static int walk_page(struct walk *w, selection_on_page *on_page, void *context)
{
    static const enum key indexes[] = {
        [PLACE_WAITING] = KEY_OF_QUEUE, [PLACE_CLAIMED] = KEY_OF_CLAIMED, [PLACE_HELD] = KEY_OF_HELD};
    const char *queue = w->place == PLACE_WAITING ? w->selection->queue : "";

    resp_arg_text(ask_command(w->ask, 1), "TIME");
    struct buf *b = ask_key(w->ask, "ZSCAN", 5, indexes[w->place], w->partition, span_of(queue));
    resp_arg_text(b, w->cursor);
    resp_arg_text(b, "COUNT");
    resp_arg_number(b, PAGE_JOBS);
    ask_send(w->ask, on_members, w);
    int status = ask_wait(w->ask);
    if (status == EXIT_OK && w->count > 0) {
        ask_records(w);
        status = ask_wait(w->ask);
    }
    while (w->count > 0 &&
           away_has_partition(w->partition)) /* their records are not known: they are not met */
        selected_done(&w->jobs[--w->count]);
    if (status == EXIT_OK) {
        sift(w);
        if (w->count > 0)
            status = on_page(context, w->jobs, w->count, w->now_ms);
    }
    for (size_t i = 0; i < w->count; i++)
        selected_done(&w->jobs[i]);
    w->count = w->read = 0;
    return status == EXIT_OK && is_interrupted() ? EXIT_ASKED_FAILED : status;
}

static int walk_index(struct walk *w, enum place place, selection_on_page *on_page, void *context)
{
    int status;

    w->place = place;
    memcpy(w->cursor, "0", 2);
    do
        status = walk_page(w, on_page, context);
    while (status == EXIT_OK && strcmp(w->cursor, "0") != 0);
    return status;
}

/* Of one queue, or without waiting ones. */
static int walk_partitions(struct ask *k, const struct selection *s, selection_on_page *on_page,
                           void *context)
{
    struct walk w = {.ask = k, .selection = s};
    unsigned last = PARTITION_COUNT - 1;
    int status = EXIT_OK;

    if (s->queue && !is_queue_pattern(s->queue))
        queue_partitions(s->queue, &w.partition, &last);
    for (; status == EXIT_OK && w.partition <= last; w.partition++) {
        if (s->claimed)
            status = walk_index(&w, PLACE_CLAIMED, on_page, context);
        if (status == EXIT_OK && s->waiting)
            status = walk_index(&w, PLACE_WAITING, on_page, context);
        if (status == EXIT_OK && s->held)
            status = walk_index(&w, PLACE_HELD, on_page, context);
    }
    mem_free(w.jobs);
    return status;
}

struct many { /* queues, one by one */
    struct ask *ask;
    struct selection selection;
    selection_on_page *on_page;
    void *context;
};

static int walk_one(void *context, unsigned partition, const char *queue)
{
    struct many *m = context;

    (void) partition; /* #fanout is in all of them */
    m->selection.queue = queue;
    return walk_partitions(m->ask, &m->selection, m->on_page, m->context);
}

/* What is claimed and held is indexed by partition, what waits by queue. Claimed ones first: they come back to wait. */
int selection_walk(struct ask *k, const struct selection *s, selection_on_page *on_page, void *context)
{
    struct many m = {k, *s, on_page, context};

    if (s->queue && !is_queue_pattern(s->queue) && s->with_apart)
        return selection_each_queue(k, s->queue, walk_one, &m);
    if (!s->queue || !is_queue_pattern(s->queue))
        return walk_partitions(k, s, on_page, context);
    m.selection.waiting = false;
    int status = walk_partitions(k, &m.selection, on_page, context);
    m.selection.waiting = true;
    m.selection.claimed = m.selection.held = false;
    return status == EXIT_OK && s->waiting ? selection_each_queue(k, s->queue, walk_one, &m) : status;
}
