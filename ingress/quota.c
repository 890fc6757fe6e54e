/*
 * An account for each tenant with a quota that is active here. What passes is counted from the moment it passes; a reading that was asked for
 * later has it. A message that takes longer than that from MAIL to its commit is missing between the two: a quota is for what piles up, not
 * for single messages.
 */
#include "ingress/quota.h"

#include "base/clock.h"
#include "base/conf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { READ_EVERY_MS = 2000, STALE_MS = 5000, IDLE_MS = 20000, ACCOUNTS_MAX = 10000 };

struct account {
    struct tenant_use use;    /* as read */
    struct tenant_use passed; /* here, since that reading was asked for */
    struct tenant_use before; /* of these, what the reading under way may have */
    uint64_t read_ms;         /* clock_ms(); 0: never */
    uint64_t active_ms;
    bool is_reading;
    char *name;
};

struct question {
    struct list link;
    struct quota *quota;
    struct timer time;
    struct account *account;
    uint64_t most_messages, most_bytes, bytes;
    limit_on_answer *on_answer;
    void *context;
};

/* A reading under way. */
struct reading {
    struct list link;
    struct quota *quota; /* NULL: closed meanwhile */
    struct account *accounts[TENANT_USES_MAX];
};

struct quota {
    struct store *store;
    struct loop *loop;
    struct map accounts; /* by name */
    struct list questions, readings;
    struct timer timer;
    struct tail read;
};

static void on_time(struct timer *t);

/* ---- judging */

static struct limit_result judge(struct account *a, uint64_t most_messages, uint64_t most_bytes,
                                 uint64_t bytes)
{
    uint64_t messages = a->use.messages + a->passed.messages, held = a->use.bytes + a->passed.bytes;

    if (most_messages && messages >= most_messages)
        return (struct limit_result){.answer = LIMIT_REFUSED, .label = "tenant's queue_messages"};
    if (most_bytes && (held >= most_bytes || bytes > most_bytes - held))
        return (struct limit_result){.answer = LIMIT_REFUSED, .label = "tenant's queue_bytes"};
    a->passed.messages++;
    a->passed.bytes += bytes;
    return (struct limit_result){.answer = LIMIT_PASS};
}

static void question_end(struct question *q, const struct limit_result *result)
{
    limit_on_answer *on_answer = q->on_answer;
    void *context = q->context;

    timer_stop(&q->time);
    list_remove(&q->link);
    mem_free(q);
    on_answer(context, result);
}

static void on_question_time(struct timer *t)
{
    const struct limit_result unknown = {.answer = LIMIT_UNKNOWN};

    question_end(CONTAINER_OF(t, struct question, time), &unknown);
}

/* ---- reading */

static void account_free(struct account *a)
{
    mem_free(a->name);
    mem_free(a);
}

/* Those who asked may ask again meanwhile, and cancel: one at a time, from the start. */
static void answer_waiting(struct quota *q, const struct account *a)
{
    for (bool is_done = false; !is_done;) {
        is_done = true;
        LIST_EACH(&q->questions, at, next) {
            struct question *question = LIST_ENTRY(at, struct question, link);
            if (question->account != a)
                continue;
            struct limit_result result = judge(question->account, question->most_messages,
                                               question->most_bytes, question->bytes);
            question_end(question, &result);
            is_done = false;
            break;
        }
    }
}

static void on_uses(void *context, const struct tenant_use *uses, size_t count)
{
    struct reading *r = context;
    struct quota *q = r->quota;

    list_remove(&r->link);
    for (size_t i = 0; q && i < count; i++) {
        struct account *a = r->accounts[i];
        a->is_reading = false;
        if (!uses)
            continue;
        a->use = uses[i];
        a->passed.messages -= a->before.messages;
        a->passed.bytes -= a->before.bytes;
        a->read_ms = clock_ms();
    }
    for (size_t i = 0; q && uses && i < count; i++)
        answer_waiting(q, r->accounts[i]);
    mem_free(r);
}

/* All that are due, some dozens in one call. */
static void on_read(struct tail *t)
{
    struct quota *q = CONTAINER_OF(t, struct quota, read);
    struct span names[TENANT_USES_MAX], name;
    struct reading *r = NULL;
    size_t cursor = 0, count = 0;
    void *value;

    for (bool has_more = true; has_more;) {
        has_more = map_next(&q->accounts, &cursor, &name, &value);
        struct account *a = value;
        if (has_more && !a->is_reading && (a->read_ms == 0 || clock_ms() >= a->read_ms + READ_EVERY_MS)) {
            if (!r)
                r = NEW(struct reading);
            a->is_reading = true;
            a->before = a->passed;
            names[count] = name;
            r->accounts[count++] = a;
        }
        if (r && (!has_more || count == TENANT_USES_MAX)) {
            r->quota = q;
            list_append(&q->readings, &r->link);
            tenant_uses(q->store, names, count, conf_get()->ingress.limits_time_ms, on_uses, r);
            r = NULL;
            count = 0;
        }
    }
}

/* Those that sent nothing for a while are forgotten, the others are read again. */
static void on_time(struct timer *t)
{
    struct quota *q = CONTAINER_OF(t, struct quota, timer);
    uint64_t now = clock_ms();
    size_t cursor = 0;
    struct span name;
    void *value;

    while (map_next(&q->accounts, &cursor, &name, &value)) {
        struct account *a = value;
        if (a->is_reading || now < a->active_ms + IDLE_MS)
            continue;
        (void) map_remove(&q->accounts, name); /* it is value */
        account_free(a);
    }
    if (q->accounts.count == 0)
        return;
    timer_start(q->loop, &q->timer, READ_EVERY_MS, on_time);
    tail_add(q->loop, &q->read, on_read);
}

/* ---- asking */

/* NULL: too many. */
static struct account *account_of(struct quota *q, const struct tenant *t)
{
    struct account *a = map_get(&q->accounts, span_of(t->name));

    if (!a && q->accounts.count >= ACCOUNTS_MAX)
        return NULL;
    if (!a) {
        a = NEW(struct account);
        a->name = mem_string(t->name);
        if (q->accounts.count == 0)
            timer_start(q->loop, &q->timer, READ_EVERY_MS, on_time);
        (void) map_set(&q->accounts, span_of(a->name), a); /* there was none */
    }
    a->active_ms = clock_ms();
    return a;
}

static bool answer(struct limit_result *ret, enum limit_answer answer)
{
    *ret = (struct limit_result){.answer = answer};
    return true;
}

bool quota_ask(struct quota *q, const struct tenant *t, uint64_t bytes, limit_on_answer *on_answer,
               void *context, struct limit_result *ret)
{
    if (!tenant_has_quota(t))
        return answer(ret, LIMIT_PASS);
    struct account *a = account_of(q, t);
    if (!a)
        return answer(ret, LIMIT_UNKNOWN);
    if (a->read_ms && clock_ms() < a->read_ms + STALE_MS) {
        *ret = judge(a, t->queue_messages, t->queue_bytes, bytes);
        return true;
    }
    if (!store_is_ready(q->store))
        return answer(ret, LIMIT_UNKNOWN);
    struct question *question = NEW(struct question);
    *question = (struct question){
        .quota = q,
        .account = a,
        .most_messages = t->queue_messages,
        .most_bytes = t->queue_bytes,
        .bytes = bytes,
        .on_answer = on_answer,
        .context = context,
    };
    list_append(&q->questions, &question->link);
    timer_start(q->loop, &question->time, conf_get()->ingress.limits_time_ms, on_question_time);
    tail_add(q->loop, &q->read, on_read);
    return false;
}

void quota_cancel(struct quota *q, const void *context)
{
    LIST_EACH(&q->questions, at, next) {
        struct question *question = LIST_ENTRY(at, struct question, link);
        if (question->context != context)
            continue;
        timer_stop(&question->time);
        list_remove(&question->link);
        mem_free(question);
    }
}

/* ---- its life */

struct quota *quota_open(struct store *s)
{
    struct quota *q = NEW(struct quota);

    q->store = s;
    q->loop = store_loop(s);
    list_init(&q->questions);
    list_init(&q->readings);
    return q;
}

struct quota *quota_close(struct quota *q)
{
    size_t cursor = 0;
    struct span name;
    void *value;

    if (!q)
        return NULL;
    while (!list_is_empty(&q->questions))
        quota_cancel(q, LIST_FIRST(&q->questions, struct question, link)->context);
    while (!list_is_empty(&q->readings)) {
        struct reading *r = LIST_FIRST(&q->readings, struct reading, link);
        list_remove(&r->link);
        r->quota = NULL;
    }
    timer_stop(&q->timer);
    tail_remove(&q->read);
    while (map_next(&q->accounts, &cursor, &name, &value))
        account_free(value);
    map_done(&q->accounts);
    return mem_free(q);
}
