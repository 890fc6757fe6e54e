/*
 * Turns: fair between queues when couriers have no room for all. Deficit round robin: a turn is TURN_MESSAGES messages or TURN_MS long, what was
 * taken beyond is taken from the next. While somebody waits, a queue that has had its turn and has more connections than most gives half of them
 * back; when all have one only, it goes to the end of the line. Nothing is taken back while there is room for all.
 */
#include "dispatcher/schedule_private.h"

enum { SHORT_MS = 1000 }; /* somebody waits: for so long after it was last seen */

void turn_begin(struct work *w, uint64_t now_ms)
{
    w->turn_ms = now_ms;
    w->turn_left = TURN_MESSAGES + (w->turn_left < 0 ? w->turn_left : 0);
}

void turn_short(struct schedule *s, uint64_t now_ms)
{
    s->short_ms = now_ms;
}

static bool is_short(const struct schedule *s, uint64_t now_ms)
{
    return s->short_ms && now_ms < s->short_ms + SHORT_MS;
}

/* It has had its turn. */
static void give_way(struct schedule *s, struct work *w, uint64_t now_ms)
{
    bool is_site = w->site && site_is_short(w->site, now_ms);
    uint64_t all = is_site ? w->site->used : s->connections, holders = is_site ? w->site->active : s->granted;
    uint32_t has = 0, count;

    if (!work_active(w, now_ms, &count))
        return;
    for (struct list *it = w->shares.next; it != &w->shares; it = it->next)
        has += LIST_ENTRY(it, struct holder, share.link)->share.connections;
    turn_begin(w, now_ms);
    if (has * holders < all * (is_site ? 1 : count))
        return; /* less than others have */
    if (has > 1) {
        w->squeezed = has / 2;
        work_share_out(s, w, now_ms);
    } else if (all <= holders) {
        work_take_back(s, w, now_ms);
        work_place(s, w, now_ms);
    }
}

static bool is_short_for(const struct schedule *s, const struct work *w, uint64_t now_ms)
{
    return is_short(s, now_ms) || (w->site && site_is_short(w->site, now_ms));
}

/* Whoever gave way may have all again, wherever it is by now. */
static void relax(const struct schedule *s, const struct list *works, uint64_t now_ms)
{
    for (struct list *it = works->next; it != works; it = it->next) {
        struct work *w = LIST_ENTRY(it, struct work, link);
        if (!is_short_for(s, w, now_ms))
            w->squeezed = 0;
    }
}

void turn_check(struct schedule *s, uint64_t now_ms)
{
    if (now_ms < s->squeeze_ms || (!s->short_ms && !s->sites.all.count))
        return;
    s->squeeze_ms = now_ms + SQUEEZE_MS;
    if (!is_short(s, now_ms)) {
        s->short_ms = 0;
        relax(s, &s->held, now_ms);
        relax(s, &s->ready, now_ms);
        relax(s, &s->waiting, now_ms);
    }
    LIST_EACH(&s->held, it, save) {
        struct work *w = LIST_ENTRY(it, struct work, link);
        if (is_short_for(s, w, now_ms) && w->wants && !w->is_fanout &&
            (w->turn_left <= 0 || now_ms >= w->turn_ms + TURN_MS))
            give_way(s, w, now_ms);
    }
}
