/* Which host a granted queue's connections go to, and what follows when none can be used. */
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "courier/attempt.h"
#include "courier/connection.h"
#include "courier/dead_host.h"
#include "courier/detour.h"
#include "courier/grant.h"
#include "courier/obey.h"
#include "courier/source.h"
#include "courier/tlsrpt.h"
#include "courier/work.h"

enum {
    ROUTE_KEEP_MS = 30000,
    TARGET_BAD_MS = 60000,
    TURNED_AWAY_MS =
        1000, /* how long a host that is busy with others of our connections is asked for no more */
};

/* ---- ways ---- */

size_t work_target_of(const struct work *w, const struct target *t)
{
    for (size_t i = 0; w->route && i < w->route->count; i++) {
        if (target_equal(&w->route->targets[i], t))
            return i;
    }
    return SIZE_MAX;
}

/* One among equals, at random. */
struct lot {
    const struct target *drawn;
    size_t equals;
    uint64_t random;
};

static void draw(struct lot *l, const struct target *t)
{
    if (l->drawn && t->group > l->drawn->group)
        return;
    l->equals++;
    l->random = l->random * 6364136223846793005u + 1442695040888963407u;
    if (!l->drawn || (l->random >> 33) % l->equals == 0)
        l->drawn = t;
}

/* A policy stands in the way of all mail that is not relaxable. */
static bool is_shut(const struct target *t, uint64_t now)
{
    return tls_policy_is_barred(t->policy) || t->untrusted_until_ms > now;
}

static bool may_go(const struct target *t, bool is_relaxed, const struct source *source, uint64_t now)
{
    if (t->bad_until_ms > now || (source && !t->path && !(t->ip.is_v4 ? source->has_v4 : source->has_v6)))
        return false;
    return is_relaxed ? is_shut(t, now) && tls_policy_is_relaxable(t->policy) : !is_shut(t, now);
}

static const struct target *choose(const struct work *w, uint64_t tried, bool is_relaxed,
                                   const struct source *source)
{
    uint64_t now = clock_ms(), random = clock_us() * 0x9e3779b97f4a7c15u;
    struct lot alive = {.random = random}, dead = {.random = random};

    for (size_t i = 0; w->route && i < w->route->count; i++) {
        const struct target *t = &w->route->targets[i];
        const struct ip *from = !source ? NULL : t->ip.is_v4 ? &source->v4 : &source->v6;

        if ((tried >> i & 1) || !may_go(t, is_relaxed, source, now))
            continue;
        draw(dead_hosts_has(w->courier->dead_hosts, t, from, now) ? &dead : &alive, t);
    }
    return alive.drawn ? alive.drawn : dead.drawn;
}

struct way work_choose_way(const struct work *w, const struct job *j, const struct source *source)
{
    struct way way = {.target = choose(w, j->tried, false, source), .source = source};

    if (!way.target && job_is_relaxable(j)) {
        way.target = choose(w, j->tried_relaxed, true, source);
        way.is_relaxed = true;
    }
    return way;
}

static bool has_relaxed_way(const struct work *w, const struct job *j)
{
    struct source source;

    return job_is_relaxable(j) &&
           choose(w, j->tried_relaxed, true, source_of(w->courier, w->queue, &source) ? &source : NULL);
}

/* ---- trouble ---- */

static void forgive(struct work *w)
{
    for (size_t i = 0; w->route && i < w->route->count; i++)
        w->route->targets[i].bad_until_ms = w->route->targets[i].untrusted_until_ms = 0;
}

void work_decide_ready(struct work *w, const struct verdict *why)
{
    struct list all;

    list_init(&all);
    LIST_EACH(&w->ready, it, save) {
        if (has_relaxed_way(w, LIST_ENTRY(it, struct job, link)))
            continue;
        list_remove(it);
        list_append(&all, it);
        w->ready_count--;
    }
    LIST_EACH(&all, each, keep) {
        struct job *j = LIST_ENTRY(each, struct job, link);

        list_remove(each);
        attempt_end(j, why);
    }
}

/* No host can be used now. What is at hand has had its attempt; the dispatchers are told, and one of them says when to try again. */
static void begin_trouble(struct work *w, const struct verdict *why)
{
    verdict_copy(&w->trouble, why);
    w->has_told_answer = false;
    work_decide_ready(w, why);
    if (w->ready_count == 0) { /* else what stands in the way of others is known to those that have a way */
        forgive(w);
        w->route_until_ms = 0; /* the next attempt asks anew: the domain may have moved */
    }
    grant_report(w);
}

/* Why none of the targets will do, although none is bad. */
static void begin_trouble_of_policy(struct work *w)
{
    struct verdict why = {0};

    for (size_t i = 0; i < w->route->count && why.class == VERDICT_NONE; i++)
        verdict_copy(&why, &w->route->targets[i].policy->barred);
    if (why.class == VERDICT_NONE)
        verdict_set(&why, STATUS_NO_CONNECTION, "the pool has no address of its family");
    begin_trouble(w, &why);
    verdict_done(&why);
}

bool work_has_source(struct work *w)
{
    AUTO_FREE char *why = NULL;
    const char *pool;
    struct verdict v = {0};

    if (source_is_here(w->courier, w->queue, &pool))
        return true;
    why = mem_format("no address of pool %s is on this courier's host", pool);
    verdict_set(&v, STATUS_NO_CONNECTION, why);
    begin_trouble(w, &v);
    verdict_done(&v);
    return false;
}

bool work_is_barred(const struct work *w)
{
    for (size_t i = 0; i < w->route->count; i++) {
        if (!tls_policy_is_barred(w->route->targets[i].policy))
            return false;
    }
    return true;
}

bool work_forgive_targets(struct work *w, const struct source *source)
{
    forgive(w);
    if (choose(w, 0, false, source))
        return true;
    begin_trouble_of_policy(w);
    return false;
}

/* ---- finding ---- */

/* What was known stays so while the hosts are looked for again. */
static void take_site(struct work *w)
{
    if (w->best_host && strcmp(w->best_host, w->route->site) == 0)
        return;
    mem_free(w->best_host);
    w->best_host = mem_string(w->route->site);
    w->site_told_ms = 0;
    if (*work_site(w))
        grant_report(w); /* nothing connects before a grant answers it */
}

void work_detour_ready(struct work *w)
{
    struct list all;

    list_init(&all);
    LIST_EACH(&w->ready, it, save) {
        list_remove(it);
        list_append(&all, it);
    }
    w->ready_count = 0;
    LIST_EACH(&all, each, keep) {
        struct job *j = LIST_ENTRY(each, struct job, link);

        list_remove(each);
        if (detour_take(j))
            continue;
        list_append(&w->ready, each);
        w->ready_count++;
    }
}

void work_forget_tried(const struct work *w, struct job *j)
{
    if (j->route_number == w->route_number)
        return;
    j->route_number = w->route_number;
    j->tried = j->tried_relaxed = 0;
}

static void on_route(void *context, struct route *route)
{
    struct work *w = context;

    w->search = NULL;
    /* Other settings, or rules, were read meanwhile: hosts and policies may be others by them. */
    if (route->conf != conf_get() || route->redirect != w->redirect) {
        route_free(route);
        work_wake(w);
        return;
    }
    w->route = route;
    w->route_number++;
    LIST_EACH(&w->ready, it, save)
        work_forget_tried(w, LIST_ENTRY(it, struct job, link));
    w->route_until_ms = clock_ms() + ROUTE_KEEP_MS;
    tlsrpt_count_route(w->courier, w, route);
    if (w->kind == TRANSPORT_HOLD ||
        w->kind == TRANSPORT_DISCARD) /* it has changed since these were claimed */
        work_detour_ready(w);
    if (route->count == 0) {
        log_event(LOG_ROUTE_FAILED, F("queue", w->queue), F("status", route->failure.status),
                  F("why", route->failure.text));
        w->route_until_ms = 0;
        if (route->failure.class == VERDICT_DEFERRED)
            begin_trouble(w, &route->failure);
        else
            work_decide_ready(w, &route->failure);
    } else {
        take_site(w);
    }
    work_wake(w);
}

/* A route in use is kept, for jobs know its targets by index; but not one of former settings or rules. */
bool work_has_route(struct work *w)
{
    bool is_used = w->connecting > 0,
         is_in_force = w->route && w->route->conf == conf_get() && w->route->redirect == w->redirect;

    LIST_EACH(&w->ready, it, save)
        is_used |= LIST_ENTRY(it, struct job, link)->tried != 0 ||
                   LIST_ENTRY(it, struct job, link)->tried_relaxed != 0;
    if (is_in_force && w->route->count > 0 && (is_used || clock_ms() < w->route_until_ms))
        return true;
    if (w->search)
        return false;
    w->route = route_free(w->route);
    w->search = route_find(w->courier, w->queue, w->redirect, w->redirect_to, on_route, w);
    return false;
}

void work_drop_search(struct work *w)
{
    if (w->search)
        route_cancel(w->search);
    w->search = NULL;
}

void work_transport(const struct work *w, struct transport *ret_transport)
{
    if (w->redirect)
        transport_read(conf_get(), w->redirect_to, ret_transport);
    else
        transport_find(conf_get(), w->queue, ret_transport);
}

void work_find_kind(struct work *w)
{
    w->kind = w->redirect ? transport_kind_read(conf_get(), w->redirect_to)
                          : transport_kind_of(conf_get(), w->queue);
}

void work_forget_route(struct work *w)
{
    work_find_kind(w);
    w->route_until_ms = 0;
    work_wake(w);
}

const char *work_site(const struct work *w)
{
    const struct courier *c = w->courier;
    bool is_limited = w->best_host &&
                      (route_site_is_limited(w->best_host, &conf_get()->dispatcher.site_limits) ||
                       (c->rules && obey_limits_site(c, w->best_host)));

    return is_limited ? w->best_host : "";
}

/* ---- what connections tell ---- */

void work_target_worked(struct work *w, const struct connection *k, size_t target)
{
    if (target == SIZE_MAX)
        return;
    w->route->targets[target].bad_until_ms = 0;
    if (!k->is_relaxed)
        w->route->targets[target].untrusted_until_ms = 0;
}

static bool is_up_at(const struct work *w, const struct target *t)
{
    LIST_EACH(&w->connections, it, save) {
        const struct connection *k = LIST_ENTRY(it, struct connection, link);

        if (k->was_ready && !k->is_closing && target_equal(&k->target, t))
            return true;
    }
    return false;
}

static bool has_way(const struct work *w)
{
    struct source source;

    return choose(w, 0, false, source_of(w->courier, w->queue, &source) ? &source : NULL);
}

/*
 * A host that turns a connection away while it works on others of ours is busy, not dead. As long as connections are up or on their way,
 * the jobs wait for those; when the last of them has failed, no host can be used.
 */
void work_target_failed(struct work *w, const struct connection *k, size_t target, const struct verdict *why)
{
    uint64_t now = clock_ms();

    w->feedback.throttled += feedback_is_throttling(why);
    log_event(LOG_HOST_FAILED, F("queue", w->queue), F("remote", why->remote), F("why", why->text));
    work_wake(w);
    if (target == SIZE_MAX)
        return;
    if (smtp_client_fault(k->client) == FAULT_TLS)
        w->route->targets[target].untrusted_until_ms = now + TARGET_BAD_MS;
    else if (is_up_at(w, &w->route->targets[target]))
        w->connect_at_ms = now + TURNED_AWAY_MS;
    else
        w->route->targets[target].bad_until_ms = now + TARGET_BAD_MS;
    if (!has_way(w) && w->connection_count == w->leaving)
        begin_trouble(w, why);
}
