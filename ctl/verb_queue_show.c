/* queue show. */
#include "base/mem.h"
#include "cluster/wire.h"
#include "ctl/ask.h"
#include "ctl/print.h"
#include "ctl/verb.h"

enum { SHOW_JOBS = 20, SHOW_JOBS_MAX = 1000, ERROR_TEXT_MAX = 120 };

struct shown { /* one job of the queue */
    char *job;
    uint64_t due_ms;
    bool is_readable;
    struct envelope envelope;
    struct job_state state;
};

struct show {
    struct ask *ask;
    const char *queue;
    size_t limit;
    uint64_t now_ms, waiting;
    struct shown *jobs;
    size_t count, room;
};

struct job_place {
    struct show *show;
    size_t number;
};

static void on_record(void *context, const struct redis_value *values)
{
    const struct job_place *place = context;
    struct shown *job = &place->show->jobs[place->number];
    const struct redis_value *record = &values[0];

    if (record->type != REDIS_ARRAY || record->count != 2 ||
        wire_get_envelope(redis_text(&record->items[0]), &job->envelope) < 0)
        return;
    if (wire_get_state(redis_text(&record->items[1]), &job->envelope, &job->state) < 0) {
        envelope_done(&job->envelope);
        return;
    }
    job->is_readable = true;
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
        if (show->count == show->room) {
            show->room = show->room ? 2 * show->room : 32;
            show->jobs = mem_resize(show->jobs, show->room * sizeof(*show->jobs));
        }
        struct shown *shown = &show->jobs[show->count];
        *shown = (struct shown){.job = mem_text(job.len ? job.at : "", job.len)};
        char *score = mem_text(list->items[i + 1].text.at, list->items[i + 1].text.len);
        shown->due_ms = (uint64_t) strtod(score, NULL);
        mem_free(score);
        *next = (struct job_place){show, show->count++};
        struct buf *b = ask_key(show->ask, "HMGET", 4, KEY_OF_JOB, place->partition, span_of(shown->job));
        resp_arg_text(b, "e");
        resp_arg_text(b, "s");
        ask_send_with(show->ask, on_record, next);
    }
}

static void on_show_time(void *context, const struct redis_value *values)
{
    struct show *show = context;
    int64_t seconds;

    if (values[0].type == REDIS_ARRAY && values[0].count == 2 &&
        redis_number(&values[0].items[0], &seconds) == 0)
        show->now_ms = (uint64_t) seconds * 1000;
}

/* The first recipient that is not settled, or the first of all. */
static size_t first_open(const struct shown *job)
{
    for (size_t i = 0; i < job->state.recipient_count; i++)
        if (!job->state.recipients[i].is_done)
            return i;
    return 0;
}

static size_t open_count(const struct shown *job)
{
    size_t count = 0;

    for (size_t i = 0; i < job->state.recipient_count; i++)
        count += !job->state.recipients[i].is_done;
    return count;
}

static const struct verdict *last_error(const struct shown *job)
{
    const struct verdict *v = &job->state.recipients[first_open(job)].last;

    return v->class == VERDICT_NONE ? NULL : v;
}

static void add_error(struct buf *out, const struct verdict *v)
{
    if (v->code)
        buf_printf(out, "%u ", v->code);
    buf_printf(out, "%s %s%s", v->status, v->remote, *v->remote ? ": " : "");
    buf_add_printable(out, span_of(v->text), ERROR_TEXT_MAX);
}

static struct json *shown_json(const struct show *show, const struct shown *job)
{
    struct json *json = json_new_object(), *to = json_new_array();

    json_put_text(json, "job", span_of(job->job));
    json_put_number(json, "due_in_ms", (int64_t) later_by(job->due_ms, show->now_ms));
    json_put_flag(json, "readable", job->is_readable);
    if (!job->is_readable) {
        json_free(to);
        return json;
    }
    for (size_t i = 0; i < job->envelope.recipient_count; i++)
        if (!job->state.recipients[i].is_done)
            json_put_text(to, NULL, span_of(job->envelope.recipients[i].addr));
    json_put_text(json, "from", span_of(job->envelope.sender));
    json_put(json, "to", to);
    json_put_number(json, "age_ms", (int64_t) later_by(show->now_ms, job->envelope.arrival_ms));
    json_put_number(json, "size", (int64_t) job->envelope.size_bytes);
    json_put_number(json, "attempts", job->state.attempts);
    const struct verdict *v = last_error(job);
    if (v) {
        struct json *error = json_new_object();
        json_put_text(error, "class", span_of(verdict_class_name(v->class)));
        json_put_number(error, "code", v->code);
        json_put_text(error, "status", span_of(v->status));
        json_put_text(error, "text", span_of(v->text));
        json_put_text(error, "remote", span_of(v->remote));
        json_put(json, "last_error", error);
    } else {
        json_put_null(json, "last_error");
    }
    return json;
}

static void add_shown_row(struct table *t, const struct show *show, const struct shown *job)
{
    AUTO_BUF struct buf due = {.data = NULL}, age = {.data = NULL}, error = {.data = NULL},
                        to = {.data = NULL};

    if (job->due_ms <= show->now_ms)
        buf_add_text(&due, "now");
    else
        add_duration(&due, job->due_ms - show->now_ms);
    table_cell_safe(t, span_of(job->job));
    table_cell_safe(t, buf_span(&due));
    if (!job->is_readable) {
        for (int i = 0; i < 4; i++)
            table_cell(t, "?");
        table_cell(t, "its record cannot be read; the next courier puts it aside (held)");
        return;
    }
    size_t open = open_count(job);
    add_duration(&age, later_by(show->now_ms, job->envelope.arrival_ms));
    buf_add_text(&to, job->envelope.recipients[first_open(job)].addr);
    if (open > 1)
        buf_printf(&to, " and %zu more", open - 1);
    if (last_error(job))
        add_error(&error, last_error(job));
    table_cell_safe(t, buf_span(&age));
    table_cell(t, "%u", job->state.attempts);
    table_cell_safe(t, span_of(*job->envelope.sender ? job->envelope.sender : "<>"));
    table_cell_safe(t, buf_span(&to));
    table_cell_safe(t, buf_span(&error));
}

static void print_show(const struct show *show)
{
    struct table t;

    print_safe(span_of(show->queue));
    printf(": %llu waiting\n", (unsigned long long) show->waiting);
    if (show->count == 0)
        return;
    table_init(&t, "job|>due|>age|>tries|from|to|last error");
    for (size_t i = 0; i < show->count; i++)
        add_shown_row(&t, show, &show->jobs[i]);
    table_print(&t);
    table_done(&t);
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
    json_put(json, "jobs", jobs);
    print_json(json);
}

static int show_read(struct show *show)
{
    bool is_everywhere = strcmp(show->queue, QUEUE_FANOUT) == 0;
    unsigned first = is_everywhere ? 0 : partition_of(span_of(show->queue));
    unsigned last = is_everywhere ? PARTITION_COUNT - 1 : first;

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

int verb_queue_show(const struct arguments *a)
{
    struct show show = {.queue = a->operands[0]};
    uint64_t limit;

    if (argument_number(a, "limit", 1, SHOW_JOBS_MAX, SHOW_JOBS, &limit) < 0)
        return EXIT_BAD_USAGE;
    if (!*show.queue || strlen(show.queue) > QUEUE_TEXT_MAX)
        return say_usage("\"%s\" is not a queue's name: a domain, a domain/lane, or " QUEUE_FANOUT,
                         show.queue);
    show.limit = (size_t) limit;
    int status = ask_open(a, &show.ask);
    if (status != EXIT_OK)
        return status;
    status = show_read(&show);
    ask_close(show.ask);
    if (status == EXIT_OK) {
        if (a->is_json)
            print_show_json(&show);
        else
            print_show(&show);
    }
    for (size_t i = 0; i < show.count; i++) {
        mem_free(show.jobs[i].job);
        if (show.jobs[i].is_readable) {
            job_state_done(&show.jobs[i].state);
            envelope_done(&show.jobs[i].envelope);
        }
    }
    mem_free(show.jobs);
    return status;
}
