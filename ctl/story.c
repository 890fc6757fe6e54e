/*
 * One message's story. Events of a single-queue message are all in its home partition; those of a many-queue message's jobs are in the
 * partitions of their queues, so then all partitions are searched, from a while before the message's time on.
 */
#include "ctl/story.h"

#include "base/mem.h"
#include "cluster/history.h"
#include "ctl/away.h"

/* CLOCKS_APART_MS: by how much the clock in the id may be ahead of Redis'. */
enum { PAGE = 1000, PAGES_MAX = 100000, CLOCKS_APART_MS = 60000 };

/* ---- jobs and events found */

static struct story_job *note_job(struct story *s, uint32_t index, unsigned partition)
{
    for (size_t i = 0; i < s->job_count; i++)
        if (s->jobs[i].index == index)
            return &s->jobs[i];
    if (s->job_count == s->job_room) {
        s->job_room = s->job_room ? 2 * s->job_room : 16;
        s->jobs = mem_resize(s->jobs, s->job_room * sizeof(*s->jobs));
    }
    struct story_job *job = &s->jobs[s->job_count++];
    *job = (struct story_job){.index = index, .partition = partition};
    record_init(&job->record);
    return job;
}

static char *copy_text(struct span s)
{
    return mem_text(s.len ? s.at : "", s.len);
}

static void note_event(struct story *s, struct story_event event)
{
    if (s->event_count == s->event_room) {
        s->event_room = s->event_room ? 2 * s->event_room : 32;
        s->events = mem_resize(s->events, s->event_room * sizeof(*s->events));
    }
    s->events[s->event_count++] = event;
}

/* True when it is a job of the message; its index. */
static bool is_ours(const struct story *s, struct span job, uint32_t *ret_index)
{
    struct id id;

    return job.len > ID_TEXT_LEN && memcmp(job.at, s->text, ID_TEXT_LEN) == 0 &&
           job_parse(job, &id, ret_index) == 0;
}

struct page {
    struct story *story;
    unsigned partition;
};

static void on_line(void *context, const struct history_line *line)
{
    const struct page *page = context;
    struct story_event event = {.partition = page->partition, .ms = line->ms, .seq = line->seq};

    if (!is_ours(page->story, line->job, &event.job))
        return;
    event.event = copy_text(line->event);
    event.detail = copy_text(line->detail);
    note_event(page->story, event);
    (void) note_job(page->story, event.job, page->partition); /* its place is looked up later */
}

static void ask_page(struct story *s, unsigned partition, const char *from);

static void on_page(void *context, const struct redis_value *values)
{
    struct page *page = context;
    const struct redis_value *entries = &values[0];

    if (entries->type != REDIS_ARRAY || entries->count == 0)
        return;
    for (size_t i = 0; i < entries->count; i++)
        history_read(&entries->items[i], on_line, page);
    char from[STREAM_ID_MAX + 2];
    struct span id = history_entry_id(&entries->items[entries->count - 1]);
    if (entries->count < PAGE || id.len == 0 || page->story->pages >= PAGES_MAX)
        return;
    (void) snprintf(from, sizeof(from), "(%.*s", SPAN_ARG(id)); /* it fits */
    ask_page(page->story, page->partition, from);
}

static void ask_page(struct story *s, unsigned partition, const char *from)
{
    struct page *page = NEW(struct page);
    struct buf *b = ask_key(s->ask, "XRANGE", 6, KEY_OF_EVENTS, partition, span_of(""));

    *page = (struct page){s, partition};
    resp_arg_text(b, from);
    resp_arg_text(b, "+");
    resp_arg_text(b, "COUNT");
    resp_arg_number(b, PAGE);
    ask_send_with(s->ask, on_page, page);
    s->pages++;
}

/* ---- records */

static void ask_record(struct story *s, uint32_t index, unsigned partition);

struct record_of {
    struct story *story;
    uint32_t index;
    unsigned partition;
};

static struct record_of *record_of_new(struct story *s, uint32_t index)
{
    struct record_of *r = NEW(struct record_of);

    *r = (struct record_of){.story = s, .index = index};
    return r;
}

static void on_place(void *context, const struct redis_value *values)
{
    static const enum place places[] = {PLACE_WAITING, PLACE_CLAIMED, PLACE_HELD};
    const struct record_of *r = context;
    struct story_job *job = note_job(r->story, r->index, 0); /* it is there */

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (redis_text(&values[i]).len == 0)
            continue;
        job->place = places[i];
        job->score = answer_score(&values[i]);
        return;
    }
    /* On its way from one place to another between the looks, if it lived when its record was read. */
    job->place = job->record.is_there ? PLACE_CLAIMED : PLACE_GONE;
    job->score = 0;
}

static void ask_place(struct story *s, const struct story_job *job)
{
    char name[JOB_TEXT_MAX + 1];
    const char *queue = job->record.queue;

    job_format(&s->id, job->index, name);
    resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_QUEUE, job->partition, span_of(queue)), name);
    resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_CLAIMED, job->partition, span_of("")), name);
    resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_HELD, job->partition, span_of("")), name);
    ask_send_with(s->ask, on_place, record_of_new(s, job->index));
}

/* Of the message's job 0, and of all that lives or has events. */
static void on_record(void *context, const struct redis_value *values)
{
    const struct record_of *r = context;
    struct story *s = r->story;
    struct record record;

    record_read(&values[0], &record);
    bool is_news = record.is_there;
    for (size_t i = 0; i < s->job_count; i++)
        is_news |= s->jobs[i].index == r->index && s->jobs[i].partition == r->partition;
    if (!is_news) {
        record_done(&record);
        return;
    }
    struct story_job *job = note_job(s, r->index, r->partition);
    record_done(&job->record);
    job->record = record;
    if (record.is_there)
        job->partition = r->partition;
    s->is_many |= r->index == 0 && (strcmp(record.queue, QUEUE_FANOUT) == 0 ||
                                    (record.is_readable && record.envelope.is_parent));
    ask_place(s, job);
}

static void on_held_found(void *context, const struct redis_value *values)
{
    const struct record_of *r = context;

    if (redis_text(&values[0]).len == 0)
        return;
    struct story_job *job = note_job(r->story, r->index, r->partition);
    if (job->place == PLACE_GONE) {
        job->partition = r->partition;
        ask_record(r->story, r->index, r->partition);
    }
}

static void ask_record(struct story *s, uint32_t index, unsigned partition)
{
    char name[JOB_TEXT_MAX + 1];
    struct record_of *r = record_of_new(s, index);

    r->partition = partition;
    job_format(&s->id, index, name);
    record_ask(s->ask, partition, span_of(name), true);
    ask_send_with(s->ask, on_record, r);
}

/* ---- the whole */

static void on_story_time(void *context, const struct redis_value *values)
{
    struct story *s = context;

    s->now_ms = answer_time_ms(&values[0]);
}

static int compare_events(const void *left, const void *right)
{
    const struct story_event *a = left, *b = right;

    if (a->ms != b->ms)
        return a->ms < b->ms ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return (a->seq > b->seq) - (a->seq < b->seq);
}

static int compare_jobs(const void *left, const void *right)
{
    const struct story_job *a = left, *b = right;

    return (a->index > b->index) - (a->index < b->index);
}

static bool has_event(const struct story *s, const char *event)
{
    for (size_t i = 0; i < s->event_count; i++)
        if (strcmp(s->events[i].event, event) == 0)
            return true;
    return false;
}

/* Children that the parent has made, by its envelope: their partitions are those of their queues. */
static void note_children(struct story *s)
{
    const struct envelope *e = story_envelope(s);

    if (!e || !e->is_parent)
        return;
    for (size_t i = 0; i < e->queue_count; i++) {
        unsigned partition = partition_of(span_of(e->queues[i]));
        ask_record(s, (uint32_t) i + 1, partition);
    }
}

/* A message that came from a store of another layout is not in the partition that its id names. */
static int find_first_job(struct story *s, unsigned home)
{
    for (size_t i = 0; i < s->job_count; i++)
        if (s->jobs[i].index == 0 && s->jobs[i].record.is_there)
            return EXIT_OK;
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++)
        if (partition != home)
            ask_record(s, 0, partition);
    return ask_wait(s->ask);
}

int story_read(struct ask *k, const struct id *id, struct story *ret_story)
{
    struct story *s = ret_story;
    unsigned home = id_home(id) % PARTITION_COUNT;
    uint64_t id_ms = id_time_ms(id);
    char from[STREAM_ID_MAX];

    *s = (struct story){.ask = k, .id = *id};
    id_format(id, s->text);
    (void) snprintf(
        from, sizeof(from), "%llu",
        (unsigned long long) (id_ms > CLOCKS_APART_MS ? id_ms - CLOCKS_APART_MS : 0)); /* it fits */
    resp_arg_text(ask_command(k, 1), "TIME");
    ask_send(k, on_story_time, s);
    ask_record(s, 0, home);
    ask_page(s, home, from);
    int status = ask_wait(k);
    if (status == EXIT_OK && (s->is_many || s->event_count == 0 || has_event(s, "expanded"))) {
        s->is_many = true;
        for (unsigned partition = 0; partition < PARTITION_COUNT; partition++)
            if (partition != home)
                ask_page(s, partition, from);
        status = ask_wait(k);
        if (status == EXIT_OK)
            status = find_first_job(s, home);
    }
    size_t seen = s->job_count;
    for (size_t i = 0; status == EXIT_OK && i < seen; i++)
        if (s->jobs[i].index != 0)
            ask_record(s, s->jobs[i].index, s->jobs[i].partition);
    if (status == EXIT_OK)
        status = ask_wait(k);
    if (s->job_count)
        qsort(s->jobs, s->job_count, sizeof(*s->jobs), compare_jobs);
    if (status == EXIT_OK)
        note_children(s);
    if (status == EXIT_OK)
        status = ask_wait(k);
    if (s->event_count)
        qsort(s->events, s->event_count, sizeof(*s->events), compare_events);
    if (s->job_count)
        qsort(s->jobs, s->job_count, sizeof(*s->jobs), compare_jobs);
    s->accepted_ms = s->event_count ? s->events[0].ms : id_ms;
    if (status != EXIT_OK)
        story_done(s);
    return status;
}

void story_done(struct story *s)
{
    for (size_t i = 0; i < s->event_count; i++) {
        mem_free(s->events[i].event);
        mem_free(s->events[i].detail);
    }
    for (size_t i = 0; i < s->job_count; i++)
        record_done(&s->jobs[i].record);
    mem_free(s->events);
    mem_free(s->jobs);
    *s = (struct story){.ask = NULL};
}

const struct envelope *story_envelope(const struct story *s)
{
    const struct story_job *first = s->job_count > 0 ? &s->jobs[0] : NULL; /* by index */

    return first && first->index == 0 && first->record.is_readable ? &first->record.envelope : NULL;
}

bool is_waiting_parent(const struct story_job *job)
{
    return job->record.is_readable && job->record.state.is_waiting;
}

int story_say_unknown(const struct story *s)
{
    if (!away_any())
        return say_failed("nothing is known of %s: it was never here, or its history is forgotten by now",
                          s->text);
    return say_partly("nothing is known of %s where it could be asked for: it may be in what is away",
                      s->text);
}

bool story_is_known(const struct story *s)
{
    return s->event_count > 0 || s->job_count > 0;
}

bool story_is_over(const struct story *s)
{
    if (!story_is_known(s))
        return false;
    for (size_t i = 0; i < s->job_count; i++) {
        const struct story_job *job = &s->jobs[i];
        if (job->place != PLACE_GONE && job->place != PLACE_HELD && !is_waiting_parent(job))
            return false;
    }
    return true;
}

int story_find_held(struct story *s, uint32_t index)
{
    unsigned home = id_home(&s->id) % PARTITION_COUNT;

    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
        struct record_of *r = record_of_new(s, index);
        char name[JOB_TEXT_MAX + 1];
        r->partition = (home + partition) % PARTITION_COUNT;
        job_format(&s->id, index, name);
        resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_HELD, r->partition, span_of("")), name);
        ask_send_with(s->ask, on_held_found, r);
    }
    return ask_wait(s->ask);
}

/* ---- subjects */

bool subject_parse(const char *text, struct id *ret_id, int64_t *ret_job)
{
    uint32_t index;

    *ret_job = ANY_JOB;
    if (id_parse(span_of(text), ret_id) == 0)
        return true;
    if (job_parse(span_of(text), ret_id, &index) < 0)
        return false;
    *ret_job = index;
    return true;
}

int subject_say_unknown(const char *text)
{
    return say_usage(
        "\"%s\" is not a message's id (26 letters and digits, as in \"queued as ...\"), nor one with .N behind it",
        text);
}
