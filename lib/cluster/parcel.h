/*
 * Does: a queue as a stream of bytes, for a file or another program (`baridctl store export`, `import`): entries in the order in which they are
 *       to be put into a store; packed in blocks that carry their number and a checksum; a first line that says what it is, and an end
 *       that counts. Partitions are not named: it is independent of the layout of the store it comes from.
 * Does not: read or write files or stores.
 * Owns: writer and reader their buffers; an entry that was read its texts, until parcel_entry_done().
 * Fails: -EBADMSG: damaged, or no such stream; -EPROTONOSUPPORT: of a newer version. parcel_reader_trouble() says what, and where.
 * See: proto/parcel.proto, docs/store.md.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cluster/spool.h"

enum parcel_kind {
    PARCEL_NONE, /* of a kind that a newer version knows: it may be left out */
    PARCEL_START,
    PARCEL_JOB,
    PARCEL_CHUNK,
    PARCEL_PLACE,
    PARCEL_PAUSE,
    PARCEL_ROW,
    PARCEL_SYNC, /* all before it is to be durable now */
    PARCEL_END
};

struct parcel_place {
    struct span job; /* of an entry of its own */
    bool is_held, is_bounced;
    bool has_ended;     /* the job just before is not to be made: it ended while its content was read */
    struct span reason; /* of a held one */
    uint64_t due_ms;    /* clock of the Redis it comes from; 0: at once */
};
struct parcel_job {
    struct span job, queue;
    struct span envelope, state; /* as stored, whatever version they have */
    uint32_t chunk_count;        /* of content of its own; chunks that are missing there are missing here */
    struct span content_of;      /* not empty: it reads the content of that job, which came before */
    bool keeps_content;          /* others read its content: not to be worked before its place comes */
    struct span tenant;
    uint64_t mark_ms;
    struct parcel_place place;
};
struct parcel_entry {
    enum parcel_kind kind;
    union {
        struct {
            uint32_t partitions;
            uint64_t now_ms;
            struct span version, what;
            bool is_move;
            struct span mover; /* the name of the move's connections where the jobs come from; empty: none */
        } start;
        struct parcel_job job;
        struct {
            uint32_t index;
            struct span bytes;
        } chunk;
        struct parcel_place place;
        struct {
            struct span queue, error;
            uint64_t until_ms;
        } pause;
        struct {
            struct span table, field, value;
        } row;
        uint64_t sync;
        struct {
            uint64_t jobs, chunks, entries;
        } end;
    };
    void *memory; /* of one that was read */
};
/* wire_parcel.c: one entry as a record. -EBADMSG, -EPROTONOSUPPORT as wire.h. */
void wire_put_parcel(const struct parcel_entry *e, struct buf *out);
int wire_get_parcel(struct span in, struct parcel_entry *ret_entry);
void parcel_entry_done(struct parcel_entry *e);

enum {
    PARCEL_BLOCK = 1 << 20,
    PARCEL_RECORD_MAX = 64 << 20,
    PARCEL_CHUNK_MAX = SPOOL_STORED_MAX,
    PARCEL_CHUNKS_MAX = 4096
};

struct parcel_counts {
    uint64_t jobs, chunks, entries;
};

struct parcel_writer;
struct parcel_writer *parcel_writer_new(void);
struct parcel_writer *parcel_writer_free(struct parcel_writer *w); /* always NULL */
/* Whole blocks are appended to *out when there are any. PARCEL_END is given its counts here. */
void parcel_write(struct parcel_writer *w, const struct parcel_entry *e, struct buf *out);
void parcel_flush(struct parcel_writer *w, struct buf *out); /* what was written so far can be read */

struct parcel_reader;
struct parcel_reader *parcel_reader_new(void);
struct parcel_reader *parcel_reader_free(struct parcel_reader *r); /* always NULL */
void parcel_feed(struct parcel_reader *r, struct span bytes);
/*
 * 1: an entry, ended by parcel_entry_done(); 0: not without more bytes. Memory: what was fed and not read yet, a block and one entry. The
 * first entry is a START, then none is; CHUNKs follow their job by ascending index; nothing is behind END.
 */
int parcel_read(struct parcel_reader *r, struct parcel_entry *ret_entry);
/* The input is over: 0, or -EBADMSG: it ends in the middle. */
int parcel_reader_end(struct parcel_reader *r);
const char *parcel_reader_trouble(const struct parcel_reader *r); /* one sentence, after a failure */
struct parcel_counts parcel_reader_counts(const struct parcel_reader *r);
