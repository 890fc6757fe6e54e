/* A granted queue. work_pump() is the one place where it moves on; everything else changes a fact and calls work_wake(). */
#include "courier/work.h"

#include <string.h>

#include "base/clock.h"
#include "cluster/lane.h"
#include "cluster/wire.h"
#include "courier/attempt.h"
#include "courier/claim.h"
#include "courier/connection.h"
#include "courier/content.h"
#include "courier/grant.h"
#include "courier/obey.h"
#include "courier/pool.h"
#include "courier/room.h"
#include "courier/settle.h"
#include "courier/source.h"

enum {
    SITE_TOLD_MS = 2500, /* some reports */
    PUT_OFF_MOST = 10,
    PUT_OFF_RATE_MICRO = 10 * 1000000, /* ten a second */
};

static void on_tail(struct tail *t);
static void on_timer(struct timer *t);

/* ---- finding and ending ---- */

static struct span work_key(unsigned partition, struct span queue, struct buf *b)
{
    buf_add_number(b, partition);
    buf_add_char(b, ':');
    buf_add_span(b, queue);
    return buf_span(b);
}

static struct work *work_find(struct courier *c, unsigned partition, struct span queue)
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
    w->is_apart = queue_apart(queue).len > 0;
    if (c->rules)
        obey_judge(w);
    work_find_kind(w);
    list_init(&w->ready);
    list_init(&w->connections);
    w->site = mem_string("");
    must(!map_set(&c->works, work_key(partition, queue, &key), w));
    return w;
}

bool work_check_over(struct work *w)
{
    AUTO_BUF struct buf key = {0};
    struct courier *c = w->courier;

    if (work_is_granted(w) || w->is_claiming || w->job_count > 0 || w->connection_count > 0 ||
        w->is_report_due)
        return false;
    if (clock_ms() <
        w->until_ms) { /* taken back before its time: a grant that comes late is still to be told by its serial */
        timer_start(c->loop, &w->timer, w->until_ms - clock_ms() + 1, on_timer);
        return false;
    }
    must(map_remove(&c->works, work_key(w->partition, span_of(w->queue), &key)) == w);
    timer_stop(&w->timer);
    tail_remove(&w->tail);
    room_leave(w);
    work_drop_search(w);
    route_free(w->route);
    verdict_done(&w->trouble);
    mem_free(w->pause_error);
    mem_free(w->best_host);
    mem_free(w->redirect_to);
    mem_free(w->site);
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

/* ---- grants ---- */

bool work_is_granted(const struct work *w)
{
    return w->connections_max > 0 && clock_ms() < w->until_ms;
}

/* Overtaken, or said again: it takes nothing away that is in force. */
static bool is_late(const struct work *w, const struct grant *g, uint64_t until_ms)
{
    if (g->token != w->token || !g->serial)
        return g->token < w->token;
    return g->serial < w->serial || (g->serial == w->serial && until_ms < w->until_ms);
}

static bool is_less(const struct work *w, const struct grant *g)
{
    return g->connections < w->connections_max || g->connections == 0 ||
           (g->rate_micro && (!w->rate_micro || g->rate_micro < w->rate_micro));
}

/* An owner who was told of a site again and again, and names none, knows no limit of it: our settings differ, and no mail waits for that. */
static void take_site(struct work *w, const struct grant *g)
{
    bool is_told = w->site_told_ms && g->answers_ms > w->site_told_ms + SITE_TOLD_MS;
    struct span site = g->site.len > 0 || !is_told ? g->site : span_of(work_site(w));

    if (span_equal(span_of(w->site), site))
        return;
    mem_free(w->site);
    w->site = mem_text(site.at, site.len);
}

/* A host that puts off all of its only connection is asked no more often than that. */
static void set_rate(struct work *w)
{
    bool is_slow = w->put_off >= PUT_OFF_MOST && w->connections_max <= 1 &&
                   (!w->rate_micro || w->rate_micro > PUT_OFF_RATE_MICRO);

    rate_set(&w->rate, is_slow ? PUT_OFF_RATE_MICRO : w->rate_micro, clock_us());
}

void work_grant(struct courier *c, const struct grant *g, uint64_t until_ms)
{
    struct work *w = work_find(c, g->partition, g->queue);

    if (!w && g->connections == 0)
        return;
    if (!w)
        w = work_new(c, g->partition, g->queue);
    if (is_late(w, g, until_ms))
        return;
    if (is_less(w, g)) {
        w->is_shrunk = true;
        w->cohort_told = 0;
        grant_report(w); /* the rest is granted to others as soon as this is told */
    }
    if (g->token > w->token || g->serial > w->serial || !g->serial)
        verdict_done(&w->trouble); /* the dispatcher thinks of trying again */
    if (g->token != w->token)      /* of a new owner, who knows nothing yet */
        w->has_told_answer = false;
    if (g->token != w->token || !work_is_granted(w)) /* what was told of it before may be forgotten */
        w->site_told_ms = 0;
    w->token = g->token;
    w->serial = g->serial;
    w->connections_max = w->is_suspended ? 0 : g->connections;
    if (w->is_suspended && g->connections)
        grant_report(w); /* the owner does not know of the rule yet: it goes back */
    w->rate_micro = g->rate_micro;
    set_rate(w);
    w->until_ms = until_ms;
    take_site(w, g);
    w->is_rung = true;
    work_wake(w);
}

void work_release(struct work *w)
{
    LIST_EACH(&w->ready, it, save) {
        struct job *j = LIST_ENTRY(it, struct job, link);

        list_remove(it);
        w->ready_count--;
        settle_release(j);
    }
    content_wake(w->courier);
}

void work_give_up_grant(struct work *w)
{
    w->connections_max = 0;
    work_wake(w);
}

/* ---- jobs and connections ---- */

struct job *work_take(struct work *w, const struct connection *k, size_t target)
{
    if (!work_is_granted(w) || !rate_allows(&w->rate, clock_us()))
        return NULL;
    LIST_EACH(&w->ready, it, save) {
        struct job *j = LIST_ENTRY(it, struct job, link);

        if (!connection_suits(k, target, j))
            continue;
        list_remove(it);
        w->ready_count--;
        rate_take(&w->rate);
        return j;
    }
    return NULL;
}

bool work_waits_for_another(const struct work *w, const struct connection *k, size_t target)
{
    if (w->connection_count < w->connections_max)
        return false;
    for (const struct list *it = w->ready.next; it != &w->ready; it = it->next) {
        if (!connection_suits(k, target, LIST_ENTRY((struct list *) (uintptr_t) it, struct job, link)))
            return true;
    }
    return false;
}

void work_return(struct work *w, struct job *j)
{
    work_forget_tried(w, j);
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

void work_job_came(struct work *w, struct job *j)
{
    struct courier *c = w->courier;

    c->job_count++;
    c->user_count += w->job_count++ == 0;
    c->suspects += j->is_suspect;
    map_set(&c->jobs, span_of(j->name), j);
}

void work_job_over(struct work *w, struct job *j)
{
    struct courier *c = w->courier;

    list_remove(&j->link);
    if (map_get(&c->jobs, span_of(j->name)) == j)
        map_remove(&c->jobs, span_of(j->name));
    content_over(j);
    if (j->is_suspect)
        suspect_over(c);
    job_free(j);
    c->job_count--;
    c->user_count -= --w->job_count == 0;
    if (w->job_count == 0 && !w->has_told_answer && !w->is_fanout) /* others on trial wait for its room */
        grant_report(w);
    room_wake(c);
    work_wake(w);
    courier_check_drained(c);
}

void work_hear(struct work *w, const struct client_message *m)
{
    uint32_t throttled = w->feedback.throttled;

    feedback_add(&w->feedback, m);
    if (w->feedback.throttled > throttled)
        w->put_off++;
    else if (m->fault == FAULT_NONE)
        w->put_off = 0;
    set_rate(w);
    if (w->feedback.throttled >= w->connections_max)
        grant_report(w); /* each cohort that is put off makes the grant smaller, or is one of few a second */
    if (w->feedback.finished > w->feedback.throttled && !w->has_told_answer)
        grant_report(w);
    if (w->feedback.succeeded >= w->connections_max && w->cohort_told != w->connections_max) {
        w->cohort_told = w->connections_max; /* once: without a larger grant there is nothing to hurry for */
        grant_report(w);
    }
}

/* ---- connections ---- */

static size_t live_count(const struct work *w)
{
    return w->connection_count - w->leaving;
}

bool work_has_too_many(const struct work *w)
{
    return live_count(w) > w->connections_max || room_is_owed(w);
}

void work_connection_came(struct work *w, struct connection *k)
{
    k->work = w;
    list_append(&w->connections, &k->link);
    w->connection_count++;
    w->connecting += !k->was_ready;
}

void work_connection_over(struct work *w, struct connection *k)
{
    list_remove(&k->link);
    w->connection_count--;
    w->connecting -= !k->was_ready;
    w->leaving -= k->is_closing;
    if (w->told_connections > w->connections_max) /* the rest of a larger share is waited for */
        grant_report(w);
    work_wake(w);
}

/* Those that carry nothing go at once, the idle ones first; the others when they are done with their message. */
static void shrink(struct work *w)
{
    w->is_shrunk = false;
    for (int pass = 0; pass < 2; pass++) {
        LIST_EACH(&w->connections, it, save) {
            struct connection *k = LIST_ENTRY(it, struct connection, link);

            if (live_count(w) > w->connections_max && (pass > 0 || pool_has(k)))
                connection_let_go(k);
        }
    }
    while (w->ready_count > (size_t) WORK_AHEAD * w->connections_max) {
        struct job *j = LIST_ENTRY(w->ready.prev, struct job, link);

        list_remove(&j->link);
        w->ready_count--;
        settle_release(j);
    }
}

/* A connection that goes this way, from another queue or a new one; false: not now. */
static bool connect_one(struct work *w, const struct way *way, const struct job *first)
{
    struct connection *k = pool_take(w, way);

    if (k) {
        work_connection_over(k->work, k);
        work_connection_came(w, k);
        connection_drive(k);
        return true;
    }
    if (clock_ms() < w->connect_at_ms || !room_for_connection(w))
        return false;
    connection_open(w, way, first);
    return true;
}

/* Those before it have the connections that are on their way. */
static struct job *next_to_connect(const struct work *w)
{
    struct list *it = w->ready.next;

    for (size_t i = 0; i < w->connecting; i++)
        it = it->next;
    return LIST_ENTRY(it, struct job, link);
}

static void connect_more(struct work *w)
{
    const char *site = work_site(w);
    struct source source;

    if (*site && strcmp(site, w->site) != 0) /* none of its connections has been lent to us yet */
        return;
    while (w->ready_count > w->connecting && w->connection_count < w->connections_max) {
        const struct source *from = source_of(w->courier, w->queue, &source) ? &source : NULL;
        struct job *j = next_to_connect(w);
        struct way way = work_choose_way(w, j, from);

        if (!way.target && (j->tried || j->tried_relaxed)) { /* this job has tried all that is left */
            list_remove(&j->link);
            w->ready_count--;
            attempt_end_without_host(j);
        } else if (!way.target && live_count(w) > 0 && !work_is_barred(w)) {
            return;
        } else if (!way.target) { /* nobody is left to tell whether the targets are as bad as they were */
            if (!work_forgive_targets(w, from))
                return;
        } else if (!connect_one(w, &way, j)) {
            return;
        }
    }
}

/* ---- moving on ---- */

static void on_timer(struct timer *t)
{
    work_wake(CONTAINER_OF(t, struct work, timer));
}

/* When something is to be done although nothing happens: the rate, a busy host, the end of the grant. */
static void set_timer(struct work *w)
{
    uint64_t now = clock_ms(), at = w->until_ms;

    if (w->ready_count > 0 && rate_wait_ms(&w->rate) > 0 && now + rate_wait_ms(&w->rate) < at)
        at = now + rate_wait_ms(&w->rate);
    if (w->ready_count > 0 && w->connect_at_ms > now && w->connect_at_ms < at)
        at = w->connect_at_ms;
    timer_start(w->courier->loop, &w->timer, at > now ? at - now : 1, on_timer);
}

static void give_up(struct work *w)
{
    w->connections_max = 0;
    work_release(w);
    LIST_EACH(&w->connections, it, save) {
        struct connection *k = LIST_ENTRY(it, struct connection, link);

        if (pool_has(k))
            connection_quit(k);
    }
    work_check_over(w);
}

static void send_ready(struct work *w)
{
    LIST_EACH(&w->connections, it, save) {
        struct connection *k = LIST_ENTRY(it, struct connection, link);

        if (w->ready_count > 0 && pool_has(k))
            connection_drive(k);
    }
    connect_more(w);
}

static void work_pump(struct work *w)
{
    room_leave(w);
    if (!work_is_granted(w) || w->courier->is_draining) {
        give_up(w);
        return;
    }
    if (w->is_shrunk)
        shrink(w);
    if (w->trouble.class != VERDICT_NONE)
        work_decide_ready(w, &w->trouble); /* what was claimed before and came to hand since */
    claim_more(w);
    if (w->ready_count > 0 && !(w->is_expiring && w->is_claiming) && rate_allows(&w->rate, clock_us()) &&
        work_has_source(w) && work_has_route(w))
        send_ready(w);
    set_timer(w);
    room_wake(w->courier); /* what this one did not need is for the next */
}

static void on_tail(struct tail *t)
{
    work_pump(CONTAINER_OF(t, struct work, tail));
}
