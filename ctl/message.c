/* What baridctl does with one message in the queue, whatever the verb. */
#include "ctl/message.h"

#include "base/mem.h"
#include "cluster/spool.h"
#include "ctl/print.h"
#include "ctl/reach.h"
#include "ctl/wishes.h"

enum { CHUNKS_MAX = 16384 };

/* ---- what is stored of the content */

static void on_sizes(void *context, const struct redis_value *values)
{
    struct content *c = context;
    uint64_t bytes = answer_count(&values[0]);

    c->stored_bytes += bytes;
    c->missing += bytes == 0;
}

int content_look(struct ask *k, const struct envelope *e, struct content *ret_content)
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

const struct story_job *message_readable_job(const struct story *s, int64_t only_job)
{
    const struct story_job *found = NULL;

    for (size_t i = 0; i < s->job_count; i++) {
        const struct story_job *job = &s->jobs[i];
        if (job->record.is_readable && (only_job == ANY_JOB || (uint32_t) only_job == job->index) && !found)
            found = job;
    }
    return found;
}

bool message_is_shown(const struct story_job *job, int64_t only_job)
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

struct json *message_json(const struct story *s, int64_t only_job, const struct content *content)
{
    struct json *json = json_new_object(), *jobs = json_new_array();
    const struct story_job *first = message_readable_job(s, only_job);

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
        if (message_is_shown(&s->jobs[i], only_job))
            json_put(jobs, NULL, job_json(s, &s->jobs[i]));
    json_put(json, "jobs", jobs);
    return json;
}

/* ---- found */

static bool has_living_job(const struct story *s, int64_t only_job)
{
    for (size_t i = 0; i < s->job_count; i++)
        if (message_is_shown(&s->jobs[i], only_job))
            return true;
    return false;
}

int message_read(struct ask *k, const char *subject, struct story *ret_story, int64_t *ret_job)
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

/* ---- its content */

struct cat {
    struct loop *loop;
    FILE *to;
    enum spool_result result;
    uint64_t bytes;
};

static void on_chunk(void *context, enum spool_result result, struct span bytes)
{
    struct cat *c = context;

    c->result = result;
    c->bytes += bytes.len;
    if (bytes.len > 0)
        (void) fwrite(bytes.at, 1, bytes.len, c->to); /* whoever closes it asks ferror() */
    loop_stop(c->loop);
}

/* Chunk by chunk: one in memory. */
int content_write(struct ask *k, const struct envelope *e, FILE *to)
{
    struct cat c = {.loop = ask_loop(k), .to = to, .result = SPOOL_OK};
    struct store *store;
    int status = store_reach(k, REACH_FOR_ORDERS, &store);

    if (status != EXIT_OK)
        return status;
    for (uint32_t i = 0; i < e->chunk_count && c.result == SPOOL_OK; i++) {
        spool_read(store, e, i, UINT64_MAX, on_chunk, &c);
        loop_run(c.loop);
    }
    store_close(store);
    if (c.result != SPOOL_OK || c.bytes != e->size_bytes)
        return say_failed("a part of the content is missing or damaged: this is %llu of %llu bytes",
                          (unsigned long long) c.bytes, (unsigned long long) e->size_bytes);
    return EXIT_OK;
}
