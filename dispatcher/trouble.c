/* A destination that is dead, slow to bear, or back: pauses, the courier left out, and what replies tell of it. */
#include "base/log.h"
#include "base/metric.h"
#include "dispatcher/schedule_private.h"

static void pause_queue(struct schedule *s, struct work *w, struct span why, uint64_t now_ms)
{
    w->left_out = 0;
    w->paused_ms = now_ms + s->pause_first_ms;
    work_take_back(s, w, now_ms);
    work_set_wants(s, w, false);
    s->on_pause(s->owner, w->partition, work_queue(w), why);
}

void work_suspect(struct work *w)
{
    w->is_suspect = true;
    pace_start(&w->pace, 1);
}

void work_trouble(struct schedule *s, struct holder *h, struct span why, uint64_t now_ms)
{
    struct work *w = h->work;
    uint64_t from = h->courier->incarnation;
    bool is_second = w->left_out && w->left_out != from && now_ms < w->left_out_until_ms &&
                     !w->proven_ms; /* what went through since then shows that the first one was wrong */

    if (!holder_grant(s, h, 0, 0, now_ms))
        return; /* it is told again */
    work_set_proven(w, 0);
    work_suspect(w);
    w->spread = 1;
    w->busy_ms = 0;
    if (is_second || !couriers_have_other(s->couriers, from, work_queue(w), now_ms)) {
        pause_queue(s, w, why, now_ms);
        return;
    }
    w->left_out = from;
    w->left_out_until_ms = now_ms + LEFT_OUT_MS;
    work_set_wants(s, w, true); /* another one tries: with one connection, or those that work it already */
    log_event(LOG_COURIER_LEFT_OUT, FS("queue", work_queue(w)), FN("courier", from), FS("why", why));
}

void schedule_rethink(struct schedule *s, bool (*is_other)(const void *context, struct span queue),
                      const void *context, uint64_t now_ms)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    while (map_next(&s->works, &cursor, &key, &value)) {
        struct work *w = value;
        if ((now_ms >= w->paused_ms && !w->left_out) || !work_partition(s, w)->is_held ||
            !is_other(context, work_queue(w)))
            continue;
        w->paused_ms = w->left_out = 0;
        s->on_resume(s->owner, w->partition, work_queue(w)); /* `due` brings it */
    }
}

void work_hear(struct schedule *s, struct work *w, const struct report *r, uint64_t now_ms)
{
    struct limit limit = limits_of(s->limits, work_queue(w));
    bool is_old = !r->serial; /* an older courier tells less */
    bool is_answered = (r->succeeded || r->finished > (is_old ? 0 : r->throttled)) &&
                       !r->trouble.len; /* also by a no */

    if (r->finished)
        bucket_take(&w->bucket, limit.rate_micro, r->finished, now_ms);
    w->turn_left -= r->finished;
    if (w->site)
        w->site->finished += r->finished;
    if (is_answered)
        work_set_proven(w, now_ms);
    else if (r->was_paused && !w->proven_ms)
        work_suspect(w);
    if (r->finished || r->throttled)
        pace_hear(&w->pace, is_old ? r->finished : r->succeeded, r->throttled, limit.connections);
    if (!is_answered || !r->was_paused || now_ms < w->resume_ms || !work_partition(s, w)->is_held)
        return;
    w->resume_ms = now_ms + WORK_RESUME_MS;
    s->on_resume(s->owner, w->partition, work_queue(w));
}
