/* msg show, msg cat. */
#include "base/clock.h"
#include "base/mem.h"
#include "cluster/spool.h"
#include "ctl/ask.h"
#include "ctl/print.h"
#include "ctl/reach.h"
#include "ctl/story.h"
#include "ctl/verb.h"
#include "ctl/wishes.h"

enum { WORDS_MAX = 1024, CHUNKS_MAX = 16384 };

/* ---- what is stored of the content */

struct content {
    uint64_t stored_bytes;
    uint32_t chunks, missing;
};

static void on_sizes(void *context, const struct redis_value *values)
{
    struct content *c = context;
    uint64_t bytes = answer_count(&values[0]);

    c->stored_bytes += bytes;
    c->missing += bytes == 0;
}

static int content_look(struct ask *k, const struct envelope *e, struct content *ret_content)
{
    *ret_content = (struct content){.chunks = e->chunk_count};
    for (uint32_t i = 0; i < e->chunk_count && i < CHUNKS_MAX; i++) {
        struct buf *b = ask_command(k, 2);
        resp_arg_text(b, "STRLEN");
        key_arg(b, KEY_OF_CHUNK, e->content_partition, span_of(e->content_job), i);
        ask_send(k, on_sizes, ret_content);
    }
    return ask_wait(k);
}

/* Job 0, or the one asked for, or any other: its envelope names the content. NULL: none lives that can be read. */
static const struct story_job *readable_job(const struct story *s, int64_t only_job)
{
    const struct story_job *found = NULL;

    for (size_t i = 0; i < s->job_count; i++) {
        const struct story_job *job = &s->jobs[i];
        if (job->record.is_readable && (only_job == ANY_JOB || (uint32_t) only_job == job->index) && !found)
            found = job;
    }
    return found;
}

static bool is_shown(const struct story_job *job, int64_t only_job)
{
    return job->place != PLACE_GONE && (only_job == ANY_JOB || (uint32_t) only_job == job->index);
}

/* ---- as JSON */

static struct json *recipients_json(const struct record *r)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < r->envelope.recipient_count; i++) {
        const struct recipient_state *s = &r->state.recipients[i];
        struct json *json = json_new_object();
        json_put_text(json, "address", span_of(r->envelope.recipients[i].addr));
        put_recipient_wishes(json, &r->envelope.recipients[i]);
        json_put_flag(json, "settled", s->is_done);
        if (s->last.class == VERDICT_NONE)
            json_put_null(json, "last");
        else
            json_put(json, "last", verdict_json(&s->last));
        json_put(list, NULL, json);
    }
    return list;
}

static struct json *job_json(const struct story *s, const struct story_job *job)
{
    struct json *json = json_new_object();
    char name[JOB_TEXT_MAX + 1];

    job_format(&s->id, job->index, name);
    json_put_text(json, "job", span_of(name));
    json_put_text(json, "queue", span_of(job->record.queue));
    json_put_number(json, "partition", job->partition);
    json_put_text(json, "place", span_of(place_name(job->place)));
    if (job->place == PLACE_WAITING)
        json_put_number(json, "due_in_ms", (int64_t) later_by(job->score, s->now_ms));
    if (job->place == PLACE_HELD)
        json_put_text(json, "held_because", span_of(job->record.held_because));
    json_put_flag(json, "readable", job->record.is_readable);
    json_put_number(json, "crashes", job->record.crashes);
    if (job->record.is_readable) {
        json_put_number(json, "attempts", job->record.state.attempts);
        json_put(json, "recipients", recipients_json(&job->record));
    }
    return json;
}

static void print_message_json(const struct story *s, int64_t only_job, const struct content *content)
{
    struct json *json = json_new_object(), *jobs = json_new_array();
    const struct story_job *first = readable_job(s, only_job);

    json_put_text(json, "message", span_of(s->text));
    if (first) {
        const struct envelope *e = &first->record.envelope;
        json_put_text(json, "from", span_of(e->sender));
        json_put_text(json, "client", span_of(e->client));
        json_put_number(json, "arrival_ms", (int64_t) e->arrival_ms);
        json_put_number(json, "size", (int64_t) e->size_bytes);
        json_put_flag(json, "is_8bit", e->is_8bit);
        json_put_flag(json, "is_dsn", e->is_dsn);
        put_wishes(json, e);
        json_put_number(json, "chunks", content->chunks);
        json_put_number(json, "chunks_missing", content->missing);
        json_put_number(json, "stored_bytes", (int64_t) content->stored_bytes);
    }
    for (size_t i = 0; i < s->job_count; i++)
        if (is_shown(&s->jobs[i], only_job))
            json_put(jobs, NULL, job_json(s, &s->jobs[i]));
    json_put(json, "jobs", jobs);
    print_json(json);
}

/* ---- for people */

static void add_head(struct buf *out, const struct story *s, const struct envelope *e,
                     const struct content *content)
{
    buf_printf(out, "message %s, arrived ", s->text);
    clock_add_stamp(out, e->arrival_ms);
    buf_add_text(out, "\n  from <");
    buf_add_printable(out, span_of(e->sender), WORDS_MAX);
    buf_add_text(out, *e->client ? "> by " : ">");
    buf_add_printable(out, span_of(e->client), WORDS_MAX);
    buf_add_text(out, "\n  ");
    add_bytes(out, e->size_bytes);
    buf_printf(out, " in %u chunks, stored in ", content->chunks);
    add_bytes(out, content->stored_bytes);
    if (content->missing > 0)
        buf_printf(out, "; %u CHUNKS ARE MISSING", content->missing);
    buf_add_text(out, e->is_dsn ? "; a notification of ours" : "");
    add_wishes(out, e);
    buf_add_char(out, '\n');
}

static void add_recipient(struct buf *out, const struct record *r, size_t i)
{
    const struct recipient_state *s = &r->state.recipients[i];

    buf_add_text(out, "    <");
    buf_add_printable(out, span_of(r->envelope.recipients[i].addr), WORDS_MAX);
    buf_add_char(out, '>');
    add_recipient_wishes(out, &r->envelope.recipients[i]);
    buf_add_char(out, ' ');
    if (s->last.class == VERDICT_NONE) {
        buf_add_text(out, s->is_done ? "settled\n" : "not tried yet\n");
        return;
    }
    buf_printf(out, "%s%s: ", verdict_class_name(s->last.class), s->is_done ? "" : ", still open");
    add_verdict(out, &s->last);
    buf_add_char(out, '\n');
}

static void add_job(struct buf *out, const struct story *s, const struct story_job *job)
{
    const struct record *r = &job->record;

    buf_printf(out, "  .%u %s in ", job->index, place_name(job->place));
    buf_add_printable(out, span_of(r->queue), WORDS_MAX);
    buf_printf(out, ", partition %u", job->partition);
    if (job->place == PLACE_WAITING && job->score > s->now_ms) {
        buf_add_text(out, ", due in ");
        add_duration(out, job->score - s->now_ms);
    }
    if (job->place == PLACE_HELD && *r->held_because) {
        buf_add_text(out, ": ");
        buf_add_printable(out, span_of(r->held_because), WORDS_MAX);
    }
    if (!r->is_readable)
        buf_add_text(out, r->is_newer ? "; a newer version wrote its record" : "; its record cannot be read");
    buf_add_char(out, '\n');
    for (size_t i = 0; r->is_readable && i < r->envelope.recipient_count; i++)
        add_recipient(out, r, i);
}

static void print_message(const struct story *s, int64_t only_job, const struct content *content)
{
    AUTO_BUF struct buf out = {.data = NULL};
    const struct story_job *first = readable_job(s, only_job);

    if (first)
        add_head(&out, s, &first->record.envelope, content);
    else
        buf_printf(&out, "message %s: no record of it can be read\n", s->text);
    for (size_t i = 0; i < s->job_count; i++)
        if (is_shown(&s->jobs[i], only_job))
            add_job(&out, s, &s->jobs[i]);
    print_buf(&out);
}

/* ---- msg show */

static bool has_living_job(const struct story *s, int64_t only_job)
{
    for (size_t i = 0; i < s->job_count; i++)
        if (is_shown(&s->jobs[i], only_job))
            return true;
    return false;
}

/* The message, with at least one job that lives. k stays open. */
static int message_read(struct ask *k, const char *subject, struct story *ret_story, int64_t *ret_job)
{
    struct id id;

    if (!subject_parse(subject, &id, ret_job))
        return subject_say_unknown(subject);
    int status = story_read(k, &id, ret_story);
    if (status == EXIT_OK && *ret_job != ANY_JOB)
        status = story_find_held(ret_story, (uint32_t) *ret_job);
    if (status == EXIT_OK && !has_living_job(ret_story, *ret_job))
        status = say_failed("%s is not in the queue%s", subject,
                            story_is_known(ret_story) ? " any more: `baridctl trace` tells what became of it"
                                                      : "");
    return status;
}

int verb_msg_show(const struct arguments *a)
{
    struct story story = {.ask = NULL};
    struct content content = {.chunks = 0};
    int64_t only_job;
    struct ask *k;
    int status = ask_open(a, &k);

    if (status != EXIT_OK)
        return status;
    status = message_read(k, a->operands[0], &story, &only_job);
    const struct story_job *first = status == EXIT_OK ? readable_job(&story, only_job) : NULL;
    if (first)
        status = content_look(k, &first->record.envelope, &content);
    ask_close(k);
    if (status == EXIT_OK && a->is_json)
        print_message_json(&story, only_job, &content);
    else if (status == EXIT_OK)
        print_message(&story, only_job, &content);
    story_done(&story);
    return status;
}

/* ---- msg cat */

struct cat {
    struct loop *loop;
    enum spool_result result;
    uint64_t bytes;
};

static void on_chunk(void *context, enum spool_result result, struct span bytes)
{
    struct cat *c = context;

    c->result = result;
    c->bytes += bytes.len;
    if (bytes.len > 0)
        (void) fwrite(bytes.at, 1, bytes.len, stdout); /* main() asks ferror() */
    loop_stop(c->loop);
}

/* Chunk by chunk: one in memory. */
static int content_print(struct ask *k, const struct envelope *e)
{
    struct cat c = {.loop = ask_loop(k), .result = SPOOL_OK};
    struct store *store;
    int status = store_reach(k, &store);

    if (status != EXIT_OK)
        return status;
    for (uint32_t i = 0; i < e->chunk_count && c.result == SPOOL_OK; i++) {
        spool_read(store, e, i, on_chunk, &c);
        loop_run(c.loop);
    }
    store_close(store);
    if (c.result != SPOOL_OK || c.bytes != e->size_bytes)
        return say_failed("a part of the content is missing or damaged: this is %llu of %llu bytes",
                          (unsigned long long) c.bytes, (unsigned long long) e->size_bytes);
    return EXIT_OK;
}

int verb_msg_cat(const struct arguments *a)
{
    struct story story = {.ask = NULL};
    int64_t only_job;
    struct ask *k;
    int status = ask_open(a, &k);

    if (status != EXIT_OK)
        return status;
    status = message_read(k, a->operands[0], &story, &only_job);
    const struct story_job *first = status == EXIT_OK ? readable_job(&story, only_job) : NULL;
    if (first)
        status = content_print(k, &first->record.envelope);
    else if (status == EXIT_OK)
        status = say_failed("%s: no record of it can be read, so nobody knows where its content is",
                            a->operands[0]);
    ask_close(k);
    story_done(&story);
    return status;
}
