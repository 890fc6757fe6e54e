/* msg show, msg cat. */
#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"
#include "ctl/message.h"
#include "ctl/print.h"
#include "ctl/verb.h"
#include "ctl/wishes.h"

enum { WORDS_MAX = 1024 };

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
    const struct story_job *first = message_readable_job(s, only_job);

    if (first)
        add_head(&out, s, &first->record.envelope, content);
    else
        buf_printf(&out, "message %s: no record of it can be read\n", s->text);
    for (size_t i = 0; i < s->job_count; i++)
        if (message_is_shown(&s->jobs[i], only_job))
            add_job(&out, s, &s->jobs[i]);
    print_buf(&out);
}

int verb_msg_show(const struct arguments *a)
{
    struct story story = {.ask = NULL};
    struct content content = {.chunks = 0};
    int64_t only_job;
    struct ask *k;
    int status = ask_open_partly(a, &k);

    if (status != EXIT_OK)
        return status;
    status = message_read(k, a->operands[0], &story, &only_job);
    const struct story_job *first = status == EXIT_OK ? message_readable_job(&story, only_job) : NULL;
    if (first)
        status = content_look(k, &first->record.envelope, &content);
    ask_close(k);
    if (status == EXIT_OK && a->is_json)
        print_json(message_json(&story, only_job, &content));
    else if (status == EXIT_OK)
        print_message(&story, only_job, &content);
    story_done(&story);
    return status;
}

/* For programs all of it in memory, and in base64: content is bytes, JSON is not. */
static int cat_json(struct ask *k, const struct story *s, const struct envelope *e)
{
    AUTO_BUF struct buf text = {.data = NULL};
    char *bytes = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&bytes, &len);

    must(file);
    int status = content_write(k, e, file);
    must(fclose(file) == 0);
    if (status == EXIT_OK) {
        struct json *json = json_new_object();
        base64_encode((struct span){.at = bytes, .len = len}, &text);
        json_put_text(json, "message", span_of(s->text));
        json_put_number(json, "size", (int64_t) len);
        json_put_text(json, "content_base64", buf_span(&text));
        print_json(json);
    }
    mem_free(bytes);
    return status;
}

int verb_msg_cat(const struct arguments *a)
{
    struct story story = {.ask = NULL};
    int64_t only_job;
    struct ask *k;
    int status = ask_open_partly(a, &k);

    if (status != EXIT_OK)
        return status;
    status = message_read(k, a->operands[0], &story, &only_job);
    const struct story_job *first = status == EXIT_OK ? message_readable_job(&story, only_job) : NULL;
    if (first)
        status = a->is_json ? cat_json(k, &story, &first->record.envelope)
                            : content_write(k, &first->record.envelope, stdout);
    else if (status == EXIT_OK)
        status = say_failed("%s: no record of it can be read, so nobody knows where its content is",
                            a->operands[0]);
    ask_close(k);
    story_done(&story);
    return status;
}
