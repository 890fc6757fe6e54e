/* queue list, queue show. */
#include "base/mem.h"
#include "cluster/wire.h"
#include "ctl/ask.h"
#include "ctl/print.h"
#include "ctl/survey.h"
#include "ctl/verb.h"

enum { LIST_ROWS = 30, SHOW_JOBS = 20, SHOW_JOBS_MAX = 1000, ERROR_TEXT_MAX = 120 };

/* ---- list */

static bool is_fanout(const struct survey_queue *q)
{
    return strcmp(q->name, QUEUE_FANOUT) == 0;
}

/* #fanout is in every partition, but one line to a reader. */
static void merge_fanout(struct survey *s)
{
    struct survey_queue *whole = NULL;
    size_t kept = 0;

    for (size_t i = 0; i < s->queue_count; i++) {
        struct survey_queue *q = &s->queues[i];
        if (!is_fanout(q) || !whole) {
            s->queues[kept] = *q;
            if (is_fanout(q))
                whole = &s->queues[kept];
            kept++;
            continue;
        }
        whole->waiting += q->waiting;
        whole->due += q->due;
        if (q->next_ms && (!whole->next_ms || q->next_ms < whole->next_ms))
            whole->next_ms = q->next_ms;
        if (q->has_oldest && (!whole->has_oldest || memcmp(q->oldest.bytes, whole->oldest.bytes, sizeof(q->oldest.bytes)) < 0))
            whole->oldest = q->oldest;
        whole->has_oldest |= q->has_oldest;
        mem_free(q->name);
        mem_free(q->error);
    }
    s->queue_count = kept;
}

/* Most waiting first, then by name. */
static int compare_queues(const void *left, const void *right)
{
    const struct survey_queue *a = left, *b = right;

    if (a->waiting != b->waiting)
        return a->waiting > b->waiting ? -1 : 1;
    return strcmp(a->name, b->name);
}

static uint64_t later_by(uint64_t when_ms, uint64_t now_ms)
{
    return when_ms > now_ms ? when_ms - now_ms : 0;
}

static struct json *queue_json(const struct survey *s, const struct survey_queue *q)
{
    struct json *json = json_object();
    char oldest[ID_TEXT_LEN + 1];

    json_text(json, "queue", span_of(q->name));
    json_number(json, "waiting", (int64_t) q->waiting);
    json_number(json, "due", (int64_t) q->due);
    if (q->next_ms)
        json_number(json, "next_due_in_ms", (int64_t) later_by(q->next_ms, s->now_ms));
    else
        json_null(json, "next_due_in_ms");
    if (q->has_oldest) {
        id_format(&q->oldest, oldest);
        json_text(json, "oldest", span_of(oldest));
        json_number(json, "oldest_age_ms", (int64_t) survey_age_ms(s, &q->oldest));
    }
    json_number(json, "paused_for_ms", (int64_t) later_by(q->paused_until_ms, s->now_ms));
    json_text(json, "paused_because", span_of(q->error));
    return json;
}

static void add_queue_row(struct table *t, const struct survey *s, const struct survey_queue *q)
{
    AUTO_BUF struct buf next = {.data = NULL}, age = {.data = NULL}, paused = {.data = NULL};

    if (q->next_ms && q->next_ms <= s->now_ms)
        buf_add_text(&next, "now");
    else if (q->next_ms)
        add_duration(&next, q->next_ms - s->now_ms);
    if (q->has_oldest)
        add_duration(&age, survey_age_ms(s, &q->oldest));
    if (q->paused_until_ms > s->now_ms) {
        buf_add_text(&paused, "paused for ");
        add_duration(&paused, q->paused_until_ms - s->now_ms);
        buf_printf(&paused, ": %s", q->error);
    }
    table_cell_safe(t, span_of(q->name));
    table_cell(t, "%llu", (unsigned long long) q->waiting);
    table_cell(t, "%llu", (unsigned long long) q->due);
    table_cell_safe(t, buf_span(&next));
    table_cell_safe(t, buf_span(&age));
    table_cell_safe(t, buf_span(&paused));
}

static void print_list(const struct survey *s, size_t rows)
{
    struct table t;

    if (s->queue_count == 0) {
        printf("no job waits in any queue; %llu claimed, %llu held\n", (unsigned long long) s->claimed, (unsigned long long) s->held);
        return;
    }
    table_init(&t, "queue|>waiting|>due|>next|>oldest|");
    for (size_t i = 0; i < rows; i++)
        add_queue_row(&t, s, &s->queues[i]);
    table_print(&t);
    table_done(&t);
    if (rows < s->queue_count)
        printf("and %zu more queues; --limit 0 prints all\n", s->queue_count - rows);
}

int verb_queue_list(const struct arguments *a)
{
    struct survey s;
    struct ask *k;
    uint64_t limit;

    if (argument_number(a, "limit", 0, UINT32_MAX, LIST_ROWS, &limit) < 0)
        return EXIT_BAD_USAGE;
    int status = ask_open(a, &k);
    if (status != EXIT_OK)
        return status;
    status = survey_take(k, &s);
    ask_close(k);
    if (status != EXIT_OK)
        return status;
    merge_fanout(&s);
    if (s.queue_count)
        qsort(s.queues, s.queue_count, sizeof(*s.queues), compare_queues);
    size_t rows = limit && limit < s.queue_count ? (size_t) limit : s.queue_count;
    if (a->is_json) {
        struct json *json = json_object(), *list = json_array();
        for (size_t i = 0; i < rows; i++)
            json_add(list, NULL, queue_json(&s, &s.queues[i]));
        json_number(json, "count", (int64_t) s.queue_count);
        json_add(json, "queues", list);
        print_json(json);
    } else {
        print_list(&s, rows);
    }
    survey_done(&s);
    return EXIT_OK;
}

/* ---- show */

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
    for (size_t i = 0; list->type == REDIS_ARRAY && i + 1 < list->count && show->count < show->limit; i += 2) {
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

    if (values[0].type == REDIS_ARRAY && values[0].count == 2 && redis_number(&values[0].items[0], &seconds) == 0)
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
    struct json *json = json_object(), *to = json_array();

    json_text(json, "job", span_of(job->job));
    json_number(json, "due_in_ms", (int64_t) later_by(job->due_ms, show->now_ms));
    json_flag(json, "readable", job->is_readable);
    if (!job->is_readable) {
        json_free(to);
        return json;
    }
    for (size_t i = 0; i < job->envelope.recipient_count; i++)
        if (!job->state.recipients[i].is_done)
            json_text(to, NULL, span_of(job->envelope.recipients[i].addr));
    json_text(json, "from", span_of(job->envelope.sender));
    json_add(json, "to", to);
    json_number(json, "age_ms", (int64_t) later_by(show->now_ms, job->envelope.arrival_ms));
    json_number(json, "size", (int64_t) job->envelope.size_bytes);
    json_number(json, "attempts", job->state.attempts);
    const struct verdict *v = last_error(job);
    if (v) {
        struct json *error = json_object();
        json_text(error, "class", span_of(verdict_class_name(v->class)));
        json_number(error, "code", v->code);
        json_text(error, "status", span_of(v->status));
        json_text(error, "text", span_of(v->text));
        json_text(error, "remote", span_of(v->remote));
        json_add(json, "last_error", error);
    } else {
        json_null(json, "last_error");
    }
    return json;
}

static void add_shown_row(struct table *t, const struct show *show, const struct shown *job)
{
    AUTO_BUF struct buf due = {.data = NULL}, age = {.data = NULL}, error = {.data = NULL}, to = {.data = NULL};

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
    struct json *json = json_object(), *jobs = json_array();

    for (size_t i = 0; i < show->count; i++)
        json_add(jobs, NULL, shown_json(show, &show->jobs[i]));
    json_text(json, "queue", span_of(show->queue));
    json_number(json, "waiting", (int64_t) show->waiting);
    json_add(json, "jobs", jobs);
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
        (void) ask_key(show->ask, "ZCARD", 2, KEY_OF_QUEUE, partition, span_of(show->queue)); /* no more arguments */
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
        return say_usage("\"%s\" is not a queue's name: a domain, a domain/lane, or " QUEUE_FANOUT, show.queue);
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
