/* A job's record: one HMGET. */
#include "ctl/record.h"

#include <errno.h>

#include "base/mem.h"
#include "cluster/rule.h"
#include "cluster/wire.h"
#include "ctl/print.h"
#include "ctl/wishes.h"

enum { WORDS_MAX = 120, ADDR_WORDS_MAX = 1024 };

/* Fields in the order they are asked for; the texts last. */
static const char *const fields[] = {"q", "f", "x", "n", "y", "w", "h", "r", "e", "s"};
enum field { FIELD_Q, FIELD_F, FIELD_X, FIELD_N, FIELD_Y, FIELD_W, FIELD_H, FIELD_R, FIELD_E, FIELD_S };

const char *place_name(enum place place)
{
    static const char *const names[] = {"gone", "waiting", "claimed", "held"};

    return names[place];
}

void record_ask(struct ask *k, unsigned partition, struct span job, bool with_texts)
{
    size_t count = with_texts ? ARRAY_LEN(fields) : FIELD_E;
    struct buf *b = ask_key(k, "HMGET", 2 + count, KEY_OF_JOB, partition, job);

    for (size_t i = 0; i < count; i++)
        resp_arg_text(b, fields[i]);
}

static enum fate fate_of(const struct redis_value *v)
{
    static const char *const words[] = {
        [FATE_HOLD] = "hold", [FATE_DELETE] = "delete", [FATE_BOUNCE] = "bounce"};

    for (enum fate fate = FATE_HOLD; fate < ARRAY_LEN(words); fate++)
        if (redis_is_text(v, words[fate]))
            return fate;
    return FATE_NONE;
}

static void read_texts(const struct redis_value *items, struct record *r)
{
    int error = wire_get_envelope(redis_text(&items[FIELD_E]), &r->envelope);

    if (error == 0) {
        error = wire_get_state(redis_text(&items[FIELD_S]), &r->envelope, &r->state);
        if (error < 0)
            envelope_done(&r->envelope);
    }
    r->is_readable = error == 0;
    uint64_t released = r->is_readable ? rule_released(span_of(r->ruled)) : 0;
    if (released > r->state.past_rule)
        r->state.past_rule = released; /* as its courier will see it */
    r->is_newer = error == -EPROTONOSUPPORT;
}

void record_init(struct record *r)
{
    *r = (struct record){.queue = mem_string(""), .held_because = mem_string(""), .ruled = mem_string("")};
}

void record_read(const struct redis_value *value, struct record *ret_record)
{
    struct record r = {.is_there = false};

    if (value->type != REDIS_ARRAY || value->count < FIELD_E) { /* a key of another type */
        record_init(ret_record);
        return;
    }
    const struct redis_value *items = value->items;
    r.is_there = redis_text(&items[FIELD_Q]).len > 0;
    r.queue = answer_text(&items[FIELD_Q]);
    r.fate = fate_of(&items[FIELD_F]);
    r.crashes = (uint32_t) answer_count(&items[FIELD_X]);
    r.chunk_count = (uint32_t) answer_count(&items[FIELD_N]);
    r.exact_ms = answer_count(&items[FIELD_Y]);
    r.keeps_content = redis_is_text(&items[FIELD_W], "1");
    r.held_because = answer_text(&items[FIELD_H]);
    r.ruled = answer_text(&items[FIELD_R]);
    if (value->count == ARRAY_LEN(fields))
        read_texts(items, &r);
    *ret_record = r;
}

void record_done(struct record *r)
{
    if (r->is_readable) {
        job_state_done(&r->state);
        envelope_done(&r->envelope);
    }
    mem_free(r->queue);
    mem_free(r->held_because);
    mem_free(r->ruled);
    *r = (struct record){.is_there = false};
}

/* ---- what it says */

size_t record_first_open(const struct record *r)
{
    for (size_t i = 0; i < r->state.recipient_count; i++)
        if (!r->state.recipients[i].is_done)
            return i;
    return 0;
}

size_t record_open_count(const struct record *r)
{
    size_t count = 0;

    for (size_t i = 0; i < r->state.recipient_count; i++)
        count += !r->state.recipients[i].is_done;
    return count;
}

const struct verdict *record_last_error(const struct record *r)
{
    const struct verdict *v = &r->state.recipients[record_first_open(r)].last;

    return v->class == VERDICT_NONE ? NULL : v;
}

void add_verdict(struct buf *out, const struct verdict *v)
{
    if (v->code)
        buf_printf(out, "%u ", v->code);
    buf_printf(out, "%s ", v->status);
    buf_add_printable(out, span_of(v->remote), ADDR_WORDS_MAX);
    buf_add_text(out, *v->remote ? ": " : "");
    buf_add_printable(out, span_of(v->text), WORDS_MAX);
    if (v->bounce != BOUNCE_NONE)
        buf_printf(out, " (%s)", bounce_name(v->bounce));
}

void add_open_recipients(struct buf *out, const struct record *r)
{
    size_t open = record_open_count(r);

    buf_add_printable(out, span_of(r->envelope.recipients[record_first_open(r)].addr), ADDR_WORDS_MAX);
    if (open > 1)
        buf_printf(out, " and %zu more", open - 1);
}

struct json *verdict_json(const struct verdict *v)
{
    struct json *json = json_new_object();

    json_put_text(json, "class", span_of(verdict_class_name(v->class)));
    if (v->bounce != BOUNCE_NONE)
        json_put_text(json, "bounce", span_of(bounce_name(v->bounce)));
    json_put_number(json, "code", v->code);
    json_put_text(json, "status", span_of(v->status));
    json_put_text(json, "text", span_of(v->text));
    json_put_text(json, "remote", span_of(v->remote));
    return json;
}

void put_record(struct json *json, const struct record *r, uint64_t now_ms)
{
    json_put_flag(json, "readable", r->is_readable);
    if (!r->is_readable)
        return;
    struct json *to = json_new_array();
    for (size_t i = 0; i < r->envelope.recipient_count; i++)
        if (!r->state.recipients[i].is_done)
            json_put_text(to, NULL, span_of(r->envelope.recipients[i].addr));
    json_put_text(json, "from", span_of(r->envelope.sender));
    json_put(json, "to", to);
    json_put_number(json, "age_ms", (int64_t) later_by(now_ms, r->envelope.arrival_ms));
    json_put_number(json, "size", (int64_t) r->envelope.size_bytes);
    put_wishes(json, &r->envelope);
    json_put_number(json, "attempts", r->state.attempts);
    if (record_last_error(r))
        json_put(json, "last_error", verdict_json(record_last_error(r)));
    else
        json_put_null(json, "last_error");
}
