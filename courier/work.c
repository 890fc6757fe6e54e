/* A granted queue. work_pump() is the one place where it moves on; everything else changes a fact and calls work_wake(). */
#include "courier/work.h"

#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"
#include "courier/attempt.h"
#include "courier/claim.h"
#include "courier/connection.h"
#include "courier/grant.h"
#include "courier/settle.h"

enum {
    ROUTE_KEEP_MS = 30000,
    TARGET_BAD_MS = 60000,
    MILLION = 1000000,
};

static void on_tail(struct tail *t);

/* ---- finding and ending ---- */

static struct span work_key(unsigned partition, struct span queue, struct buf *b)
{
    buf_add_number(b, partition);
    buf_add_char(b, ':');
    buf_add_span(b, queue);
    return buf_span(b);
}

struct work *work_find(struct courier *c, unsigned partition, struct span queue)
{
    AUTO_BUF struct buf key = {0};

    return map_get(&c->works, work_key(partition, queue, &key));
}

static struct work *work_new(struct courier *c, unsigned partition, struct span queue)
{
    AUTO_BUF struct buf key = {0};
    struct work *w = NEW(struct work);
    struct span rest = queue, domain = span_cut(&rest, '/');

    w->courier = c;
    w->partition = partition;
    w->queue = mem_text(queue.at, queue.len);
    w->domain = mem_text(domain.at, domain.len);
    w->is_fanout = span_equal(queue, SPAN(QUEUE_FANOUT));
    list_init(&w->ready);
    list_init(&w->connections);
    must(!map_set(&c->works, work_key(partition, queue, &key), w));
    return w;
}

void work_drop_search(struct work *w)
{
    if (w->search)
        route_cancel(w->search);
    w->search = NULL;
}

bool work_check_over(struct work *w)
{
    AUTO_BUF struct buf key = {0};
    struct courier *c = w->courier;

    if (work_is_granted(w) || w->is_claiming || w->job_count > 0 || w->connection_count > 0 ||
        w->is_report_due)
        return false;
    must(map_remove(&c->works, work_key(w->partition, span_of(w->queue), &key)) == w);
    timer_stop(&w->timer);
    tail_remove(&w->tail);
    work_drop_search(w);
    route_free(w->route);
    mem_free(w->queue);
    mem_free(w->domain);
    mem_free(w);
    courier_check_drained(c);
    return true;
}

void work_wake(struct work *w)
{
    tail_add(w->courier->loop, &w->tail, on_tail);
}

/* ---- what all works share ---- */

bool work_has_job_room(const struct courier *c)
{
    const struct conf *conf = conf_get();

    return c->job_count < conf->courier.max_claimed && c->content_bytes < conf->courier.max_content_bytes;
}

static bool has_connection_room(const struct courier *c)
{
    return c->connection_count < conf_get()->courier.connections;
}

void work_wait_for_room(struct work *w)
{
    if (!list_is_linked(&w->short_link))
        list_append(&w->courier->short_works, &w->short_link);
}

void work_wake_short(struct courier *c)
{
    struct work *w = LIST_FIRST(&c->short_works, struct work, short_link);

    if (!w)
        return;
    list_remove(&w->short_link);
    work_wake(w);
}

/* ---- grants ---- */

bool work_is_granted(const struct work *w)
{
    return w->connections_max > 0 && clock_ms() < w->until_ms;
}

void work_grant(struct courier *c, unsigned partition, struct span queue, uint64_t token,
                uint32_t connections, uint64_t rate_micro, uint64_t until_ms)
{
    struct work *w = work_find(c, partition, queue);

    if (!w && connections == 0)
        return;
    if (!w)
        w = work_new(c, partition, queue);
    if (token < w->token) /* of an owner that is not the owner any more */
        return;
    w->token = token;
    w->connections_max = connections;
    if (rate_micro != w->rate_micro) {
        w->credit_micro = 0;
        w->credit_us = clock_us();
    }
    w->rate_micro = rate_micro;
    w->until_ms = until_ms;
    w->is_rung = true;
    work_wake(w);
    if (connections == 0) /* the owner waits for it, to grant the queue to another */
        grant_report(w);
}

void work_release(struct work *w)
{
    LIST_EACH(&w->ready, it, save) {
        struct job *j = LIST_ENTRY(it, struct job, link);

        list_remove(it);
        w->ready_count--;
        settle_release(j);
    }
}

/* ---- rate ---- */

static void rate_fill(struct work *w)
{
    uint64_t now = clock_us(), most = w->rate_micro > MILLION
                                          ? w->rate_micro
                                          : MILLION; /* a second's worth, one message at least */

    if (now - w->credit_us >= MILLION)
        w->credit_micro = most;
    else
        w->credit_micro += (now - w->credit_us) * w->rate_micro / MILLION;
    if (w->credit_micro > most)
        w->credit_micro = most;
    w->credit_us = now;
}

static bool rate_allows(struct work *w)
{
    if (!w->rate_micro)
        return true;
    rate_fill(w);
    return w->credit_micro >= MILLION;
}

/* ---- route ---- */

/* No host is left: what is at hand has had its attempt. Jobs claimed later try afresh. */
static void decide_ready(struct work *w, const struct verdict *why)
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

static void on_route(void *context, struct route *route)
{
    struct work *w = context;

    w->search = NULL;
    w->route = route;
    w->route_until_ms = clock_ms() + ROUTE_KEEP_MS;
    if (route->count == 0) {
        log_event(LOG_ROUTE_FAILED, F("queue", w->queue), F("status", route->failure.status),
                  F("why", route->failure.text));
        decide_ready(w, &route->failure);
        w->route_until_ms = 0;
    }
    work_wake(w);
}

/* True when there is a route to use; a search is begun when not. A route in use is kept: jobs know its targets by index. */
static bool has_route(struct work *w)
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

size_t work_target_of(const struct work *w, const struct ip *ip, uint16_t port)
{
    for (size_t i = 0; w->route && i < w->route->count; i++) {
        if (ip_equal(&w->route->targets[i].ip, ip) && w->route->targets[i].port == port)
            return i;
    }
    return SIZE_MAX;
}

/* The best target that is not bad now, among equals at random; SIZE_MAX: none. */
static size_t choose_target(const struct work *w, uint64_t tried)
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

void work_target_failed(struct work *w, size_t target, const struct verdict *why)
{
    uint64_t now = clock_ms();

    if (target == SIZE_MAX)
        return;
    w->route->targets[target].bad_until_ms = now + TARGET_BAD_MS;
    log_event(LOG_HOST_FAILED, F("queue", w->queue), F("remote", why->remote), F("why", why->text));
    for (size_t i = 0; i < w->route->count; i++) {
        if (w->route->targets[i].bad_until_ms <= now) {
            work_wake(w);
            return;
        }
    }
    for (size_t i = 0; i < w->route->count; i++)
        w->route->targets[i].bad_until_ms = 0;
    w->route_until_ms = 0; /* the next attempt asks anew: the domain may have moved */
    decide_ready(w, why);
    work_wake(w);
}

void work_forget_route(struct work *w)
{
    w->route_until_ms = 0;
    work_wake(w);
}

/* ---- jobs and connections ---- */

struct job *work_take(struct work *w, size_t target)
{
    if (!work_is_granted(w) || !rate_allows(w))
        return NULL;
    LIST_EACH(&w->ready, it, save) {
        struct job *j = LIST_ENTRY(it, struct job, link);

        if (target != SIZE_MAX && (j->tried >> target & 1))
            continue;
        list_remove(it);
        w->ready_count--;
        if (w->rate_micro)
            w->credit_micro -= MILLION;
        return j;
    }
    return NULL;
}

void work_return(struct work *w, struct job *j)
{
    list_prepend(&w->ready, &j->link);
    w->ready_count++;
    work_wake(w);
}

/* The next suspect may be claimed, of any queue: a claim meanwhile has passed it over. */
static void suspect_over(struct courier *c)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    c->suspects--;
    while (map_next(&c->works, &cursor, &key, &value)) {
        ((struct work *) value)->is_rung = true;
        work_wake(value);
    }
}

void work_job_over(struct work *w, struct job *j)
{
    struct courier *c = w->courier;

    list_remove(&j->link);
    if (map_get(&c->jobs, span_of(j->name)) == j)
        map_remove(&c->jobs, span_of(j->name));
    c->content_bytes -= j->chunk.len;
    if (j->is_suspect)
        suspect_over(c);
    job_free(j);
    w->job_count--;
    c->job_count--;
    work_wake_short(c);
    work_wake(w);
    courier_check_drained(c);
}

static void connect_more(struct work *w)
{
    struct courier *c = w->courier;

    while (w->ready_count > w->connecting && w->connection_count < w->connections_max) {
        struct job *first = LIST_FIRST(&w->ready, struct job, link);
        size_t target = choose_target(w, first->tried);

        if (target == SIZE_MAX) { /* this job has tried all that is left */
            list_remove(&first->link);
            w->ready_count--;
            attempt_end(first, &first->fault);
            continue;
        }
        if (connection_reuse(w, &w->route->targets[target]))
            continue;
        if (!has_connection_room(c)) {
            work_wait_for_room(w);
            if (!list_is_empty(&c->idle))
                connection_quit(LIST_FIRST(&c->idle, struct connection, idle_link));
            break;
        }
        connection_open(w, &w->route->targets[target]);
    }
}

static void on_timer(struct timer *t)
{
    work_wake(CONTAINER_OF(t, struct work, timer));
}

static void work_pump(struct work *w)
{
    struct courier *c = w->courier;
    uint64_t now = clock_ms(), at = w->until_ms;

    list_remove(&w->short_link);
    if (!work_is_granted(w) || c->is_draining) {
        w->connections_max = 0;
        work_release(w);
        LIST_EACH(&w->connections, it, save) {
            struct connection *k = LIST_ENTRY(it, struct connection, link);

            if (connection_is_idle(k))
                connection_quit(k);
        }
        work_check_over(w);
        return;
    }
    claim_more(w);
    if (w->ready_count > 0 && rate_allows(w) && has_route(w)) {
        LIST_EACH(&w->connections, each, keep) {
            struct connection *k = LIST_ENTRY(each, struct connection, link);

            if (w->ready_count > 0 && connection_is_idle(k))
                connection_drive(k);
        }
        connect_more(w);
    }
    if (w->ready_count > 0 && w->rate_micro && w->credit_micro < MILLION)
        at = now + 1 + (MILLION - w->credit_micro) * 1000 / w->rate_micro;
    if (at > w->until_ms)
        at = w->until_ms;
    timer_start(c->loop, &w->timer, at > now ? at - now : 1, on_timer);
    if (has_connection_room(c) && work_has_job_room(c)) /* what this one did not need is for the next */
        work_wake_short(c);
}

static void on_tail(struct tail *t)
{
    work_pump(CONTAINER_OF(t, struct work, tail));
}
