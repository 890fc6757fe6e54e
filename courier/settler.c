/* Writes settles: entries wait per partition while one call is under way there, and leave together at the end of a round. */
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "courier/ring.h"
#include "courier/settle_private.h"
#include "courier/work.h"

enum { SETTLE_MAX = 64, LATE_MS = 3000 };

struct desk { /* of one partition */
    struct settler *settler;
    struct list link; /* in settler.under_way */
    uint64_t sent_ms;
    size_t pending; /* waiting and sent */
    struct list waiting;
    struct entry *sent[SETTLE_MAX];
    size_t sent_count;
    struct tail tail;
};

struct settler {
    struct courier *courier;
    size_t pending;
    struct list under_way; /* desks with a call, the oldest first */
    struct desk desks[PARTITION_COUNT];
};

struct settler *settler_new(struct courier *c)
{
    struct settler *s = NEW(struct settler);

    s->courier = c;
    list_init(&s->under_way);
    for (size_t i = 0; i < PARTITION_COUNT; i++) {
        s->desks[i].settler = s;
        list_init(&s->desks[i].waiting);
    }
    return s;
}

static void entry_free(struct entry *e)
{
    buf_done(&e->state);
    buf_done(&e->detail);
    dsn_job_done(&e->dsn);
    notice_done(&e->notice);
    mem_free(e->dsn_to);
    mem_free(e->queue);
    mem_free(e->name);
    mem_free(e->token);
    mem_free(e);
}

size_t settler_pending_count(const struct settler *s)
{
    return s->pending;
}

size_t settler_pending_in(const struct settler *s, unsigned partition)
{
    return s->desks[partition].pending;
}

bool settler_is_late(const struct settler *s, unsigned partition)
{
    uint64_t now = clock_ms();

    for (const struct list *it = s->under_way.next; it != &s->under_way; it = it->next) {
        const struct desk *desk = LIST_ENTRY((struct list *) (uintptr_t) it, struct desk, link);
        if (now < desk->sent_ms + LATE_MS)
            return false; /* the others were sent later */
        if (store_partitions_share(s->courier->store, (unsigned) (desk - s->desks), partition))
            return true;
    }
    return false;
}

/* ---- writing ---- */

static void desk_send(struct desk *desk);

static void on_tail(struct tail *t)
{
    desk_send(CONTAINER_OF(t, struct desk, tail));
}

static void desk_wake(struct desk *desk)
{
    if (desk->sent_count == 0 && !list_is_empty(&desk->waiting))
        tail_add(desk->settler->courier->loop, &desk->tail, on_tail);
}

/* The answer says that the claim was not ours any more, and no repeat of our own explains it. */
static void tell_in_doubt(const struct entry *e)
{
    if (!e->job || !e->job->message.dot_sent)
        return;
    metric_add(METRIC_IN_DOUBT_TOTAL, 1);
    log_event(LOG_IN_DOUBT, F("job", e->name), F("queue", e->queue),
              F("why", "the claim was taken back before the verdict was recorded"));
}

static void pass_sent(const struct entry *e)
{
    if (e->outcome == OUTCOME_KEEP)
        FAULT_SENT(note_sent);
    else if (e->is_moved)
        FAULT_SENT(move_sent);
    else
        FAULT_SENT(settle_sent);
}

static void pass_confirmed(const struct entry *e)
{
    if (e->outcome == OUTCOME_KEEP)
        FAULT_POINT(note_confirmed);
    else if (e->is_moved)
        FAULT_POINT(moved);
    else if (e->job && e->job->work->is_fanout)
        FAULT_POINT(fanout_ended);
    else
        FAULT_POINT(settle_confirmed);
}

static void entry_over(struct entry *e, enum settle_answer answer, bool repeated)
{
    struct job *j = e->job;
    bool is_ours = answer == SETTLE_OK || answer == SETTLE_AGAIN ||
                   (repeated && answer != SETTLE_UNKNOWN && e->outcome != OUTCOME_KEEP);

    if (!is_ours && answer != SETTLE_UNKNOWN)
        tell_in_doubt(e);
    if (answer == SETTLE_OK && e->has_dsn) {
        metric_add(METRIC_DSN_TOTAL, 1);
        ring_queue(j->work->courier, e->partition, SPAN(QUEUE_FANOUT));
        log_event(LOG_DSN_SENT, F("job", e->name), F("to", e->dsn_to), F("dsn", e->dsn.name));
    }
    if (answer == SETTLE_OK && e->is_moved) {
        metric_add(METRIC_MOVED_TOTAL, 1);
        log_event(LOG_MOVED, F("job", e->name), F("queue", e->queue), FS("why", buf_span(&e->detail)));
    }
    if (answer == SETTLE_OK && e->outcome == OUTCOME_HOLD) {
        metric_add(METRIC_HELD_TOTAL, 1);
        log_event(LOG_HELD, F("job", e->name), F("queue", e->queue), FS("why", buf_span(&e->detail)));
    }
    if (j && e->on_noted && is_ours && !j->is_dropped) {
        void (*on_noted)(struct job *) = e->on_noted;

        memcpy(j->token, e->next, sizeof(j->token));
        entry_free(e);
        on_noted(j);
        return;
    }
    entry_free(e);
    if (j)
        work_job_over(j->work, j);
}

static void on_settled(void *context, const enum settle_answer *answers, size_t count, bool repeated)
{
    struct desk *desk = context;
    struct settler *s = desk->settler;
    struct entry *sent[SETTLE_MAX];

    must(count == desk->sent_count);
    memcpy(sent, desk->sent, count * sizeof(sent[0]));
    desk->sent_count = 0;
    list_remove(&desk->link);
    desk_wake(desk);
    for (size_t i = 0; i < count; i++) {
        if (answers[i] == SETTLE_INCOMPLETE) { /* the DSN's chunk ran out of its TTL: both go again */
            list_append(&desk->waiting, &sent[i]->link);
            desk_wake(desk);
            continue;
        }
        s->pending--;
        desk->pending--;
        pass_confirmed(sent[i]);
        entry_over(sent[i], answers[i], repeated);
    }
    courier_check_drained(s->courier);
}

static void desk_send(struct desk *desk)
{
    struct queue_settle calls[SETTLE_MAX];
    struct queue_dsn dsns[SETTLE_MAX];
    size_t count = 0;

    if (desk->sent_count > 0 || !desk->settler->courier->store) /* it has left */
        return;
    LIST_EACH(&desk->waiting, it, save) {
        struct entry *e = LIST_ENTRY(it, struct entry, link);

        if (count == SETTLE_MAX)
            break;
        list_remove(it);
        dsns[count] = (struct queue_dsn){e->dsn.name, buf_span(&e->dsn.envelope), buf_span(&e->dsn.state),
                                         buf_span(&e->dsn.content)};
        buf_add_char(&e->detail, '\0');
        e->detail.len--;
        calls[count] = (struct queue_settle){
            .job = e->name,
            .queue = e->queue,
            .token = e->token,
            .outcome = e->outcome,
            .is_moved = e->is_moved,
            .delay_ms = e->delay_ms,
            .next = e->next,
            .state = buf_span(&e->state),
            .is_exact = e->is_exact,
            .chunk_count = e->chunk_count,
            .event = e->event,
            .detail = e->detail.data,
            .dsn = e->has_dsn ? &dsns[count] : NULL,
        };
        pass_sent(e);
        desk->sent[count++] = e;
    }
    if (count == 0)
        return;
    desk->sent_count = count;
    desk->sent_ms = clock_ms();
    list_append(&desk->settler->under_way, &desk->link);
    queue_settle(desk->settler->courier->store, (unsigned) (desk - desk->settler->desks), calls, count,
                 on_settled, desk);
}

void entry_send(struct courier *c, struct entry *e)
{
    struct desk *desk = &c->settler->desks[e->partition];

    list_append(&desk->waiting, &e->link);
    c->settler->pending++;
    desk->pending++;
    desk_wake(desk);
}

struct entry *entry_new(struct job *j, enum outcome outcome, const char *event)
{
    struct entry *e = NEW(struct entry);

    must(!list_is_linked(&j->link));
    e->job = j;
    e->partition = j->work->partition;
    e->queue = mem_string(j->work->queue);
    e->name = mem_string(j->name);
    e->token = mem_string(j->token);
    e->outcome = outcome;
    e->event = event;
    e->is_exact = j->state.unknown_count == 0;
    e->chunk_count = j->own_chunks;
    return e;
}
