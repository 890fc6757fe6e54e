/* Entries of a parcel. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/parcel.h"
#include "cluster/table.h"
#include "cluster/wire_private.h"
#include "mail/envelope.h"
#include "proto/parcel.pb-c.h"

enum { WORDS_MAX = 4096, PARTITIONS_MAX = 16384 };

/* ---- writing ---- */

#define PUT_BYTES(message, field, span) \
    ((message)->field = bytes_of_span(span), (message)->has_##field = (span).len > 0)

static void put_place(const struct parcel_place *p, Barid__ParcelPlace *m)
{
    PUT_BYTES(m, job, p->job);
    WIRE_PUT(m, is_held, p->is_held);
    PUT_BYTES(m, reason, p->reason);
    WIRE_PUT(m, due_ms, p->due_ms);
    WIRE_PUT(m, is_bounced, p->is_bounced);
    WIRE_PUT(m, has_ended, p->has_ended);
}

static void put_job(const struct parcel_job *j, Barid__ParcelJob *m, Barid__ParcelPlace *place)
{
    PUT_BYTES(m, job, j->job);
    PUT_BYTES(m, queue, j->queue);
    PUT_BYTES(m, envelope, j->envelope);
    PUT_BYTES(m, state, j->state);
    WIRE_PUT(m, chunk_count, j->chunk_count);
    PUT_BYTES(m, content_of, j->content_of);
    WIRE_PUT(m, keeps_content, j->keeps_content);
    PUT_BYTES(m, tenant, j->tenant);
    WIRE_PUT(m, mark_ms, j->mark_ms);
    put_place(&j->place, place);
    m->place = place;
}

/* One of each kind, so that what is put stays until it is packed. */
struct messages {
    Barid__ParcelStart start;
    Barid__ParcelJob job;
    Barid__ParcelChunk chunk;
    Barid__ParcelPlace place;
    Barid__ParcelPause pause;
    Barid__ParcelRow row;
    Barid__ParcelSync sync;
    Barid__ParcelEnd end;
};

static void messages_init(struct messages *m)
{
    barid__parcel_start__init(&m->start);
    barid__parcel_job__init(&m->job);
    barid__parcel_chunk__init(&m->chunk);
    barid__parcel_place__init(&m->place);
    barid__parcel_pause__init(&m->pause);
    barid__parcel_row__init(&m->row);
    barid__parcel_sync__init(&m->sync);
    barid__parcel_end__init(&m->end);
}

static void put_start(const struct parcel_entry *e, Barid__ParcelStart *m)
{
    WIRE_PUT(m, partitions, e->start.partitions);
    WIRE_PUT(m, now_ms, e->start.now_ms);
    PUT_BYTES(m, version, e->start.version);
    PUT_BYTES(m, what, e->start.what);
    WIRE_PUT(m, is_move, e->start.is_move);
    PUT_BYTES(m, mover, e->start.mover);
}

static void put_end(const struct parcel_entry *e, Barid__ParcelEnd *m)
{
    WIRE_PUT(m, jobs, e->end.jobs);
    WIRE_PUT(m, chunks, e->end.chunks);
    WIRE_PUT(m, entries, e->end.entries);
}

static void put_entry(const struct parcel_entry *e, struct messages *m, Barid__ParcelEntry *entry)
{
    switch (e->kind) {
    case PARCEL_NONE: break;
    case PARCEL_START:
        put_start(e, &m->start);
        entry->start = &m->start;
        break;
    case PARCEL_JOB:
        put_job(&e->job, &m->job, &m->place);
        entry->job = &m->job;
        break;
    case PARCEL_CHUNK:
        WIRE_PUT(&m->chunk, index, e->chunk.index);
        PUT_BYTES(&m->chunk, bytes, e->chunk.bytes);
        entry->chunk = &m->chunk;
        break;
    case PARCEL_PLACE:
        put_place(&e->place, &m->place);
        entry->place = &m->place;
        break;
    case PARCEL_PAUSE:
        PUT_BYTES(&m->pause, queue, e->pause.queue);
        PUT_BYTES(&m->pause, error, e->pause.error);
        WIRE_PUT(&m->pause, until_ms, e->pause.until_ms);
        entry->pause = &m->pause;
        break;
    case PARCEL_ROW:
        PUT_BYTES(&m->row, table, e->row.table);
        PUT_BYTES(&m->row, field, e->row.field);
        PUT_BYTES(&m->row, value, e->row.value);
        entry->row = &m->row;
        break;
    case PARCEL_SYNC:
        WIRE_PUT(&m->sync, number, e->sync);
        entry->sync = &m->sync;
        break;
    case PARCEL_END:
        put_end(e, &m->end);
        entry->end = &m->end;
        break;
    }
}

void wire_put_parcel(const struct parcel_entry *e, struct buf *out)
{
    Barid__ParcelEntry entry = BARID__PARCEL_ENTRY__INIT;
    struct messages m;

    messages_init(&m);
    put_entry(e, &m, &entry);
    record_put(&entry.base, out);
}

/* ---- reading ---- */

static bool is_job(ProtobufCBinaryData b)
{
    struct id id;
    uint32_t index;

    return job_parse(bytes_span(b), &id, &index) == 0;
}

static bool place_is_sound(const Barid__ParcelPlace *m)
{
    return bytes_fit(m->reason, 0, WORDS_MAX) && m->due_ms <= WIRE_TIME_MAX;
}

static bool job_is_sound(const Barid__ParcelJob *m)
{
    return is_job(m->job) && bytes_are_queue(m->queue) && m->envelope.len > 0 && m->state.len > 0 &&
           m->chunk_count <= PARCEL_CHUNKS_MAX &&
           (!m->has_content_of || (is_job(m->content_of) && !m->chunk_count)) &&
           bytes_fit(m->tenant, 0, TABLE_FIELD_MAX) && m->mark_ms <= WIRE_TIME_MAX && m->place &&
           place_is_sound(m->place);
}

static bool row_is_sound(const Barid__ParcelRow *m)
{
    return bytes_fit(m->table, 1, TABLE_FIELD_MAX) && m->field.len >= 1 && m->field.len <= TABLE_FIELD_MAX &&
           m->value.len >= 1 && m->value.len <= TABLE_VALUE_MAX;
}

static void get_place(const Barid__ParcelPlace *m, struct parcel_place *p)
{
    *p = (struct parcel_place){.job = bytes_span(m->job),
                               .is_held = m->is_held,
                               .is_bounced = m->is_bounced,
                               .has_ended = m->has_ended,
                               .reason = bytes_span(m->reason),
                               .due_ms = m->due_ms};
}

static void get_job(const Barid__ParcelJob *m, struct parcel_job *j)
{
    *j = (struct parcel_job){.job = bytes_span(m->job),
                             .queue = bytes_span(m->queue),
                             .envelope = bytes_span(m->envelope),
                             .state = bytes_span(m->state),
                             .chunk_count = m->chunk_count,
                             .content_of = bytes_span(m->content_of),
                             .keeps_content = m->keeps_content,
                             .tenant = bytes_span(m->tenant),
                             .mark_ms = m->mark_ms};
    get_place(m->place, &j->place);
}

static bool get_start(const Barid__ParcelStart *m, struct parcel_entry *e)
{
    e->kind = PARCEL_START;
    e->start.partitions = m->partitions;
    e->start.now_ms = m->now_ms;
    e->start.version = bytes_span(m->version);
    e->start.what = bytes_span(m->what);
    e->start.is_move = m->is_move;
    e->start.mover = bytes_span(m->mover);
    return m->partitions > 0 && m->partitions <= PARTITIONS_MAX && m->now_ms <= WIRE_TIME_MAX &&
           bytes_fit(m->version, 0, WORDS_MAX) && bytes_fit(m->what, 0, WORDS_MAX) &&
           bytes_fit(m->mover, 0, WORDS_MAX);
}

static bool get_chunk(const Barid__ParcelChunk *m, struct parcel_entry *e)
{
    e->kind = PARCEL_CHUNK;
    e->chunk.index = m->index;
    e->chunk.bytes = bytes_span(m->bytes);
    return m->index < PARCEL_CHUNKS_MAX && m->bytes.len > 0 && m->bytes.len <= PARCEL_CHUNK_MAX;
}

static bool get_pause(const Barid__ParcelPause *m, struct parcel_entry *e)
{
    e->kind = PARCEL_PAUSE;
    e->pause.queue = bytes_span(m->queue);
    e->pause.error = bytes_span(m->error);
    e->pause.until_ms = m->until_ms;
    return bytes_are_queue(m->queue) && bytes_fit(m->error, 0, WORDS_MAX) && m->until_ms <= WIRE_TIME_MAX;
}

/* False: it cannot be. */
static bool get_entry(const Barid__ParcelEntry *m, struct parcel_entry *e)
{
    if (m->start)
        return get_start(m->start, e);
    if (m->chunk)
        return get_chunk(m->chunk, e);
    if (m->pause)
        return get_pause(m->pause, e);
    if (m->job) {
        e->kind = PARCEL_JOB;
        if (!job_is_sound(m->job))
            return false;
        get_job(m->job, &e->job);
    } else if (m->place) {
        e->kind = PARCEL_PLACE;
        get_place(m->place, &e->place);
        return is_job(m->place->job) && place_is_sound(m->place);
    } else if (m->row) {
        e->kind = PARCEL_ROW;
        e->row.table = bytes_span(m->row->table);
        e->row.field = bytes_span(m->row->field);
        e->row.value = bytes_span(m->row->value);
        return row_is_sound(m->row);
    } else if (m->sync) {
        e->kind = PARCEL_SYNC;
        e->sync = m->sync->number;
    } else if (m->end) {
        e->kind = PARCEL_END;
        e->end.jobs = m->end->jobs;
        e->end.chunks = m->end->chunks;
        e->end.entries = m->end->entries;
    }
    return true;
}

void parcel_entry_done(struct parcel_entry *e)
{
    if (!e->memory)
        return;
    arena_done(e->memory);
    mem_free(e->memory);
    *e = (struct parcel_entry){.kind = PARCEL_NONE};
}

int wire_get_parcel(struct span in, struct parcel_entry *ret_entry)
{
    struct parcel_entry e = {.kind = PARCEL_NONE};
    struct arena *a = NEW(struct arena);
    void *message;

    e.memory = a;
    int r = record_get(in, &barid__parcel_entry__descriptor, a, &message);
    if (!r && !get_entry(message, &e))
        r = -EBADMSG;
    if (r)
        parcel_entry_done(&e);
    else
        *ret_entry = e;
    return r;
}
