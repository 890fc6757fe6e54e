/*
 * The stream of a parcel: a line, then blocks: 4 bytes length, 8 bytes checksum with the block's number as its seed (so that one that is
 * missing, or stands in another's place, is noticed there), one zstd frame. Unpacked, all blocks together are records, each behind 4 bytes of
 * length. Numbers are little-endian.
 */
#include "cluster/parcel.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/hash.h"
#include "io/zstd.h"

enum { FORMAT = 1, BLOCK_HEAD = 12, RECORD_HEAD = 4, BLOCK_STORED_MAX = PARCEL_BLOCK + ZSTD_OVERHEAD };
#define FIRST_WORDS "barid parcel "
static const char first_line[] = FIRST_WORDS "1\n"; /* FORMAT */

static void number_put(struct buf *out, uint64_t n, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_add_char(out, (char) (uint8_t) (n >> 8 * i));
}

static uint64_t number_get(const char *at, unsigned bytes)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < bytes; i++)
        n |= (uint64_t) (uint8_t) at[i] << 8 * i;
    return n;
}

/* ---- writing ---- */

struct parcel_writer {
    struct zstd *zstd;
    struct buf plain, record;
    uint64_t blocks;
    bool has_begun;
    struct parcel_counts counts;
};

struct parcel_writer *parcel_writer_new(void)
{
    struct parcel_writer *w = NEW(struct parcel_writer);

    w->zstd = zstd_new();
    return w;
}

struct parcel_writer *parcel_writer_free(struct parcel_writer *w)
{
    if (!w)
        return NULL;
    w->zstd = zstd_free(w->zstd);
    buf_done(&w->plain);
    buf_done(&w->record);
    return mem_free(w);
}

static void put_block(struct parcel_writer *w, struct span plain, struct buf *out)
{
    AUTO_BUF struct buf packed = {.data = NULL};

    if (!w->has_begun)
        buf_add(out, first_line, sizeof(first_line) - 1);
    w->has_begun = true;
    zstd_pack(w->zstd, plain, &packed);
    number_put(out, packed.len, 4);
    number_put(out, hash64_seeded(buf_span(&packed), w->blocks++), 8);
    buf_add_span(out, buf_span(&packed));
}

static void put_blocks(struct parcel_writer *w, size_t least, struct buf *out)
{
    while (w->plain.len >= least && w->plain.len > 0) {
        size_t len = w->plain.len < PARCEL_BLOCK ? w->plain.len : PARCEL_BLOCK;
        put_block(w, (struct span){.at = w->plain.data, .len = len}, out);
        buf_consume(&w->plain, len);
    }
}

void parcel_write(struct parcel_writer *w, const struct parcel_entry *e, struct buf *out)
{
    struct parcel_entry end = {.kind = PARCEL_END};

    end.end.jobs = w->counts.jobs;
    end.end.chunks = w->counts.chunks;
    end.end.entries = w->counts.entries;
    buf_clear(&w->record);
    wire_put_parcel(e->kind == PARCEL_END ? &end : e, &w->record);
    number_put(&w->plain, w->record.len, RECORD_HEAD);
    buf_add_span(&w->plain, buf_span(&w->record));
    w->counts.entries++;
    w->counts.jobs += e->kind == PARCEL_JOB;
    w->counts.chunks += e->kind == PARCEL_CHUNK;
    put_blocks(w, PARCEL_BLOCK, out);
}

void parcel_flush(struct parcel_writer *w, struct buf *out)
{
    put_blocks(w, 1, out);
}

/* ---- reading ---- */

struct parcel_reader {
    struct zstd *zstd;
    struct buf in, plain;
    uint64_t at; /* bytes of the stream that were unpacked or skipped */
    uint64_t blocks;
    bool has_begun, has_ended;
    int failure; /* stays */
    char *trouble;
    struct parcel_counts counts;
    uint32_t chunks_left, chunk_next; /* of the last job */
};

struct parcel_reader *parcel_reader_new(void)
{
    struct parcel_reader *r = NEW(struct parcel_reader);

    r->zstd = zstd_new();
    r->trouble = mem_string("");
    return r;
}

struct parcel_reader *parcel_reader_free(struct parcel_reader *r)
{
    if (!r)
        return NULL;
    r->zstd = zstd_free(r->zstd);
    buf_done(&r->in);
    buf_done(&r->plain);
    mem_free(r->trouble);
    return mem_free(r);
}

void parcel_feed(struct parcel_reader *r, struct span bytes)
{
    buf_add_span(&r->in, bytes);
}

const char *parcel_reader_trouble(const struct parcel_reader *r)
{
    return r->trouble;
}

struct parcel_counts parcel_reader_counts(const struct parcel_reader *r)
{
    return r->counts;
}

static int fail(struct parcel_reader *r, int error, const char *what)
{
    r->failure = error;
    mem_free(r->trouble);
    r->trouble = mem_format("%s at byte %llu, behind entry %llu (%llu jobs)", what,
                            (unsigned long long) r->at, (unsigned long long) r->counts.entries,
                            (unsigned long long) r->counts.jobs);
    return error;
}

/* 1: it is there; 0: more bytes are needed. */
static int read_first_line(struct parcel_reader *r)
{
    size_t words = sizeof(FIRST_WORDS) - 1, len = r->in.len < words ? r->in.len : words;

    if (len > 0 && memcmp(r->in.data, FIRST_WORDS, len) != 0)
        return fail(r, -EBADMSG, "this is no file of `baridctl store export`: other words stand");
    if (r->in.len < sizeof(first_line) - 1)
        return 0;
    if (memcmp(r->in.data, first_line, sizeof(first_line) - 1) != 0)
        return fail(
            r, -EPROTONOSUPPORT,
            "the file's format is of a newer version, or its first line is damaged: import it with the version "
            "that wrote it; seen");
    buf_consume(&r->in, sizeof(first_line) - 1);
    r->at += sizeof(first_line) - 1;
    r->has_begun = true;
    return 1;
}

/* One more block unpacked: 1; 0: more bytes are needed. */
static int read_block(struct parcel_reader *r)
{
    if (r->in.len < BLOCK_HEAD)
        return 0;
    uint64_t len = number_get(r->in.data, 4), sum = number_get(r->in.data + 4, 8);
    if (len == 0 || len > BLOCK_STORED_MAX)
        return fail(r, -EBADMSG, "a block of impossible length: damage");
    if (r->in.len < BLOCK_HEAD + len)
        return 0;
    struct span packed = {.at = r->in.data + BLOCK_HEAD, .len = len};
    if (hash64_seeded(packed, r->blocks) != sum)
        return fail(r, -EBADMSG, "a block is damaged, or another one is missing before it,");
    if (zstd_unpack(r->zstd, packed, PARCEL_BLOCK, &r->plain) < 0)
        return fail(r, -EBADMSG, "a block cannot be unpacked");
    buf_consume(&r->in, BLOCK_HEAD + len);
    r->at += BLOCK_HEAD + len;
    r->blocks++;
    return 1;
}

/* What is right of a kind by itself may be wrong where it stands. */
static const char *misplaced(const struct parcel_reader *r, const struct parcel_entry *e)
{
    if (r->has_ended)
        return "something stands behind the end,";
    if ((r->counts.entries == 0) != (e->kind == PARCEL_START))
        return "an entry stands where it cannot be,";
    if (e->kind == PARCEL_CHUNK && (r->chunks_left == 0 || e->chunk.index < r->chunk_next ||
                                    e->chunk.index - r->chunk_next >= r->chunks_left))
        return "content of no job stands";
    if (e->kind == PARCEL_END && (e->end.entries != r->counts.entries || e->end.jobs != r->counts.jobs ||
                                  e->end.chunks != r->counts.chunks))
        return "the end counts other entries than there are,";
    return NULL;
}

static void count(struct parcel_reader *r, const struct parcel_entry *e)
{
    r->counts.entries++;
    if (e->kind == PARCEL_JOB) {
        r->counts.jobs++;
        r->chunks_left = e->job.chunk_count;
        r->chunk_next = 0;
    } else if (e->kind == PARCEL_CHUNK) {
        r->counts.chunks++;
        r->chunks_left -= e->chunk.index + 1 - r->chunk_next;
        r->chunk_next = e->chunk.index + 1;
    } else {
        r->chunks_left = 0;
        r->has_ended = e->kind == PARCEL_END;
    }
}

/* 1, or 0: the next block is needed. */
static int read_record(struct parcel_reader *r, struct parcel_entry *ret_entry)
{
    struct parcel_entry e;

    if (r->plain.len < RECORD_HEAD)
        return 0;
    uint64_t len = number_get(r->plain.data, RECORD_HEAD);
    if (len == 0 || len > PARCEL_RECORD_MAX)
        return fail(r, -EBADMSG, "an entry of impossible length");
    if (r->plain.len < RECORD_HEAD + len)
        return 0;
    int error = wire_get_parcel((struct span){.at = r->plain.data + RECORD_HEAD, .len = len}, &e);
    if (error == -EPROTONOSUPPORT)
        return fail(r, error,
                    "an entry was written by a newer version: import it with that version; it stands");
    if (error < 0)
        return fail(r, error, "an entry makes no sense");
    const char *what = misplaced(r, &e);
    if (what) {
        parcel_entry_done(&e);
        return fail(r, -EBADMSG, what);
    }
    count(r, &e);
    buf_consume(&r->plain, RECORD_HEAD + len);
    *ret_entry = e;
    return 1;
}

int parcel_read(struct parcel_reader *r, struct parcel_entry *ret_entry)
{
    int done = r->failure;

    if (done == 0 && !r->has_begun)
        done = read_first_line(r);
    if (done < 0 || !r->has_begun)
        return done;
    for (;;) {
        done = read_record(r, ret_entry);
        if (done != 0)
            return done;
        done = read_block(r);
        if (done <= 0)
            return done;
    }
}

int parcel_reader_end(struct parcel_reader *r)
{
    if (r->failure)
        return r->failure;
    if (r->has_ended && r->in.len == 0 && r->plain.len == 0)
        return 0;
    return fail(r, -EBADMSG,
                r->has_ended ? "something stands behind the end," : "the file ends in the middle:");
}
