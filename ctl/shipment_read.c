/* Jobs as the store has them: where they are, their records. */
#include "ctl/shipment_private.h"

#include <errno.h>
#include <string.h>

void cargo_done(struct cargo *c)
{
    if (c->is_readable) {
        job_state_done(&c->job_state);
        envelope_done(&c->envelope);
    }
    mem_free(c->job);
    mem_free(c->queue);
    mem_free(c->reason);
    mem_free(c->tenant);
    buf_done(&c->envelope_text);
    buf_done(&c->state_text);
    buf_done(&c->small);
    *c = (struct cargo){.state = CARGO_LEFT};
}

/* ---- where it is ---- */

static void on_looked(void *context, const struct redis_value *values)
{
    struct cargo *c = context;

    c->is_waiting = redis_text(&values[0]).len > 0;
    c->is_held = redis_text(&values[1]).len > 0;
    c->due_ms = c->is_waiting ? answer_score(&values[0]) : 0;
}

int cargo_look(struct shipment *s, struct cargo *cargo, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cargo *c = &cargo[i];
        resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_QUEUE, c->partition, span_of(c->queue)), c->job);
        resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_HELD, c->partition, span_of("")), c->job);
        ask_send(s->ask, on_looked, c);
    }
    return ask_wait(s->ask);
}

/* ---- its record ---- */

static const char *const fields[] = {"q", "e", "s", "n", "m", "w", "h", "t", "f", "y"};
enum field { FIELD_Q, FIELD_E, FIELD_S, FIELD_N, FIELD_M, FIELD_W, FIELD_H, FIELD_T, FIELD_F, FIELD_Y };

static char *text_of(struct span s)
{
    return mem_text(s.at ? s.at : "", s.len);
}

/* Field t: "<bytes> <tenant>". */
static char *tenant_of(struct span owned)
{
    (void) span_cut(&owned, ' '); /* the rest is the name */
    return text_of(owned);
}

static void read_envelope(struct cargo *c)
{
    int error = wire_get_envelope(buf_span(&c->envelope_text), &c->envelope);

    if (error == 0) {
        error = wire_get_state(buf_span(&c->state_text), &c->envelope, &c->job_state);
        if (error < 0)
            envelope_done(&c->envelope);
    }
    c->is_readable = error == 0;
    c->is_newer = error == -EPROTONOSUPPORT;
    c->reads_other = c->is_readable && c->chunk_count == 0 && c->envelope.chunk_count > 0 &&
                     strcmp(c->envelope.content_job, c->job) != 0;
}

bool shipment_is_ours(const char *reason)
{
    return strncmp(reason, SHIPMENT_REASON, sizeof(SHIPMENT_REASON) - 1) == 0;
}

/* Held by a move that was broken off: it waited, and its reason says until when. */
static void read_reason(struct cargo *c)
{
    uint64_t due_ms = 0;

    if (!shipment_is_ours(c->reason))
        return;
    c->is_ours = true;
    if (span_number(span_of(c->reason + sizeof(SHIPMENT_REASON) - 1), UINT64_MAX / 2, &due_ms) == 0)
        c->due_ms = due_ms;
    c->reason[0] = '\0';
}

/*
 * A courier had it, and died or gave it back: which of its next jobs were made is known by marks alone, and those stay in this store. So here a
 * courier has to go on with it first. One that no courier ever had has made none.
 */
static bool is_half_expanded(const struct cargo *c)
{
    return c->is_readable && c->envelope.is_parent && c->exact_ms > 0 && !c->job_state.is_waiting &&
           c->job_state.cursor < c->envelope.queue_count;
}

static void leave(struct cargo *c, uint64_t *counter)
{
    c->state = CARGO_LEFT;
    if (counter)
        ++*counter;
}

/* Nothing of it can be put out: it goes on here. */
static void stay(struct cargo *c, uint64_t *counter)
{
    leave(c, counter);
    c->goes_on = c->is_ours;
}

static void judge(struct cargo *c)
{
    struct shipment *s = c->shipment;

    if (c->fate == FATE_DELETE)
        leave(c, &s->counts.ending);
    else if (c->is_newer && c->chunk_count == 0)
        stay(c, &s->counts.left_newer);
    else if (s->is_move && is_half_expanded(c))
        stay(c, &s->counts.left_expanding);
#ifndef PLANT_MOVE_WITHOUT_HOLD
    else if (s->is_move && !c->is_held) /* somebody released it again */
        leave(c, NULL);
#endif
    else
        c->state = CARGO_READY;
}

static enum fate fate_of(const struct redis_value *v)
{
    if (redis_is_text(v, "delete"))
        return FATE_DELETE;
    return redis_is_text(v, "bounce") ? FATE_BOUNCE : FATE_NONE;
}

static void on_record(void *context, const struct redis_value *values)
{
    struct cargo *c = context;
    const struct redis_value *items = values[0].items;
    int64_t chunks;

    c->is_held = redis_text(&values[1]).len > 0;
    if (values[0].type != REDIS_ARRAY || values[0].count != ARRAY_LEN(fields) ||
        redis_text(&items[FIELD_Q]).len == 0 || redis_text(&items[FIELD_E]).len == 0 ||
        redis_text(&items[FIELD_S]).len == 0) {
        leave(c, &c->shipment->counts.no_record);
        return;
    }
    mem_free(c->queue);
    c->queue = answer_text(&items[FIELD_Q]);
    buf_add_span(&c->envelope_text, redis_text(&items[FIELD_E]));
    buf_add_span(&c->state_text, redis_text(&items[FIELD_S]));
    if (redis_number(&items[FIELD_N], &chunks) == 0 && chunks > 0 && chunks <= PARCEL_CHUNKS_MAX)
        c->chunk_count = (uint32_t) chunks;
    c->mark_ms = answer_count(&items[FIELD_M]);
    c->exact_ms = answer_count(&items[FIELD_Y]);
    c->keeps_content = redis_is_text(&items[FIELD_W], "1");
    mem_free(c->reason);
    c->reason = answer_text(&items[FIELD_H]);
    mem_free(c->tenant);
    c->tenant = tenant_of(redis_text(&items[FIELD_T]));
    c->fate = fate_of(&items[FIELD_F]);
    read_envelope(c);
    if (c->is_held)
        read_reason(c);
    judge(c);
}

int cargo_read(struct shipment *s, struct cargo *cargo, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cargo *c = &cargo[i];
        if (c->state != CARGO_WANTED)
            continue;
        struct buf *b = ask_key(s->ask, "HMGET", 2 + ARRAY_LEN(fields), KEY_OF_JOB, c->partition,
                                span_of(c->job));
        for (size_t f = 0; f < ARRAY_LEN(fields); f++)
            resp_arg_text(b, fields[f]);
        resp_arg_text(ask_key(s->ask, "ZSCORE", 3, KEY_OF_HELD, c->partition, span_of("")), c->job);
        ask_send(s->ask, on_record, c);
    }
    return ask_wait(s->ask);
}
