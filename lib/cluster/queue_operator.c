/* What the operator asks of a job or a queue: hold, unhold, retry, bounce, undo; pause. */
#include "cluster/queue_call.h"

static const char *const act_words[] = {
    [ACT_OK] = "ok", [ACT_LATER] = "later", [ACT_GONE] = "gone", [ACT_LEFT] = "left"};
static const enum script act_scripts[] = {
    [ACT_HOLD] = SCRIPT_hold,     [ACT_UNHOLD] = SCRIPT_unhold, [ACT_RETRY] = SCRIPT_retry,
    [ACT_BOUNCE] = SCRIPT_bounce, [ACT_UNDO] = SCRIPT_undo,
};

static void on_acted(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct queue_call *q = queue_call_of(c);
    enum act_answer answer = ACT_UNKNOWN;

    if (result == STORE_OK)
        answer = queue_answer(&values[0], act_words, ARRAY_LEN(act_words));
    q->on.act(q->context, answer);
    queue_call_free(q);
}

void queue_act(struct store *s, const struct queue_act *a, uint64_t time_ms, queue_on_act *on_answer,
               void *context)
{
    struct queue_call *q = queue_call_new(sizeof *q, a->partition, time_ms, context, on_acted);
    struct buf *b = &q->call.request.bytes;

    must(a->act < ARRAY_LEN(act_scripts));
    q->on.act = on_answer;
    script_begin(&q->call, act_scripts[a->act], 7, a->act == ACT_HOLD ? 3 : 2);
    queue_key_of(q, KEY_OF_JOB, span_of(a->job));
    queue_key_of(q, KEY_OF_QUEUE, span_of(a->queue));
    queue_key(q, KEY_OF_CLAIMED);
    queue_key(q, KEY_OF_HELD);
    queue_key(q, KEY_OF_DUE);
    queue_key(q, KEY_OF_EVENTS);
    queue_key(q, KEY_OF_NEVER);
    resp_arg_text(b, a->job);
    if (a->act == ACT_HOLD)
        resp_arg_text(b, a->why ? a->why : "by operator");
    resp_arg_text(b, a->rule ? a->rule : "");
    store_send(s, &q->call);
}

void queue_pause(struct store *s, const struct queue_pause *pause, uint64_t time_ms, queue_on_act *on_answer,
                 void *context)
{
    struct queue_call *q = queue_call_new(sizeof *q, pause->partition, time_ms, context, on_acted);
    struct buf *b = &q->call.request.bytes;

    q->on.act = on_answer;
    script_begin(&q->call, SCRIPT_pause, 3, 4);
    queue_key_of(q, KEY_OF_STATE, span_of(pause->queue));
    queue_key(q, KEY_OF_DUE);
    queue_key(q, KEY_OF_NEVER);
    resp_arg_text(b, pause->queue);
    resp_arg_number(b, (int64_t) pause->pause_ms);
    resp_arg_number(b, (int64_t) pause->longest_ms);
    resp_arg_text(b, pause->error ? pause->error : "");
    store_send(s, &q->call);
}
