/* why: what a message waits for, and when it can move next. */
#include "base/clock.h"
#include "base/mem.h"
#include "ctl/outlook.h"
#include "ctl/print.h"
#include "ctl/story.h"
#include "ctl/why.h"
#include "ctl/wishes.h"

enum { WORDS_MAX = 1000, CHILDREN_NAMED = 10 };

struct why {
    struct story story;
    struct health health;
    struct ruling ruling;
    struct outlook *outlooks; /* of each of the story's jobs; empty for those that are gone */
    int64_t only_job;
};

static bool is_asked(const struct why *w, const struct story_job *job)
{
    return w->only_job == ANY_JOB || (uint32_t) w->only_job == job->index;
}

/* The last event of a job, or the last of that name; NULL: forgotten. */
static const struct story_event *last_event(const struct story *s, uint32_t index, const char *name)
{
    for (size_t i = s->event_count; i > 0; i--) {
        const struct story_event *e = &s->events[i - 1];
        if (e->job == index && (!name || strcmp(e->event, name) == 0))
            return e;
    }
    return NULL;
}

/* ---- the reason, in one sentence, by place */

static void add_last_error(struct buf *out, const struct record *r)
{
    const struct verdict *v = r->is_readable ? record_last_error(r) : NULL;

    if (!v)
        return;
    buf_printf(out, "; try %u ended with ", r->state.attempts);
    add_verdict(out, v);
}

static void add_order(struct buf *out, enum fate fate)
{
    static const char *const words[] = {"", "; held when given back", "; deleted when given back",
                                        "; returned to its sender when given back"};

    buf_add_text(out, words[fate]);
}

static void add_children(struct buf *out, const struct story *s)
{
    size_t count = 0;

    for (size_t i = 0; i < s->job_count; i++) {
        const struct story_job *job = &s->jobs[i];
        if (job->index == 0 || job->place == PLACE_GONE)
            continue;
        if (count++ < CHILDREN_NAMED)
            buf_printf(out, " .%u", job->index);
    }
    if (count > CHILDREN_NAMED)
        buf_printf(out, " and %zu more", count - CHILDREN_NAMED);
}

/* What a standing rule will make of it; an order that it bears comes first. */
static void add_waiting_rule(struct buf *out, const struct why *w, const struct story_job *job)
{
    const struct record *r = &job->record;
    char name[JOB_TEXT_MAX + 1];

    job_format(&w->story.id, job->index, name);
    if (r->fate == FATE_NONE)
        add_job_ruling(out, &w->ruling,
                       &(struct rule_subject){
                           .queue = r->queue, .job = name, .envelope = &r->envelope, .state = &r->state});
}

static void add_waiting(struct buf *out, const struct why *w, const struct story_job *job,
                        const struct outlook *o)
{
    const struct record *r = &job->record;
    size_t start = out->len;

    if (is_waiting_parent(job)) {
        buf_add_text(out, "all its jobs are made; it keeps their content until these have ended:");
        add_children(out, &w->story);
        return;
    }
    if (r->is_newer || !r->is_readable) {
        buf_add_text(out, r->is_newer
                              ? "a newer version wrote its record: it waits for a courier of that version"
                              : "its record cannot be read: the next courier puts it aside");
        return;
    }
    if (add_release(out, &r->envelope, o->now_ms)) {
        buf_add_text(out, "; due in ");
        add_duration(out, later_by(job->score, o->now_ms));
    } else if (job->score > o->now_ms) {
        buf_add_text(out, "its next try is due in ");
        add_duration(out, job->score - o->now_ms);
    } else {
        buf_add_text(out, "due now");
    }
    struct buf causes = {.data = NULL};
    add_queue_causes(&causes, o, &w->health);
    add_waiting_rule(&causes, w, job);
    if (causes.len > 0)
        buf_printf(out, "; %.*s", SPAN_ARG(buf_span(&causes)));
    else if (job->score <= o->now_ms)
        buf_printf(out, ": it waits for its turn among %llu due jobs of its queue",
                   (unsigned long long) o->due);
    buf_done(&causes);
    if (r->fate == FATE_BOUNCE)
        buf_add_text(out, "; the courier that takes it returns it to its sender, as ordered");
    if (r->crashes >= 2)
        buf_printf(out, "; %u couriers ended while they had it: it is tried alone, after a while",
                   r->crashes);
    add_last_error(out, r);
    must(out->len > start);
}

static void add_claimed(struct buf *out, const struct why *w, const struct story_job *job, uint64_t now_ms)
{
    const struct story_event *claimed = last_event(&w->story, job->index, "claimed");
    const struct record *r = &job->record;

    if (job->score == 0) {
        buf_add_text(out, "just moving from one place to another: ask again");
        return;
    }
    add_node(out, &w->health, ROLE_COURIER, job->score);
    if (!peer_of(&w->health, job->score))
        buf_add_text(out,
                     ", had it: it is given back within seconds, by the dispatcher that owns its partition");
    else
        buf_add_text(out, " has it");
    if (claimed) {
        buf_add_text(out, " since ");
        add_duration(out, later_by(now_ms, claimed->ms));
        buf_add_text(out, " ago");
    }
    if (r->is_readable)
        buf_printf(out, ", for try %u", r->state.attempts + 1);
    add_order(out, r->fate);
    add_last_error(out, r);
}

static const char *held_because(const struct why *w, const struct story_job *job)
{
    const struct story_event *held = last_event(&w->story, job->index, "held");

    if (*job->record.held_because)
        return job->record.held_because;
    if (held && *held->detail)
        return held->detail;
    return job->record.is_there ? "its history does not say why" : "no record";
}

static void add_held(struct buf *out, const struct why *w, const struct story_job *job, uint64_t now_ms)
{
    buf_add_text(out, "put aside ");
    add_duration(out, later_by(now_ms, job->score));
    buf_add_text(out, " ago: ");
    buf_add_printable(out, span_of(held_because(w, job)), WORDS_MAX);
    buf_add_text(out, job->record.is_there
                          ? "; it stays until `baridctl msg release`, `bounce` or `delete`"
                          : "; nothing is left of it: `baridctl msg delete` takes it off the list");
    add_last_error(out, &job->record);
}

static void add_gone(struct buf *out, const struct why *w, const struct story_job *job)
{
    const struct story_event *e = last_event(&w->story, job->index, NULL);

    if (!e) {
        buf_add_text(out, "it has ended; its history is forgotten");
        return;
    }
    buf_add_text(out, "it has ended: ");
    buf_add_printable(out, span_of(e->event), WORDS_MAX);
    buf_add_text(out, *e->detail ? ", " : "");
    buf_add_printable(out, span_of(e->detail), WORDS_MAX);
}

static void add_reason(struct buf *out, const struct why *w, size_t number)
{
    const struct story_job *job = &w->story.jobs[number];
    uint64_t now_ms = w->story.now_ms;

    switch (job->place) {
    case PLACE_WAITING: add_waiting(out, w, job, &w->outlooks[number]); break;
    case PLACE_CLAIMED: add_claimed(out, w, job, now_ms); break;
    case PLACE_HELD: add_held(out, w, job, now_ms); break;
    case PLACE_GONE: add_gone(out, w, job); break;
    }
}

/* ---- as JSON */

static struct json *job_json(const struct why *w, size_t number)
{
    const struct story_job *job = &w->story.jobs[number];
    const struct outlook *o = &w->outlooks[number];
    struct json *json = json_new_object();
    char name[JOB_TEXT_MAX + 1];
    AUTO_BUF struct buf reason = {.data = NULL};
    uint64_t now_ms = w->story.now_ms;

    job_format(&w->story.id, job->index, name);
    add_reason(&reason, w, number);
    json_put_text(json, "job", span_of(name));
    json_put_text(json, "place", span_of(place_name(job->place)));
    json_put_text(json, "because", buf_span(&reason));
    if (job->place == PLACE_WAITING) {
        json_put_number(json, "due_in_ms", (int64_t) later_by(job->score, o->now_ms));
        if (is_suspended(o))
            json_put_null(json, "next_in_ms");
        else
            json_put_number(json, "next_in_ms", (int64_t) (outlook_next_ms(o, job->score) - o->now_ms));
    } else if (job->place == PLACE_CLAIMED) {
        const struct node_peer *p = peer_of(&w->health, job->score);
        const struct story_event *claimed = last_event(&w->story, job->index, "claimed");
        json_put_number(json, "incarnation", (int64_t) job->score);
        json_put_text(json, "courier", span_of(p ? p->stats.name : ""));
        if (claimed)
            json_put_number(json, "since_ms", (int64_t) later_by(now_ms, claimed->ms));
    } else if (job->place == PLACE_HELD) {
        json_put_text(json, "held_because", span_of(held_because(w, job)));
        json_put_number(json, "since_ms", (int64_t) later_by(now_ms, job->score));
    }
    if (job->place == PLACE_GONE)
        return json;
    struct json *queue = json_new_object();
    put_outlook(queue, o, &w->health);
    json_put(json, "queue", queue);
    put_record(json, &job->record, now_ms);
    return json;
}

static void print_why_json(const struct why *w)
{
    struct json *json = json_new_object(), *jobs = json_new_array();
    AUTO_BUF struct buf causes = {.data = NULL};

    add_cluster_causes(&causes, &w->health);
    json_put_text(json, "message", span_of(w->story.text));
    json_put_text(json, "cluster", buf_span(&causes));
    for (size_t i = 0; i < w->story.job_count; i++)
        if (is_asked(w, &w->story.jobs[i]))
            json_put(jobs, NULL, job_json(w, i));
    json_put(json, "jobs", jobs);
    print_json(json);
}

/* ---- for people */

static void print_job(const struct why *w, size_t number)
{
    const struct story_job *job = &w->story.jobs[number];
    const struct outlook *o = &w->outlooks[number];
    AUTO_BUF struct buf out = {.data = NULL};

    buf_printf(&out, ".%u %s", job->index, place_name(job->place));
    if (job->place != PLACE_GONE && job->record.is_there) {
        buf_add_text(&out, " in ");
        buf_add_printable(&out, span_of(o->queue), WORDS_MAX);
    }
    buf_add_text(&out, ": ");
    add_reason(&out, w, number);
    if (job->place == PLACE_WAITING && !is_waiting_parent(job) && strcmp(o->queue, QUEUE_FANOUT) != 0) {
        buf_add_text(&out, "\n   moves ");
        if (is_suspended(o)) {
            buf_add_text(&out, "when its queue is resumed");
        } else if (outlook_next_ms(o, job->score) > o->now_ms) {
            buf_add_text(&out, "in ");
            add_duration(&out, outlook_next_ms(o, job->score) - o->now_ms);
            buf_add_text(&out, " at the earliest");
        } else {
            buf_add_text(&out, "as soon as nothing above stands in its way");
        }
        buf_add_text(&out, "; limits of its queue: ");
        add_limits(&out, o->queue);
    }
    buf_add_char(&out, '\n');
    print_buf(&out);
}

static void print_why(const struct why *w)
{
    size_t asked = 0, gone = 0;

    printf("message %s\n", w->story.text);
    for (size_t i = 0; i < w->story.job_count; i++) {
        asked += is_asked(w, &w->story.jobs[i]);
        gone += is_asked(w, &w->story.jobs[i]) && w->story.jobs[i].place == PLACE_GONE;
    }
    for (size_t i = 0; i < w->story.job_count; i++)
        if (is_asked(w, &w->story.jobs[i]))
            print_job(w, i);
    if (asked > 0 && asked == gone)
        printf("it waits for nothing; `baridctl trace` tells its story while history lasts\n");
}

/* ---- the verb */

static int why_read(struct ask *k, struct why *w, const struct id *id)
{
    int status = story_read(k, id, &w->story);

    if (status != EXIT_OK)
        return status;
    if (w->only_job != ANY_JOB)
        status = story_find_held(&w->story, (uint32_t) w->only_job);
    if (status == EXIT_OK)
        status = ruling_read(k, &w->ruling);
    w->outlooks = mem_array(w->story.job_count + 1, sizeof(*w->outlooks));
    for (size_t i = 0; i < w->story.job_count; i++) {
        const struct story_job *job = &w->story.jobs[i];
        if (status == EXIT_OK && is_asked(w, job) && job->place != PLACE_GONE)
            outlook_ask(k, &w->outlooks[i], &w->ruling, job->record.queue, job->partition);
    }
    if (status == EXIT_OK)
        health_ask(k, &w->health);
    return status == EXIT_OK ? ask_wait(k) : status;
}

int why_message(const struct arguments *a, const struct id *id, int64_t only_job)
{
    struct why w = {.only_job = only_job};
    struct ask *k;
    int status = ask_open_partly(a, &k);

    if (status != EXIT_OK)
        return status;
    status = why_read(k, &w, id);
    ask_close(k);
    if (status == EXIT_OK && !story_is_known(&w.story))
        status = story_say_unknown(&w.story);
    else if (status == EXIT_OK && a->is_json)
        print_why_json(&w);
    else if (status == EXIT_OK)
        print_why(&w);
    for (size_t i = 0; w.outlooks && i < w.story.job_count; i++)
        outlook_done(&w.outlooks[i]);
    mem_free(w.outlooks);
    ruling_done(&w.ruling);
    story_done(&w.story);
    health_done(&w.health);
    return status;
}

int verb_why(const struct arguments *a)
{
    struct id id;
    int64_t only_job;

    if (subject_parse(a->operands[0], &id, &only_job))
        return why_message(a, &id, only_job);
    return why_queue(a, a->operands[0]);
}
