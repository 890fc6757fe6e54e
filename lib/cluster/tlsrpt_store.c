/* Counts and reports in Redis: all keys in the slot of {c}. */
#include "cluster/tlsrpt_store.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/script.h"

struct tlsrpt_call {
    struct store_call call;
    void *context;
    union {
        tlsrpt_on_count *count;
        tlsrpt_on_due *due;
        tlsrpt_on_take *take;
        tlsrpt_on_end *end;
        tlsrpt_on_list *list;
        tlsrpt_on_hurry *hurry;
    } on;
};

typedef void on_done(struct store_call *c, enum store_result result, const struct redis_value *values);

static struct tlsrpt_call *call_new(uint64_t time_ms, void *context, on_done *done)
{
    struct tlsrpt_call *c = NEW(struct tlsrpt_call);

    c->call.give_up_ms = clock_ms() + time_ms;
    c->call.on_done = done;
    c->context = context;
    return c;
}

static struct tlsrpt_call *call_of(struct store_call *c)
{
    return CONTAINER_OF(c, struct tlsrpt_call, call);
}

static void call_free(struct tlsrpt_call *c)
{
    store_call_done(&c->call);
    mem_free(c);
}

static void add_key_of(struct tlsrpt_call *c, const char *name)
{
    AUTO_FREE char *key = mem_format(KEY_TLSRPT_OF "%s", name);

    resp_arg_text(&c->call.request.bytes, key);
}

/* ---- counting ---- */

static void on_counted(struct store_call *call, enum store_result result, const struct redis_value *values)
{
    struct tlsrpt_call *c = call_of(call);
    bool is_done = result == STORE_OK &&
                   (values[0].type == REDIS_INTEGER || redis_is_text(&values[0], "again"));
    uint64_t dropped = is_done && values[0].type == REDIS_INTEGER && values[0].integer > 0
                           ? (uint64_t) values[0].integer
                           : 0;

    c->on.count(c->context, is_done ? TLSRPT_OK : TLSRPT_UNKNOWN, dropped);
    call_free(c);
}

void tlsrpt_store_count(struct store *s, uint64_t incarnation, uint64_t seq, const struct tlsrpt_part *parts,
                        size_t count, const struct tlsrpt_limits *limits, uint64_t time_ms,
                        tlsrpt_on_count *on_count, void *context)
{
    struct tlsrpt_call *c = call_new(time_ms, context, on_counted);
    struct buf *b = &c->call.request.bytes;
    AUTO_FREE char *last = mem_format(KEY_TLSRPT_LAST, (unsigned long long) incarnation);
    size_t rows = 0;

    for (size_t i = 0; i < count; i++)
        rows += parts[i].count;
    c->on.count = on_count;
    script_begin(&c->call, SCRIPT_tlsrpt_count, 2 + count, 4 + 3 * count + 2 * rows);
    resp_arg(b, SPAN(KEY_TLSRPT_DUE));
    resp_arg_text(b, last);
    for (size_t i = 0; i < count; i++)
        add_key_of(c, parts[i].name);
    resp_arg_number(b, (int64_t) seq);
    resp_arg_number(b, (int64_t) tlsrpt_keep_ms);
    resp_arg_number(b, (int64_t) limits->reports);
    resp_arg_number(b, (int64_t) limits->rows);
    for (size_t i = 0; i < count; i++) {
        resp_arg_text(b, parts[i].name);
        resp_arg_number(b, (int64_t) parts[i].due_ms);
        resp_arg_number(b, (int64_t) parts[i].count);
        for (size_t k = 0; k < parts[i].count; k++) {
            resp_arg(b, parts[i].rows[k].field);
            resp_arg(b, parts[i].rows[k].value);
        }
    }
    store_send(s, &c->call);
}

/* ---- what is due ---- */

static void on_looked(struct store_call *call, enum store_result result, const struct redis_value *values)
{
    struct tlsrpt_call *c = call_of(call);
    struct span names[TLSRPT_DUE_MAX];
    size_t count = 0;

    if (result == STORE_OK && values[0].type == REDIS_ARRAY) {
        for (size_t i = 0; i < values[0].count && count < ARRAY_LEN(names); i++) {
            struct span name = redis_text(&values[0].items[i]);

            if (name.len > 0 && name.len <= TLSRPT_NAME_MAX)
                names[count++] = name;
        }
    }
    c->on.due(c->context, names, count);
    call_free(c);
}

void tlsrpt_store_due(struct store *s, uint64_t time_ms, tlsrpt_on_due *on_due, void *context)
{
    struct tlsrpt_call *c = call_new(time_ms, context, on_looked);
    struct buf *b = &c->call.request.bytes;

    c->on.due = on_due;
    c->call.accepts_errors = true; /* a key of another type holds no reports */
    c->call.is_unheld = true;
    call_begin(&c->call, 7);
    resp_arg(b, SPAN("ZRANGEBYSCORE"));
    resp_arg(b, SPAN(KEY_TLSRPT_DUE));
    resp_arg(b, SPAN("-inf"));
    resp_arg_number(b, (int64_t) store_redis_ms(s));
    resp_arg(b, SPAN("LIMIT"));
    resp_arg_number(b, 0);
    resp_arg_number(b, TLSRPT_DUE_MAX);
    store_send(s, &c->call);
}

/* ---- taking and ending ---- */

static void on_taken(struct store_call *call, enum store_result result, const struct redis_value *values)
{
    struct tlsrpt_call *c = call_of(call);
    struct tlsrpt_row *rows = NULL;
    enum tlsrpt_answer answer = TLSRPT_UNKNOWN;
    size_t count = 0;

    if (result == STORE_OK && values[0].type == REDIS_ARRAY) {
        rows = mem_array(values[0].count / 2 + 1, sizeof(*rows));
        for (; count < values[0].count / 2; count++)
            rows[count] = (struct tlsrpt_row){redis_text(&values[0].items[2 * count]),
                                              redis_text(&values[0].items[2 * count + 1])};
        answer = TLSRPT_OK;
    } else if (result == STORE_OK) {
        answer = redis_is_text(&values[0], "later") ? TLSRPT_LATER : TLSRPT_GONE;
    }
    c->on.take(c->context, answer, rows, count);
    mem_free(rows);
    call_free(c);
}

void tlsrpt_store_take(struct store *s, const char *name, const char *token, uint64_t hold_ms,
                       uint64_t time_ms, tlsrpt_on_take *on_take, void *context)
{
    struct tlsrpt_call *c = call_new(time_ms, context, on_taken);
    struct buf *b = &c->call.request.bytes;

    c->on.take = on_take;
    script_begin(&c->call, SCRIPT_tlsrpt_take, 2, 4);
    resp_arg(b, SPAN(KEY_TLSRPT_DUE));
    add_key_of(c, name);
    resp_arg_text(b, name);
    resp_arg_text(b, token);
    resp_arg_number(b, (int64_t) hold_ms);
    resp_arg_number(b, (int64_t) tlsrpt_keep_ms);
    store_send(s, &c->call);
}

static void on_ended(struct store_call *call, enum store_result result, const struct redis_value *values)
{
    struct tlsrpt_call *c = call_of(call);
    enum tlsrpt_answer answer = result != STORE_OK                ? TLSRPT_UNKNOWN
                                : redis_is_text(&values[0], "ok") ? TLSRPT_OK
                                                                  : TLSRPT_STALE;

    c->on.end(c->context, answer);
    call_free(c);
}

void tlsrpt_store_end(struct store *s, const char *name, const char *token, enum tlsrpt_outcome outcome,
                      uint64_t delay_ms, const char *sent, uint64_t time_ms, tlsrpt_on_end *on_end,
                      void *context)
{
    static const char *const words[] = {
        [TLSRPT_DONE] = "done", [TLSRPT_BACK] = "back", [TLSRPT_SENT] = "sent"};
    struct tlsrpt_call *c = call_new(time_ms, context, on_ended);
    struct buf *b = &c->call.request.bytes;

    c->on.end = on_end;
    script_begin(&c->call, SCRIPT_tlsrpt_end, 2, 5 + (sent ? 1 : 0));
    resp_arg(b, SPAN(KEY_TLSRPT_DUE));
    add_key_of(c, name);
    resp_arg_text(b, name);
    resp_arg_text(b, token);
    resp_arg_text(b, words[outcome]);
    resp_arg_number(b, (int64_t) delay_ms);
    resp_arg_number(b, (int64_t) tlsrpt_keep_ms);
    if (sent)
        resp_arg_text(b, sent);
    store_send(s, &c->call);
}

/* ---- the operator ---- */

static void on_listed(struct store_call *call, enum store_result result, const struct redis_value *values)
{
    struct tlsrpt_call *c = call_of(call);
    bool ok = result == STORE_OK && values[0].type == REDIS_ARRAY && values[1].type == REDIS_INTEGER;
    size_t count = ok ? values[0].count / 2 : 0;
    struct tlsrpt_waiting *waiting = mem_array(count + 1, sizeof(*waiting));

    for (size_t i = 0; i < count; i++) {
        struct span score = redis_text(&values[0].items[2 * i + 1]);

        waiting[i].name = redis_text(&values[0].items[2 * i]);
        (void) span_number(score, INT64_MAX, &waiting[i].due_ms); /* else 0: now */
    }
    c->on.list(c->context, ok, waiting, count, ok ? (uint64_t) values[1].integer : 0);
    mem_free(waiting);
    call_free(c);
}

void tlsrpt_store_list(struct store *s, size_t most, uint64_t time_ms, tlsrpt_on_list *on_list, void *context)
{
    struct tlsrpt_call *c = call_new(time_ms, context, on_listed);
    struct buf *b = &c->call.request.bytes;

    c->on.list = on_list;
    c->call.accepts_errors = true;
    c->call.is_unheld = true;
    call_begin(&c->call, 5);
    resp_arg(b, SPAN("ZRANGE"));
    resp_arg(b, SPAN(KEY_TLSRPT_DUE));
    resp_arg_number(b, 0);
    resp_arg_number(b, most > 0 ? (int64_t) most - 1 : -1);
    resp_arg(b, SPAN("WITHSCORES"));
    call_begin(&c->call, 2);
    resp_arg(b, SPAN("ZCARD"));
    resp_arg(b, SPAN(KEY_TLSRPT_DUE));
    store_send(s, &c->call);
}

static void on_hurried(struct store_call *call, enum store_result result, const struct redis_value *values)
{
    struct tlsrpt_call *c = call_of(call);
    size_t found = 0;

    for (size_t i = 1; result == STORE_OK && i < call->request.reply_count; i += 2)
        found += values[i].type == REDIS_STRING;
    c->on.hurry(c->context, result == STORE_OK, found);
    call_free(c);
}

void tlsrpt_store_hurry(struct store *s, const char *const *names, size_t count, uint64_t time_ms,
                        tlsrpt_on_hurry *on_hurry, void *context)
{
    struct tlsrpt_call *c = call_new(time_ms, context, on_hurried);
    struct buf *b = &c->call.request.bytes;

    c->on.hurry = on_hurry;
    c->call.accepts_errors = true;
    for (size_t i = 0; i < count; i++) {
        call_begin(&c->call, 5);
        resp_arg(b, SPAN("ZADD"));
        resp_arg(b, SPAN(KEY_TLSRPT_DUE));
        resp_arg(b, SPAN("XX"));
        resp_arg_number(b, 1); /* long ago */
        resp_arg_text(b, names[i]);
        call_begin(&c->call, 3);
        resp_arg(b, SPAN("ZSCORE"));
        resp_arg(b, SPAN(KEY_TLSRPT_DUE));
        resp_arg_text(b, names[i]);
    }
    store_send(s, &c->call);
}
