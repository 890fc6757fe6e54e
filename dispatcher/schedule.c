/* Which queue is worked by whom. */
#include "dispatcher/schedule.h"

#include <string.h>

#include "base/mem.h"
#include "base/metric.h"
#include "dispatcher/obey.h"
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
    w->is_fanout = span_equal(queue, SPAN(QUEUE_FANOUT));
    w->serial = s->serial;
    if (s->rules)
        work_judge(s, w);
    list_init(&w->shares);
    pace_start(&w->pace, s->start);
    /* As if empty when the partition came to us: nobody before us tells what it had left. */
    bucket_start(&w->bucket, p->is_held ? p->acquired_ms : now_ms);
    must(!map_set(&s->works, key, w));
    return w;
}

static void work_free(struct schedule *s, struct work *w)
{
    LIST_EACH(&w->shares, it, save)
        holder_free(s, LIST_ENTRY(it, struct holder, share.link));
    work_set_wants(s, w, false);
    site_forget(w);
    list_remove(&w->link);
    must(map_remove(&s->works, (struct span){.at = w->key, .len = w->key_len}) == w);
    if (s->serial < w->serial) /* couriers may remember */
        s->serial = w->serial;
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
    sites_done(&s->sites);
}

void work_set_wants(struct schedule *s, struct work *w, bool wants)
{
    s->wanting = s->wanting + wants - w->wants;
    w->wants = wants;
    if (!wants)
        w->is_rung = false;
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

/* What was learnt of it is worth its room. */
static bool is_worth_keeping(struct schedule *s, struct work *w, uint64_t now_ms)
{
    if (!bucket_is_full(&w->bucket, limits_of(s->limits, work_queue(w)).rate_micro, now_ms))
        return true; /* a full one is as good as a new one */
    return s->works.count <= s->most / 2 &&
           (now_ms < w->paused_ms || (w->proven_ms && now_ms < w->proven_ms + WORK_GOOD_MS));
}

void work_place(struct schedule *s, struct work *w, uint64_t now_ms)
{
    LIST_EACH(&w->shares, it, save) {
        struct holder *h = LIST_ENTRY(it, struct holder, share.link);
        if (!share_connections(&h->share, now_ms))
            holder_free(s, h);
    }
    if (w->wants && !work_active(w, now_ms, NULL)) {
        put(&s->ready, w, now_ms);
        if (w->is_fanout) { /* needs no connections: it does not wait behind those that do */
            list_remove(&w->link);
            list_prepend(&s->ready, &w->link);
        }
    } else if (!list_is_empty(&w->shares) || is_worth_keeping(s, w, now_ms)) {
        put(&s->held, w, now_ms + WORK_SILENT_MS);
    } else {
        work_free(s, w);
    }
}

/* ---- granting ---- */

struct partition *work_partition(const struct schedule *s, const struct work *w)
{
    return &s->partitions->of[w->partition];
}

/* May it be granted at all now? */
static bool may_grant(struct schedule *s, struct work *w, uint64_t now_ms)
{
    return partition_is_usable(work_partition(s, w), now_ms) && work_is_settled(s, w, now_ms) &&
           bucket_has_one(&w->bucket, limits_of(s->limits, work_queue(w)).rate_micro, now_ms);
}

void schedule_run(struct schedule *s, uint64_t now_ms)
{
    for (unsigned i = 0; i < RUN_MAX && !s->awaits_rules; i++) {
        struct work *w = LIST_FIRST(&s->ready, struct work, link);
        if (!w)
            break;
        if (!work_partition(s, w)->is_held) {
            work_set_wants(s, w, false);
            work_place(s, w, now_ms);
            continue;
        }
        if (!may_grant(s, w, now_ms)) {
            work_wait(s, w, now_ms);
            continue;
        }
        if (!w->is_fanout && !couriers_have_room(s->couriers, now_ms)) {
            turn_short(s, now_ms);
            break; /* a hello tells when */
        }
        w->spread = 1;
        if (!work_add_holder(s, w, now_ms)) {
            work_wait(s, w, now_ms);
            continue;
        }
        turn_begin(w, now_ms);
        work_place(s, w, now_ms);
    }
    metric_set(METRIC_QUEUES_ACTIVE, (int64_t) s->wanting);
    metric_set(METRIC_GRANTS, (int64_t) s->granted);
}

/* ---- what rings and time do ---- */

void work_want(struct schedule *s, struct work *w, uint64_t now_ms)
{
    struct holder *h = work_active(w, now_ms, NULL);

    if (w->is_suspended)
        return; /* it is wanted when the rule is gone */
    if (h && w->wants) {
        w->is_rung = true; /* busy: it is woken when it reports to be empty */
        return;
    }
    if (w->wants && list_is_empty(&w->shares))
        return; /* it waits for its turn */
    work_set_wants(s, w, true);
    if (!h)
        work_place(s, w, now_ms);
    else if (!holder_renew(s, h, now_ms)) /* idle: woken */
        w->is_rung = true;                /* not now: when it reports, or is over */
}

/* What has come to the owner's ears; NULL: it is not to be worked now. */
static struct work *work_for(struct schedule *s, unsigned partition, struct span queue, uint64_t now_ms)
{
    if (!s->partitions->of[partition].is_held)
        return NULL; /* the owner's look finds it */
    struct work *w = work_find(s, partition, queue);
    if (w || (s->rules && rules_suspend(s->rules, queue)))
        return w;
    return work_new(s, partition, queue, s->most, now_ms);
}

void schedule_ring(struct schedule *s, unsigned partition, struct span queue, uint64_t now_ms)
{
    struct work *w = work_for(s, partition, queue, now_ms);
    if (w &&
        now_ms >=
            w->paused_ms) /* else `due` brings it when its rest is over. No room: it is parked, and found again */
        work_want(s, w, now_ms);
}

void schedule_due(struct schedule *s, unsigned partition, const struct queue_due *due, uint64_t now_ms)
{
    struct work *w = work_for(s, partition, due->queue, now_ms);
    if (!w)
        return;
    w->paused_ms = 0;
    if (due->was_paused && !w->proven_ms)
        work_suspect(w);
    work_want(s, w, now_ms);
}

static void look_at_held(struct schedule *s, struct work *w, uint64_t now_ms)
{
    for (struct list *it = w->shares.next; w->wants && it != &w->shares; it = it->next) {
        struct holder *h = LIST_ENTRY(it, struct holder, share.link);
        if (holder_is_active(h, now_ms) && now_ms >= h->granted_ms + WORK_SILENT_MS)
            (void) holder_renew(s, h, now_ms); /* when it cannot be, it ends by itself */
    }
    work_place(s, w, now_ms);
}

void schedule_check(struct schedule *s, uint64_t now_ms)
{
    struct work *w;

    while ((w = LIST_FIRST(&s->waiting, struct work, link)) && w->look_ms <= now_ms)
        put(&s->ready, w, now_ms);
    while ((w = LIST_FIRST(&s->held, struct work, link)) && w->look_ms <= now_ms)
        look_at_held(s, w, now_ms);
    sites_sum(s, now_ms);
    overshoot_tell(&s->overshoot, now_ms);
    turn_check(s, now_ms);
}

/* In ready and waiting there may be holders too, of which something is still in force. */
void schedule_courier_gone(struct schedule *s, const struct courier *gone, uint64_t now_ms)
{
    struct list *const lists[] = {&s->held, &s->ready, &s->waiting};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(lists[i], it, save) {
            struct work *w = LIST_ENTRY(it, struct work, link);
            struct holder *h = holder_find(w, gone);
            if (!h)
                continue;
            holder_free(s, h);
            work_place(s, w, now_ms);
        }
}
