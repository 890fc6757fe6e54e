/* Jobs and their content, as entries. */
#include <string.h>

#include "ctl/shipment_private.h"

enum { SMALL_BYTES = 16384, CHUNKS_AT_ONCE = 4 };

/* ---- where its content is ---- */

struct source {
    unsigned partition;
    const char *job;
    uint32_t count;
};

/* content_of: the job whose content came before. */
static struct source source_of(const struct cargo *c, const char *content_of)
{
    if (!c->reads_other)
        return (struct source){c->partition, c->job, c->chunk_count};
    if (content_of && strcmp(content_of, c->envelope.content_job) == 0)
        return (struct source){.job = content_of};
    return (struct source){c->envelope.content_partition, c->envelope.content_job, c->envelope.chunk_count};
}

static void ask_chunk(struct shipment *s, const struct source *from, uint32_t index)
{
    struct buf *b = ask_command(s->ask, 2);

    resp_arg_text(b, "GET");
    key_arg(b, KEY_OF_CHUNK, from->partition, span_of(from->job), index);
}

/* ---- small content: many at once, before their jobs are put out ---- */

static void on_small(void *context, const struct redis_value *values)
{
    struct cargo *c = context;
    struct span bytes = redis_text(&values[0]);

    c->has_small = true;
    buf_add_span(&c->small, bytes);
}

static int read_small(struct shipment *s, struct cargo *cargo, size_t count, const char *content_of)
{
    for (size_t i = 0; i < count; i++) {
        struct cargo *c = &cargo[i];
        struct source from = source_of(c, content_of);
        if (c->state != CARGO_READY || from.count != 1 || !c->is_readable ||
            envelope_stored_bytes(&c->envelope) > SMALL_BYTES)
            continue;
        ask_chunk(s, &from, 0);
        ask_send(s->ask, on_small, c);
    }
    return ask_wait(s->ask);
}

/* ---- chunks ---- */

static int put_chunk(struct shipment *s, uint32_t index, struct span bytes)
{
    struct parcel_entry e = {.kind = PARCEL_CHUNK};

    e.chunk.index = index;
    e.chunk.bytes = bytes;
    s->counts.chunks++;
    s->counts.bytes += bytes.len;
    return outlet_put(s->outlet, &e);
}

struct some_chunks {
    struct shipment *shipment;
    uint32_t first, count;
    uint32_t missing;
    int status;
};

static void on_chunks(void *context, const struct redis_value *values)
{
    struct some_chunks *some = context;

    for (uint32_t i = 0; i < some->count && some->status == EXIT_OK; i++) {
        struct span bytes = redis_text(&values[i]);
        if (bytes.len > 0 && bytes.len <= PARCEL_CHUNK_MAX)
            some->status = put_chunk(some->shipment, some->first + i, bytes);
        else
            some->missing++;
    }
}

static int put_chunks(struct shipment *s, const struct source *from, uint32_t *ret_missing)
{
    struct some_chunks some = {.shipment = s};
    int status = EXIT_OK;

    while (status == EXIT_OK && some.first < from->count) {
        uint32_t left = from->count - some.first;
        some.count = left < CHUNKS_AT_ONCE ? left : CHUNKS_AT_ONCE;
        for (uint32_t i = 0; i < some.count; i++)
            ask_chunk(s, from, some.first + i);
        ask_send(s->ask, on_chunks, &some);
        status = ask_wait(s->ask);
        if (status == EXIT_OK)
            status = some.status;
        some.first += some.count;
    }
    *ret_missing = some.missing;
    return status;
}

/* ---- a job ---- */

static struct parcel_place place_of(const struct cargo *c)
{
    return (struct parcel_place){
        .is_held = c->is_held && !c->is_ours,
        .is_bounced = c->fate == FATE_BOUNCE,
        .reason = span_of(c->reason),
        .due_ms = c->due_ms,
    };
}

static int put_job(struct shipment *s, const struct cargo *c, const struct source *from)
{
    const struct parcel_entry e = {
        .kind = PARCEL_JOB,
        .job = {.job = span_of(c->job),
                .queue = span_of(c->queue),
                .envelope = buf_span(&c->envelope_text),
                .state = buf_span(&c->state_text),
                .chunk_count = from->count,
                .content_of = c->reads_other && from->count == 0 ? span_of(from->job) : SPAN(""),
                .keeps_content = c->keeps_content,
                .tenant = span_of(c->tenant),
                .mark_ms = c->mark_ms,
                .place = place_of(c)},
    };
    s->counts.jobs++;
    return outlet_put(s->outlet, &e);
}

static void on_exists(void *context, const struct redis_value *values)
{
    *(bool *) context = answer_count(&values[0]) > 0;
}

/* Without its content it may be broken, or have ended while we looked: a copy leaves its owners alone. */
static int has_ended(struct shipment *s, const struct cargo *c, bool *ret_ended)
{
    bool is_there = true;

    (void) ask_key(s->ask, "EXISTS", 2, KEY_OF_JOB, c->partition, span_of(c->job)); /* no more arguments */
    ask_send(s->ask, on_exists, &is_there);
    int status = ask_wait(s->ask);
    *ret_ended = !is_there;
    return status;
}

static int put_end_of(struct shipment *s, struct cargo *c)
{
    const struct parcel_entry e = {.kind = PARCEL_PLACE,
                                   .place = {.job = span_of(c->job), .has_ended = true}};

    c->has_ended = true;
    return outlet_put(s->outlet, &e);
}

static int put_out(struct shipment *s, struct cargo *c, const char *content_of)
{
    struct source from = source_of(c, content_of);
    uint32_t missing = 0;
    bool is_over = false;

    int status = put_job(s, c, &from);
    if (status == EXIT_OK && c->has_small && c->small.len > 0)
        status = put_chunk(s, 0, buf_span(&c->small));
    else if (status == EXIT_OK && c->has_small)
        missing = 1;
    else if (status == EXIT_OK)
        status = put_chunks(s, &from, &missing);
    if (status == EXIT_OK && missing > 0)
        status = has_ended(s, c, &is_over);
    if (status == EXIT_OK && is_over)
        status = put_end_of(s, c);
    c->state = CARGO_OUT;
    return status;
}

int cargo_put_out(struct shipment *s, struct cargo *cargo, size_t count, const char *content_of)
{
    int status = read_small(s, cargo, count, content_of);

    for (size_t i = 0; status == EXIT_OK && i < count; i++) {
        if (cargo[i].state != CARGO_READY)
            continue;
        status = put_out(s, &cargo[i], content_of);
        s->news++;
    }
    return status;
}

int cargo_put_place(struct shipment *s, const struct cargo *c)
{
    struct parcel_entry e = {.kind = PARCEL_PLACE, .place = place_of(c)};

    e.place.job = span_of(c->job);
    return outlet_put(s->outlet, &e);
}

/* ---- confirmed ---- */

int cargo_confirm(struct shipment *s, struct cargo *cargo, size_t count)
{
    struct span letters;
    size_t out = 0;

    if (!s->is_move && !outlet_answers(s->outlet))
        return EXIT_OK; /* a copy in a file is durable at its end */
    int status = outlet_sync(s->outlet, &letters);
    if (status != EXIT_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        out += cargo[i].state == CARGO_OUT;
    if (letters.at && letters.len != out)
        return say_failed("the other store answers for %zu jobs, not %zu: stopped", letters.len, out);
    for (size_t i = 0, at = 0; i < count; i++) {
        if (cargo[i].state != CARGO_OUT)
            continue;
        char letter = letters.at ? letters.at[at++] : arrival_letter(ARRIVED_NEW);
        cargo[i].state = arrival_is_there(letter) ? CARGO_THERE : CARGO_LEFT;
        s->counts.again += letter == arrival_letter(ARRIVED_AGAIN);
        s->counts.refused += cargo[i].state == CARGO_LEFT && !cargo[i].has_ended;
    }
    return EXIT_OK;
}
