/* One message: its record and the events of its home partition, a page at a time, then the place of its job. */
#include "dispatcher/story.h"

#include <string.h>

#include "cluster/history.h"
#include "cluster/queue_call.h"
#include "cluster/wire.h"

/* CLOCKS_APART_MS: by how much the clock in the id may be ahead of Redis'. */
enum { STORY_TIME_MS = 5000, PAGE = 1000, PAGES_MAX = 5, CLOCKS_APART_MS = 60000, DETAIL_MAX = 1000 };
enum record_field { FIELD_QUEUE, FIELD_HELD, FIELD_ENVELOPE, FIELD_STATE, FIELDS };
static const char *const fields[] = {
    [FIELD_QUEUE] = "q", [FIELD_HELD] = "h", [FIELD_ENVELOPE] = "e", [FIELD_STATE] = "s"};

struct story_call {
    struct queue_call base;
    story_on_read *on_read;
    struct story story;
    unsigned pages;
};

static char *copy(struct span text, size_t most)
{
    return mem_text(text.len ? text.at : "", text.len < most ? text.len : most);
}

static void line_drop(struct story_line *line)
{
    mem_free(line->event);
    mem_free(line->detail);
}

static void story_tell(struct story_call *call, bool ok)
{
    struct story *s = &call->story;

    call->on_read(call->base.context, ok ? s : NULL);
    for (size_t i = 0; i < s->line_count; i++)
        line_drop(&s->lines[i]);
    mem_free(s->lines);
    if (s->is_readable) {
        job_state_done(&s->state);
        envelope_done(&s->envelope);
    }
    mem_free(s->queue);
    mem_free(s->because);
    queue_call_free(&call->base);
}

static bool is_denied(const struct redis_value *v)
{
    return v->type == REDIS_ERROR_REPLY && v->text.len >= 6 && memcmp(v->text.at, "NOPERM", 6) == 0;
}

/* ---- its place ---- */

static void on_place(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct story_call *call = CONTAINER_OF(c, struct story_call, base.call);
    struct story *s = &call->story;

    /* In none of them: on its way from one to another, it lived when its record was read. */
    s->place = STORY_CLAIMED;
    for (enum story_place place = STORY_WAITING; result == STORE_OK && place <= STORY_HELD; place++) {
        struct span score = redis_text(&values[place - STORY_WAITING]);
        uint64_t number;
        if (score.len == 0 || values[place - STORY_WAITING].type != REDIS_STRING)
            continue;
        s->place = place;
        if (span_number(span_cut(&score, '.'), UINT64_MAX, &number) == 0)
            s->score = number;
        break;
    }
    story_tell(call, result == STORE_OK);
}

static void ask_score(struct queue_call *q, enum key key, struct span subject, const char *job)
{
    call_begin(&q->call, 3);
    resp_arg_text(&q->call.request.bytes, "ZSCORE");
    queue_key_of(q, key, subject);
    resp_arg_text(&q->call.request.bytes, job);
}

static void ask_place(struct story_call *call)
{
    struct queue_call *q = &call->base;
    char job[JOB_TEXT_MAX + 1];

    if (!call->story.is_there) {
        story_tell(call, true);
        return;
    }
    job_format(&call->story.id, 0, job);
    buf_clear(&q->call.request.bytes);
    q->call.request.reply_count = 0;
    ask_score(q, KEY_OF_QUEUE, span_of(call->story.queue), job);
    ask_score(q, KEY_OF_CLAIMED, (struct span){.at = NULL}, job);
    ask_score(q, KEY_OF_HELD, (struct span){.at = NULL}, job);
    q->call.on_done = on_place;
    store_send(q->call.store, &q->call);
}

/* ---- its history ---- */

static void on_line(void *context, const struct history_line *line)
{
    struct story *s = context;
    struct id id;
    uint32_t job;

    if (line->job.len <= ID_TEXT_LEN || memcmp(line->job.at, s->text, ID_TEXT_LEN) != 0 ||
        job_parse(line->job, &id, &job) < 0)
        return;
    if (s->line_count == STORY_LINES) {
        line_drop(&s->lines[0]);
        memmove(&s->lines[0], &s->lines[1], --s->line_count * sizeof(s->lines[0]));
        s->left_out++;
    }
    s->lines[s->line_count++] = (struct story_line){.ms = line->ms,
                                                    .job = job,
                                                    .event = copy(line->event, DETAIL_MAX),
                                                    .detail = copy(line->detail, DETAIL_MAX)};
}

static void ask_page(struct queue_call *q, const char *from)
{
    struct buf *b = &q->call.request.bytes;

    call_begin(&q->call, 6);
    resp_arg_text(b, "XRANGE");
    queue_key(q, KEY_OF_EVENTS);
    resp_arg_text(b, from);
    resp_arg_text(b, "+");
    resp_arg_text(b, "COUNT");
    resp_arg_number(b, PAGE);
}

static void on_page(struct store_call *c, enum store_result result, const struct redis_value *values);

/* True: there is another page, which was asked for. */
static bool take_page(struct story_call *call, const struct redis_value *entries)
{
    struct queue_call *q = &call->base;
    struct store *store = q->call.store;
    struct span last = {.at = NULL};

    call->story.is_denied |= is_denied(entries);
    for (size_t i = 0; entries->type == REDIS_ARRAY && i < entries->count; i++) {
        history_read(&entries->items[i], on_line, &call->story);
        last = history_entry_id(&entries->items[i]);
    }
    if (entries->count < PAGE || last.len == 0 || ++call->pages == PAGES_MAX)
        return false;
    AUTO_FREE char *from = mem_format("(%.*s", SPAN_ARG(last));
    buf_clear(&q->call.request.bytes);
    q->call.request.reply_count = 0;
    ask_page(q, from);
    q->call.on_done = on_page;
    store_send(store, &q->call);
    return true;
}

static void on_page(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct story_call *call = CONTAINER_OF(c, struct story_call, base.call);

    if (result != STORE_OK)
        story_tell(call, false);
    else if (!take_page(call, &values[0]))
        ask_place(call);
}

/* ---- its record ---- */

static void take_record(struct story *s, const struct redis_value *record)
{
    if (record->type != REDIS_ARRAY || record->count != FIELDS)
        return;
    const struct redis_value *items = record->items;
    s->queue = copy(redis_text(&items[FIELD_QUEUE]), SIZE_MAX);
    s->because = copy(redis_text(&items[FIELD_HELD]), DETAIL_MAX);
    s->is_there = *s->queue;
    if (!s->is_there || wire_get_envelope(redis_text(&items[FIELD_ENVELOPE]), &s->envelope) < 0)
        return;
    s->is_readable = wire_get_state(redis_text(&items[FIELD_STATE]), &s->envelope, &s->state) == 0;
    if (!s->is_readable)
        envelope_done(&s->envelope);
}

static void on_record(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct story_call *call = CONTAINER_OF(c, struct story_call, base.call);

    if (result != STORE_OK) {
        story_tell(call, false);
        return;
    }
    call->story.is_denied |= is_denied(&values[0]);
    take_record(&call->story, &values[0]);
    if (!take_page(call, &values[1]))
        ask_place(call);
}

void story_read(struct store *s, const struct id *id, story_on_read *on_read, void *context)
{
    struct story_call *call = queue_call_new(sizeof *call, id_home(id) % PARTITION_COUNT, STORY_TIME_MS,
                                             context, on_record);
    struct queue_call *q = &call->base;
    uint64_t id_ms = id_time_ms(id);
    char job[JOB_TEXT_MAX + 1];
    AUTO_FREE char *from = mem_format(
        "%llu", (unsigned long long) (id_ms > CLOCKS_APART_MS ? id_ms - CLOCKS_APART_MS : 0));

    call->on_read = on_read;
    call->story.id = *id;
    id_format(id, call->story.text);
    call->story.lines = mem_array(STORY_LINES, sizeof *call->story.lines);
    job_format(id, 0, job);
    q->call.is_unheld = q->call.accepts_errors = true; /* for the eye */
    call_begin(&q->call, 2 + FIELDS);
    resp_arg_text(&q->call.request.bytes, "HMGET");
    queue_key_of(q, KEY_OF_JOB, span_of(job));
    for (size_t i = 0; i < FIELDS; i++)
        resp_arg_text(&q->call.request.bytes, fields[i]);
    ask_page(q, from);
    store_send(s, &q->call);
}

bool story_is_known(const struct story *s)
{
    return s->line_count > 0 || s->is_there;
}
