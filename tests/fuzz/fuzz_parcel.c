/*
 * Parcels: any bytes as the stream; or any entries, wrapped as the writer does, in blocks that are whole. What is read makes sense where it
 * stands, and written again it reads the same; the reader never goes on behind a failure.
 */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/parcel.h"
#include "io/hash.h"
#include "io/zstd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void number_put(struct buf *out, uint64_t n, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_add_char(out, (char) (uint8_t) (n >> 8 * i));
}

/* Bodies behind one byte of length each become records; all of them one block. */
static void wrap(struct span in, struct buf *out)
{
    AUTO_BUF struct buf plain = {.data = NULL}, packed = {.data = NULL};
    struct zstd *z = zstd_new();

    while (in.len > 0) {
        size_t len = (uint8_t) in.at[0] < in.len - 1 ? (uint8_t) in.at[0] : in.len - 1;
        struct span body = {.at = in.at + 1, .len = len};
        number_put(&plain, len + 5, 4);
        number_put(&plain, 1, 1);
        number_put(&plain, hash32(body), 4);
        buf_add_span(&plain, body);
        in = (struct span){.at = body.at + len, .len = in.len - 1 - len};
    }
    buf_add_text(out, "barid parcel 1\n");
    if (plain.len > 0) {
        zstd_pack(z, buf_span(&plain), &packed);
        number_put(out, packed.len, 4);
        number_put(out, hash64_seeded(buf_span(&packed), 0), 8);
        buf_add_span(out, buf_span(&packed));
    }
    zstd_free(z);
}

static void check_job_name(struct span job)
{
    struct id id;
    uint32_t index;

    must(job_parse(job, &id, &index) == 0);
}

static void check_again(const struct parcel_entry *e)
{
    AUTO_BUF struct buf once = {.data = NULL}, twice = {.data = NULL};
    struct parcel_entry again;

    wire_put_parcel(e, &once);
    must(wire_get_parcel(buf_span(&once), &again) == 0 && again.kind == e->kind);
    wire_put_parcel(&again, &twice);
    must(span_equal(buf_span(&once), buf_span(&twice)));
    parcel_entry_done(&again);
}

struct seen {
    struct parcel_counts counts;
    uint32_t chunks, next; /* of the last job */
    bool has_job, has_ended;
};

static void check(struct seen *s, const struct parcel_entry *e)
{
    must(!s->has_ended && (e->kind == PARCEL_START) == (s->counts.entries == 0));
    if (e->kind == PARCEL_JOB) {
        check_job_name(e->job.job);
        must(queue_is_name(e->job.queue) && e->job.chunk_count <= PARCEL_CHUNKS_MAX);
        must(e->job.content_of.len == 0 || e->job.chunk_count == 0);
        s->chunks = e->job.chunk_count;
        s->next = 0;
        s->counts.jobs++;
    } else if (e->kind == PARCEL_CHUNK) {
        must(e->chunk.index >= s->next && e->chunk.index < s->chunks && e->chunk.bytes.len > 0);
        s->next = e->chunk.index + 1;
        s->counts.chunks++;
    } else {
        s->chunks = 0;
    }
    if (e->kind == PARCEL_PLACE)
        check_job_name(e->place.job);
    if (e->kind == PARCEL_END)
        must(e->end.entries == s->counts.entries && e->end.jobs == s->counts.jobs &&
             e->end.chunks == s->counts.chunks);
    s->has_ended = e->kind == PARCEL_END;
    s->counts.entries++;
    check_again(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parcel_reader *r = parcel_reader_new();
    AUTO_BUF struct buf stream = {.data = NULL};
    struct seen seen = {.has_job = false};
    struct parcel_entry e;
    int done = 0;

    if (size > 0) {
        struct span rest = {.at = (const char *) data + 1, .len = size - 1};
        if (data[0] & 1)
            wrap(rest, &stream);
        else
            buf_add_span(&stream, rest);
        for (size_t at = 0, step = 1 + (data[0] >> 1); at < stream.len; at += step) {
            size_t len = stream.len - at < step ? stream.len - at : step;
            parcel_feed(r, (struct span){.at = stream.data + at, .len = len});
            while ((done = parcel_read(r, &e)) > 0) {
                check(&seen, &e);
                parcel_entry_done(&e);
            }
        }
    }
    int end = parcel_reader_end(r);
    must(done == 0 || end == done); /* what has failed stays failed */
    must(end != 0 || seen.has_ended);
    must(end == 0 || *parcel_reader_trouble(r));
    parcel_reader_free(r);
    return 0;
}
