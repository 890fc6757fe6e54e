/*
 * One message's story. Events of a single-queue message are all in its home partition; those of a many-queue message's jobs are in the
 * partitions of their queues, so then all partitions are searched, from a while before the message's time on.
 */
#include "ctl/story.h"

#include "base/mem.h"
#include "cluster/wire.h"

/* CLOCKS_APART_MS: by how much the clock in the id may be ahead of Redis'. */
enum { PAGE = 1000, PAGES_MAX = 100000, CLOCKS_APART_MS = 60000, STREAM_ID_MAX = 47 };

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
    *job = (struct story_job){.index = index, .partition = partition, .queue = mem_string("")};
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

/* One entry: <ms>-<seq>, then e <event>, then j <job> x <detail> for each job it tells of. */
static void read_entry(struct story *s, unsigned partition, const struct redis_value *entry)
{
    if (entry->type != REDIS_ARRAY || entry->count != 2 || entry->items[1].type != REDIS_ARRAY ||
        entry->items[1].count < 2)
        return;
    const struct redis_value *fields = entry->items[1].items;
    size_t count = entry->items[1].count;
    struct span seq = redis_text(&entry->items[0]), ms = span_cut(&seq, '-');

    for (size_t i = 2; i + 1 < count; i += 2) {
        struct story_event event = {.partition = partition};
        if (!redis_is_text(&fields[i], "j") || !is_ours(s, redis_text(&fields[i + 1]), &event.job))
            continue;
        if (span_number(ms, UINT64_MAX, &event.ms) < 0 || span_number(seq, UINT64_MAX, &event.seq) < 0)
            return;
        bool has_detail = i + 3 < count && redis_is_text(&fields[i + 2], "x");
        event.event = copy_text(redis_text(&fields[1]));
        event.detail = has_detail ? copy_text(redis_text(&fields[i + 3])) : mem_string("");
        note_event(s, event);
        (void) note_job(s, event.job, partition); /* its place is looked up later */
    }
}

struct page {
    struct story *story;
    unsigned partition;
};

static void ask_page(struct story *s, unsigned partition, const char *from);

static void on_page(void *context, const struct redis_value *values)
{
    const struct page *page = context;
    const struct redis_value *entries = &values[0];

    if (entries->type != REDIS_ARRAY || entries->count == 0)
        return;
    for (size_t i = 0; i < entries->count; i++)
        read_entry(page->story, page->partition, &entries->items[i]);
    const struct redis_value *last = &entries->items[entries->count - 1];
    if (entries->count < PAGE || last->type != REDIS_ARRAY || last->count == 0 ||
        page->story->pages >= PAGES_MAX)
        return;
    char from[STREAM_ID_MAX + 2];
    struct span id = redis_text(&last->items[0]);
    if (id.len == 0 || id.len > STREAM_ID_MAX)
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

struct record {
    struct story *story;
    uint32_t index;
};

static struct record *record_new(struct story *s, uint32_t index)
{
    struct record *r = NEW(struct record);

    *r = (struct record){s, index};
    return r;
}

static void on_place(void *context, const struct redis_value *values)
{
    const struct record *r = context;
    struct story_job *job = note_job(r->story, r->index, 0); /* it is there */
    struct span score = redis_text(&values[0]);

    if (score.len > 0) {
        AUTO_FREE char *text = mem_text(score.at, score.len);
        job->place = PLACE_WAITING;
        job->due_ms = (uint64_t) strtod(text, NULL);
    } else if (redis_text(&values[2]).len > 0) {
        job->place = PLACE_HELD;
    } else {
        job->place =
            PLACE_CLAIMED; /* or on its way from one place to another between the looks: it lived when its record was read */
    }
}

static void ask_place(struct story *s, const struct story_job *job)
{
    char name[JOB_TEXT_MAX + 1];

    job_format(&s->id, job->index, name);
    resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_QUEUE, job->partition, span_of(job->queue)), name);
    resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_CLAIMED, job->partition, span_of("")), name);
    resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_HELD, job->partition, span_of("")), name);
    ask_send_with(s->ask, on_place, record_new(s, job->index));
}

/* The envelope of job 0 is the whole message's. Its children are known from it, even if their events are forgotten. */
static void read_envelope(struct story *s, struct story_job *job, const struct redis_value *record)
{
    struct job_state state;

    if (s->has_envelope || wire_get_envelope(redis_text(&record->items[1]), &s->envelope) < 0)
        return;
    s->has_envelope = true;
    s->is_many |= s->envelope.is_parent;
    if (wire_get_state(redis_text(&record->items[2]), &s->envelope, &state) < 0)
        return;
    job->is_waiting_parent = state.is_waiting;
    job_state_done(&state);
}

static void on_record(void *context, const struct redis_value *values)
{
    const struct record *r = context;
    struct story *s = r->story;
    const struct redis_value *record = &values[0];

    if (record->type != REDIS_ARRAY || record->count != 3 || redis_text(&record->items[0]).len == 0)
        return;
    struct story_job *job = note_job(s, r->index, id_home(&s->id));
    mem_free(job->queue);
    job->queue = copy_text(redis_text(&record->items[0]));
    if (r->index == 0) {
        s->is_many |= strcmp(job->queue, QUEUE_FANOUT) == 0;
        read_envelope(s, job, record);
    }
    ask_place(s, job);
}

static void ask_record(struct story *s, uint32_t index, unsigned partition)
{
    char name[JOB_TEXT_MAX + 1];

    job_format(&s->id, index, name);
    struct buf *b = ask_key(s->ask, "HMGET", 5, KEY_OF_JOB, partition, span_of(name));
    resp_arg_text(b, "q");
    resp_arg_text(b, "e");
    resp_arg_text(b, "s");
    ask_send_with(s->ask, on_record, record_new(s, index));
}

/* ---- the whole */

static void on_story_time(void *context, const struct redis_value *values)
{
    struct story *s = context;
    int64_t seconds, micros;

    if (values[0].type == REDIS_ARRAY && values[0].count == 2 &&
        redis_number(&values[0].items[0], &seconds) == 0 && redis_number(&values[0].items[1], &micros) == 0)
        s->now_ms = (uint64_t) (seconds * 1000 + micros / 1000);
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
    if (!s->has_envelope || !s->envelope.is_parent)
        return;
    for (size_t i = 0; i < s->envelope.queue_count; i++) {
        unsigned partition = partition_of(span_of(s->envelope.queues[i]));
        ask_record(s, (uint32_t) i + 1, partition);
    }
}

int story_read(struct ask *k, const struct id *id, struct story *ret_story)
{
    struct story *s = ret_story;
    unsigned home = id_home(id);
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
    }
    size_t seen = s->job_count;
    for (size_t i = 0; status == EXIT_OK && i < seen; i++)
        if (s->jobs[i].index != 0)
            ask_record(s, s->jobs[i].index, s->jobs[i].partition);
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
        mem_free(s->jobs[i].queue);
    if (s->has_envelope)
        envelope_done(&s->envelope);
    mem_free(s->events);
    mem_free(s->jobs);
    *s = (struct story){.ask = NULL};
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
        if (job->place != PLACE_GONE && job->place != PLACE_HELD && !job->is_waiting_parent)
            return false;
    }
    return true;
}
