/* What the typed calls of the queue have in common. */
#include "cluster/queue_call.h"

#include "base/redact.h"

void *queue_call_new(size_t size, unsigned partition, uint64_t time_ms, void *context,
                     void (*on_done)(struct store_call *c, enum store_result result,
                                     const struct redis_value *values))
{
    struct queue_call *q = mem_alloc(size);

    q->call.give_up_ms = time_ms == UINT64_MAX ? UINT64_MAX : clock_ms() + time_ms;
    q->call.on_done = on_done;
    q->partition = partition;
    q->context = context;
    return q;
}

void queue_call_free(struct queue_call *q)
{
    store_call_done(&q->call);
    mem_free(q);
}

struct queue_call *queue_call_of(struct store_call *c)
{
    return CONTAINER_OF(c, struct queue_call, call);
}

void queue_key(struct queue_call *q, enum key key)
{
    key_arg(&q->call.request.bytes, key, q->partition, (struct span){.at = NULL}, 0);
}

void queue_key_of(struct queue_call *q, enum key key, struct span subject)
{
    key_arg(&q->call.request.bytes, key, q->partition, subject, 0);
}

void queue_tag(struct queue_call *q)
{
    resp_arg_text(&q->call.request.bytes, partition_tag(q->partition));
}

void queue_flag(struct queue_call *q, bool flag)
{
    resp_arg(&q->call.request.bytes, flag ? SPAN("1") : SPAN("0"));
}

void queue_detail(struct queue_call *q, const char *detail)
{
    AUTO_BUF struct buf shown = {.data = NULL};
    struct span text = span_of(detail);
    if (redact_is_on()) {
        redact_add(&shown, text);
        text = buf_span(&shown);
    }
    resp_arg(&q->call.request.bytes, text);
}

size_t queue_held_lines(const struct redis_value *lines, struct queue_put_aside *ret_held, size_t most)
{
    size_t count = 0;

    for (size_t i = 3; lines->type == REDIS_ARRAY && i < lines->count && count < most; i += 4)
        ret_held[count++] = (struct queue_put_aside){.job = redis_text(&lines->items[i - 2]),
                                                     .why = redis_text(&lines->items[i])};
    return count;
}

unsigned queue_answer(const struct redis_value *value, const char *const *words, unsigned count)
{
    unsigned i = 0;

    while (i < count && !redis_is_text(value, words[i]))
        i++;
    must(i < count);
    return i;
}
