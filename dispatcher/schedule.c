/* Which queue is worked by whom. */
#include "dispatcher/schedule.h"

#include <string.h>

#include "base/mem.h"
#include "base/metric.h"
#include "dispatcher/schedule_private.h"

enum { RUN_MAX = 1024, KEY_MAX = 1 + QUEUE_TEXT_MAX };

void schedule_init(struct schedule *s, struct partitions *partitions, struct couriers *couriers)
{
    *s = (struct schedule){.partitions = partitions, .couriers = couriers};
    list_init(&s->ready);
    list_init(&s->waiting);
    list_init(&s->held);
}

struct span work_queue(const struct work *w)
{
    return (struct span){.at = w->key + 1, .len = w->key_len - 1};
}

static struct span key_of(unsigned partition, struct span queue, char space[static KEY_MAX])
{
    must(partition < PARTITION_COUNT && queue.len <= QUEUE_TEXT_MAX);
    space[0] = (char) (uint8_t) partition;
    memcpy(space + 1, queue.at, queue.len);
    return (struct span){.at = space, .len = 1 + queue.len};
}

struct work *work_find(const struct schedule *s, unsigned partition, struct span queue)
{
    char space[KEY_MAX];
    return map_get(&s->works, key_of(partition, queue, space));
}

struct work *work_new(struct schedule *s, unsigned partition, struct span queue, size_t most, uint64_t now_ms)
{
    char space[KEY_MAX];
    struct span key = key_of(partition, queue, space);
    const struct partition *p = &s->partitions->of[partition];

    if (s->works.count >= most)
        return NULL;
    struct work *w = mem_alloc(sizeof(*w) + key.len);
    memcpy(w->key, key.at, key.len);
    w->key_len = key.len;
    w->partition = partition;
    /* As if empty when the partition came to us: nobody before us tells what it had left. */
    bucket_start(&w->bucket, p->is_held ? p->acquired_ms : now_ms);
    must(!map_set(&s->works, key, w));
    return w;
}

static void work_free(struct schedule *s, struct work *w)
{
    work_set_holder(s, w, NULL);
    work_set_wants(s, w, false);
    list_remove(&w->link);
    must(map_remove(&s->works, (struct span){.at = w->key, .len = w->key_len}) == w);
    mem_free(w);
}

void schedule_done(struct schedule *s)
{
    size_t cursor = 0;
    struct span key;
    void *w;

    while (map_next(&s->works, &cursor, &key, &w))
        work_free(s, w);
    map_done(&s->works);
}

void work_set_wants(struct schedule *s, struct work *w, bool wants)
{
    s->wanting = s->wanting + wants - w->wants;
    w->wants = wants;
    if (!wants)
        w->is_rung = false;
}

void work_set_holder(struct schedule *s, struct work *w, struct courier *holder)
{
    if (w->holder == holder)
        return;
    s->granted -= w->granted_ms != 0;
    w->granted_ms = 0;
    w->holder = holder;
    w->is_returning = false;
    list_remove(&w->out);
}

static void put(struct list *list, struct work *w, uint64_t look_ms)
{
    list_remove(&w->link);
    w->look_ms = look_ms;
    list_append(list, &w->link);
}

void work_wait(struct schedule *s, struct work *w, uint64_t now_ms)
{
    put(&s->waiting, w, now_ms + WORK_WAIT_MS);
}

/* Where it belongs after any change. Frees what nobody needs to know any more: a bucket that is full is as good as a new one. */
void work_place(struct schedule *s, struct work *w, uint64_t now_ms)
{
    if (w->holder)
        put(&s->held, w, now_ms + WORK_SILENT_MS);
    else if (w->wants)
        put(&s->ready, w, now_ms);
    else if (w->reserved_until_ms > now_ms ||
             !bucket_is_full(&w->bucket, limits_of(s->limits, work_queue(w)).rate_micro, now_ms))
        put(&s->held, w, now_ms + WORK_SILENT_MS);
    else
        work_free(s, w);
}

/* ---- granting ---- */

struct partition *work_partition(const struct schedule *s, const struct work *w)
{
    return &s->partitions->of[w->partition];
}

static bool is_fanout(const struct work *w)
{
    return span_equal(work_queue(w), SPAN(QUEUE_FANOUT));
}

/* Grants, renews or wakes: all the same frame. Not while the lease is in doubt or the courier silent. */
bool work_grant(struct schedule *s, struct work *w, uint64_t now_ms)
{
    if (!partition_is_usable(work_partition(s, w), now_ms) || !courier_is_heard(w->holder, now_ms))
        return false;
    w->is_rung = false;
    s->granted += w->granted_ms == 0;
    w->granted_ms = now_ms;
    if (!list_is_linked(&w->out))
        list_append(&w->holder->outgoing, &w->out);
    s->has_output = true;
    return true;
}

static uint32_t reserved(const struct work *w, uint64_t now_ms)
{
    return now_ms < w->reserved_until_ms ? w->reserved : 0;
}

struct grant schedule_grant(struct schedule *s, struct work *w, uint64_t now_ms)
{
    struct limit limit = limits_of(s->limits, work_queue(w));
    uint32_t kept = reserved(w, now_ms);
    struct grant g = {
        .partition = w->partition,
        .queue = work_queue(w),
        .token = work_partition(s, w)->token,
        .answers_ms = w->holder->clock_ms,
    };

    if (w->is_returning)
        return g; /* no connections: taken back; what was granted before still counts */
    g.connections = kept < limit.connections ? limit.connections - kept : 1;
    g.rate_micro = limit.rate_micro;
    if (w->until_ms < w->holder->heard_ms + GRANT_MS)
        w->until_ms = w->holder->heard_ms + GRANT_MS;
    return g;
}

/* A new owner hands out limits only when it knows what the one before it handed out. */
static bool is_settled(const struct partition *p, bool all_known, uint64_t first_ms, uint64_t now_ms)
{
    if (now_ms >= p->acquired_ms + LEASE_ALONE_MS)
        return true;
    return all_known && (now_ms >= p->settled_ms || first_ms >= p->acquired_ms);
}

/* May it be granted at all now? */
static bool may_grant(struct schedule *s, struct work *w, bool all_known, uint64_t first_ms, uint64_t now_ms)
{
    const struct partition *p = work_partition(s, w);

    if (!partition_is_usable(p, now_ms))
        return false;
    if (is_fanout(w))
        return true;
    struct limit limit = limits_of(s->limits, work_queue(w));
    return is_settled(p, all_known, first_ms, now_ms) && reserved(w, now_ms) < limit.connections &&
           bucket_has_one(&w->bucket, limit.rate_micro, now_ms);
}

void schedule_run(struct schedule *s, uint64_t now_ms)
{
    uint64_t first_ms = 0;
    bool all_known = couriers_all_known(s->couriers, now_ms, &first_ms);

    for (unsigned i = 0; i < RUN_MAX; i++) {
        struct work *w = LIST_FIRST(&s->ready, struct work, link);
        if (!w)
            break;
        if (!work_partition(s, w)->is_held) {
            work_set_wants(s, w, false);
            work_place(s, w, now_ms);
            continue;
        }
        if (!may_grant(s, w, all_known, first_ms, now_ms)) {
            work_wait(s, w, now_ms);
            continue;
        }
        struct courier *chosen = couriers_choose(s->couriers, w->partition, work_queue(w), true, now_ms);
        if (!chosen)
            break; /* nobody has room: a hello tells when */
        work_set_holder(s, w, chosen);
        w->since_ms = now_ms;
        w->until_ms = 0;
        w->epoch = s->couriers->epoch;
        courier_take_room(s->couriers, chosen);
        (void) work_grant(s, w, now_ms); /* it was just chosen as one that is heard */
        work_place(s, w, now_ms);
    }
    metric_set(METRIC_QUEUES_ACTIVE, (int64_t) s->wanting);
    metric_set(METRIC_GRANTS, (int64_t) s->granted);
}

/* ---- what rings and time do ---- */

void schedule_ring(struct schedule *s, unsigned partition, struct span queue, uint64_t now_ms)
{
    if (!s->partitions->of[partition].is_held)
        return; /* the owner's look finds it */
    struct work *w = work_find(s, partition, queue);
    if (!w)
        w = work_new(s, partition, queue, s->most, now_ms);
    if (!w)
        return; /* no room: it is parked, and found again */
    if (w->holder && now_ms >= w->until_ms)
        work_set_holder(s, w, NULL); /* over */
    else if (w->wants) {
        w->is_rung =
            true; /* busy: it is woken when it reports to be empty. Without a holder: it waits for its turn */
        return;
    }
    work_set_wants(s, w, true);
    if (!w->holder)
        work_place(s, w, now_ms);
    else if (w->is_returning || !work_grant(s, w, now_ms)) /* idle: woken */
        w->is_rung = true;                                 /* not now: when it reports, or is over */
}

static void look_at_held(struct schedule *s, struct work *w, uint64_t now_ms)
{
    if (w->holder && now_ms >= w->until_ms)
        work_set_holder(s, w, NULL); /* over; it may be granted to another */
    else if (w->holder && w->wants && now_ms >= w->granted_ms + WORK_SILENT_MS)
        (void) work_grant(s, w, now_ms); /* when it cannot be, it ends by itself */
    work_place(s, w, now_ms);
}

void schedule_check(struct schedule *s, uint64_t now_ms)
{
    struct work *w;

    while ((w = LIST_FIRST(&s->waiting, struct work, link)) && w->look_ms <= now_ms)
        put(&s->ready, w, now_ms);
    while ((w = LIST_FIRST(&s->held, struct work, link)) && w->look_ms <= now_ms)
        look_at_held(s, w, now_ms);
}

void schedule_courier_gone(struct schedule *s, const struct courier *gone, uint64_t now_ms)
{
    LIST_EACH(&s->held, it, save) {
        struct work *w = LIST_ENTRY(it, struct work, link);
        if (w->holder != gone)
            continue;
        work_set_holder(s, w, NULL);
        work_place(s, w, now_ms);
    }
}
