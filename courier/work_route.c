/* Which host a granted queue's connections go to, and what follows when none can be used. */
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "courier/attempt.h"
#include "courier/connection.h"
#include "courier/grant.h"
#include "courier/work.h"

enum {
    ROUTE_KEEP_MS = 30000,
    TARGET_BAD_MS = 60000,
    TURNED_AWAY_MS =
        1000, /* how long a host that is busy with others of our connections is asked for no more */
};

/* ---- trouble ---- */

void work_forgive_targets(struct work *w)
{
    for (size_t i = 0; w->route && i < w->route->count; i++)
        w->route->targets[i].bad_until_ms = 0;
}

void work_decide_ready(struct work *w, const struct verdict *why)
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
        attempt_end(j, why);
    }
}

/* No host can be used now. What is at hand has had its attempt; the dispatchers are told, and one of them says when to try again. */
static void begin_trouble(struct work *w, const struct verdict *why)
{
    verdict_copy(&w->trouble, why);
    w->has_told_answer = false;
    work_forgive_targets(w);
    w->route_until_ms = 0; /* the next attempt asks anew: the domain may have moved */
    work_decide_ready(w, why);
    grant_report(w);
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

static void on_route(void *context, struct route *route)
{
    struct work *w = context;

    w->search = NULL;
    w->route = route;
    w->route_until_ms = clock_ms() + ROUTE_KEEP_MS;
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

/* A route in use is kept: jobs know its targets by index. */
bool work_has_route(struct work *w)
{
    bool is_used = w->connecting > 0;

    LIST_EACH(&w->ready, it, save)
        is_used |= LIST_ENTRY(it, struct job, link)->tried != 0;
    if (w->route && w->route->count > 0 && (is_used || clock_ms() < w->route_until_ms))
        return true;
    if (w->search)
        return false;
    w->route = route_free(w->route);
    w->search = route_find(w->courier, w->domain, on_route, w);
    return false;
}

void work_drop_search(struct work *w)
{
    if (w->search)
        route_cancel(w->search);
    w->search = NULL;
}

void work_forget_route(struct work *w)
{
    w->route_until_ms = 0;
    work_wake(w);
}

const char *work_site(const struct work *w)
{
    bool is_limited = w->best_host &&
                      route_site_is_limited(w->best_host, &conf_get()->dispatcher.site_limits);

    return is_limited ? w->best_host : "";
}

/* ---- targets ---- */

size_t work_target_of(const struct work *w, const struct ip *ip, uint16_t port)
{
    for (size_t i = 0; w->route && i < w->route->count; i++) {
        if (ip_equal(&w->route->targets[i].ip, ip) && w->route->targets[i].port == port)
            return i;
    }
    return SIZE_MAX;
}

size_t work_choose_target(const struct work *w, uint64_t tried)
{
    uint64_t now = clock_ms(), random = clock_us() * 0x9e3779b97f4a7c15u;
    size_t best = SIZE_MAX, equals = 0;

    for (size_t i = 0; i < w->route->count; i++) {
        const struct target *t = &w->route->targets[i];

        if (t->bad_until_ms > now || (tried >> i & 1))
            continue;
        if (best != SIZE_MAX && t->group > w->route->targets[best].group)
            break;
        equals++;
        random = random * 6364136223846793005u + 1442695040888963407u;
        if (best == SIZE_MAX || (random >> 33) % equals == 0)
            best = i;
    }
    return best;
}

void work_target_worked(struct work *w, size_t target)
{
    if (target != SIZE_MAX)
        w->route->targets[target].bad_until_ms = 0;
}

static bool is_up_at(const struct work *w, const struct target *t)
{
    LIST_EACH(&w->connections, it, save) {
        const struct connection *k = LIST_ENTRY(it, struct connection, link);

        if (k->was_ready && !k->is_closing && k->target.port == t->port && ip_equal(&k->target.ip, &t->ip))
            return true;
    }
    return false;
}

/*
 * A host that turns a connection away while it works on others of ours is busy, not dead. As long as connections are up or on their way,
 * the jobs wait for those; when the last of them has failed, no host can be used.
 */
void work_target_failed(struct work *w, size_t target, const struct verdict *why)
{
    uint64_t now = clock_ms();

    w->feedback.throttled += feedback_is_throttling(why);
    log_event(LOG_HOST_FAILED, F("queue", w->queue), F("remote", why->remote), F("why", why->text));
    work_wake(w);
    if (target == SIZE_MAX)
        return;
    if (is_up_at(w, &w->route->targets[target]))
        w->connect_at_ms = now + TURNED_AWAY_MS;
    else
        w->route->targets[target].bad_until_ms = now + TARGET_BAD_MS;
    if (work_choose_target(w, 0) == SIZE_MAX && w->connection_count == w->leaving)
        begin_trouble(w, why);
}
