/*
 * hiredis' reader with our own objects. The library's function table takes int for an array's length in 0.x and size_t in 1.x; its
 * numbers come from the server, so lengths, depth and places in arrays are checked here whatever the version checks itself.
 */
#include "io/redis_reply.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <stdalign.h>
#include <string.h>

#include "base/mem.h"

enum {
    BLOCK_BYTES = 16384,
    DEPTH_MAX = 7,
    ITEMS_MAX = 1048576,
    REPLY_MAX_BYTES = 67108864,
    READER_KEPT_BYTES =
        4 * REPLY_SLICE_BYTES, /* an empty reader's buffer; by default it would be freed after each slice */
};

struct block {
    struct block *next;
    size_t used, size_bytes;
    alignas(max_align_t) char bytes[];
};

struct reply_reader {
    redisReader *reader;
    struct block *blocks;     /* the first is the one in use */
    struct redis_value *root; /* of the reply being read */
    size_t fed_bytes;         /* since the last whole reply */
};

static void *arena_take(struct reply_reader *r, size_t size_bytes)
{
    size_t size = (size_bytes + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    struct block *b = r->blocks;
    if (!b || b->size_bytes - b->used < size) {
        size_t room = size > BLOCK_BYTES / 4 ? size : BLOCK_BYTES;
        struct block *fresh = mem_resize(NULL, sizeof(*fresh) + room);
        fresh->used = 0;
        fresh->size_bytes = room;
        if (b && room == size) { /* one large object: behind the block in use */
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            r->blocks = fresh;
        }
        b = fresh;
    }
    void *p = b->bytes + b->used;
    b->used += size;
    return p;
}

void *reply_reader_room(struct reply_reader *r, size_t size_bytes)
{
    void *p = arena_take(r, size_bytes);
    memset(p, 0, size_bytes);
    return p;
}

void reply_reader_clear(struct reply_reader *r)
{
    struct block *kept = NULL;
    while (r->blocks) {
        struct block *b = r->blocks;
        r->blocks = b->next;
        if (!kept && b->size_bytes == BLOCK_BYTES) {
            kept = b;
            b->used = 0;
            b->next = NULL;
        } else {
            mem_free(b);
        }
    }
    r->blocks = kept;
}

/* Where the value of a task goes: the root, or its place in the array above. NULL makes hiredis give up. */
static struct redis_value *value_of(const redisReadTask *task)
{
    struct reply_reader *r = task->privdata;
    if (!task->parent) {
        r->root = reply_reader_room(r, sizeof(*r->root));
        return r->root;
    }
    struct redis_value *array = task->parent->obj;
    if (!array || array->type != REDIS_ARRAY || task->idx < 0 || (size_t) task->idx >= array->count)
        return NULL;
    return (struct redis_value *) array->items + task->idx; /* const for users only */
}

static void *make_string(const redisReadTask *task, char *text, size_t len)
{
    struct redis_value *v = value_of(task);
    if (!v)
        return NULL;
    char *copy = arena_take(task->privdata, len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    v->text = (struct span){.at = copy, .len = len};
    v->type = REDIS_STRING;
    if (task->type == REDIS_REPLY_STATUS)
        v->type = REDIS_STATUS;
    else if (task->type == REDIS_REPLY_ERROR)
        v->type = REDIS_ERROR_REPLY;
    return v;
}

#if HIREDIS_MAJOR >= 1
static void *make_array(const redisReadTask *task, size_t count)
#else
static void *make_array(const redisReadTask *task, int count)
#endif
{
    int depth = 1;
    for (const redisReadTask *above = task->parent; above; above = above->parent)
        depth++;
    struct redis_value *v = value_of(task);
    if (!v || depth > DEPTH_MAX || (int64_t) count < 0 || (int64_t) count > ITEMS_MAX)
        return NULL;
    v->type = REDIS_ARRAY;
    v->count = (size_t) count;
    v->items = reply_reader_room(task->privdata, v->count * sizeof(*v->items));
    return v;
}

static void *make_integer(const redisReadTask *task, long long n)
{
    struct redis_value *v = value_of(task);
    if (!v)
        return NULL;
    v->type = REDIS_INTEGER;
    v->integer = n;
    return v;
}

static void *make_nil(const redisReadTask *task)
{
    return value_of(task); /* zeroed is nil */
}

static void free_nothing(void *object UNUSED)
{
    /* the arena goes as a whole */
}

struct reply_reader *reply_reader_new(void)
{
    static redisReplyObjectFunctions functions = {.createString = make_string,
                                                  .createArray = make_array,
                                                  .createInteger = make_integer,
                                                  .createNil = make_nil,
                                                  .freeObject = free_nothing};
    struct reply_reader *r = NEW(struct reply_reader);
    r->reader = redisReaderCreateWithFunctions(&functions);
    must(r->reader);
    r->reader->privdata = r;
    r->reader->maxbuf = READER_KEPT_BYTES;
    return r;
}

struct reply_reader *reply_reader_free(struct reply_reader *r)
{
    if (!r)
        return NULL;
    redisReaderFree(r->reader);
    while (r->blocks) {
        struct block *b = r->blocks;
        r->blocks = b->next;
        mem_free(b);
    }
    return mem_free(r);
}

void reply_reader_feed(struct reply_reader *r, struct span bytes)
{
    r->fed_bytes += bytes.len;
    (void) redisReaderFeed(r->reader, bytes.at,
                           bytes.len); /* a failure is kept in the reader and told by the next reply */
}

int reply_reader_next(struct reply_reader *r, struct redis_value *ret_value)
{
    void *reply = NULL;
    if (redisReaderGetReply(r->reader, &reply) != 0)
        return -EBADMSG;
    if (!reply)
        return r->fed_bytes > REPLY_MAX_BYTES ? -EMSGSIZE : 0;
    if (reply != r->root)
        return -EBADMSG; /* a type this reader was not asked for */
    r->fed_bytes = 0;
    *ret_value = *r->root;
    r->root = NULL;
    return 1;
}
