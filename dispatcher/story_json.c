/* A message's story as JSON: who, to whom, what happened and where it is; never what it says. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/redact.h"
#include "dispatcher/story.h"

static void put_redacted(struct json *json, const char *key, const char *text)
{
    AUTO_BUF struct buf shown = {.data = NULL};

    redact_add(&shown, span_of(text));
    json_put_text(json, key, buf_span(&shown));
}

/* ---- what happened ---- */

/* A claim's detail is its token, "<incarnation>.<seq>": the courier's name says more. */
static void put_detail(struct json *json, const struct story_line *line, const struct node_view *view)
{
    struct span rest = span_of(line->detail), number = span_cut(&rest, '.');
    uint64_t incarnation;

    if (strcmp(line->event, "claimed") == 0 && span_number(number, UINT64_MAX, &incarnation) == 0) {
        for (size_t i = 0; i < view->count; i++) {
            if (view->peers[i].incarnation != incarnation || !*view->peers[i].stats.name)
                continue;
            AUTO_FREE char *by = mem_format("by %s", view->peers[i].stats.name);
            json_put_text(json, "detail", span_of(by));
            return;
        }
    }
    put_redacted(json, "detail", line->detail);
}

static struct json *line_json(const struct story_line *line, uint64_t first_ms, const struct node_view *view)
{
    struct json *json = json_new_object();
    AUTO_BUF struct buf stamp = {.data = NULL};

    clock_add_stamp(&stamp, line->ms);
    json_put_text(json, "time", buf_span(&stamp));
    json_put_number(json, "since_ms", (int64_t) (line->ms > first_ms ? line->ms - first_ms : 0));
    json_put_text(json, "event", span_of(line->event));
    json_put_number(json, "job", line->job);
    put_detail(json, line, view);
    return json;
}

/* ---- whose it is ---- */

static void put_verdict(struct json *json, const struct verdict *v)
{
    json_put_text(json, "class", span_of(v->class == VERDICT_NONE ? "" : verdict_class_name(v->class)));
    if (v->class == VERDICT_NONE)
        return;
    json_put_text(json, "bounce", span_of(v->bounce == BOUNCE_NONE ? "" : bounce_name(v->bounce)));
    json_put_number(json, "code", v->code);
    json_put_text(json, "status", span_of(v->status));
    put_redacted(json, "text", v->text);
    json_put_text(json, "remote", span_of(v->remote));
}

static void put_envelope(struct json *json, const struct story *s)
{
    const struct envelope *e = &s->envelope;
    struct json *to = json_new_array();

    put_redacted(json, "from", e->sender);
    for (size_t i = 0; i < e->recipient_count && i < STORY_RECIPIENTS; i++) {
        const struct recipient_state *state = &s->state.recipients[i];
        struct json *one = json_new_object();
        put_redacted(one, "address", e->recipients[i].addr);
        json_put_flag(one, "done", state->is_done);
        put_verdict(one, &state->last);
        json_put(to, NULL, one);
    }
    json_put(json, "to", to);
    json_put_number(json, "recipients", (int64_t) e->recipient_count);
    json_put_number(json, "size", (int64_t) e->size_bytes);
    json_put_text(json, "client", span_of(e->client));
    put_redacted(json, "user", e->user);
    json_put_text(json, "tenant", span_of(e->tenant));
    json_put_flag(json, "report", e->is_dsn);
    json_put_number(json, "attempts", s->state.attempts);
    json_put_number(json, "queues", (int64_t) (e->is_parent ? e->queue_count : 1));
}

static void put_place(struct json *json, const struct story *s, const struct node_view *view,
                      uint64_t redis_ms)
{
    static const char *const names[] = {[STORY_GONE] = "gone",
                                        [STORY_WAITING] = "waiting",
                                        [STORY_CLAIMED] = "claimed",
                                        [STORY_HELD] = "held"};

    json_put_text(json, "place", span_of(names[s->place]));
    json_put_text(json, "queue", span_of(s->queue));
    if (s->place == STORY_WAITING)
        json_put_number(json, "due_ms", (int64_t) (s->score > redis_ms ? s->score - redis_ms : 0));
    if (s->place == STORY_HELD) {
        put_redacted(json, "because", s->because);
        json_put_number(json, "held_ms", (int64_t) (redis_ms > s->score ? redis_ms - s->score : 0));
    }
    for (size_t i = 0; s->place == STORY_CLAIMED && i < view->count; i++)
        if (view->peers[i].incarnation == s->score)
            json_put_text(json, "courier", span_of(view->peers[i].stats.name));
}

struct json *story_json(const struct story *s, const struct node_view *view, uint64_t redis_ms)
{
    struct json *json = json_new_object(), *events = json_new_array();
    uint64_t first_ms = s->line_count && !s->left_out ? s->lines[0].ms : id_time_ms(&s->id);
    AUTO_BUF struct buf stamp = {.data = NULL};

    clock_add_stamp(&stamp, first_ms);
    json_put_text(json, "message", span_of(s->text));
    json_put_flag(json, "known", story_is_known(s) || s->is_denied);
    json_put_flag(json, "denied", s->is_denied);
    json_put_text(json, "accepted", buf_span(&stamp));
    json_put_number(json, "age_ms", (int64_t) (redis_ms > first_ms ? redis_ms - first_ms : 0));
    put_place(json, s, view, redis_ms);
    json_put_flag(json, "readable", s->is_readable);
    if (s->is_readable)
        put_envelope(json, s);
    for (size_t i = 0; i < s->line_count; i++)
        json_put(events, NULL, line_json(&s->lines[i], first_ms, view));
    json_put(json, "events", events);
    json_put_number(json, "left_out", (int64_t) s->left_out);
    return json;
}
