/* Content of claimed jobs. Whatever is claimed, and however slow the hosts: no more than max_content is in memory. */
#include "courier/content.h"

#include "base/conf.h"
#include "base/fault.h"
#include "courier/attempt.h"
#include "courier/room.h"
#include "courier/settle.h"
#include "courier/work.h"

enum {
    READ_TIME_MS = 10000,
    AWAY_MS = 60000, /* so long mail waits whose content is away */
};

const char *content_trouble(const struct job *j, enum spool_result result, uint32_t i, uint64_t before,
                            size_t size_bytes)
{
    static const char *const missing = "content is missing";
    const struct envelope *e = &j->envelope;
    bool is_last = i + 1 >= e->chunk_count;

    if (result == SPOOL_DAMAGED)
        return "content cannot be read";
    if (result != SPOOL_OK || size_bytes == 0 || before > e->size_bytes ||
        size_bytes > e->size_bytes - before)
        return missing;
    return is_last == (size_bytes == e->size_bytes - before) ? NULL : missing;
}

/* ---- booking ---- */

void content_book(struct job *j, size_t bytes)
{
    j->booked_bytes += bytes;
    j->work->content_bytes += bytes;
    j->work->courier->content_bytes += bytes;
}

void content_over(struct job *j)
{
    j->work->content_bytes -= j->booked_bytes;
    j->work->courier->content_bytes -= j->booked_bytes;
    j->booked_bytes = 0;
    content_wake(j->work->courier);
}

/* The first chunk stays until the job is settled; of what follows, one chunk at a time is on its way. */
static size_t need_of(const struct job *j)
{
    const struct envelope *e = &j->envelope;

    if (e->chunk_count > 1)
        return (size_t) 2 * SPOOL_CHUNK;
    return e->size_bytes < SPOOL_CHUNK ? (size_t) e->size_bytes : SPOOL_CHUNK;
}

/* One job always: a setting smaller than a message stops nobody's mail. */
static bool has_room(const struct job *j)
{
    size_t booked = j->work->courier->content_bytes;

    return booked == 0 || booked + need_of(j) <= conf_get()->courier.max_content_bytes;
}

static bool has_share(const struct job *j)
{
    size_t booked = j->work->courier->content_bytes, own = j->work->content_bytes;

    return own == 0 || room_left(conf_get()->courier.max_content_bytes, booked, own) >= need_of(j);
}

/* ---- reading ---- */

/* A child may read its parent's content, and that may be in another shard. While that one is away, such mail must not keep the room of others. */
static bool is_elsewhere(const struct job *j)
{
    return !store_partitions_share(j->work->courier->store, j->envelope.content_partition,
                                   j->work->partition);
}

static bool is_away(const struct job *j)
{
    return is_elsewhere(j) &&
           !store_partition_is_ready(j->work->courier->store, j->envelope.content_partition);
}

static void put_off(struct job *j)
{
    j->work->loading_count--;
    settle_postpone(j, AWAY_MS, "its content is in a part of Redis that is away");
}

static void on_read(void *context, enum spool_result result, struct span bytes)
{
    struct job *j = context;
    struct work *w = j->work;
    const char *trouble = content_trouble(j, result, 0, 0, bytes.len);

    if (result == SPOOL_UNKNOWN && !j->is_dropped) {
        put_off(j);
        return;
    }
    w->loading_count--;
    if (j->is_dropped) {
        work_job_over(w, j);
        return;
    }
    if (trouble && j->fate != FATE_BOUNCE && j->fate != FATE_DELETE) {
        settle_hold(j, trouble);
        return;
    }
    buf_add_span(&j->chunk, bytes);
    FAULT_POINT(content_read);
    attempt_begin(j);
    work_wake(w);
}

static void begin_read(struct job *j)
{
    content_book(j, need_of(j));
    spool_read(j->work->courier->store, &j->envelope, 0, is_elsewhere(j) ? READ_TIME_MS : UINT64_MAX, on_read,
               j);
}

/* In their order, but for those whose queue has its share. */
static void serve_waiting(struct courier *c)
{
    bool is_served = true;

    LIST_EACH(&c->content_waiting, it, save) {
        struct job *j = LIST_ENTRY(it, struct job, link);
        struct work *w = j->work;

        if (j->is_dropped || c->is_draining || !work_is_granted(w)) {
            list_remove(it);
            w->loading_count--;
            settle_release(j);
        } else if (is_away(j)) {
            list_remove(it);
            put_off(j);
        } else if (is_served && has_share(j)) {
            is_served = has_room(
                j); /* else those behind it must wait too, or a large one would wait for ever */
            if (!is_served)
                continue;
            list_remove(it);
            begin_read(j);
        }
    }
}

static void on_tail(struct tail *t)
{
    serve_waiting(CONTAINER_OF(t, struct courier, content_tail));
}

void content_wake(struct courier *c)
{
    if (!list_is_empty(&c->content_waiting))
        tail_add(c->loop, &c->content_tail, on_tail);
}

void content_load(struct job *j)
{
    struct courier *c = j->work->courier;

    j->work->loading_count++;
    if (is_away(j)) {
        put_off(j);
        return;
    }
    if (list_is_empty(&c->content_waiting) && has_share(j) && has_room(j)) {
        begin_read(j);
        return;
    }
    list_append(&c->content_waiting, &j->link);
    content_wake(c);
}
