/* Hello and reports go to every dispatcher each second, reports of change at the end of the round; grants come back. */
#include "courier/grant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/wire.h"
#include "courier/room.h"
#include "io/bus.h"

enum { HELLO_MS = 1000, GRANT_MS = 5000 };

struct dispatcher {
    struct courier *courier;
    uint64_t incarnation;
    struct link *link;
};

static struct span key_of(const uint64_t *incarnation)
{
    return (struct span){(const char *) incarnation, sizeof(*incarnation)};
}

static void on_frame(void *owner, struct span bytes)
{
    struct dispatcher *d = owner;
    struct courier *c = d->courier;
    uint64_t now = clock_ms();
    struct frame f;

    if (wire_get_frame(bytes, &f) < 0) {
        metric_add(METRIC_FRAMES_REFUSED_TOTAL, 1);
        log_event(LOG_FRAME_REFUSED, F("from", "dispatcher"), FN("bytes", bytes.len));
        return;
    }
    for (size_t i = 0; i < f.grant_count && !c->is_draining && c->incarnation; i++) {
        const struct grant *g = &f.grants[i];

        if (g->answers_ms > now) /* not a time of ours: an earlier life's */
            continue;
        FAULT_POINT(grant_received);
        metric_add(METRIC_GRANTS_TOTAL, 1);
        work_grant(c, g, g->answers_ms + GRANT_MS);
    }
    frame_done(&f);
}

void grant_on_view(struct courier *c, const struct node_view *view)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    if (!c->incarnation || c->is_ending)
        return;
    for (size_t i = 0; i < view->count; i++) {
        const struct node_peer *p = &view->peers[i];
        struct dispatcher *d = map_get(&c->dispatchers, key_of(&p->incarnation));
        char name[BUS_NAME_MAX];

        if (p->stats.role != ROLE_DISPATCHER || !p->stats.bus || !*p->stats.bus)
            continue;
        if (d) {
            (void) link_use(d->link, &c->keyring.keys, p->stats.bus_key); /* no key: the former one stays */
            continue;
        }
        d = NEW(struct dispatcher);
        d->courier = c;
        d->incarnation = p->incarnation;
        snprintf(name, sizeof(name), "%llu.0", (unsigned long long) c->incarnation);
        if (link_open(c->loop, p->stats.bus, name, &c->keyring.keys, p->stats.bus_key, on_frame, d,
                      &d->link) < 0) {
            mem_free(d);
            continue;
        }
        map_set(&c->dispatchers, key_of(&d->incarnation), d);
        c->is_hello_due = true;
        tail_add(c->loop, &c->report_tail, c->report_tail.on_tail);
    }
    while (map_next(&c->dispatchers, &cursor, &key, &value)) {
        struct dispatcher *d = value;
        bool is_there = false;

        for (size_t i = 0; i < view->count; i++)
            is_there |= view->peers[i].incarnation == d->incarnation;
        if (is_there)
            continue;
        map_remove(&c->dispatchers, key);
        link_close(d->link);
        mem_free(d);
    }
}

void grant_send(struct courier *c, const struct frame *f)
{
    AUTO_BUF struct buf bytes = {0};
    size_t cursor = 0;
    struct span key;
    void *value;

    wire_put_frame(f, &bytes);
    while (map_next(&c->dispatchers, &cursor, &key, &value)) {
        if (link_send(((struct dispatcher *) value)->link, buf_span(&bytes)) < 0)
            metric_add(METRIC_FRAMES_DROPPED_TOTAL, 1);
    }
}

static void fill_hello(struct courier *c, struct frame *f)
{
    f->has_hello = true;
    f->hello = (struct hello){
        .incarnation = c->incarnation,
        .clock_ms = clock_ms(),
        .free_jobs = room_free_jobs(c),
        .free_connections = room_free_connections(c),
        .count = ++c->frame_count,
        .is_draining = c->is_draining,
    };
}

/* "host: what it said", printable. */
static struct span trouble_text(const struct work *w, struct buf *text)
{
    if (w->trouble.class == VERDICT_NONE)
        return SPAN("");
    if (*w->trouble.remote)
        buf_printf(text, "%s: ", w->trouble.remote);
    buf_add_text(text, w->trouble.text);
    return (struct span){text->data, text->len < TROUBLE_MAX ? text->len : TROUBLE_MAX};
}

/* text: room for what the report refers to. */
static struct report make_report(struct work *w, struct buf *text)
{
    uint64_t now = clock_ms();
    bool is_granted = work_is_granted(w);
    struct report r = {
        .partition = w->partition,
        .queue = span_of(w->queue),
        .token = w->token,
        .serial = w->serial,
        .granted = is_granted ? w->connections_max : 0,
        .connections = (uint32_t) w->connection_count,
        .claimed = (uint32_t) w->job_count,
        .is_empty = w->is_empty && !(is_granted && w->is_rung), /* it is about to look again */
        .wait_ms = w->wait_until_ms > now ? w->wait_until_ms - now : 0,
        .is_returned = !is_granted || w->courier->is_draining,
        .finished = w->feedback.finished,
        .succeeded = w->feedback.succeeded,
        .throttled = w->feedback.throttled,
        .trouble = trouble_text(w, text),
        .was_paused = w->pause_error != NULL,
        .site = span_of(work_site(w)),
    };

    w->is_report_due = false;
    w->told_connections = r.connections;
    w->has_told_answer |= r.finished > r.throttled;
    if (r.site.len > 0 && !w->site_told_ms)
        w->site_told_ms = now;
    w->feedback = (struct feedback){0};
    return r;
}

static void send_frame(struct courier *c, struct frame *f, struct buf texts[static FRAME_ENTRIES])
{
    fill_hello(c, f);
    grant_send(c, f);
    for (size_t i = 0; i < f->report_count; i++)
        buf_done(&texts[i]);
    f->report_count = 0;
}

/*
 * all (each second): every grant held, and what is still in use of those that ended; else only those with something new. The dispatchers
 * pick out their own.
 */
static void send_reports(struct courier *c, bool all)
{
    struct report reports[FRAME_ENTRIES];
    struct buf texts[FRAME_ENTRIES] = {0};
    struct frame f = {.reports = reports};
    size_t cursor = 0;
    struct span key;
    void *value;
    bool is_sent = false;

    if (!c->incarnation)
        return;
    while (map_next(&c->works, &cursor, &key, &value)) {
        struct work *w = value;

        if (!w->is_report_due && !(all && (work_is_granted(w) || w->connection_count > 0)))
            continue;
        if (!work_is_granted(w))
            work_wake(w); /* this may be all that kept it */
        reports[f.report_count] = make_report(w, &texts[f.report_count]);
        if (++f.report_count == FRAME_ENTRIES) {
            send_frame(c, &f, texts);
            is_sent = true;
        }
    }
    if (f.report_count > 0 || (all && !is_sent))
        send_frame(c, &f, texts);
}

static void on_report_tail(struct tail *t)
{
    struct courier *c = CONTAINER_OF(t, struct courier, report_tail);
    bool all = c->is_hello_due;

    c->is_hello_due = false;
    send_reports(c, all);
}

static void on_report_timer(struct timer *t)
{
    struct courier *c = CONTAINER_OF(t, struct courier, report_timer);

    timer_start(c->loop, t, HELLO_MS, on_report_timer);
    send_reports(c, true);
}

void grant_report(struct work *w)
{
    w->is_report_due = true;
    tail_add(w->courier->loop, &w->courier->report_tail, on_report_tail);
}

void grant_return_all(struct courier *c)
{
    send_reports(c, true);
}

void grant_start(struct courier *c)
{
    c->report_tail.on_tail = on_report_tail;
    timer_start(c->loop, &c->report_timer, HELLO_MS, on_report_timer);
}

void grant_stop(struct courier *c)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    timer_stop(&c->report_timer);
    tail_remove(&c->report_tail);
    while (map_next(&c->dispatchers, &cursor, &key, &value)) {
        struct dispatcher *d = value;

        map_remove(&c->dispatchers, key);
        link_close(d->link);
        mem_free(d);
    }
}
