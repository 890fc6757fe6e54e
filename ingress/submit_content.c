/*
 * Content on its way into the store. What fits one chunk waits for its commit and travels with it; of more, each full chunk is written while
 * the next arrives, at most two at a time per message. All that is in memory and not confirmed counts as unstored: above
 * ingress.max_unstored nobody's content is read, and parts that wait for a slow client are written early, as shorter chunks, so that slow
 * clients cannot hold the room that others wait for.
 */
#include <string.h>

#include "base/conf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/submit_private.h"
#include "mail/header.h"

enum {
    WRITES_MAX = 2,
    REFRESH_MS = 60000,
    ROOM_CHECK_MS = 10,
    EARLY_CHUNK_BYTES = 16384, /* parts below it are left alone: there are too many of them */
    EARLY_CHUNKS_MAX = 512,    /* of one message; the protocol's limit is 4096 chunks */
    PACK_GAIN = 16,            /* packed is stored what gets shorter by one part in so many */
};

static _Atomic int64_t unstored_bytes, aside_bytes;

static void hold(struct submission *s, uint64_t bytes)
{
    s->held_bytes += bytes;
    atomic_fetch_add_explicit(&unstored_bytes, (int64_t) bytes, memory_order_relaxed);
    metric_add(METRIC_UNSTORED_BYTES, (int64_t) bytes);
}

static void release(struct submission *s, uint64_t bytes)
{
    must(bytes <= s->held_bytes);
    s->held_bytes -= bytes;
    atomic_fetch_sub_explicit(&unstored_bytes, (int64_t) bytes, memory_order_relaxed);
    metric_add(METRIC_UNSTORED_BYTES, -(int64_t) bytes);
}

/* Returns how many that are, by all. */
static int64_t set_aside(struct submission *s, uint64_t bytes)
{
    int64_t more = (int64_t) bytes - (int64_t) s->aside_bytes;
    s->aside_bytes = bytes;
    metric_add(METRIC_UNSTORED_BYTES, more);
    return atomic_fetch_add_explicit(&aside_bytes, more, memory_order_relaxed) + more;
}

void submission_release(struct submission *s)
{
    (void) set_aside(s, 0); /* how many are left is not asked */
    release(s, s->held_bytes);
    buf_done(&s->part);
}

static bool is_crowded(void)
{
    return atomic_load_explicit(&unstored_bytes, memory_order_relaxed) >
           (int64_t) conf_get()->ingress.max_unstored_bytes;
}

/* ---- chunks */

struct chunk_write {
    struct submission *submission;
    size_t bytes;
};

static void on_written(void *context, enum spool_result result)
{
    struct chunk_write *w = context;
    struct submission *s = w->submission;
    must(s->writing > 0);
    s->writing--;
    if (s->held_bytes > 0)
        release(s, w->bytes);
    if (result != SPOOL_OK && s->trouble == SPOOL_OK) {
        s->trouble = result;
        submission_release(s); /* the rest is read, but not kept */
    }
    FAULT_POINT(chunk_written);
    mem_free(w);
    submission_spooled(s);
    submission_unref(s);
}

static void on_refreshed(void *context, enum spool_result result)
{
    struct submission *s = context;
    if (result == SPOOL_MISSING && s->trouble == SPOOL_OK)
        s->trouble = result;
    submission_unref(s);
}

static void on_refresh_due(struct timer *t)
{
    struct submission *s = CONTAINER_OF(t, struct submission, timer);
    s->pending++;
    spool_refresh(s->reactor->store, s->partition, s->job, s->chunk_count, on_refreshed, s);
    timer_start(s->reactor->loop, &s->timer, REFRESH_MS, on_refresh_due);
}

/* What the first chunk saves decides for all: a message of what is packed already is not tried again and again. */
struct span submission_pack(struct submission *s, struct span chunk, struct buf *packed)
{
    struct envelope *e = &s->envelope;
    bool is_first = s->chunk_count == 0;
    if (is_first)
        e->coding = (enum content_coding) conf_get()->ingress.compression;
    if (e->coding == CODING_PLAIN)
        return chunk;
    spool_pack(s->reactor->store, chunk, packed);
    if (!is_first || packed->len < chunk.len - chunk.len / PACK_GAIN)
        return buf_span(packed);
    e->coding = CODING_PLAIN;
    return chunk;
}

static void write_chunk(struct submission *s, size_t bytes)
{
    struct chunk_write *w = NEW(struct chunk_write);
    AUTO_BUF struct buf packed = {.data = NULL};
    struct span stored = submission_pack(s, (struct span){.at = s->part.data, .len = bytes}, &packed);
    *w = (struct chunk_write){.submission = s, .bytes = bytes};
    if (s->chunk_count == 0 && s->state == SUBMISSION_COLLECTING)
        timer_start(s->reactor->loop, &s->timer, REFRESH_MS, on_refresh_due);
    s->received_bytes = 0;
    s->stored_bytes += stored.len;
    s->writing++;
    s->pending++;
    spool_write(s->reactor->store, s->partition, s->job, s->chunk_count++, stored, false,
                conf_get()->store.commit_time_ms, on_written, w);
    buf_consume(&s->part, bytes);
}

void submission_spool_rest(struct submission *s)
{
    if (s->chunk_count > 0 && s->part.len > 0 && s->trouble == SPOOL_OK)
        write_chunk(s, s->part.len);
}

void submission_discard(struct submission *s)
{
    if (s->chunk_count > 0)
        spool_discard(s->reactor->store, s->partition, s->job, s->chunk_count);
}

/* ---- what arrives */

void submission_add_received(struct submission *s)
{
    const struct envelope *e = &s->envelope;
    const struct received received = {
        .helo = span_of(s->helo),
        .client_name = s->client_name,
        .client_ip = &s->ip,
        .by = reactor_shared.name,
        .is_esmtp = s->is_esmtp,
        .is_secured = s->tls != NULL,
        .is_authenticated = e->user != NULL,
        .is_utf8 = e->is_utf8,
        .tls = s->tls,
        .id = e->id,
        .only_recipient = e->recipient_count == 1 ? e->recipients[0].addr : NULL,
        .wall_ms = e->arrival_ms,
    };
    must(s->part.len == 0);
    received_add(&received, &s->part);
    s->received_bytes = s->size_bytes = s->part.len;
    hold(s, s->part.len);
}

void submission_starts_with_body(struct submission *s)
{
    if (s->received_bytes == 0)
        return; /* it was given up */
    s->is_all_body = true;
    AUTO_BUF struct buf rest = {0};
    buf_add(&rest, s->part.data + s->received_bytes, s->part.len - s->received_bytes);
    s->part.len = s->received_bytes;
    buf_add(&s->part, "\r\n", 2);
    s->received_bytes += 2;
    buf_add_span(&s->part, buf_span(&rest));
    s->size_bytes += 2;
    hold(s, 2);
}

bool submission_set_aside(struct submission *s, size_t bytes)
{
    bool is_more = bytes > s->aside_bytes;
    int64_t all = set_aside(s, bytes);
    if (!is_more || all <= (int64_t) conf_get()->ingress.max_unstored_bytes / 2)
        return true;
    if (s->trouble == SPOOL_OK)
        s->trouble = SPOOL_FULL;
    s->received_bytes = 0;
    submission_release(s);
    return false;
}

void submission_add(struct submission *s, struct span content)
{
    must(s->state == SUBMISSION_COLLECTING);
    s->content_bytes += content.len;
    s->size_bytes += content.len;
    if (s->trouble != SPOOL_OK)
        return; /* it will not be stored any more */
    buf_add_span(&s->part, content);
    hold(s, content.len);
    while (s->part.len > SPOOL_CHUNK)
        write_chunk(s, SPOOL_CHUNK);
}

/* ---- room */

bool submission_has_room(struct submission *s)
{
    /* Crowded or not, a part grows until it can be written early: else many small ones could hold the room that all wait for. */
    s->wants_room = s->writing >= WRITES_MAX || (is_crowded() && s->part.len >= EARLY_CHUNK_BYTES);
    if (s->wants_room)
        submission_wait_room(s->reactor);
    return !s->wants_room;
}

/* Slow clients' parts go to the store, where they are bounded by its memory and their TTL. */
static void spool_early(struct reactor *r)
{
    LIST_EACH(&r->submissions, it, save) {
        struct submission *s = LIST_ENTRY(it, struct submission, link);
        if (s->state == SUBMISSION_COLLECTING && s->trouble == SPOOL_OK && s->writing == 0 &&
            s->part.len >= EARLY_CHUNK_BYTES && s->chunk_count < EARLY_CHUNKS_MAX)
            write_chunk(s, s->part.len);
    }
}

static void on_room_check(struct timer *t)
{
    struct reactor *r = CONTAINER_OF(t, struct reactor, room);
    bool waits = false;
    if (is_crowded())
        spool_early(r);
    LIST_EACH(&r->submissions, it, save) {
        struct submission *s = LIST_ENTRY(it, struct submission, link);
        if (!s->wants_room)
            continue;
        if (s->owner && submission_has_room(s))
            s->events.on_room(s->owner);
        else
            waits = waits || s->wants_room;
    }
    if (waits)
        timer_start(r->loop, &r->room, ROOM_CHECK_MS, on_room_check);
}

void submission_wait_room(struct reactor *r)
{
    if (!r->room.place)
        timer_start(r->loop, &r->room, ROOM_CHECK_MS, on_room_check);
}
