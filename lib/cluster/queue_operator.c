/* What the operator asks of a job or a queue: hold, unhold, retry, bounce; pause. */
#include "cluster/queue_call.h"

static const char *const rule_words[] = {[RULE_OK] = "ok", [RULE_LATER] = "later", [RULE_GONE] = "gone"};
static const enum script rule_scripts[] = {
    [RULE_HOLD] = SCRIPT_hold,
    [RULE_UNHOLD] = SCRIPT_unhold,
    [RULE_RETRY] = SCRIPT_retry,
    [RULE_BOUNCE] = SCRIPT_bounce,
};

static void on_ruled(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct queue_call *q = queue_call_of(c);
    enum rule_answer answer = RULE_UNKNOWN;

    if (result == STORE_OK)
        answer = queue_answer(&values[0], rule_words, ARRAY_LEN(rule_words));
    q->on.rule(q->context, answer);
    queue_call_free(q);
}

void queue_rule(struct store *s, enum rule rule, unsigned partition, const char *job, const char *queue,
                const char *why, uint64_t time_ms, queue_on_rule *on_answer, void *context)
{
    struct queue_call *q = queue_call_new(sizeof *q, partition, time_ms, context, on_ruled);

    must(rule < ARRAY_LEN(rule_scripts));
    q->on.rule = on_answer;
    script_begin(&q->call, rule_scripts[rule], 7, rule == RULE_HOLD ? 2 : 1);
    queue_key_of(q, KEY_OF_JOB, span_of(job));
    queue_key_of(q, KEY_OF_QUEUE, span_of(queue));
    queue_key(q, KEY_OF_CLAIMED);
    queue_key(q, KEY_OF_HELD);
    queue_key(q, KEY_OF_DUE);
    queue_key(q, KEY_OF_EVENTS);
    queue_key(q, KEY_OF_NEVER);
    resp_arg_text(&q->call.request.bytes, job);
    if (rule == RULE_HOLD)
        resp_arg_text(&q->call.request.bytes, why ? why : "by operator");
    store_send(s, &q->call);
}

void queue_pause(struct store *s, const struct queue_pause *pause, uint64_t time_ms, queue_on_rule *on_answer,
                 void *context)
{
    struct queue_call *q = queue_call_new(sizeof *q, pause->partition, time_ms, context, on_ruled);
    struct buf *b = &q->call.request.bytes;

    q->on.rule = on_answer;
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
