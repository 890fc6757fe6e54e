/* Content in the store, chunk by chunk. No script touches it, save when memory is short. */
#include "cluster/spool.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/chunk.h"
#include "io/zstd.h"

enum { REFRESH_TIME_MS = 10000, DISCARD_TIME_MS = 3000 };

struct spool_call {
    struct store_call call;
    unsigned partition;
    bool is_by_script;
    enum content_coding coding; /* of what is read */
    union {
        spool_on_written *written;
        spool_on_read *read;
    } on;
    void *context;
};

static struct spool_call *spool_call_new(unsigned partition, uint64_t give_up_ms, void *context,
                                         void (*on_done)(struct store_call *c, enum store_result result,
                                                         const struct redis_value *values))
{
    struct spool_call *spool = NEW(struct spool_call);

    spool->call.give_up_ms = give_up_ms;
    spool->call.on_done = on_done;
    spool->partition = partition;
    spool->context = context;
    return spool;
}

static void spool_call_free(struct spool_call *spool)
{
    store_call_done(&spool->call);
    mem_free(spool);
}

static void spool_tell(struct spool_call *spool, enum spool_result result)
{
    spool->on.written(spool->context, result);
    spool_call_free(spool);
}

/* ---- write ---- */

static void on_written(struct store_call *c, enum store_result result,
                       const struct redis_value *values UNUSED)
{
    struct spool_call *spool = CONTAINER_OF(c, struct spool_call, call);

    if (result == STORE_OK) /* OK, or nil: the chunk was there, an earlier send wrote it */
        spool_tell(spool, SPOOL_OK);
    else
        spool_tell(spool, result == STORE_REFUSED && c->was_full ? SPOOL_FULL : SPOOL_UNKNOWN);
}

static void on_write_repeat(struct store_call *c)
{
    struct spool_call *spool = CONTAINER_OF(c, struct spool_call, call);

    if (!c->was_full || spool->is_by_script)
        return;
    spool->is_by_script = true;
    chunk_put_by_script(c, spool->partition, 1);
}

void spool_write(struct store *s, unsigned partition, const char *job, uint32_t index, struct span bytes,
                 bool by_courier, uint64_t time_ms, spool_on_written *callback, void *context)
{
    struct spool_call *spool = spool_call_new(partition, clock_ms() + time_ms, context, on_written);

    must(bytes.len <= SPOOL_STORED_MAX);
    spool->on.written = callback;
    if (by_courier)
        spool->call.on_repeat = on_write_repeat;
    else
        spool->call.is_repeat_harmful_oom = true;
    (void) buf_reserve(&spool->call.request.bytes,
                       chunk_put_size(bytes)); /* the whole call in one allocation */
    chunk_put(&spool->call, partition, span_of(job), index, bytes);
    store_send(s, &spool->call);
}

/* ---- refresh and discard ---- */

static void on_refreshed(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct spool_call *spool = CONTAINER_OF(c, struct spool_call, call);
    enum spool_result told = result == STORE_OK ? SPOOL_OK : SPOOL_UNKNOWN;

    for (unsigned i = 0; result == STORE_OK && i < c->request.reply_count; i++)
        if (values[i].type != REDIS_INTEGER || values[i].integer != 1)
            told = SPOOL_MISSING; /* gone, or permanent: in neither case a chunk that still streams */
    spool_tell(spool, told);
}

void spool_refresh(struct store *s, unsigned partition, const char *job, uint32_t count,
                   spool_on_written *callback, void *context)
{
    struct spool_call *spool = spool_call_new(partition, clock_ms() + REFRESH_TIME_MS, context, on_refreshed);
    struct buf *b = &spool->call.request.bytes;

    must(count > 0);
    spool->on.written = callback;
    for (uint32_t i = 0; i < count; i++) {
        call_begin(&spool->call, 4);
        resp_arg(b, SPAN("EXPIRE"));
        key_arg(b, KEY_OF_CHUNK, partition, span_of(job), i);
        resp_arg_number(b, SPOOL_TTL_S);
        resp_arg(b, SPAN("XX")); /* never a time limit on content that a commit made permanent */
    }
    store_send(s, &spool->call);
}

static void on_discarded(struct store_call *c, enum store_result result UNUSED,
                         const struct redis_value *values UNUSED)
{
    spool_call_free(CONTAINER_OF(c, struct spool_call, call));
}

void spool_discard(struct store *s, unsigned partition, const char *job, uint32_t count)
{
    if (!count)
        return;
    struct spool_call *spool = spool_call_new(partition, clock_ms() + DISCARD_TIME_MS, NULL, on_discarded);
    struct buf *b = &spool->call.request.bytes;

    spool->call.is_once = true;
    call_begin(&spool->call, 1 + count);
    resp_arg(b, SPAN("UNLINK"));
    for (uint32_t i = 0; i < count; i++)
        key_arg(b, KEY_OF_CHUNK, partition, span_of(job), i);
    store_send(s, &spool->call);
}

/* ---- packed and unpacked ---- */

void spool_pack(struct store *s, struct span plain, struct buf *out)
{
    must(plain.len <= SPOOL_CHUNK);
    zstd_pack(store_zstd(s), plain, out);
}

/* ---- read ---- */

static void tell_unpacked(struct spool_call *spool, struct span stored)
{
    AUTO_BUF struct buf plain = {0};
    bool is_whole = zstd_unpack(store_zstd(spool->call.store), stored, SPOOL_CHUNK, &plain) == 0;

    spool->on.read(spool->context, is_whole ? SPOOL_OK : SPOOL_DAMAGED, buf_span(&plain));
}

static void on_got(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct spool_call *spool = CONTAINER_OF(c, struct spool_call, call);
    struct span none = {.at = NULL};

    /* What is there is right, whoever says it; that nothing is there may be said by one who was cut off before it came. */
    if (result == STORE_OK && values[0].type == REDIS_NIL && store_has_replicas(c->store) && c->is_unheld) {
        c->is_unheld = false;
        store_send(c->store, c);
        return;
    }
    if (result != STORE_OK || values[0].type != REDIS_STRING)
        spool->on.read(spool->context, result == STORE_UNKNOWN ? SPOOL_UNKNOWN : SPOOL_MISSING, none);
    else if (spool->coding == CODING_ZSTD)
        tell_unpacked(spool, values[0].text);
    else
        spool->on.read(spool->context, SPOOL_OK, values[0].text);
    spool_call_free(spool);
}

static void read_chunk(struct store *s, const struct envelope *e, enum content_coding coding, uint32_t index,
                       uint64_t give_up_ms, spool_on_read *on_read, void *context)
{
    struct spool_call *spool = spool_call_new(e->content_partition, give_up_ms, context, on_got);
    struct buf *b = &spool->call.request.bytes;

    spool->on.read = on_read;
    spool->coding = coding;
    spool->call.is_unheld = true;
    spool->call.request.reply_bytes = e->size_bytes < SPOOL_CHUNK ? e->size_bytes : SPOOL_CHUNK;
    call_begin(&spool->call, 2);
    resp_arg(b, SPAN("GET"));
    key_arg(b, KEY_OF_CHUNK, e->content_partition, span_of(e->content_job), index);
    store_send(s, &spool->call);
}

void spool_read(struct store *s, const struct envelope *e, uint32_t index, uint64_t time_ms,
                spool_on_read *on_read, void *context)
{
    uint64_t give_up_ms = time_ms == UINT64_MAX ? UINT64_MAX : clock_ms() + time_ms;

    read_chunk(s, e, e->coding, index, give_up_ms, on_read, context);
}

void spool_read_stored(struct store *s, const struct envelope *e, uint32_t index, spool_on_read *on_read,
                       void *context)
{
    read_chunk(s, e, CODING_PLAIN, index, UINT64_MAX, on_read, context);
}
