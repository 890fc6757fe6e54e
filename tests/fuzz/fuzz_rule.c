/*
 * The operator's rules: any rows are rules or passed over; what was read is in range, and written again it reads the same; which of them mean a
 * queue or a job is what looking at one after the other says. First byte: whether records need a right head, and the time; second: who is asked
 * about. Then records, a byte for the length of each; what has no number is a row of any name.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/lane.h"
#include "cluster/rule.h"
#include "cluster/wire.h"
#include "io/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 8, HEAD = 5, NOW = 1000000 };
#define JOB "01KATQ5S8Z4G5W0V0E3HJ2M9XK.2"

static const char *const queues[] = {
    "one.test",           "one.test/bulk", "a.one.test", "one.test/~r5", "one.test/bulk~r5", "two.test/~r12",
    "a.one.test/bulk~r1", QUEUE_FANOUT,    "",           "test"};
static struct recipient recipients[] = {{.addr = (char[]){"bob@one.test"}},
                                        {.addr = (char[]){"eve@two.test"}}};
static struct recipient_state states[] = {{.is_done = false}, {.is_done = false}};
static const struct envelope envelope = {.sender = (char[]){"anna@shop.test"},
                                         .user = (char[]){"anna"},
                                         .client = (char[]){"mx.shop.test [192.0.2.1]"},
                                         .recipients = recipients,
                                         .recipient_count = ARRAY_LEN(recipients)};

/* ---- one row */

static void check_texts(const struct rule *r)
{
    const char *const texts[] = {r->filter.queue,
                                 r->filter.message,
                                 r->filter.sender,
                                 r->filter.recipient,
                                 r->filter.user,
                                 r->filter.tenant,
                                 r->filter.error,
                                 r->filter.class,
                                 r->filter.client,
                                 r->to,
                                 r->by,
                                 r->because};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        must(texts[i] && strlen(texts[i]) <= RULE_TEXT_MAX && span_is_text(span_of(texts[i])));
}

static void check_rule(const struct rule *r, uint64_t now_ms)
{
    AUTO_BUF struct buf id = {.data = NULL}, again = {.data = NULL}, third = {.data = NULL};
    struct rule same;

    must(r->number > 0 && r->action < RULE_ACTION_COUNT && *rule_name(r->action));
    check_texts(r);
    must(rule_is_in_force(r, now_ms) == (rule_ended_ms(r, now_ms) == 0) || !r->since_ms);
    rule_id_add(r->number, &id);
    rule_write(r, &again);
    must(rule_read(buf_span(&id), buf_span(&again), &same) == 0);
    rule_write(&same, &third);
    must(span_equal(buf_span(&again), buf_span(&third)));
    rule_done(&same);
}

/* ---- whom they mean */

static void check_walk(const struct rules *rules, const char *queue)
{
    struct rule_walk w;
    const struct rule *r;
    size_t next = 0;

    rule_walk_begin(&w, rules, queue);
    while ((r = rule_walk_next(&w))) {
        if (!rule_queue_fits(r->filter.queue, queue))
            continue;
        while (!rule_queue_fits(rules->items[next].filter.queue, queue))
            must(++next < rules->count);
        must(rules->items[next++].number == r->number);
    }
    for (; next < rules->count; next++)
        must(!rule_queue_fits(rules->items[next].filter.queue, queue));
}

static const struct rule *look_at_all(const struct rules *rules, enum rule_action action,
                                      const struct rule_subject *s, uint64_t now_ms)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *r = &rules->items[i];
        if (r->action == action && rule_is_in_force(r, now_ms) && rule_filter_fits(&r->filter, s, now_ms))
            return r;
    }
    return NULL;
}

static void check_finding(const struct rules *rules, const struct rule_subject *s, uint64_t now_ms)
{
    for (unsigned i = 0; i < RULE_ACTION_COUNT; i++) {
        enum rule_action action = (enum rule_action) i;
        const struct rule *found = rules_find(rules, action, s, now_ms),
                          *other = look_at_all(rules, action, s, now_ms);
        must(!found == !other && (!found || found->number == other->number));
        must(rules_has(rules, action) == (rules_count(rules, action) > 0));
    }
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule_filter *f = &rules->items[i].filter;
        if (rule_filter_fits_all(f, s, now_ms))
            must(rule_filter_fits(f, s, now_ms));
        if (rule_filter_fits(f, s, now_ms))
            must(rule_queue_fits(f->queue, s->queue));
    }
    const struct rule *by = rules_suspending(rules, s->queue, now_ms);
    must(!by || by->action == RULE_SUSPEND);
}

static void check_rules(const struct redis_value *table, uint64_t now_ms, unsigned subject)
{
    const struct job_state state = {.recipients = states, .recipient_count = ARRAY_LEN(states)};
    struct rules rules;

    states[1].is_done = subject & 32;
    must(rules_read(table, now_ms, &rules) == 0);
    must(rules.count + rules.unreadable <= table->count / 2);
    for (size_t i = 0; i < rules.count; i++) {
        must(i == 0 || rules.items[i - 1].number <= rules.items[i].number);
        must(rules.items[i].number <= rules.last &&
             (now_ms == 0 || rule_is_in_force(&rules.items[i], now_ms)));
        check_rule(&rules.items[i], now_ms);
    }
    const char *queue = queues[subject % 32 % ARRAY_LEN(queues)];
    check_walk(&rules, queue);
    check_finding(&rules, &(struct rule_subject){.queue = queue}, now_ms);
    check_finding(&rules,
                  &(struct rule_subject){.queue = queue,
                                         .job = JOB,
                                         .envelope = subject & 64 ? NULL : &envelope,
                                         .state = subject & 128 ? NULL : &state},
                  now_ms);
    rules_done(&rules);
}

/* ---- rows of an input */

static struct redis_value string_value(struct span text)
{
    return (struct redis_value){.type = REDIS_STRING, .text = text};
}

/* Of the exact size: a byte too many is seen. */
static struct span record_new(const uint8_t *body, size_t len, size_t head)
{
    char *record = malloc(head + len ? head + len : 1);

    must(record);
    if (len)
        memcpy(record + head, body, len);
    if (head) {
        uint32_t sum = hash32((struct span){.at = record + head, .len = len});
        record[0] = 1;
        for (unsigned i = 0; i < HEAD - 1; i++)
            record[1 + i] = (char) (uint8_t) (sum >> 8 * i);
    }
    return (struct span){.at = record, .len = head + len};
}

/* Its own name, if it is a rule; else its bytes. */
static void name_add(struct span record, struct buf *out)
{
    struct rule r = {.number = 77};

    if (wire_get_rule(record, &r) < 0) {
        must(r.number == 77 && !r.by); /* nothing is given back */
        buf_add_span(out, record);
        return;
    }
    rule_id_add(r.number, out);
    rule_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redis_value values[2 * RECORDS_MAX];
    struct buf names[RECORDS_MAX] = {{.data = NULL}};
    struct span records[RECORDS_MAX];
    size_t count = 0, at = 2;

    if (size < 2)
        return 0;
    for (; at < size && count < RECORDS_MAX; count++) {
        size_t len = data[at] < size - at - 1 ? data[at] : size - at - 1;
        records[count] = record_new(data + at + 1, len, data[0] & 128 ? 0 : HEAD);
        at += 1 + len;
        name_add(records[count], &names[count]);
        values[2 * count] = string_value(buf_span(&names[count]));
        values[2 * count + 1] = string_value(records[count]);
    }
    const struct redis_value table = {.type = REDIS_ARRAY, .items = values, .count = 2 * count};
    check_rules(&table, data[0] & 1 ? NOW : 0, data[1]);
    for (size_t i = 0; i < count; i++) {
        buf_done(&names[i]);
        free((char *) (uintptr_t) records[i].at);
    }
    return 0;
}
