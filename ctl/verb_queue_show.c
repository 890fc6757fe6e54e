/* queue show. */
#include "base/mem.h"
#include "ctl/ask.h"
#include "ctl/print.h"
#include "ctl/ruling.h"
#include "ctl/selection.h"
#include "ctl/verb.h"

enum { SHOW_JOBS = 20, SHOW_JOBS_MAX = 1000 };

struct shown { /* one job of the queue */
    char *job;
    uint64_t due_ms;
    struct record record;
};

struct show {
    struct ask *ask;
    struct ruling ruling;
    const char *queue;
    size_t limit;
    uint64_t now_ms, waiting; /* waiting: of those that the filter lets pass */
    struct shown *jobs;
    size_t count, room;
    struct filter filter;
};

static struct shown *add_shown(struct show *show)
{
    if (show->count == show->room) {
        show->room = show->room ? 2 * show->room : 32;
        show->jobs = mem_resize(show->jobs, show->room * sizeof(*show->jobs));
    }
    return &show->jobs[show->count++];
}

static void shown_done(struct shown *job)
{
    mem_free(job->job);
    record_done(&job->record);
}

struct job_place {
    struct show *show;
    size_t number;
};

static void on_record(void *context, const struct redis_value *values)
{
    const struct job_place *place = context;

    record_read(&values[0], &place->show->jobs[place->number].record);
}

struct partition_place {
    struct show *show;
    unsigned partition;
};

static void on_jobs(void *context, const struct redis_value *values)
{
    const struct partition_place *place = context;
    struct show *show = place->show;
    const struct redis_value *list = &values[1];
    int64_t waiting;

    if (redis_number(&values[0], &waiting) == 0)
        show->waiting += (uint64_t) waiting;
    for (size_t i = 0; list->type == REDIS_ARRAY && i + 1 < list->count && show->count < show->limit;
         i += 2) {
        struct span job = redis_text(&list->items[i]);
        struct job_place *next = NEW(struct job_place);
        struct shown *shown = add_shown(show);
        *shown = (struct shown){.job = mem_text(job.len ? job.at : "", job.len),
                                .due_ms = answer_score(&list->items[i + 1])};
        *next = (struct job_place){show, show->count - 1};
        record_ask(show->ask, place->partition, span_of(shown->job), true);
        ask_send_with(show->ask, on_record, next);
    }
}

static void on_show_time(void *context, const struct redis_value *values)
{
    struct show *show = context;

    show->now_ms = answer_time_ms(&values[0]);
}

static struct json *shown_json(const struct show *show, const struct shown *job)
{
    struct json *json = json_new_object();

    json_put_text(json, "job", span_of(job->job));
    json_put_text(json, "queue", span_of(job->record.queue));
    json_put_number(json, "due_ms", (int64_t) job->due_ms);
    json_put_number(json, "due_in_ms", (int64_t) later_by(job->due_ms, show->now_ms));
    put_record(json, &job->record, show->now_ms);
    return json;
}

static void add_shown_row(struct grid *t, const struct show *show, const struct shown *job)
{
    AUTO_BUF struct buf due = {.data = NULL}, age = {.data = NULL}, error = {.data = NULL},
                        to = {.data = NULL};

    if (job->due_ms <= show->now_ms)
        buf_add_text(&due, "now");
    else
        add_duration(&due, job->due_ms - show->now_ms);
    grid_cell_safe(t, span_of(job->job));
    if (is_queue_pattern(show->queue))
        grid_cell_safe(t, span_of(job->record.queue));
    grid_cell_safe(t, buf_span(&due));
    const struct record *r = &job->record;
    if (!r->is_readable) {
        for (int i = 0; i < 4; i++)
            grid_cell(t, "?");
        grid_cell(t, r->is_newer ? "a newer version wrote its record: it waits for a newer courier"
                                 : "its record cannot be read; the next courier puts it aside (held)");
        return;
    }
    add_duration(&age, later_by(show->now_ms, r->envelope.arrival_ms));
    add_open_recipients(&to, r);
    if (record_last_error(r))
        add_verdict(&error, record_last_error(r));
    grid_cell_safe(t, buf_span(&age));
    grid_cell(t, "%u", r->state.attempts);
    grid_cell_safe(t, span_of(*r->envelope.sender ? r->envelope.sender : "<>"));
    grid_cell_safe(t, buf_span(&to));
    grid_cell_safe(t, buf_span(&error));
}

static void print_show(const struct show *show)
{
    AUTO_BUF struct buf rules = {.data = NULL};
    struct grid t;

    print_safe(span_of(show->queue));
    printf(": %llu waiting%s\n", (unsigned long long) show->waiting,
           filter_is_any(&show->filter) ? "" : " and chosen");
    add_ruling(&rules, &show->ruling, show->queue);
    if (rules.len > 0)
        printf("%.*s\n", SPAN_ARG(buf_span(&rules)));
    if (show->count == 0)
        return;
    grid_init(&t, is_queue_pattern(show->queue) ? "job|queue|>due|>age|>tries|from|to|last error"
                                                : "job|>due|>age|>tries|from|to|last error");
    for (size_t i = 0; i < show->count; i++)
        add_shown_row(&t, show, &show->jobs[i]);
    grid_print(&t);
    grid_done(&t);
    if (show->count < show->waiting)
        printf("and %llu more\n", (unsigned long long) (show->waiting - show->count));
}

static void print_show_json(const struct show *show)
{
    struct json *json = json_new_object(), *jobs = json_new_array();

    for (size_t i = 0; i < show->count; i++)
        json_put(jobs, NULL, shown_json(show, &show->jobs[i]));
    json_put_text(json, "queue", span_of(show->queue));
    json_put_number(json, "waiting", (int64_t) show->waiting);
    put_ruling(json, &show->ruling, show->queue);
    json_put(json, "jobs", jobs);
    print_json(json);
}

static int show_read(struct show *show)
{
    unsigned first, last;

    queue_partitions(show->queue, &first, &last);
    resp_arg_text(ask_command(show->ask, 1), "TIME");
    ask_send(show->ask, on_show_time, show);
    for (unsigned partition = first; partition <= last; partition++) {
        struct partition_place *place = NEW(struct partition_place);
        *place = (struct partition_place){show, partition};
        (void) ask_key(show->ask, "ZCARD", 2, KEY_OF_QUEUE, partition,
                       span_of(show->queue)); /* no more arguments */
        struct buf *b = ask_key(show->ask, "ZRANGE", 5, KEY_OF_QUEUE, partition, span_of(show->queue));
        resp_arg_number(b, 0);
        resp_arg_number(b, (int64_t) show->limit - 1);
        resp_arg_text(b, "WITHSCORES");
        ask_send_with(show->ask, on_jobs, place);
    }
    return ask_wait(show->ask);
}

/* ---- with a filter: all are walked, the next due kept */

static int compare_shown(const void *left, const void *right)
{
    const struct shown *a = left, *b = right;

    if (a->due_ms != b->due_ms)
        return a->due_ms < b->due_ms ? -1 : 1;
    return strcmp(a->job, b->job);
}

static int on_page(void *context, struct selected *jobs, size_t count, uint64_t now_ms)
{
    struct show *show = context;

    show->now_ms = now_ms;
    show->waiting += count;
    for (size_t i = 0; i < count; i++) {
        *add_shown(show) = (struct shown){STEAL(jobs[i].job), jobs[i].score, jobs[i].record};
        jobs[i].record = (struct record){.is_there = false};
    }
    qsort(show->jobs, show->count, sizeof(*show->jobs), compare_shown);
    while (show->count > show->limit)
        shown_done(&show->jobs[--show->count]);
    return EXIT_OK;
}

static int show_choose(struct show *show)
{
    const struct selection s = {
        .queue = show->queue, .filter = show->filter, .waiting = true, .with_texts = true};

    return selection_walk(show->ask, &s, on_page, show);
}

int verb_queue_show(const struct arguments *a)
{
    struct show show = {.queue = a->operands[0]};
    uint64_t limit;

    if (argument_number(a, "limit", 1, SHOW_JOBS_MAX, SHOW_JOBS, &limit) < 0)
        return EXIT_BAD_USAGE;
    show.limit = (size_t) limit;
    int status = queue_name_check(show.queue);
    if (status == EXIT_OK)
        status = filter_parse(a, &show.filter);
    if (status == EXIT_OK)
        status = ask_open_partly(a, &show.ask);
    if (status != EXIT_OK)
        return status;
    if (!is_queue_pattern(show.queue) && strcmp(show.queue, QUEUE_FANOUT) != 0)
        status = ask_reaches(show.ask, partition_of(span_of(show.queue)), show.queue);
    if (status == EXIT_OK)
        status = ruling_read(show.ask, &show.ruling);
    if (status == EXIT_OK)
        status = filter_is_any(&show.filter) && !is_queue_pattern(show.queue) ? show_read(&show)
                                                                              : show_choose(&show);
    ask_close(show.ask);
    if (status == EXIT_OK) {
        if (a->is_json)
            print_show_json(&show);
        else
            print_show(&show);
    }
    for (size_t i = 0; i < show.count; i++)
        shown_done(&show.jobs[i]);
    mem_free(show.jobs);
    ruling_done(&show.ruling);
    return status;
}
