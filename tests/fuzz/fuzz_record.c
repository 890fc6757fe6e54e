/*
 * Stored records: any bytes are refused, and then nothing is given back, or read; what was read is in range, and written again it reads the
 * same. Also the nodes' hash, whose values are records behind a count.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "io/hash.h"
#include "io/redis.h"
#include "mail/orcpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { USER = 4 };

static const uint64_t time_max = UINT64_C(1) << 48;

/* What a SMTP command or a header line could be made of. */
static void check_line(const char *text, size_t min, size_t max)
{
    must(strlen(text) >= min && strlen(text) <= max && !strpbrk(text, "\r\n"));
}

/* What a MAIL or RCPT command could be made of: without spaces, and nothing decoded is more than text. */
static void check_wishes(const struct envelope *e)
{
    must(e->ret < RET_COUNT && e->by_mode < BY_MODE_COUNT && e->release_ms < time_max && e->by_ms < time_max);
    must(!e->envid || (strlen(e->envid) <= ENVID_MAX && xtext_is_sound(span_of(e->envid))));
    for (size_t i = 0; i < e->recipient_count; i++) {
        const struct recipient *r = &e->recipients[i];
        must(r->notify == NOTIFY_NEVER || (r->notify <= NOTIFY_ALL && !(r->notify & NOTIFY_NEVER)));
        must(!r->orcpt || (strlen(r->orcpt) <= ORCPT_MAX && !strpbrk(r->orcpt, " \t\r\n")));
    }
    if (e->user)
        check_line(e->user, 1, 512);
    if (e->tenant)
        check_line(e->tenant, 1, 512);
    if (e->auth)
        check_line(e->auth, 0, 1024);
}

static void check_envelope(const struct envelope *e)
{
    struct id id;
    uint32_t index;

    check_line(e->sender, 0, 1024);
    must(e->recipient_count > 0 && e->recipient_count <= ENVELOPE_RECIPIENTS_MAX && e->queue_count > 0 &&
         e->queue_count <= ENVELOPE_RECIPIENTS_MAX);
    for (size_t i = 0; i < e->recipient_count; i++) {
        check_line(e->recipients[i].addr, 1, 1024);
        must(e->recipients[i].queue < e->queue_count);
    }
    for (size_t i = 0; i < e->queue_count; i++) {
        check_line(e->queues[i], 1, QUEUE_TEXT_MAX);
        must(!strchr(e->queues[i], ' '));
    }
    must(e->content_partition < PARTITION_COUNT && e->arrival_ms < time_max && e->chunk_count <= 16384);
    check_wishes(e);
    must(e->content_job[0] ? job_parse(span_of(e->content_job), &id, &index) == 0 : e->chunk_count == 0);
}

static void try_envelope(struct span in)
{
    static const struct envelope nothing = {.arrival_ms = 77};
    AUTO_BUF struct buf again = {0}, third = {0};
    struct envelope e = nothing, same;

    if (wire_get_envelope(in, &e)) {
        must(memcmp(&e, &nothing, sizeof(e)) == 0);
        return;
    }
    check_envelope(&e);
    wire_put_envelope(&e, &again);
    must(!wire_get_envelope(buf_span(&again), &same));
    wire_put_envelope(&same, &third);
    must(span_equal(buf_span(&again), buf_span(&third)));
    envelope_done(&same);
    envelope_done(&e);
}

static void check_state(const struct job_state *s, const struct envelope *e)
{
    must(s->recipient_count == e->recipient_count && s->cursor <= e->queue_count &&
         s->unknown_count <= e->queue_count && s->last_attempt_ms < time_max);
    for (size_t i = 0; i < s->unknown_count; i++)
        must(s->unknown[i] > 0 && s->unknown[i] <= e->queue_count);
    for (size_t i = 0; i < s->recipient_count; i++) {
        const struct verdict *v = &s->recipients[i].last;
        must(v->class <= VERDICT_FAILED && v->code <= 999 && strlen(v->status) < sizeof(v->status));
        must(v->bounce < BOUNCE_COUNT && (v->class == VERDICT_NONE || (v->text && v->remote)));
    }
}

static void try_state(struct span in)
{
    static struct recipient recipients[3];
    static char *queues[3];
    static const struct envelope e = {
        .recipients = recipients, .recipient_count = 3, .queues = queues, .queue_count = 3};
    static const struct job_state nothing = {.rounds = 77};
    AUTO_BUF struct buf again = {0}, third = {0};
    struct job_state s = nothing, same;

    if (wire_get_state(in, &e, &s)) {
        must(memcmp(&s, &nothing, sizeof(s)) == 0);
        return;
    }
    check_state(&s, &e);
    wire_put_state(&s, &again);
    must(!wire_get_state(buf_span(&again), &e, &same));
    wire_put_state(&same, &third);
    must(span_equal(buf_span(&again), buf_span(&third)));
    job_state_done(&same);
    job_state_done(&s);
}

static void try_stats(struct span in)
{
    static const struct node_stats nothing = {.sessions = 77};
    AUTO_BUF struct buf again = {0}, third = {0};
    struct node_stats s = nothing, same;

    if (wire_get_stats(in, &s)) {
        must(memcmp(&s, &nothing, sizeof(s)) == 0);
        return;
    }
    must(s.role < ROLE_COUNT && s.partitions <= PARTITION_COUNT && s.beat_ms < time_max &&
         s.started_ms < time_max);
    wire_put_stats(&s, &again);
    must(!wire_get_stats(buf_span(&again), &same));
    wire_put_stats(&same, &third);
    must(span_equal(buf_span(&again), buf_span(&third)));
    node_stats_done(&same);
    node_stats_done(&s);
}

static void try_user(struct span in)
{
    struct user *u = NULL, *same = NULL;
    struct addr sender;
    AUTO_BUF struct buf again = {.data = NULL}, third = {.data = NULL};

    if (wire_get_user(in, &u) < 0)
        return;
    must(user_name_check(span_of(u->name)) == 0 && verifier_is_sound(&u->verifier));
    must(u->sender_count <= USER_SENDERS_MAX);
    must(addr_parse(SPAN("a@one.test"), &sender) == 0);
    (void) user_may_send(u, &sender); /* any answer will do */
    wire_put_user(u, &again);
    must(!wire_get_user(buf_span(&again), &same));
    wire_put_user(same, &third);
    must(span_equal(buf_span(&again), buf_span(&third)));
    user_unref(same);
    user_unref(u);
}

static struct redis_value string_value(struct span text)
{
    return (struct redis_value){.type = REDIS_STRING, .text = text};
}

/* A hash of nodes: names and values as the record cuts them, the last value whole. */
static void try_nodes(struct span in)
{
    struct span rest = in, last = span_cut(&rest, '\n'), name = span_cut(&rest, '\n');
    const struct redis_value items[] = {string_value(SPAN("last")), string_value(last),
                                        string_value(name),         string_value(rest),
                                        string_value(SPAN("1001")), string_value(rest)};
    const struct redis_value value = {.type = REDIS_ARRAY, .items = items, .count = ARRAY_LEN(items)};
    struct node_view v;

    must(view_read(&value, &v) == 0);
    must(v.last <= UINT64_C(1) << 53 && v.count >= 1 && v.count <= 2);
    for (size_t i = 0; i < v.count; i++) {
        must(v.peers[i].incarnation <= UINT64_C(1) << 53 && v.peers[i].stats.role <= ROLE_COUNT);
        must(i == 0 || v.peers[i - 1].incarnation <= v.peers[i].incarnation);
    }
    (void) node_for_partition(&v, 7); /* any answer will do */
    (void) node_choose(&v, ROLE_COURIER, SPAN("one.test"));
    view_done(&v);
    struct node_orders o;
    must(node_orders_read(&value, &o) == 0);             /* the same as a hash of orders */
    (void) node_orders_find(&o, NODE_ORDER_DRAIN, rest); /* any answer will do */
    node_orders_done(&o);
}

/* First byte: which record, and whether the rest is a body to be given a right head. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    size_t len = size - 1, head = data[0] & 128 ? 0 : 5;
    char *record = malloc(head + len + 1); /* of the exact size at its end: a byte too many is seen */
    must(record);
    memcpy(record + head, data + 1, len);
    if (head) {
        uint32_t sum = hash32((struct span){.at = record + head, .len = len});
        record[0] = 1;
        for (unsigned i = 0; i < 4; i++)
            record[1 + i] = (char) (uint8_t) (sum >> 8 * i);
    }
    record = realloc(record, head + len ? head + len : 1);
    must(record);
    struct span in = {.at = record, .len = head + len};
    switch (data[0] & 64 ? USER : data[0] % USER) {
    case 0: try_envelope(in); break;
    case 1: try_state(in); break;
    case 2: try_stats(in); break;
    case USER: try_user(in); break;
    default: try_nodes(in); break;
    }
    free(record);
    return 0;
}
