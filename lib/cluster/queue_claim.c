/* claim: the hottest read. Answers are decoded without a copy. */
#include <stdio.h>

#include "cluster/queue_call.h"

enum {
    TOKEN_MAX = 48,
    JOBS_INLINE = 64,
    HELD_MAX = 516,
    CLAIM_KEYS = 6,
    CLAIM_ARGS = 8,
    REFUSED_WAIT_MS = 5000
};

/* Fields of a record as the script gives them. */
enum field { FIELD_E, FIELD_S, FIELD_N, FIELD_F, FIELD_X, FIELD_Y, FIELD_W, FIELD_U, FIELD_R, FIELD_COUNT };

struct claim_call {
    struct queue_call base;
    size_t repeated_at; /* where the argument `repeated` is */
    char token[TOKEN_MAX];
};

static uint64_t number_of(const struct redis_value *v)
{
    int64_t n = 0;

    return redis_number(v, &n) == 0 && n > 0 ? (uint64_t) n : 0;
}

static enum fate fate_of(const struct redis_value *v)
{
    if (v->type == REDIS_NIL)
        return FATE_NONE;
    if (redis_is_text(v, "hold"))
        return FATE_HOLD;
    if (redis_is_text(v, "delete"))
        return FATE_DELETE;
    return redis_is_text(v, "bounce") ? FATE_BOUNCE : FATE_NONE;
}

static void claimed_decode(const struct redis_value *v, struct queue_claimed *ret_claimed)
{
    must(v->count == 2 && v->items[1].count == FIELD_COUNT);
    const struct redis_value *fields = v->items[1].items;

    *ret_claimed = (struct queue_claimed){
        .job = redis_text(&v->items[0]),
        .envelope = redis_text(&fields[FIELD_E]),
        .state = redis_text(&fields[FIELD_S]),
        .chunk_count = (uint32_t) number_of(&fields[FIELD_N]), /* the script gives 4096 at most */
        .fate = fate_of(&fields[FIELD_F]),
        .crashes = (uint32_t) number_of(&fields[FIELD_X]),
        .exact_ms = number_of(&fields[FIELD_Y]),
        .keeps_content = redis_is_text(&fields[FIELD_W], "1"),
        .ruled = redis_text(&fields[FIELD_R]),
    };
}

static void claim_tell(struct claim_call *claim, const struct redis_value *value)
{
    struct queue_call *q = &claim->base;
    struct queue_claimed few[JOBS_INLINE], *jobs = few;
    AUTO_FREE void *many = NULL;

    must(value->type == REDIS_ARRAY && value->count >= 2);
    if (redis_is_text(&value->items[0], "wait")) {
        uint64_t until_ms = number_of(&value->items[1]),
                 now_ms = store_partition_ms(q->call.store, q->partition);
        q->on.claim(q->context, CLAIM_WAIT, claim->token, NULL, 0, SPAN(""),
                    until_ms > now_ms ? until_ms - now_ms : 1);
        return;
    }
    must(value->count == 5);
    const struct redis_value *list = &value->items[2];
    struct queue_put_aside held[HELD_MAX];
    size_t held_count = queue_held_lines(&value->items[4], held, HELD_MAX), count = list->count + held_count;
    if (count > JOBS_INLINE)
        jobs = many = mem_array(count, sizeof *jobs);
    for (size_t i = 0; i < list->count; i++)
        claimed_decode(&list->items[i], &jobs[i]);
    for (size_t i = 0; i < held_count; i++)
        jobs[list->count + i] = (struct queue_claimed){.job = held[i].job, .held_because = held[i].why};
    q->on.claim(q->context, CLAIM_JOBS, claim->token, jobs, count, redis_text(&value->items[3]), 0);
}

static void on_claimed(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct claim_call *claim = CONTAINER_OF(c, struct claim_call, base.call);
    struct queue_call *q = &claim->base;

    if (result == STORE_OK)
        claim_tell(claim, &values[0]);
    else if (result ==
             STORE_REFUSED) /* nothing was claimed, and nothing will be until somebody mends the partition */
        q->on.claim(q->context, CLAIM_WAIT, claim->token, NULL, 0, SPAN(""), REFUSED_WAIT_MS);
    else
        q->on.claim(q->context, CLAIM_UNKNOWN, claim->token, NULL, 0, SPAN(""), 0);
    queue_call_free(q);
}

static void on_claim_repeat(struct store_call *c)
{
    struct claim_call *claim = CONTAINER_OF(c, struct claim_call, base.call);

    c->request.bytes.data[claim->repeated_at] = '1';
}

void queue_claim(struct store *s, const struct queue_claim *claim, queue_on_claim *on_answer, void *context)
{
    struct claim_call *call = queue_call_new(sizeof *call, claim->partition, UINT64_MAX, context, on_claimed);
    struct queue_call *q = &call->base;
    struct buf *b = &q->call.request.bytes;
    struct span queue = span_of(claim->queue);

    must(claim->count > 0 && claim->incarnation > 0);
    q->on.claim = on_answer;
    q->call.on_repeat = on_claim_repeat;
    /* Two numbers of 20 digits at most fit. */
    (void) snprintf(call->token, sizeof call->token, "%llu.%llu", (unsigned long long) claim->incarnation,
                    (unsigned long long) claim->seq);
    (void) buf_reserve(b, 512 + 3 * queue.len); /* the whole call in one allocation */
    script_begin(&q->call, SCRIPT_claim, CLAIM_KEYS, CLAIM_ARGS);
    queue_key_of(q, KEY_OF_QUEUE, queue);
    queue_key(q, KEY_OF_CLAIMED);
    queue_key(q, KEY_OF_HELD);
    queue_key_of(q, KEY_OF_STATE, queue);
    queue_key(q, KEY_OF_EVENTS);
    queue_key(q, KEY_OF_NEVER);
    resp_arg(b, queue);
    resp_arg_number(b, claim->count);
    resp_arg_number(b, (int64_t) claim->record_bytes);
    resp_arg_number(b, (int64_t) claim->incarnation);
    resp_arg_number(b, (int64_t) claim->seq);
    queue_flag(q, false); /* repeated */
    call->repeated_at = b->len - 3;
    must(b->data[call->repeated_at] == '0');
    resp_arg_number(b, claim->suspects);
    queue_tag(q);
    store_send(s, &q->call);
}
