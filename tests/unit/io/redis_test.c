/* What the tests of Redis' connections share. */
#include "redis_test.h"

#include <stdio.h>

static void on_answer(struct redis_request *r, enum redis_result result, const struct redis_value *values)
{
    struct question *q = CONTAINER_OF(r, struct question, request);
    q->done++;
    q->result = result;
    if (result == REDIS_OK) {
        const struct redis_value *last = &values[r->reply_count - 1];
        buf_clear(&q->text);
        buf_add_span(&q->text, last->text);
        if (last->type == REDIS_INTEGER)
            buf_printf(&q->text, "%lld", (long long) last->integer);
        q->integer = last->integer;
        q->type = last->type;
    }
    if (q->stops)
        loop_stop(loop);
}

void question_add(struct question *q, const char *command)
{
    struct span words[16], rest = span_of(command);
    size_t n = 0;
    while (rest.len > 0 && n < ARRAY_LEN(words))
        words[n++] = span_cut(&rest, ' ');
    resp_command(&q->request.bytes, n);
    for (size_t i = 0; i < n; i++)
        resp_arg(&q->request.bytes, words[i]);
    q->request.reply_count++;
    q->request.on_done = on_answer;
}

void question_submit(struct redis *r, struct question *q, const char *command)
{
    question_add(q, command);
    redis_submit(r, &q->request);
}

void question_done(struct question *q)
{
    redis_request_done(&q->request);
    buf_done(&q->text);
    *q = (struct question){0};
}

const char *redis_said(struct redis *r, const char *command)
{
    static char text[65536];
    struct question q = {.stops = true};
    question_submit(r, &q, command);
    loop_go();
    assert_int_equal(q.done, 1);
    assert_int_equal(q.result, REDIS_OK);
    (void) snprintf(text, sizeof(text), "%.*s", SPAN_ARG(buf_span(&q.text)));
    question_done(&q);
    return text;
}

static void on_up(void *owner)
{
    struct told *t = owner;
    t->ups++;
    if (t->stops_up)
        loop_stop(loop);
}

static void on_down(void *owner, const char *reason)
{
    struct told *t = owner;
    t->downs++;
    (void) snprintf(t->down, sizeof(t->down), "%s", reason);
    if (t->stops_down)
        loop_stop(loop);
}

static void on_refused(void *owner, const char *reason)
{
    struct told *t = owner;
    t->refusals++;
    (void) snprintf(t->refusal, sizeof(t->refusal), "%s", reason);
    if (t->stops_refused)
        loop_stop(loop);
}

struct redis_settings told_settings(struct told *t, const char *address)
{
    return (struct redis_settings){.address = address,
                                   .connections = 1,
                                   .window = 64,
                                   .timeout_ms = 5000,
                                   .on_up = on_up,
                                   .on_down = on_down,
                                   .on_refused = on_refused,
                                   .owner = t};
}
