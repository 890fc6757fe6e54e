/*
 * barid-ingress: takes mail and commits it to the queue.
 *
 * The main loop runs the first reactor, the node (join, beat, view), HTTP and signals; each further reactor has a thread. Ending: every
 * reactor drains and ends in its own thread; when the others have ended, the main one leaves the cluster and ends last.
 */
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/daemon.h"
#include "cluster/keyring.h"
#include "cluster/ticket.h"
#include "ingress/auth.h"
#include "ingress/certificate.h"
#include "ingress/change.h"
#include "ingress/listener.h"
#include "ingress/overload.h"
#include "ingress/reactor.h"
#include "ingress/ring.h"
#include "ingress/service.h"
#include "ingress/table_watch.h"
#include "ingress/tracing.h"

enum { EXIT_USAGE = 2, VIEW_EVERY_MS = 1000, THREADS_MAX = 256, POLITE_PERCENT = 80, LINGER_PERCENT = 15 };

static struct {
    struct loop *loop;
    struct reactor **reactors;
    unsigned count;
    struct node *node;
    struct keyring keyring;
    struct tls_tickets *tickets; /* of all listeners */
    struct ticket *ticket;       /* keeps their secrets alive */
    struct timer polite;         /* how long draining waits for clients */
    struct timer end;
    _Atomic unsigned ended; /* threads that are over */
    bool is_leaving;
} ingress;

static void die(char *sentence) __attribute__((noreturn));
static void die(char *sentence)
{
    fprintf(stderr, "barid-ingress: %s\n", sentence);
    mem_free(sentence);
    exit(EXIT_USAGE);
}

static void wake_all(void)
{
    for (unsigned i = 0; i < ingress.count; i++)
        reactor_wake(ingress.reactors[i]);
}

/* Settings or certificates have changed. */
static void renew_services(void)
{
    atomic_fetch_add(&reactor_shared.settings, 1);
    wake_all();
}

static void on_stress_change(void)
{
    if (overload_is_stressed())
        atomic_fetch_add(&reactor_shared.hurries, 1);
    renew_services();
}

/* ---- the node */

static void on_joined(void *owner UNUSED, uint64_t incarnation)
{
    log_event(LOG_JOINED, FN("incarnation", incarnation));
}

/* An ingress holds no claims: it joins anew and goes on. */
static void on_dead(void *owner UNUSED)
{
    log_event(LOG_DECLARED_DEAD, FN("incarnation", node_incarnation(ingress.node)));
    keyring_begin(&ingress.keyring, clock_ms());
}

static void on_view(void *owner UNUSED, const struct node_view *view)
{
    if (!view || !ingress.node)
        return;
    uint64_t me = node_incarnation(ingress.node), redis_ms = store_redis_ms(ingress.reactors[0]->store);
    if (keyring_look(&ingress.keyring, view, me, redis_ms, conf_get()->bus.key_age_ms, clock_ms())) {
        log_event(LOG_BUS_KEY, F("key", ingress.keyring.keys.public_key));
        node_beat_soon(ingress.node);
    }
    bool is_first = !atomic_exchange(&reactor_shared.has_orders, true);
    if (ring_publish(view, me, &ingress.keyring.keys) || is_first)
        wake_all();
}

static void on_drain(void *owner UNUSED, bool is_ordered)
{
    unsigned from = is_ordered ? DRAIN_NO : DRAIN_ORDERED; /* else it is ending, and goes on with that */

    log_event(is_ordered ? LOG_DRAIN_ORDERED : LOG_DRAIN_OVER);
    if (atomic_compare_exchange_strong(&reactor_shared.drain, &from, is_ordered ? DRAIN_ORDERED : DRAIN_NO))
        wake_all();
}

static void on_stats(void *owner UNUSED, struct node_stats *stats)
{
    stats->sessions = (uint64_t) metric_get(METRIC_SESSIONS);
    stats->accepted = (uint64_t) metric_get(METRIC_ACCEPTED_TOTAL);
    stats->in_doubt = (uint64_t) metric_get(METRIC_DOOR_IN_DOUBT_TOTAL);
    stats->capacity = conf_get()->ingress.max_sessions;
    stats->store_audit_ok = store_is_ready(ingress.reactors[0]->store);
    stats->is_draining = atomic_load(&reactor_shared.drain) != DRAIN_NO;
    keyring_tell(&ingress.keyring, stats, store_redis_ms(ingress.reactors[0]->store), clock_ms());
}

static void open_node(void)
{
    const struct node_events events = {.on_joined = on_joined,
                                       .on_dead = on_dead,
                                       .on_view = on_view,
                                       .on_drain = on_drain,
                                       .on_stats = on_stats};
    struct node_stats stats = {
        .role = ROLE_INGRESS,
        .name = mem_string(daemon_node_name()),
        .version = mem_string(daemon_version()),
        .http = mem_string(daemon_http_address()),
        .bus = mem_string(""),
        .started_ms = clock_wall_ms(),
    };
    keyring_begin(&ingress.keyring, clock_ms());
    ingress.node = node_open(ingress.reactors[0]->store, &stats, VIEW_EVERY_MS, &events);
    mem_free(stats.name);
    mem_free(stats.version);
    mem_free(stats.http);
    mem_free(stats.bus);
}

/* ---- the end */

static void on_end(struct timer *t UNUSED)
{
    overload_close();
    change_close();
    tracing_close();
    ingress.ticket = ticket_close(ingress.ticket);
    certificates_close();
    table_watch_close();
    reactor_end(ingress.reactors[0]);
    daemon_end();
}

static void on_left(void *owner UNUSED)
{
    ingress.node = NULL;
    timer_stop(&ingress.polite);
    timer_start(ingress.loop, &ingress.end, 0,
                on_end); /* not inside a callback of the store that is closed there */
}

static void on_drained(struct reactor *r)
{
    if (r->index > 0) {
        reactor_end(r);
        loop_stop(r->loop);
        return;
    }
    if (ingress.is_leaving || atomic_load(&ingress.ended) + 1 < ingress.count)
        return;
    ingress.is_leaving = true;
    node_leave(ingress.node, on_left, NULL);
}

static void *run_thread(void *context)
{
    struct reactor *r = context;
    loop_run(r->loop);
    atomic_fetch_add(&ingress.ended, 1);
    reactor_wake(ingress.reactors[0]);
    return NULL;
}

/* First all sessions are told to end; when it comes again, those that do not read it are cut. */
static void on_polite_over(struct timer *t)
{
    atomic_store(&reactor_shared.drain, DRAIN_AT_ONCE);
    wake_all();
    timer_start(ingress.loop, t, conf_get()->node.drain_time_ms * LINGER_PERCENT / 100, on_polite_over);
}

static void drain(void)
{
    uint64_t polite_ms = conf_get()->node.drain_time_ms * POLITE_PERCENT / 100;
    atomic_store(&reactor_shared.drain, DRAIN_POLITELY);
    timer_start(ingress.loop, &ingress.polite, polite_ms, on_polite_over);
    wake_all();
}

/* ---- the start */

static void tell_listeners(const struct reactor *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->service_count; i++)
        for (size_t k = 0; k < r->services[i]->conf->address.count; k++)
            log_event(LOG_LISTENING, F("listener", r->services[i]->name),
                      F("address", r->services[i]->conf->address.items[k]),
                      FN("port", listener_port(r->listeners[n++])), FN("reactors", ingress.count));
}

/*
 * Woken by a packet, we do not push aside who runs: more packets share each of our turns, and Redis, client and we change places less often.
 * Measured with all of them on 2 processors: 71 -> 66 us of ours per message. Refused, nothing is lost.
 */
static void prefer_batches(void)
{
    const struct sched_param none = {.sched_priority = 0};
    (void) sched_setscheduler(0, SCHED_BATCH, &none); /* threads started later inherit it */
}

/* What a 250 of ours stands for: the label of the time that it takes. */
static void label_durability(const struct conf *conf)
{
    static char text[sizeof "replicas-" + 20] = "fsync";
    static const char *const words[] = {text};
    bool is_none = conf->store.durability == 1; /* the second of "fsync none" */

    if (conf->store.replicas > 0)
        (void) snprintf(text, sizeof(text), "replicas-%u", (unsigned) conf->store.replicas); /* it fits */
    else if (is_none)
        (void) snprintf(text, sizeof(text), "none"); /* it fits */
    metric_label(METRIC_ACCEPT_SECONDS, words, 1);
}

static void start(struct loop *main_loop)
{
    char *error = NULL;
    uint64_t threads = conf_get()->ingress.threads;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (threads == 0)
        threads = processors > 0 ? (uint64_t) processors : 1;
    prefer_batches();
    ingress.loop = main_loop;
    ingress.count = (unsigned) (threads < THREADS_MAX ? threads : THREADS_MAX);
    ingress.reactors = mem_array(ingress.count, sizeof ingress.reactors[0]);
    reactor_shared.name = daemon_node_name();
    reactor_shared.on_drained = on_drained;
    label_durability(conf_get());
    if (table_watch_open(main_loop, &error) < 0)
        die(error);
    ingress.tickets = tls_tickets_new();
    if (certificates_open(main_loop, ingress.tickets, renew_services, &error) < 0)
        die(error);
    for (unsigned i = 0; i < ingress.count; i++) {
        struct reactor **r = &ingress.reactors[i];
        if (reactor_new(i, ingress.count, i == 0 ? main_loop : NULL, r, &error) < 0 ||
            listeners_open(*r, i == 0 ? NULL : ingress.reactors[0], &error) < 0)
            die(error);
    }
    open_node();
    ingress.ticket = ticket_open(ingress.reactors[0]->store, ingress.tickets);
    change_open(ingress.reactors[0]->store, wake_all);
    tracing_open(ingress.reactors[0]->store, wake_all);
    overload_open(main_loop, on_stress_change);
    tell_listeners(ingress.reactors[0]);
    for (unsigned i = 1; i < ingress.count; i++)
        must(pthread_create(&ingress.reactors[i]->thread, NULL, run_thread, ingress.reactors[i]) == 0);
}

static void reload(void)
{
    certificates_reload();
    table_watch_reload();
    renew_services();
}

static bool is_ready(struct buf *why)
{
    if (node_incarnation(ingress.node) == 0)
        buf_add_text(why, "the node has not joined the cluster\n");
    for (unsigned i = 0; i < ingress.count; i++) {
        if (atomic_load(&ingress.reactors[i]->is_ready))
            continue;
        buf_add_text(why, i == 0 ? store_trouble(ingress.reactors[0]->store)
                                 : "a reactor has no connection to Redis");
        buf_add_char(why, '\n');
    }
    if (atomic_load(&reactor_shared.drain) == DRAIN_ORDERED)
        buf_add_text(why, "draining, as baridctl node drain ordered\n");
    if (overload_is_full())
        buf_add_text(why, "ingress.max_memory is passed\n");
    return why->len == 0;
}

/* At a reload certificates are not looked at: what cannot be used is told, and the old ones stay. */
static int check(const struct conf *conf, char **ret_error)
{
    int r = services_check(conf, ret_error);
    if (r >= 0)
        r = auth_check(conf, ret_error);
    return r < 0 || ingress.loop ? r : certificates_check(conf, ret_error);
}

static void join_threads(void)
{
    for (unsigned i = 0; i < ingress.count; i++) {
        struct reactor *r = ingress.reactors[i];
        if (i > 0) {
            must(pthread_join(r->thread, NULL) == 0);
            r->loop = loop_free(r->loop);
        }
        (void) reactor_free(r); /* always NULL */
    }
    mem_free(ingress.reactors);
    keyring_done(&ingress.keyring);
    ring_forget();
    (void) tls_tickets_free(ingress.tickets); /* always NULL */
}

int main(int argc, char **argv)
{
    static const struct daemon role = {
        .program = "barid-ingress",
        .start = start,
        .reload = reload,
        .drain = drain,
        .is_ready = is_ready,
        .check = check,
    };
    int status = daemon_main(&role, argc, argv);
    join_threads();
    return status;
}
