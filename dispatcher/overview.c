/* Rounds over all partitions, a few at a time, while somebody watches. */
#include "dispatcher/overview.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/daemon.h"
#include "dispatcher/obey.h"

enum { ERROR_MAX = 200, REST_TIMES = 4 };

/* ---- what a page says ---- */

static void note_oldest(uint64_t *oldest_ms, uint64_t made_ms)
{
    if (made_ms && (!*oldest_ms || made_ms < *oldest_ms))
        *oldest_ms = made_ms;
}

static void queue_drop(struct overview_queue *q)
{
    mem_free(q->name);
    mem_free(q->error);
}

/* Among the longest, in order, if it is one of them. A queue may be told twice: what came last counts. */
static void note_top(struct overview_sum *sum, const struct queue_depth *d, uint64_t oldest_ms)
{
    size_t at = 0;

    for (size_t i = 0; i < sum->top_count; i++) {
        if (!span_equal(span_of(sum->top[i].name), d->queue))
            continue;
        queue_drop(&sum->top[i]);
        memmove(&sum->top[i], &sum->top[i + 1], (--sum->top_count - i) * sizeof(sum->top[0]));
        break;
    }
    while (at < sum->top_count && sum->top[at].waiting >= d->jobs)
        at++;
    if (at == OVERVIEW_QUEUES)
        return;
    if (sum->top_count == OVERVIEW_QUEUES)
        queue_drop(&sum->top[--sum->top_count]);
    memmove(&sum->top[at + 1], &sum->top[at], (sum->top_count - at) * sizeof(sum->top[0]));
    sum->top_count++;
    sum->top[at] = (struct overview_queue){
        .name = mem_text(d->queue.at, d->queue.len),
        .error = mem_text(d->error.len ? d->error.at : "",
                          d->error.len < ERROR_MAX ? d->error.len : ERROR_MAX),
        .waiting = d->jobs,
        .due = d->due < d->jobs ? d->due : d->jobs,
        .next_ms = d->first_due_ms,
        .oldest_ms = oldest_ms,
        .paused_until_ms = d->paused_until_ms};
}

static void add_queue(struct overview_sum *sum, const struct queue_depth *d, uint64_t now_ms,
                      const struct rules *rules)
{
    uint64_t due = d->due < d->jobs ? d->due : d->jobs, oldest_ms = 0;
    bool is_paused = d->paused_until_ms > now_ms, is_suspended = rules && rules_suspend(rules, d->queue);

    note_oldest(&oldest_ms, d->first_made_ms);
    note_oldest(&oldest_ms, d->last_made_ms);
    note_oldest(&sum->oldest_ms, oldest_ms);
    sum->waiting += d->jobs;
    sum->due += due;
    sum->queues += d->jobs > 0;
    sum->paused += is_paused;
    sum->suspended += is_suspended && d->jobs > 0;
    if (due && !is_paused && !is_suspended && d->first_due_ms && d->first_due_ms + sum->tardy_ms < now_ms)
        sum->tardy_ms = now_ms - d->first_due_ms;
    if (d->jobs > 0 || is_paused)
        note_top(sum, d, oldest_ms);
}

void overview_add(struct overview_sum *sum, const struct queue_page *page, const struct rules *rules)
{
    for (size_t i = 0; i < page->count; i++)
        add_queue(sum, &page->queues[i], page->now_ms, rules);
    sum->claimed += page->claimed;
    sum->held += page->held;
    note_oldest(&sum->oldest_ms, page->claimed_made_ms);
}

void overview_sum_done(struct overview_sum *sum)
{
    for (size_t i = 0; i < sum->top_count; i++)
        queue_drop(&sum->top[i]);
    *sum = (struct overview_sum){.waiting = 0};
}

/* ---- rounds ---- */

static void end_round(struct overview *o)
{
    uint64_t now = clock_ms();

    overview_sum_done(&o->last);
    o->last = o->next;
    o->next = (struct overview_sum){.waiting = 0};
    o->last_ms = now;
    o->took_ms = now - o->began_ms;
    o->rest_until_ms = now + OVERVIEW_REST_MS + REST_TIMES * o->took_ms;
    o->text_ms = 0; /* who looks next sees it */
    o->is_under_way = false;
}

static void ask_more(struct overview *o);

static void on_page(void *context, unsigned partition, bool ok, const struct queue_page *page)
{
    struct overview *o = context;

    o->asking--;
    if (!ok) {
        o->next.away++;
    } else {
        overview_add(&o->next, page, o->rules);
        o->seen_count += page->count;
        if (page->cursor && o->seen_count < OVERVIEW_QUEUES_SEEN && o->node) {
            o->asking++;
            queue_depths(o->store, partition, page->cursor, on_page, o);
            return;
        }
        o->next.is_partial |= page->cursor != 0;
    }
    ask_more(o);
}

static void ask_more(struct overview *o)
{
    if (!o->node)
        return; /* it leaves: nothing more is asked */
    while (o->asking < OVERVIEW_AT_ONCE && o->place < PARTITION_COUNT) {
        unsigned partition = o->place++;
        if (!store_partition_is_ready(o->store, partition)) {
            o->next.away++;
            continue;
        }
        o->asking++;
        queue_depths(o->store, partition, 0, on_page, o);
    }
    if (o->asking == 0 && o->place == PARTITION_COUNT)
        end_round(o);
}

static bool is_watched(const struct overview *o, uint64_t now_ms)
{
    return o->seen_ms && now_ms < o->seen_ms + OVERVIEW_WATCHED_MS;
}

void overview_work(struct overview *o, uint64_t now_ms)
{
    if (o->is_under_way || now_ms < o->rest_until_ms || !is_watched(o, now_ms) || !o->node)
        return;
    o->is_under_way = true;
    o->began_ms = now_ms;
    o->place = 0;
    o->seen_count = 0;
    ask_more(o);
}

void overview_view(struct overview *o, const struct node_view *view, uint64_t now_ms)
{
    if (is_watched(o, now_ms))
        pulses_note(&o->pulses, view);
}

/* ---- what is told ---- */

struct span overview_text(struct overview *o, uint64_t now_ms)
{
    o->seen_ms = now_ms;
    if (o->text_ms && now_ms < o->text_ms + OVERVIEW_MAKE_MS)
        return buf_span(&o->text);
    const struct overview_moment moment = {.overview = o,
                                           .view = node_view(o->node),
                                           .name = daemon_node_name(),
                                           .version = daemon_version(),
                                           .trouble = store_trouble(o->store),
                                           .memory_percent = store_memory_percent(o->store),
                                           .now_ms = now_ms,
                                           .redis_ms = store_redis_ms(o->store)};
    struct json *json = overview_json(&moment);
    buf_clear(&o->text);
    json_print_line(json, &o->text);
    json_free(json);
    o->text_ms = now_ms;
    return buf_span(&o->text);
}

void overview_init(struct overview *o, struct store *store)
{
    *o = (struct overview){.store = store};
}

void overview_done(struct overview *o)
{
    overview_sum_done(&o->last);
    overview_sum_done(&o->next);
    pulses_done(&o->pulses);
    buf_done(&o->text);
}
