/* The operator's rules, as far as a courier obeys them. What has been started is finished; what has not is as the rules in force say. */
#include "courier/obey.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/lane.h"
#include "cluster/rule.h"
#include "courier/content.h"
#include "courier/detour.h"
#include "courier/grant.h"
#include "courier/settle.h"

/* ---- queues ---- */

/* The rule whose mail travels apart here; NULL: it is gone, and courier/detour.c sends the mail back. */
static const struct rule *apart_of(const struct rules *rules, struct span id, uint64_t now_ms)
{
    uint64_t number;

    if (rule_id_parse(id, &number) < 0)
        return NULL;
    for (size_t i = 0; rules_has(rules, RULE_REDIRECT) && i < rules->count; i++) {
        const struct rule *r = &rules->items[i];
        if (r->number == number && r->action == RULE_REDIRECT && rule_is_in_force(r, now_ms))
            return r;
    }
    return NULL;
}

/* Only of what means all of a queue; what means some of its jobs has them travel apart. */
static const struct rule *way_of(const struct work *w, uint64_t now_ms)
{
    const struct rules *rules = w->courier->rules;
    struct span apart = queue_apart(span_of(w->queue));

    if (w->is_fanout)
        return NULL;
    if (apart.len > 0)
        return apart_of(rules, apart, now_ms);
    return rules_find(rules, RULE_REDIRECT, &(struct rule_subject){.queue = w->queue}, now_ms);
}

void obey_judge(struct work *w)
{
    const struct rules *rules = w->courier->rules;
    uint64_t now = store_redis_ms(w->courier->store);
    const struct rule *way = way_of(w, now);

    w->is_suspended = rules_suspending(rules, w->queue, now) != NULL;
    w->redirect = way ? way->number : 0;
    mem_free(w->redirect_to);
    w->redirect_to = way ? mem_string(way->to) : NULL;
}

static void obey(struct work *w)
{
    bool was_suspended = w->is_suspended;
    uint64_t redirect = w->redirect;

    obey_judge(w);
#ifdef PLANT_LATE_SUSPEND
    w->is_suspended = false;
#endif
    if (w->is_suspended && !was_suspended) {
        work_give_up_grant(w);
        grant_report(w);
    }
    if (w->redirect != redirect)
        work_forget_route(w);
    work_detour_ready(w);
    work_wake(w);
}

void obey_begin(struct courier *c, const struct rules *rules)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    c->rules = rules->count > 0 ? rules : NULL;
    c->awaits_rules = false;
    while (map_next(&c->works, &cursor, &key, &value))
        obey(value);
    content_wake(c);
    log_event(LOG_RULES_OBEYED, FN("rules", rules->count),
              FN("suspending", rules_count(rules, RULE_SUSPEND)));
}

bool obey_limits_site(const struct courier *c, const char *host)
{
    for (size_t i = 0; rules_has(c->rules, RULE_LIMIT) && i < c->rules->count; i++) {
        const struct rule *r = &c->rules->items[i];
        struct span site = span_of(r->filter.queue);

        if (r->action == RULE_LIMIT && span_equal(span_cut(&site, ':'), SPAN("site")) && site.len > 0 &&
            domain_matches(host, site.at)) /* the end of a text */
            return true;
    }
    return false;
}

/* ---- jobs ---- */

const char *const obey_words[OBEY_WORD_COUNT] = {"hold", "bounce", "delete"};

static int word_of(enum rule_action action)
{
    switch (action) {
    case RULE_HOLD: return 0;
    case RULE_BOUNCE: return 1;
    case RULE_DELETE: return 2;
    case RULE_SUSPEND:
    case RULE_RETRY:
    case RULE_RELEASE:
    case RULE_REDIRECT:
    case RULE_LIMIT:
    case RULE_TRACE:
    case RULE_ACTION_COUNT: break;
    }
    return -1;
}

static bool has_any(const struct rules *rules)
{
    return rules_has(rules, RULE_HOLD) || rules_has(rules, RULE_BOUNCE) || rules_has(rules, RULE_DELETE);
}

/* Released, it goes on: the rule that held it, and those that were there before, hold it no more. */
static bool is_past(const struct rule *r, const struct job *j)
{
    return r->action == RULE_HOLD && r->number <= j->state.past_rule;
}

static const struct rule *find(const struct job *j)
{
    const struct courier *c = j->work->courier;
    const struct rule_subject subject = {
        .queue = j->work->queue, .job = j->name, .envelope = &j->envelope, .state = &j->state};
    uint64_t now = store_redis_ms(c->store);
    struct rule_walk w;
    const struct rule *r;

    rule_walk_begin(&w, c->rules, subject.queue);
    while ((r = rule_walk_next(&w)))
        if (word_of(r->action) >= 0 && !is_past(r, j) && rule_is_in_force(r, now) &&
            rule_means(r, &subject, now))
            return r;
    return NULL;
}

uint64_t obey_apart(const struct job *j)
{
    const struct courier *c = j->work->courier;
    const struct rule_subject subject = {
        .queue = j->work->queue, .job = j->name, .envelope = &j->envelope, .state = &j->state};
    const struct rule *r = rules_find(c->rules, RULE_REDIRECT, &subject, store_redis_ms(c->store));

    return r && !rule_filter_is_queue_only(&r->filter) ? r->number : 0;
}

/* Of a many-queue message: one that means all its queues and recipients. */
static const struct rule *find_for_all(const struct job *j)
{
    const struct courier *c = j->work->courier;
    const struct envelope *e = &j->envelope;
    struct rule_subject subject = {.job = j->name, .envelope = e, .state = &j->state};
    uint64_t now = store_redis_ms(c->store);
    struct rule_walk w;
    const struct rule *r;

    rule_walk_begin(&w, c->rules, e->queues[0]); /* it has one at least */
    while ((r = rule_walk_next(&w))) {
        bool fits = word_of(r->action) >= 0 && !is_past(r, j) && rule_is_in_force(r, now);
        for (size_t k = 0; fits && k < e->queue_count; k++) {
            subject.queue = e->queues[k];
            fits = k == 0 ? rule_filter_fits_all(&r->filter, &subject, now)
                          : rule_queue_fits(r->filter.queue, e->queues[k]);
        }
        if (fits)
            return r;
    }
    return NULL;
}

static char *reason_of(const struct rule *r)
{
    struct buf text = {.data = NULL};

    rule_reason_add(r, &text);
    return buf_steal_text(&text);
}

static void tell(const struct job *j, const struct rule *r, const char *reason)
{
    char message[ID_TEXT_LEN + 1];

    id_format(&j->envelope.id, message);
    metric_add_labelled(METRIC_RULED_TOTAL, (size_t) word_of(r->action), 1);
    log_event(LOG_RULED, F("msg", message), F("job", j->name), F("queue", j->work->queue),
              F("from", j->envelope.sender), F("does", rule_name(r->action)), F("why", reason));
}

static void hold(struct job *j, const struct rule *r, const char *reason)
{
    j->state.past_rule = r->number;
    settle_hold(j, reason);
}

bool obey_take(struct job *j)
{
    if (!has_any(j->work->courier->rules))
        return false;
    const struct rule *r = find(j);
    if (!r)
        return false;
    AUTO_FREE char *reason = reason_of(r);
    tell(j, r, reason);
    if (r->action == RULE_BOUNCE && j->chunk.len == 0) {
        j->fate = FATE_BOUNCE; /* its report quotes its content, which is not at hand */
        return false;
    }
    if (r->action == RULE_HOLD)
        hold(j, r, reason);
    else if (r->action == RULE_BOUNCE)
        settle_bounce(j);
    else if (detour_drop(j)) /* others of it, who failed before, are still to be reported */
        settle_attempt(j);
    else
        settle_end(j, "deleted", reason);
    return true;
}

bool obey_take_parent(struct job *j)
{
    bool has_begun = j->state.reached > 0 || j->state.is_waiting || j->crashes > 0;

    if (!has_any(j->work->courier->rules) || has_begun || j->envelope.queue_count == 0)
        return false;
    const struct rule *r = find_for_all(j);
    if (!r || r->action == RULE_BOUNCE)
        return false; /* each of its jobs is returned by itself */
    AUTO_FREE char *reason = reason_of(r);
    tell(j, r, reason);
    if (r->action == RULE_HOLD)
        hold(j, r, reason);
    else if (!j->envelope.keeps_content)
        settle_end(j, "deleted", reason);
    else
        j->fate = FATE_DELETE; /* those that may read its content are looked for first */
    return r->action == RULE_HOLD || !j->envelope.keeps_content;
}
