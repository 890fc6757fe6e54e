/* The cluster-wide tables: one script writes, plain commands read. */
#include "cluster/table.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/keys.h"

enum { SCAN_COUNT = 500 };

static const char *const names[] = {
#define TABLE(NAME, name, help) [TABLE_##NAME] = (name),
#include "cluster/table.def"
#undef TABLE
};

struct table_call {
    struct store_call call;
    void *context;
    union {
        table_on_value *value;
        table_on_find *find;
        table_on_versions *versions;
    } on;
    bool is_removal;
};

/* A walk over a table, page by page with the same call. */
struct table_walk {
    struct store_call call;
    struct store *store;
    enum table table;
    uint64_t time_ms;
    table_on_row *on_row;
    table_on_end *on_end;
    void *context;
};

const char *table_name(enum table table)
{
    must(table < TABLE_COUNT);
    return names[table];
}

static void add_key(struct buf *command, enum table table)
{
    AUTO_FREE char *key = mem_format("barid:{c}:%s", table_name(table));

    resp_arg_text(command, key);
}

static uint64_t give_up_at(uint64_t time_ms)
{
    return time_ms == UINT64_MAX ? UINT64_MAX : clock_ms() + time_ms;
}

static struct table_call *call_new(uint64_t time_ms, void *context,
                                   void (*on_done)(struct store_call *c, enum store_result result,
                                                   const struct redis_value *values))
{
    struct table_call *call = NEW(struct table_call);

    call->call.give_up_ms = give_up_at(time_ms);
    call->call.on_done = on_done;
    call->context = context;
    return call;
}

static void call_free(struct table_call *call)
{
    store_call_done(&call->call);
    mem_free(call);
}

/* ---- reading one */

static void on_got(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct table_call *call = CONTAINER_OF(c, struct table_call, call);
    enum table_answer answer = TABLE_UNKNOWN;
    struct span value = {.at = NULL};

    if (result == STORE_OK && values[0].type == REDIS_STRING) {
        answer = TABLE_OK;
        value = values[0].text;
    } else if (result == STORE_OK && values[0].type == REDIS_NIL) {
        answer = TABLE_NONE;
    }
    call->on.value(call->context, answer, value);
    call_free(call);
}

void table_get(struct store *s, enum table table, struct span field, uint64_t time_ms,
               table_on_value *on_value, void *context)
{
    struct table_call *call = call_new(time_ms, context, on_got);

    call->on.value = on_value;
    call->call.accepts_errors = true; /* a key of another type is this table's trouble only */
    call->call.is_unheld = true;
    call_begin(&call->call, 3);
    resp_arg(&call->call.request.bytes, SPAN("HGET"));
    add_key(&call->call.request.bytes, table);
    resp_arg(&call->call.request.bytes, field);
    store_send(s, &call->call);
}

/* HMGET answers with an array of its own, or an error. */
static void on_found(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct table_call *call = CONTAINER_OF(c, struct table_call, call);
    bool is_read = result == STORE_OK && values[0].type == REDIS_ARRAY;
    size_t which = 0;

    while (is_read && which < values[0].count && values[0].items[which].type != REDIS_STRING)
        which++;
    if (is_read && which < values[0].count)
        call->on.find(call->context, TABLE_OK, which, values[0].items[which].text);
    else
        call->on.find(call->context, is_read ? TABLE_NONE : TABLE_UNKNOWN, 0, (struct span){.at = NULL});
    call_free(call);
}

void table_find(struct store *s, enum table table, const struct span *fields, size_t count, uint64_t time_ms,
                table_on_find *on_find, void *context)
{
    struct table_call *call = call_new(time_ms, context, on_found);

    must(count && count <= TABLE_FIELDS_MAX);
    call->on.find = on_find;
    call->call.accepts_errors = true;
    call->call.is_unheld = true;
    call_begin(&call->call, 2 + count);
    resp_arg(&call->call.request.bytes, SPAN("HMGET"));
    add_key(&call->call.request.bytes, table);
    for (size_t i = 0; i < count; i++)
        resp_arg(&call->call.request.bytes, fields[i]);
    store_send(s, &call->call);
}

/* ---- writing one */

static enum table_answer answer_of(const struct redis_value *value)
{
    static const char *const words[] = {
        [TABLE_OK] = "ok", [TABLE_NONE] = "none", [TABLE_EXISTS] = "exists", [TABLE_CHANGED] = "changed"};
    enum table_answer answer = TABLE_OK;

    while (answer < TABLE_UNKNOWN && !redis_is_text(value, words[answer]))
        answer++;
    must(answer < TABLE_UNKNOWN); /* no other answer is in the script */
    return answer;
}

static void on_written(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct table_call *call = CONTAINER_OF(c, struct table_call, call);
    enum table_answer answer = TABLE_UNKNOWN;

    if (result == STORE_OK)
        answer = answer_of(&values[0]);
    if (call->is_removal && answer == TABLE_NONE && c->is_unsure)
        answer = TABLE_OK; /* an earlier send has taken it out */
    call->on.value(call->context, answer, (struct span){.at = NULL});
    call_free(call);
}

static void write_send(struct store *s, enum table table, struct span field, const struct span *value,
                       const struct span *expected, struct table_call *call)
{
    struct buf *b = &call->call.request.bytes;

    must(!value ||
         (field.len && field.len <= TABLE_FIELD_MAX && value->len && value->len <= TABLE_VALUE_MAX));
    call->is_removal = !value;
    script_begin(&call->call, SCRIPT_table, 2, 6);
    add_key(b, table);
    resp_arg_text(b, KEY_CHANGED);
    resp_arg_text(b, table_name(table));
    resp_arg(b, value ? SPAN("put") : SPAN("remove"));
    resp_arg(b, field);
    resp_arg(b, !expected ? SPAN("any") : expected->len ? SPAN("is") : SPAN("none"));
    resp_arg(b, expected ? *expected : SPAN(""));
    resp_arg(b, value ? *value : SPAN(""));
    store_send(s, &call->call);
}

void table_put(struct store *s, enum table table, struct span field, struct span value,
               const struct span *expected, uint64_t time_ms, table_on_value *on_done, void *context)
{
    struct table_call *call = call_new(time_ms, context, on_written);

    call->on.value = on_done;
    write_send(s, table, field, &value, expected, call);
}

void table_remove(struct store *s, enum table table, struct span field, const struct span *expected,
                  uint64_t time_ms, table_on_value *on_done, void *context)
{
    struct table_call *call = call_new(time_ms, context, on_written);

    call->on.value = on_done;
    write_send(s, table, field, NULL, expected, call);
}

/* ---- reading all */

static void walk_end(struct table_walk *walk, enum table_answer answer)
{
    walk->on_end(walk->context, answer);
    store_call_done(&walk->call);
    mem_free(walk);
}

static void walk_ask(struct table_walk *walk, struct span cursor)
{
    struct buf *b = &walk->call.request.bytes;
    struct buf next = {.data = NULL};

    resp_command(&next, 5);
    resp_arg(&next, SPAN("HSCAN"));
    add_key(&next, walk->table);
    resp_arg(&next, cursor); /* it may point into the reply that is freed with the old bytes */
    resp_arg(&next, SPAN("COUNT"));
    resp_arg_number(&next, SCAN_COUNT);
    buf_done(b);
    *b = next;
    walk->call.request.reply_count = 1;
    walk->call.give_up_ms = give_up_at(walk->time_ms);
    store_send(walk->store, &walk->call);
}

static void on_page(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct table_walk *walk = CONTAINER_OF(c, struct table_walk, call);

    if (result != STORE_OK || values[0].type != REDIS_ARRAY || values[0].count != 2) {
        walk_end(walk, TABLE_UNKNOWN);
        return;
    }
    const struct redis_value *rows = &values[0].items[1];
    for (size_t i = 1; i < rows->count; i += 2)
        walk->on_row(walk->context, redis_text(&rows->items[i - 1]), redis_text(&rows->items[i]));
    if (redis_is_text(&values[0].items[0], "0"))
        walk_end(walk, TABLE_OK);
    else
        walk_ask(walk, redis_text(&values[0].items[0]));
}

void table_list(struct store *s, enum table table, uint64_t time_ms, table_on_row *on_row,
                table_on_end *on_end, void *context)
{
    struct table_walk *walk = NEW(struct table_walk);

    *walk = (struct table_walk){.store = s,
                                .table = table,
                                .time_ms = time_ms,
                                .on_row = on_row,
                                .on_end = on_end,
                                .context = context};
    walk->call.on_done = on_page;
    walk->call.accepts_errors = true;
    walk->call.is_unheld = true;
    walk_ask(walk, SPAN("0"));
}

/* ---- versions */

static void on_versions_read(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct table_call *call = CONTAINER_OF(c, struct table_call, call);
    struct table_version versions[TABLE_COUNT] = {{.count = 0}};
    bool is_read = result == STORE_OK && values[0].type == REDIS_ARRAY && values[0].count == TABLE_COUNT;

    for (unsigned i = 0; is_read && i < TABLE_COUNT; i++) {
        int64_t number;
        if (redis_number(&values[0].items[i], &number) == 0 && number > 0)
            versions[i].version = (uint64_t) number;
        bool is_hash = redis_number(&values[1 + i], &number) == 0 && number >= 0;
        versions[i].count = is_hash ? (uint64_t) number : UINT64_MAX;
    }
    call->on.versions(call->context, is_read ? versions : NULL);
    call_free(call);
}

void table_versions(struct store *s, uint64_t time_ms, table_on_versions *on_versions, void *context)
{
    struct table_call *call = call_new(time_ms, context, on_versions_read);
    struct buf *b = &call->call.request.bytes;

    call->on.versions = on_versions;
    call->call.accepts_errors = true;
    call->call.is_unheld = true;
    call_begin(&call->call, 2 + TABLE_COUNT);
    resp_arg(b, SPAN("HMGET"));
    resp_arg_text(b, KEY_CHANGED);
    for (unsigned i = 0; i < TABLE_COUNT; i++)
        resp_arg_text(b, table_name(i));
    for (unsigned i = 0; i < TABLE_COUNT; i++) {
        call_begin(&call->call, 2);
        resp_arg(b, SPAN("HLEN"));
        add_key(b, i);
    }
    store_send(s, &call->call);
}
