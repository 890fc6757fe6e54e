/* trace: one message's story, told in order. */
#include "base/clock.h"
#include "base/mem.h"
#include "ctl/health.h"
#include "ctl/print.h"
#include "ctl/story.h"
#include "ctl/verb.h"
#include "ctl/wishes.h"

enum { FOLLOW_S = 60, LOOK_EVERY_MS = 150 };

struct telling {
    struct story story;
    struct health health;
    int64_t only_job; /* index, or ANY_JOB */
};

static bool is_told(const struct telling *t, uint32_t job)
{
    return t->only_job == ANY_JOB || (uint32_t) t->only_job == job;
}

/* A claim's detail is its token, "<incarnation>.<seq>": the courier's name says more. */
static void add_detail(struct buf *out, const struct telling *t, const struct story_event *e)
{
    struct span rest = span_of(e->detail), number = span_cut(&rest, '.');
    uint64_t incarnation;

    if (strcmp(e->event, "claimed") == 0 && span_number(number, UINT64_MAX, &incarnation) == 0) {
        buf_add_text(out, "by ");
        add_node(out, &t->health, ROLE_COURIER, incarnation);
        return;
    }
    buf_add_text(out, e->detail);
}

static const char *queue_of(const struct telling *t, uint32_t index)
{
    const struct story *s = &t->story;

    const struct envelope *e = story_envelope(s);
    if (e && e->is_parent && index > 0 && index <= e->queue_count)
        return e->queues[index - 1];
    for (size_t i = 0; i < s->job_count; i++)
        if (s->jobs[i].index == index)
            return s->jobs[i].record.queue;
    return "";
}

/* ---- as JSON */

static struct json *event_json(const struct telling *t, const struct story_event *e)
{
    struct json *json = json_new_object();
    char job[JOB_TEXT_MAX + 1];
    AUTO_BUF struct buf time = {.data = NULL}, detail = {.data = NULL};

    job_format(&t->story.id, e->job, job);
    clock_add_stamp(&time, e->ms);
    add_detail(&detail, t, e);
    json_put_text(json, "time", buf_span(&time));
    json_put_number(json, "since_ms", (int64_t) (e->ms - t->story.accepted_ms));
    json_put_text(json, "event", span_of(e->event));
    json_put_text(json, "job", span_of(job));
    json_put_text(json, "detail", buf_span(&detail));
    return json;
}

static struct json *job_json(const struct story *s, const struct story_job *j)
{
    struct json *json = json_new_object();
    char job[JOB_TEXT_MAX + 1];

    job_format(&s->id, j->index, job);
    json_put_text(json, "job", span_of(job));
    json_put_text(json, "place", span_of(place_name(j->place)));
    json_put_text(json, "queue", span_of(j->record.queue));
    if (j->place == PLACE_WAITING)
        json_put_number(json, "due_in_ms", (int64_t) later_by(j->score, s->now_ms));
    return json;
}

static struct json *envelope_json(const struct envelope *e)
{
    struct json *json = json_new_object(), *to = json_new_array();

    for (size_t i = 0; i < e->recipient_count; i++)
        json_put_text(to, NULL, span_of(e->recipients[i].addr));
    json_put_text(json, "from", span_of(e->sender));
    json_put(json, "to", to);
    json_put_number(json, "size", (int64_t) e->size_bytes);
    json_put_text(json, "client", span_of(e->client));
    put_wishes(json, e);
    return json;
}

static void tell_json(const struct telling *t)
{
    const struct story *s = &t->story;
    struct json *json = json_new_object(), *events = json_new_array(), *jobs = json_new_array();

    json_put_text(json, "message", span_of(s->text));
    json_put_number(json, "accepted_ms", (int64_t) s->accepted_ms);
    json_put_flag(json, "settled", story_is_over(s));
    if (story_envelope(s))
        json_put(json, "envelope", envelope_json(story_envelope(s)));
    else
        json_put_null(json, "envelope");
    for (size_t i = 0; i < s->event_count; i++)
        if (is_told(t, s->events[i].job))
            json_put(events, NULL, event_json(t, &s->events[i]));
    for (size_t i = 0; i < s->job_count; i++)
        if (is_told(t, s->jobs[i].index))
            json_put(jobs, NULL, job_json(s, &s->jobs[i]));
    json_put(json, "events", events);
    json_put(json, "jobs", jobs);
    print_json(json);
}

/* ---- for people */

static void tell_head(const struct story *s)
{
    AUTO_BUF struct buf out = {.data = NULL};

    buf_printf(&out, "message %s, accepted ", s->text);
    clock_add_stamp(&out, s->accepted_ms);
    const struct envelope *e = story_envelope(s);
    if (e) {
        buf_add_text(&out, "\n  from <");
        buf_add_printable(&out, span_of(e->sender), PATH_MAX_LEN * 4);
        buf_add_text(&out, "> to <");
        buf_add_printable(&out, span_of(e->recipients[0].addr), PATH_MAX_LEN * 4);
        buf_add_text(&out, ">");
        if (e->recipient_count > 1)
            buf_printf(&out, " and %zu more", e->recipient_count - 1);
        buf_add_text(&out, ", ");
        add_bytes(&out, e->size_bytes);
        add_wishes(&out, e);
    }
    buf_add_char(&out, '\n');
    print_buf(&out);
}

static void tell_events(const struct telling *t)
{
    const struct story *s = &t->story;
    struct grid table;

    grid_init(&table, ">since|event|job|");
    for (size_t i = 0; i < s->event_count; i++) {
        const struct story_event *e = &s->events[i];
        AUTO_BUF struct buf detail = {.data = NULL};
        if (!is_told(t, e->job))
            continue;
        uint64_t since_ms = later_by(e->ms, s->accepted_ms);
        add_detail(&detail, t, e);
        grid_cell(&table, "+%llu.%03llu s", (unsigned long long) (since_ms / 1000),
                  (unsigned long long) (since_ms % 1000));
        grid_cell_safe(&table, span_of(e->event));
        grid_cell(&table, ".%u", e->job);
        grid_cell_safe(&table, buf_span(&detail));
    }
    grid_print(&table);
    grid_done(&table);
}

/* Where it is now, unless all is over. */
static void tell_places(const struct telling *t)
{
    const struct story *s = &t->story;

    for (size_t i = 0; i < s->job_count; i++) {
        const struct story_job *j = &s->jobs[i];
        AUTO_BUF struct buf out = {.data = NULL};
        if (!is_told(t, j->index) || j->place == PLACE_GONE)
            continue;
        buf_printf(&out, "now: .%u is %s in ", j->index, place_name(j->place));
        buf_add_printable(&out, span_of(queue_of(t, j->index)), QUEUE_TEXT_MAX);
        if (is_waiting_parent(j))
            buf_add_text(&out, ", for its jobs still read its content");
        else if (j->place == PLACE_WAITING && j->score > s->now_ms)
            buf_add_text(&out, ", next try in ");
        else if (j->place == PLACE_WAITING)
            buf_add_text(&out, ", due now");
        if (j->place == PLACE_WAITING && !is_waiting_parent(j) && j->score > s->now_ms)
            add_duration(&out, j->score - s->now_ms);
        buf_add_char(&out, '\n');
        print_buf(&out);
    }
}

static void tell(const struct telling *t, bool is_json)
{
    if (is_json) {
        tell_json(t);
        return;
    }
    tell_head(&t->story);
    tell_events(t);
    tell_places(t);
}

/* ---- the verb */

/* Reads until it is over, or the time is. */
static int read_until_over(struct ask *k, struct telling *t, const struct id *id, bool follows,
                           uint64_t end_ms)
{
    for (;;) {
        int status = story_read(k, id, &t->story);
        if (status != EXIT_OK || !follows || story_is_over(&t->story) || clock_ms() >= end_ms)
            return status;
        story_done(&t->story);
        ask_pause(k, LOOK_EVERY_MS);
    }
}

int verb_trace(const struct arguments *a)
{
    struct telling t = {.only_job = ANY_JOB};
    struct ask *k;
    struct id id;
    uint64_t seconds;
    bool follows = argument_is_given(a, "follow");

    if (argument_number(a, "timeout", 1, 86400, FOLLOW_S, &seconds) < 0)
        return EXIT_BAD_USAGE;
    if (!subject_parse(a->operands[0], &id, &t.only_job))
        return subject_say_unknown(a->operands[0]);
    int status = ask_open_partly(a, &k);
    if (status != EXIT_OK)
        return status;
    status = read_until_over(k, &t, &id, follows, clock_ms() + seconds * 1000);
    if (status == EXIT_OK) {
        health_ask(k, &t.health);
        status = ask_wait(k);
    }
    ask_close(k);
    if (status == EXIT_OK) {
        if (story_is_known(&t.story))
            tell(&t, a->is_json);
        if (!story_is_known(&t.story))
            status = story_say_unknown(&t.story);
        else if (follows && !story_is_over(&t.story))
            status = say_failed("%s was not settled within %llu s", t.story.text,
                                (unsigned long long) seconds);
    }
    story_done(&t.story);
    health_done(&t.health);
    return status;
}
