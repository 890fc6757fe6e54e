/* The operator's rules, as far as a dispatcher obeys them. */
#include "dispatcher/obey.h"

#include "base/log.h"
#include "base/mem.h"
#include "cluster/rule.h"
#include "dispatcher/schedule_private.h"

enum { MESSAGE = 1000000, SECONDS = 60 };

/* ---- what they say ---- */

bool rules_suspend(const struct rules *rules, struct span queue)
{
    if (!rules_has(rules, RULE_SUSPEND))
        return false;
    AUTO_FREE char *name = mem_text(queue.at, queue.len);
    return rules_suspending(rules, name, 0) != NULL; /* the watch tells when the time of one is over */
}

/* The last rule that sends this queue's mail another way, or some of it; 0: none. */
static uint64_t redirect_of(const struct rules *rules, struct span queue)
{
    if (!rules_has(rules, RULE_REDIRECT))
        return 0;
    AUTO_FREE char *name = mem_text(queue.at, queue.len);
    struct rule_walk w;
    const struct rule *r;
    uint64_t last = 0;
    rule_walk_begin(&w, rules, name);
    while ((r = rule_walk_next(&w)))
        if (r->action == RULE_REDIRECT && rule_queue_fits(r->filter.queue, name))
            last = r->number;
    return last;
}

void rules_order_limits(const struct rules *rules, struct limits *queues, struct limits *sites)
{
    for (size_t i = 0; rules_has(rules, RULE_LIMIT) && i < rules->count; i++) {
        const struct rule *r = &rules->items[i];
        struct span name = span_of(r->filter.queue), site = name;
        bool is_site = span_equal(span_cut(&site, ':'), SPAN("site"));
        bool is_connections = span_equal(span_of(r->to), SPAN("connections"));
        struct limit_order order = {.has_connections = is_connections, .has_rate = !is_connections};
        if (r->action != RULE_LIMIT || (is_connections && r->value == 0))
            continue;
        if (is_connections)
            order.limit.connections = (uint32_t) r->value;
        else
            order.limit.rate_micro = r->value * MESSAGE / SECONDS;
        limits_order(is_site ? sites : queues, is_site ? site : name, &order);
    }
}

/* ---- what the schedule makes of it ---- */

void work_judge(struct schedule *s, struct work *w)
{
    w->is_suspended = s->rules && rules_suspend(s->rules, work_queue(w));
    w->redirect = redirect_of(s->rules, work_queue(w));
}

void work_rest(struct schedule *s, struct holder *h, uint64_t now_ms)
{
    work_set_wants(s, h->work, false);
#ifdef PLANT_LATE_SUSPEND /* a planted bug, for the test that must find it: here and in courier/obey.c nothing is given back, only nothing more is granted */
    return;
#endif
    if (h->share.connections || (!h->share.is_known && now_ms >= h->granted_ms + WORK_RENEW_MS))
        (void) holder_grant(s, h, 0, 0, now_ms); /* when it cannot be told: with its next report */
}

/* True: it rested, and may have work. */
static bool obey(struct schedule *s, struct work *w, uint64_t now_ms)
{
    bool was_suspended = w->is_suspended;
    uint64_t redirect = w->redirect;

    work_judge(s, w);
    if (!work_partition(s, w)->is_held)
        return false;
    if (w->redirect != redirect && (now_ms < w->paused_ms || w->left_out)) { /* there, its mail may go */
        w->paused_ms = w->left_out = 0;
        s->on_resume(s->owner, w->partition, work_queue(w)); /* `due` brings it */
    }
#ifdef PLANT_LATE_SUSPEND
    if (w->is_suspended)
        return false;
#endif
    if (w->is_suspended) {
        work_take_back(s, w, now_ms);
        work_set_wants(s, w, false);
        work_place(s, w, now_ms);
        return false;
    }
    if (was_suspended)
        work_want(s, w, now_ms);
    else if (work_active(w, now_ms, NULL))
        work_share_out(s, w, now_ms); /* other limits */
    return was_suspended;
}

bool schedule_obey(struct schedule *s, const struct rules *rules, uint64_t now_ms)
{
    bool may_have_rested = s->suspends;
    size_t cursor = 0;
    struct span key;
    void *value;

    s->rules = rules && rules->count > 0 ? rules : NULL;
    s->suspends = rules_has(s->rules, RULE_SUSPEND);
    s->awaits_rules = false;
    while (map_next(&s->works, &cursor, &key, &value))
        may_have_rested |= obey(s, value, now_ms);
    return may_have_rested;
}
