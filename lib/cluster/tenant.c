/* Tenants: records, and their use of the queue, which every partition counts for itself. */
#include "cluster/tenant.h"

#include <errno.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/store.h"
#include "cluster/table.h"
#include "cluster/wire.h"

const struct tenant_row tenant_rows[] = {
#define TENANT_RATE(name, what, per_ms, help) {#name, (help), offsetof(struct tenant, name)},
#define TENANT_QUOTA(name, help) {#name, (help), offsetof(struct tenant, name)},
#include "cluster/tenant.def"
};
const size_t tenant_row_count = ARRAY_LEN(tenant_rows);

uint64_t *tenant_limit(struct tenant *t, size_t row)
{
    must(row < tenant_row_count);
    return (uint64_t *) (void *) ((char *) t + tenant_rows[row].offset);
}

struct tenant *tenant_new(struct span name)
{
    struct tenant *t = NEW(struct tenant);

    t->holders = 1;
    t->name = mem_text(name.at, name.len);
    return t;
}

struct tenant *tenant_ref(struct tenant *t)
{
    t->holders++;
    return t;
}

struct tenant *tenant_unref(struct tenant *t)
{
    if (!t || --t->holders)
        return NULL;
    mem_free(t->name);
    return mem_free(t);
}

bool tenant_has_quota(const struct tenant *t)
{
    return t && (t->queue_messages || t->queue_bytes);
}

int tenant_name_check(struct span name)
{
    return name.len > 0 && name.len <= TENANT_NAME_MAX && span_is_text(name) ? 0 : -EINVAL;
}

void tenant_encode(const struct tenant *t, struct buf *out)
{
    wire_put_tenant(t, out);
}

int tenant_decode(struct span in, struct tenant **ret_tenant)
{
    return wire_get_tenant(in, ret_tenant);
}

/* ---- a record */

struct tenant_question {
    char *name;
    tenant_on_answer *on_answer;
    void *context;
};

static void on_record(void *context, enum table_answer answer, struct span value)
{
    struct tenant_question *q = context;
    struct tenant *t = NULL;
    enum tenant_answer said = answer == TABLE_NONE ? TENANT_NONE : TENANT_AWAY;

    if (answer == TABLE_OK) {
        said = tenant_decode(value, &t) < 0 ? TENANT_BROKEN : TENANT_FOUND;
        if (t && !span_equal(span_of(t->name), span_of(q->name))) {
            t = tenant_unref(t); /* put there by a hand that copied another's */
            said = TENANT_BROKEN;
        }
    }
    q->on_answer(q->context, said, t);
    (void) tenant_unref(t); /* always NULL */
    mem_free(q->name);
    mem_free(q);
}

void tenant_get(struct store *s, struct span name, uint64_t time_ms, tenant_on_answer *on_answer,
                void *context)
{
    struct tenant_question *q = NEW(struct tenant_question);

    must(tenant_name_check(name) == 0);
    q->name = mem_text(name.at, name.len);
    q->on_answer = on_answer;
    q->context = context;
    table_get(s, TABLE_TENANTS, name, time_ms, on_record, q);
}

/* ---- its use: one HMGET of each partition, all in one call, or in a Redis Cluster one call for each */

struct uses {
    size_t count;
    size_t pending; /* calls, and tenant_uses() itself until it has sent all */
    bool is_unknown;
    tenant_on_uses *on_uses;
    void *context;
    struct tenant_use uses[TENANT_USES_MAX];
};

struct uses_call {
    struct store_call call;
    struct uses *uses;
};

/* Partitions count for themselves, and what one lost another may have too much of: below nothing is nothing (BEHAVIOURS M06). */
static uint64_t count_of(const struct redis_value *v)
{
    int64_t n;

    return redis_number(v, &n) < 0 || n < 0 || (uint64_t) n > TENANT_LIMIT_MAX ? 0 : (uint64_t) n;
}

static void uses_end(struct uses *uses)
{
    if (--uses->pending)
        return;
    uses->on_uses(uses->context, uses->is_unknown ? NULL : uses->uses, uses->count);
    mem_free(uses);
}

static void on_counts(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct uses_call *call = CONTAINER_OF(c, struct uses_call, call);
    struct uses *uses = call->uses;

    uses->is_unknown |= result != STORE_OK;
    for (size_t i = 0; result == STORE_OK && i < c->request.reply_count; i++) {
        if (values[i].type != REDIS_ARRAY || values[i].count != 2 * uses->count)
            continue; /* no hash: nobody can count there */
        for (size_t j = 0; j < uses->count; j++) {
            uses->uses[j].messages += count_of(&values[i].items[2 * j]);
            uses->uses[j].bytes += count_of(&values[i].items[2 * j + 1]);
        }
    }
    store_call_done(c);
    mem_free(call);
    uses_end(uses);
}

static void add_field(struct buf *b, const char *kind, struct span tenant)
{
    AUTO_BUF struct buf field = {.data = NULL};

    buf_add_text(&field, kind);
    buf_add_span(&field, tenant);
    resp_arg(b, buf_span(&field));
}

static void uses_ask(struct uses *uses, struct store *s, const struct span *names, unsigned first,
                     unsigned count, uint64_t time_ms)
{
    struct uses_call *call = NEW(struct uses_call);
    struct buf *b = &call->call.request.bytes;

    call->uses = uses;
    uses->pending++;
    for (unsigned partition = first; partition < first + count; partition++) {
        call_begin(&call->call, 2 + 2 * uses->count);
        resp_arg(b, SPAN("HMGET"));
        key_arg(b, KEY_OF_TENANTS, partition, (struct span){.at = NULL}, 0);
        for (size_t i = 0; i < uses->count; i++) {
            add_field(b, "m:", names[i]);
            add_field(b, "b:", names[i]);
        }
    }
    call->call.accepts_errors = true; /* a key of the wrong type */
    call->call.is_unheld = true;
    call->call.give_up_ms = clock_ms() + time_ms;
    call->call.on_done = on_counts;
    store_send(s, &call->call);
}

void tenant_uses(struct store *s, const struct span *names, size_t count, uint64_t time_ms,
                 tenant_on_uses *on_uses, void *context)
{
    struct uses *uses = NEW(struct uses);
    unsigned each = store_has_slots(s) ? 1 : PARTITION_COUNT;

    must(count > 0 && count <= TENANT_USES_MAX);
    uses->count = count;
    uses->on_uses = on_uses;
    uses->context = context;
    uses->pending = 1;
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition += each)
        uses_ask(uses, s, names, partition, each, time_ms);
    uses_end(uses);
}
