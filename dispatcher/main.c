/* barid-dispatcher: shards by destination domain. It allocates; it never touches mail. One reactor; scale by running more. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/daemon.h"
#include "cluster/rule_watch.h"
#include "dispatcher/depth.h"
#include "dispatcher/gate.h"
#include "dispatcher/grant.h"
#include "dispatcher/janitor.h"
#include "dispatcher/look.h"
#include "dispatcher/obey.h"
#include "dispatcher/pause.h"
#include "dispatcher/peer.h"
#include "dispatcher/ring.h"
#include "dispatcher/way.h"
#include "dispatcher/web.h"

enum {
    VIEW_EVERY_MS = 250,
    TICK_MS = 25,
    LEASES_EVERY_MS = 250,
    TELL_EVERY_MS = 1000,
    DRAIN_MS = 2000,
    EXIT_USAGE = 2
};

static struct dispatcher {
    struct loop *loop;
    struct conf *conf; /* in force; at a reload, those before */
    struct store *store;
    struct node *node;
    struct rule_watch *rule_watch;
    const struct rules *rules; /* in force; NULL: not known yet */
    struct gate gate;
    struct limits *limits, *site_limits;
    struct nodes nodes;
    struct partitions partitions;
    struct looks looks;
    struct janitor janitor;
    struct depths depths;
    struct couriers couriers;
    struct schedule schedule;
    struct lender lender;
    struct peers peers;
    struct web web;
    struct timer tick;
    struct tail tail;
    uint64_t leases_ms;     /* when leases are looked at next */
    uint64_t tell_ms;       /* when something may be told next */
    unsigned told_held;     /* partitions, as last told */
    uint64_t refused_count; /* frames, since last told */
    uint64_t drain_until_ms;
    bool is_draining; /* takes no partitions: the operator's order, or the end */
    bool is_ending;   /* SIGTERM */
    bool is_leaving;
} d;

/* ---- grants at the end of the round ---- */

static int send_frame(void *owner UNUSED, struct span to, struct span frame)
{
    return hub_send(d.gate.hub, to, frame);
}

static void on_tail(struct tail *t UNUSED)
{
    uint64_t now = clock_ms();

    if (d.is_draining)
        return;
    peers_borrow(&d.peers, now); /* lends to ourselves too */
    schedule_run(&d.schedule, now);
    grants_flush(&d.schedule, send_frame, NULL);
}

static void wake(void)
{
    tail_add(d.loop, &d.tail, on_tail);
}

static void on_loans(struct span to, const struct frame *loans)
{
    AUTO_BUF struct buf bytes = {0};

    wire_put_frame(loans, &bytes);
    if (hub_send(d.gate.hub, to, buf_span(&bytes)) < 0)
        metric_add(METRIC_FRAMES_DROPPED_TOTAL, 1);
}

/* ---- what comes in ---- */

static void on_frame(struct span from, uint64_t node, struct span frame)
{
    if (ring_take_frame(&d.schedule, &d.lender, from, node, frame, clock_ms()) < 0) {
        metric_add(METRIC_FRAMES_REFUSED_TOTAL, 1);
        d.refused_count++;
        return;
    }
    wake();
}

static void on_queue(void *owner UNUSED, unsigned partition, const struct queue_due *due)
{
    schedule_due(&d.schedule, partition, due, clock_ms());
    wake();
}

static void on_partition(void *owner UNUSED, unsigned partition, bool is_held)
{
    if (is_held)
        looks_begin(&d.looks, partition, clock_ms());
}

static void on_courier_gone(void *owner UNUSED, struct courier *gone)
{
    schedule_courier_gone(&d.schedule, gone, clock_ms());
    wake();
}

/* ---- nodes ---- */

static void on_node(void *owner UNUSED, const struct node_seen *seen, bool is_new)
{
    log_event(is_new ? LOG_NODE_JOINED : LOG_NODE_LEFT, FN("incarnation", seen->incarnation),
              F("role", seen->role == ROLE_COUNT ? NULL : role_name(seen->role)));
}

static void on_bury(void *owner UNUSED, uint64_t incarnation, bool ok, bool is_dead)
{
    struct node_seen *seen = nodes_find(&d.nodes, incarnation);

    if (seen)
        seen->is_burying = false; /* alive, or unknown: the watch decides again */
    if (!ok || !is_dead)
        return;
    FAULT_POINT(buried);
    metric_add(METRIC_BURIED_TOTAL, 1);
    log_event(LOG_BURIED, FN("incarnation", incarnation), F("role", seen ? role_name(seen->role) : NULL));
}

static void bury_the_dead(const struct node_view *view, uint64_t now)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct node_peer *peer = &view->peers[i];
        const struct courier *courier = couriers_find(&d.couriers, peer->incarnation);
        struct node_seen *seen = nodes_find(&d.nodes, peer->incarnation);
        bool is_heard = courier && courier_is_heard(courier, now);
        if (!seen || seen->is_burying || peer->incarnation == d.partitions.me ||
            !nodes_is_dead(&d.nodes, peer->incarnation, is_heard, now))
            continue;
        seen->is_burying = true;
        node_bury(d.store, peer->incarnation, peer->count, on_bury, NULL);
        FAULT_SENT(bury_sent);
    }
}

static void on_view(void *owner UNUSED, const struct node_view *view)
{
    if (!view) {
        nodes_lose_sight(&d.nodes);
        return;
    }
    uint64_t now = clock_ms();
    gate_view(&d.gate, view, d.partitions.me);
    size_t gone = nodes_see(&d.nodes, view, on_node, NULL);
    couriers_view(&d.couriers, view, now, on_courier_gone, NULL);
    looks_view(&d.looks, view, gone > 0);
    peers_view(&d.peers, view);
    overview_view(&d.web.overview, view, now);
    if (d.is_leaving)
        return;
    bury_the_dead(view, now);
    partitions_name(&d.partitions, &d.nodes, view, now);
    wake();
}

static void on_joined(void *owner UNUSED, uint64_t incarnation)
{
    d.partitions.me = d.peers.me = incarnation;
    log_event(LOG_JOINED, FN("incarnation", incarnation));
}

static void on_dead(void *owner UNUSED)
{
    log_event(LOG_DECLARED_DEAD, FN("incarnation", d.partitions.me));
    partitions_drop(&d.partitions);
    peers_done(&d.peers); /* links are of a life */
    d.peers.me = 0;
    gate_dead(&d.gate);
}

static void on_drain(void *owner UNUSED, bool is_ordered)
{
    log_event(is_ordered ? LOG_DRAIN_ORDERED : LOG_DRAIN_OVER);
    d.is_draining = is_ordered || d.is_ending;
    d.leases_ms = 0;
    if (d.is_draining)
        (void) partitions_drain(&d.partitions); /* the tick yields them */
    else
        d.partitions.is_draining = false; /* the view names us again */
}

static void on_stats(void *owner UNUSED, struct node_stats *s)
{
    s->is_draining = d.is_draining;
    s->store_audit_ok = store_is_ready(d.store);
    s->partitions = d.partitions.held;
    gate_stats(&d.gate, s);
    s->queues_active = d.schedule.wanting;
}

/* ---- settings and rules ---- */

/* And the rules in force. false: a limit cannot be read; nothing has changed. */
static bool use_settings(char **ret_error)
{
    const struct conf *conf = conf_get();
    struct limits *limits, *site_limits;

    if (limits_read(conf, &limits, &site_limits, ret_error) < 0)
        return false;
    rules_order_limits(d.rules, limits, site_limits);
    limits_free(d.limits);
    limits_free(d.site_limits);
    d.limits = limits;
    d.site_limits = site_limits;
    d.schedule.limits = limits;
    d.schedule.sites.limits = d.lender.limits = limits_is_empty(site_limits) ? NULL : site_limits;
    d.schedule.most = conf->dispatcher.max_queues;
    d.schedule.start = (uint32_t) conf->dispatcher.queue_start;
    d.schedule.pause_first_ms = conf->dispatcher.pause_first_ms;
    d.schedule.pool_wait_ms = conf->dispatcher.pause_longest_ms;
    return true;
}

static void on_rules(void *owner UNUSED, const struct rules *rules)
{
    AUTO_FREE char *error = NULL;
    uint64_t now = clock_ms();

    if (!d.node)
        return; /* it has left */
    d.rules = d.depths.rules = d.web.overview.rules = rules;
    (void) use_settings(&error); /* they were checked before */
    if (schedule_obey(&d.schedule, rules, now))
        looks_deepen(&d.looks, now);
    log_event(LOG_RULES_OBEYED, FN("rules", rules->count),
              FN("suspending", rules_count(rules, RULE_SUSPEND)));
    wake();
}

/* ---- time ---- */

static void tell(uint64_t now)
{
    if (now < d.tell_ms)
        return;
    d.tell_ms = now + TELL_EVERY_MS;
    if (d.told_held != d.partitions.held)
        log_event(LOG_PARTITIONS, FN("held", d.partitions.held));
    d.told_held = d.partitions.held;
    if (d.partitions.lost)
        log_event(LOG_PARTITION_LOST, FN("partitions", d.partitions.lost));
    d.partitions.lost = 0;
    if (d.refused_count)
        log_event(LOG_FRAME_REFUSED, FN("frames", d.refused_count));
    d.refused_count = 0;
    gate_tell(&d.gate);
}

static void on_left(void *owner UNUSED)
{
    d.node = NULL;
    d.web.overview.node = NULL;
    timer_stop(&d.tick);
    tail_remove(&d.tail);
    gate_close(&d.gate);
    peers_done(&d.peers);
    lender_done(&d.lender);
    schedule_done(&d.schedule);
    couriers_done(&d.couriers);
    looks_done(&d.looks);
    nodes_done(&d.nodes);
    d.rule_watch = rule_watch_close(d.rule_watch);
    d.store = store_close(d.store);
    web_done(&d.web);
    janitor_done(&d.janitor);
    d.conf = conf_release(d.conf);
    d.limits = limits_free(d.limits);
    d.site_limits = limits_free(d.site_limits);
    daemon_end();
}

static void on_tick(struct timer *t)
{
    uint64_t now = clock_ms();

    timer_start(d.loop, t, TICK_MS, on_tick);
    if (now >= d.leases_ms && !d.is_leaving) {
        d.leases_ms = now + LEASES_EVERY_MS;
        partitions_work(&d.partitions, now);
    }
    tell(now);
    if (d.is_ending) {
        if (!d.is_leaving && (partitions_drain(&d.partitions) || now >= d.drain_until_ms)) {
            d.is_leaving = true;
            node_leave(d.node, on_left, NULL);
        }
        return;
    }
    looks_work(&d.looks, now);
    janitor_work(&d.janitor, now);
    depths_work(&d.depths, now);
    overview_work(&d.web.overview, now);
    couriers_refresh(&d.couriers, now);
    lender_check(&d.lender, now);
    schedule_check(&d.schedule, now);
    wake();
}

/* ---- life ---- */

static void die(const char *what, const char *why)
{
    fprintf(stderr, "barid-dispatcher: %s: %s\n", what, why);
    exit(EXIT_USAGE);
}

static void on_store_lost(void *owner UNUSED, const char *reason UNUSED)
{
    if (!store_is_ready(d.store))
        nodes_lose_sight(&d.nodes); /* after an outage nobody is dead before the watch has run again */
}

/* Where others find the bus: as told, ":port" by this machine's own name; else as bound; a wildcard is no address, the node's name is. */
static char *advertised(const struct conf *conf, uint16_t port)
{
    const char *listen = conf->bus.listen, *colon = strrchr(listen, ':');
    size_t len = colon ? (size_t) (colon - listen) : strlen(listen);
    struct span host = {.at = listen, .len = len};

    if (*conf->bus.advertise == ':') {
        AUTO_FREE char *label = daemon_host_label();
        return mem_format("%s%s", label, conf->bus.advertise);
    }
    if (*conf->bus.advertise)
        return mem_string(conf->bus.advertise);
    if (!len || span_equal(host, SPAN("*")) || span_equal(host, SPAN("0.0.0.0")) ||
        span_equal(host, SPAN("[::]")))
        return mem_format("%s:%u", daemon_node_name(), port);
    return mem_format("%.*s:%u", SPAN_ARG(host), port);
}

static void join_cluster(uint16_t port)
{
    AUTO_FREE char *bus = advertised(conf_get(), port);
    AUTO_FREE char *name = mem_string(daemon_node_name());
    AUTO_FREE char *version = mem_string(daemon_version());
    AUTO_FREE char *http = mem_string(daemon_http_address());
    const struct node_stats stats = {
        .role = ROLE_DISPATCHER,
        .name = name,
        .version = version,
        .http = http,
        .bus = bus,
        .started_ms = clock_wall_ms(),
    };
    const struct node_events events = {
        .on_joined = on_joined,
        .on_dead = on_dead,
        .on_view = on_view,
        .on_drain = on_drain,
        .on_stats = on_stats,
    };
    d.gate.node = d.node = node_open(d.store, &stats, VIEW_EVERY_MS, &events);
    d.web.overview.node = d.node;
}

static void start(struct loop *loop)
{
    const struct store_events events = {.on_lost = on_store_lost};
    AUTO_FREE char *error = NULL;
    uint16_t port;

    d.loop = loop;
    int r = gate_open(&d.gate, loop, on_frame, &port);
    if (r < 0)
        die("bus.listen", log_errno_text(-r));
    if (store_open(loop, &events, &d.store, &error) < 0)
        die("store", error);
    d.gate.store = d.partitions.store = d.store;
    d.partitions.on_change = on_partition;
    d.looks.partitions = &d.partitions;
    janitor_init(&d.janitor, d.store, &d.partitions);
    depths_init(&d.depths, &d.partitions);
    web_init(&d.web, d.store);
    d.looks.on_queue = on_queue;
    d.couriers.pool_of = way_pool;
    d.conf = conf_hold_current();
    schedule_init(&d.schedule, &d.partitions, &d.couriers);
    d.schedule.on_pause = pause_begin;
    d.schedule.on_resume = pause_end;
    d.schedule.owner = d.store;
    d.lender.partitions = &d.partitions;
    d.lender.on_loans = on_loans;
    d.peers = (struct peers){.loop = loop,
                             .schedule = &d.schedule,
                             .lender = &d.lender,
                             .on_loan = wake,
                             .keyring = &d.gate.keyring};
    if (!use_settings(&error))
        die("settings", error); /* they were checked before */
    join_cluster(port);
    d.schedule.awaits_rules = true;
    d.rule_watch = rule_watch_open(d.store, on_rules, NULL);
    timer_start(loop, &d.tick, TICK_MS, on_tick);
}

static int check(const struct conf *conf, char **ret_error)
{
    struct limits *limits, *site_limits;
    int r = limits_read(conf, &limits, &site_limits, ret_error);

    if (r < 0)
        return r;
    limits_free(limits);
    limits_free(site_limits);
    return web_check(conf, ret_error);
}

static bool serve(struct http_exchange *x, const char *path)
{
    return web_serve(&d.web, x, path);
}

static void reload(void)
{
    AUTO_FREE char *error = NULL;
    struct conf *before = d.conf;

    (void) use_settings(&error); /* they were checked before */
    d.couriers.epoch++;          /* lanes may have other pools */
    d.conf = conf_hold_current();
    if (d.node)
        schedule_rethink(&d.schedule, way_has_changed, before, clock_ms());
    conf_release(before);
}

/* No further grants; those in force end within 5 s, by then others have granted anew. */
static void drain(void)
{
    d.is_ending = d.is_draining = true;
    d.drain_until_ms = clock_ms() + DRAIN_MS;
    (void) partitions_drain(&d.partitions); /* the tick sees when it is done */
    d.leases_ms = 0;
}

static bool is_ready(struct buf *why)
{
    if (!store_is_ready(d.store))
        buf_add_text(why, store_trouble(d.store));
    else if (!d.partitions.me)
        buf_add_text(why, "the cluster is not joined yet");
    else if (d.is_draining)
        buf_add_text(why, "draining, as baridctl node drain ordered");
    else
        return true;
    return false;
}

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .program = "barid-dispatcher",
        .start = start,
        .reload = reload,
        .drain = drain,
        .is_ready = is_ready,
        .serve = serve,
        .check = check,
    };
    return daemon_main(&daemon, argc, argv);
}
