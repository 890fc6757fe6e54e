/* Asking Redis about slices: those of a round together, one script call for each partition. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/keys.h"
#include "cluster/limit_private.h"

enum { TOKEN_ARGS = 7, SLOT_ARGS = 3 };

struct asked {
    struct slice *slice;
    uint64_t back, need, least, wish; /* tokens */
    uint64_t most, held, want;        /* slots */
};

struct batch { /* keys of one kind and partition */
    struct store_call call;
    struct list link;
    struct limiter *limiter; /* NULL: closed meanwhile */
    bool is_slots;
    size_t count;
    struct asked asked[];
};

/* What a second takes. */
uint64_t slice_wish(const struct slice *b)
{
    uint64_t wish = b->pace > b->used ? b->pace : b->used;

    return wish < b->rule.burst ? wish : b->rule.burst;
}

/* ---- what is asked */

static void ask_tokens(struct slice *b, struct asked *a)
{
    uint64_t least = UINT64_MAX, sum = 0, wish = slice_wish(b);

    LIST_EACH(&b->waiters, at, next) {
        struct waiter *w = LIST_ENTRY(at, struct waiter, link);
        w->is_asked = true;
        sum += w->count;
        if (w->count < least)
            least = w->count;
    }
    if (least != UINT64_MAX) {
        a->need = sum > b->held ? sum - b->held : 0;
        a->least = least > b->held ? least - b->held : 0;
        if (sum == 0)
            a->least = 1; /* a look */
    }
    if (clock_ms() < b->refused_until_ms || (b->seen_ms && b->left < PLENTY))
        wish = 0; /* near the limit others may need it more */
    if (list_is_empty(&b->waiters) && b->held > wish) {
        a->back = b->held - wish;
        b->held = wish;
    } else {
        a->wish = wish > b->held ? wish - b->held : 0;
    }
}

static void ask_slots(struct slice *b, struct asked *a)
{
    a->most = b->rule.count;
    a->held = a->want = b->used;
    LIST_EACH(&b->waiters, at, next) {
        LIST_ENTRY(at, struct waiter, link)->is_asked = true;
        a->want++;
    }
    if (a->want < b->pace)
        a->want = b->pace; /* as many as there were of late come again */
    b->pace = b->used;
    if (b->held > a->want)
        b->held = a->want; /* before Redis gives the rest to others */
}

static void add_numbers(struct buf *b, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        resp_arg_number(b, (int64_t) numbers[i]);
}

static void batch_encode(struct batch *batch)
{
    struct buf *b = &batch->call.request.bytes;
    bool is_slots = batch->is_slots;
    unsigned partition = batch->asked[0].slice->partition;

    buf_clear(b);
    batch->call.request.reply_count = 0;
    script_begin(&batch->call, is_slots ? SCRIPT_slot : SCRIPT_limit, 1 + batch->count,
                 is_slots ? 2 + SLOT_ARGS * batch->count : TOKEN_ARGS * batch->count);
    key_arg(b, KEY_OF_NEVER, partition, (struct span){.at = NULL}, 0);
    for (size_t i = 0; i < batch->count; i++) {
        const struct slice *of = batch->asked[i].slice;
        key_arg(b, is_slots ? KEY_OF_SLOTS : KEY_OF_LIMIT, partition,
                (struct span){.at = of->key, .len = of->key_len}, 0);
    }
    if (is_slots) {
        resp_arg_text(b, batch->limiter->node);
        resp_arg_number(b, SLOT_MS);
    }
    for (size_t i = 0; i < batch->count; i++) {
        const struct asked *a = &batch->asked[i];
        const struct limit_rule *rule = &a->slice->rule;
        if (is_slots)
            add_numbers(b, (const uint64_t[]){a->most, a->held, a->want}, SLOT_ARGS);
        else
            add_numbers(b,
                        (const uint64_t[]){rule->count, rule->per_ms, rule->burst, a->back, a->need, a->least,
                                           a->wish},
                        TOKEN_ARGS);
    }
}

/* A repeat may take tokens twice, which drains away; what would come back twice would be more than the limit. */
static void on_repeat(struct store_call *c)
{
    struct batch *batch = CONTAINER_OF(c, struct batch, call);

    if (!batch->limiter || batch->is_slots)
        return;
    for (size_t i = 0; i < batch->count; i++)
        batch->asked[i].back = 0;
    batch_encode(batch);
}

/* ---- what is answered */

static bool is_number(const struct redis_value *v, uint64_t most)
{
    return v->type == REDIS_INTEGER && v->integer >= 0 && (uint64_t) v->integer <= most;
}

/* False: nothing that our scripts say. */
static bool read_answer(const struct asked *a, bool is_slots, const struct redis_value *v,
                        uint64_t ret[static 3])
{
    if (is_slots) {
        ret[0] = v->type == REDIS_INTEGER ? (uint64_t) v->integer : 0;
        return is_number(v, a->want > a->held ? a->want : a->held);
    }
    if (v->type != REDIS_ARRAY || v->count != 3 || !is_number(&v->items[0], a->need + a->wish) ||
        !is_number(&v->items[1], LIMIT_COUNT_MAX) || !is_number(&v->items[2], INT64_MAX))
        return false;
    for (size_t i = 0; i < 3; i++)
        ret[i] = (uint64_t) v->items[i].integer;
    return true;
}

static void on_done(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct batch *batch = CONTAINER_OF(c, struct batch, call);
    bool is_whole = result == STORE_OK && values[0].type == REDIS_ARRAY && values[0].count == batch->count;

    if (batch->limiter) {
        list_remove(&batch->link);
        batch->limiter->is_silent = result == STORE_UNKNOWN;
        for (size_t i = 0; i < batch->count; i++) {
            const struct asked *a = &batch->asked[i];
            uint64_t said[3] = {0};
            bool ok = is_whole && read_answer(a, batch->is_slots, &values[0].items[i], said);
            a->slice->is_under_way = false;
            slice_answer(a->slice, ok, said[0], said[1], said[2]);
        }
    }
    store_call_done(c);
    mem_free(batch);
}

/* ---- the end of a round */

static void batch_send(struct limiter *l, struct slice *const *slices, size_t count)
{
    struct batch *batch = mem_alloc(sizeof *batch + count * sizeof(batch->asked[0]));

    batch->limiter = l;
    batch->is_slots = slices[0]->is_slots;
    batch->count = count;
    for (size_t i = 0; i < count; i++) {
        batch->asked[i].slice = slices[i];
        slices[i]->is_under_way = true;
        if (batch->is_slots)
            ask_slots(slices[i], &batch->asked[i]);
        else
            ask_tokens(slices[i], &batch->asked[i]);
    }
    batch_encode(batch);
    batch->call.give_up_ms = clock_ms() + conf_get()->ingress.limits_time_ms;
    batch->call.is_unheld = true; /* it may be lost */
    batch->call.on_repeat = on_repeat;
    batch->call.on_done = on_done;
    list_append(&l->batches, &batch->link);
    metric_add(METRIC_LIMIT_CALLS_TOTAL, 1);
    store_send(l->store, &batch->call);
}

static unsigned group_of(const struct slice *b)
{
    return b->partition * 2 + b->is_slots;
}

static int by_group(const void *left, const void *right)
{
    const struct slice *a = *(struct slice *const *) left, *b = *(struct slice *const *) right;

    return (group_of(a) > group_of(b)) - (group_of(a) < group_of(b));
}

static void on_flush(struct tail *t)
{
    struct limiter *l = CONTAINER_OF(t, struct limiter, flush);
    struct slice **slices = mem_array(l->asking_count, sizeof *slices);
    size_t count = 0, end;

    while (!list_is_empty(&l->asking)) {
        slices[count] = LIST_FIRST(&l->asking, struct slice, link);
        list_remove(&slices[count++]->link);
    }
    must(count == l->asking_count);
    l->asking_count = 0;
    qsort(slices, count, sizeof *slices, by_group);
    for (size_t start = 0; start < count; start = end) {
        for (end = start + 1; end < count && end - start < BATCH_MAX; end++)
            if (group_of(slices[end]) != group_of(slices[start]))
                break;
        batch_send(l, slices + start, end - start);
    }
    mem_free(slices);
}

void slice_ask(struct slice *b)
{
    struct limiter *l = b->limiter;

    if (b->is_under_way || list_is_linked(&b->link))
        return;
    list_append(&l->asking, &b->link);
    l->asking_count++;
    tail_add(l->loop, &l->flush, on_flush);
}

void batches_forget(struct limiter *l)
{
    while (!list_is_empty(&l->batches)) {
        struct batch *batch = LIST_FIRST(&l->batches, struct batch, link);
        list_remove(&batch->link);
        batch->limiter = NULL;
    }
}
