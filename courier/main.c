/* barid-courier: claims, delivers, settles. One reactor; scale by running more. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/daemon.h"
#include "cluster/rule_watch.h"
#include "cluster/transcript.h"
#include "cluster/wire.h"
#include "courier/away.h"
#include "courier/busy.h"
#include "courier/claim.h"
#include "courier/connection.h"
#include "courier/courier.h"
#include "courier/dead_host.h"
#include "courier/grant.h"
#include "courier/login_key.h"
#include "courier/notice.h"
#include "courier/obey.h"
#include "courier/settle.h"
#include "courier/source.h"
#include "courier/stray.h"
#include "courier/sts.h"
#include "courier/tlsrpt.h"
#include "courier/work.h"

static struct courier courier;

/* ---- names ---- */

/* The names that mean this cluster, for loop detection (BEHAVIOURS I08, H22): our own, those of the settings, those of the nodes seen last. */
static void take_names(const struct node_view *view)
{
    const struct conf *conf = conf_get();
    const char **names = mem_array(conf->courier.own_names.count + view->count + 2, sizeof(*names));
    size_t count = 0;

    for (size_t i = 0; i < courier.client.own_name_count; i++)
        mem_free((void *) (uintptr_t) courier.client.own_names[i]);
    mem_free((void *) (uintptr_t) courier.client.own_names);
    mem_free((void *) (uintptr_t) courier.client.helo_name);
    courier.client.helo_name = mem_string(*conf->courier.helo_name ? conf->courier.helo_name
                                                                   : daemon_node_name());
    names[count++] = mem_string(courier.client.helo_name);
    names[count++] = mem_string(daemon_node_name());
    for (size_t i = 0; i < conf->courier.own_names.count; i++)
        names[count++] = mem_string(conf->courier.own_names.items[i]);
    for (size_t i = 0; i < view->count; i++) {
        if (view->peers[i].stats.name && *view->peers[i].stats.name)
            names[count++] = mem_string(view->peers[i].stats.name);
    }
    courier.client.own_names = names;
    courier.client.own_name_count = count;
}

/* ---- TLS ---- */

static int make_tls(struct tls_client **ret_client, char **ret_error)
{
    struct tls_client_settings settings;

    tls_client_settings_of(conf_get(), &settings);
    int r = tls_client_new(&settings, ret_client, ret_error);
    if (r == 0)
        metric_set(METRIC_TLS_OUT_CERTIFICATE_END_SECONDS, tls_client_ends_ms(*ret_client));
    return r;
}

/* The files may be others now, even where the settings are not. */
static void reload_tls(void)
{
    struct tls_client *fresh;
    char *error = NULL;

    if (make_tls(&fresh, &error) < 0) {
        log_event(LOG_TLS_OUT_REFUSED, F("why", error));
        mem_free(error);
        return;
    }
    tls_client_release(courier.tls);
    courier.tls = fresh;
}

/* ---- the cluster ---- */

static void each_work(void (*act)(struct work *w))
{
    size_t cursor = 0;
    struct span key;
    void *value;

    while (map_next(&courier.works, &cursor, &key, &value))
        act(value);
}

static void on_joined(void *owner UNUSED, uint64_t incarnation)
{
    courier.incarnation = incarnation;
    log_event(LOG_JOINED, FN("incarnation", incarnation));
}

static void drop_work(struct work *w)
{
    w->connections_max = 0;
    LIST_EACH(&w->connections, it, save)
        connection_abort_before_dot(LIST_ENTRY(it, struct connection, link));
    work_wake(w);
}

void courier_dead(struct courier *c)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    c->incarnation = 0;
    keyring_begin(&c->keyring, clock_ms());
    while (map_next(&c->jobs, &cursor, &key, &value)) {
        ((struct job *) value)->is_dropped = true;
        map_remove(&c->jobs, key); /* the next life may claim it again */
    }
    each_work(drop_work);
    grant_stop(c);
    grant_start(c);
}

static void on_dead(void *owner UNUSED)
{
    log_event(LOG_DECLARED_DEAD, FN("incarnation", courier.incarnation), FN("jobs", courier.job_count));
    courier_dead(&courier);
}

static void on_view(void *owner UNUSED, const struct node_view *view)
{
    if (!view)
        return;
    if (tls_client_files_changed(courier.tls))
        reload_tls();
    take_names(view);
    if (keyring_look(&courier.keyring, view, courier.incarnation, store_redis_ms(courier.store),
                     conf_get()->bus.key_age_ms, clock_ms())) { /* links look for themselves */
        log_event(LOG_BUS_KEY, F("key", courier.keyring.keys.public_key));
        node_beat_soon(courier.node);
    }
    grant_on_view(&courier, view);
}

static void on_stats(void *owner UNUSED, struct node_stats *s)
{
    s->is_draining = courier.is_draining;
    s->store_audit_ok = store_is_ready(courier.store);
    s->claimed = courier.job_count;
    s->capacity = conf_get()->courier.max_claimed;
    s->delivered = (uint64_t) metric_get(METRIC_DELIVERED_TOTAL);
    s->deferred = (uint64_t) metric_get(METRIC_DEFERRED_TOTAL);
    s->failed = (uint64_t) metric_get(METRIC_FAILED_TOTAL);
    keyring_tell(&courier.keyring, s, store_redis_ms(courier.store), clock_ms());
    mem_free(s->pools);
    s->pools = mem_string(sources_pools(courier.sources));
    s->in_doubt = (uint64_t) metric_get(METRIC_IN_DOUBT_TOTAL);
    busy_tell(&courier, s);
    metric_set(METRIC_CLAIMED, (int64_t) courier.job_count);
    metric_set(METRIC_CONTENT_BYTES, (int64_t) courier.content_bytes);
}

static void on_store_ready(void *owner UNUSED)
{
    each_work(work_wake);
}

static void on_store_lost(void *owner UNUSED, const char *reason UNUSED)
{
    courier_check_drained(&courier);
}

/* ---- draining ---- */

/* BEHAVIOURS A15: what has not begun goes back at once, what has is finished. */
static void take_no_more(void)
{
    if (courier.is_draining)
        return;
    courier.is_draining = true;
    grant_return_all(&courier);
    each_work(work_give_up_grant);
}

static void on_drain(void *owner UNUSED, bool is_ordered)
{
    log_event(is_ordered ? LOG_DRAIN_ORDERED : LOG_DRAIN_OVER);
    if (is_ordered)
        take_no_more();
    else
        courier.is_draining = courier.is_ending; /* the next hello tells it, and grants come */
}

static void on_rules(void *owner UNUSED, const struct rules *rules)
{
    if (!courier.node) /* it has left */
        return;
    courier.is_traced = transcripts_take(courier.transcripts, rules);
    obey_begin(&courier, rules);
}

/* ---- life ---- */

static void die(const char *what, const char *why)
{
    fprintf(stderr, "barid-courier: %s: %s\n", what, why);
    exit(2);
}

static void open_dns(void)
{
    const struct dns_settings settings = dns_settings_of(conf_get());
    int r = dns_open(courier.loop, &settings, &courier.dns);

    if (r < 0)
        die("dns.servers", log_errno_text(-r));
}

static void start(struct loop *loop)
{
    static const char *const verdict_words[] = {"delivered", "deferred",
                                                "failed"}; /* from VERDICT_DELIVERED on */
    struct store_events store_events = {.on_ready = on_store_ready, .on_lost = on_store_lost};
    struct node_events node_events = {.on_joined = on_joined,
                                      .on_dead = on_dead,
                                      .on_view = on_view,
                                      .on_drain = on_drain,
                                      .on_stats = on_stats};
    struct node_stats stats = {
        .role = ROLE_COURIER,
        .name = mem_string(daemon_node_name()),
        .version = mem_string(daemon_version()),
        .http = mem_string(daemon_http_address()),
        .bus = mem_string(""),
        .started_ms = clock_wall_ms(),
    };
    char *error = NULL;

    metric_label(METRIC_SITE_RECIPIENTS_TOTAL, verdict_words, ARRAY_LEN(verdict_words));
    metric_label(METRIC_DEFERRED_TOTAL, bounce_names + 1, BOUNCE_COUNT - 1);
    metric_label(METRIC_RULED_TOTAL, obey_words, OBEY_WORD_COUNT);
    metric_label(METRIC_FAILED_TOTAL, bounce_names + 1, BOUNCE_COUNT - 1);
    courier.loop = loop;
    list_init(&courier.idle);
    list_init(&courier.open_claims);
    list_init(&courier.short_of_jobs);
    list_init(&courier.short_of_connections);
    list_init(&courier.content_waiting);
    courier.settler = settler_new(&courier);
    notice_load_settings(&courier);
    courier.sources = sources_new(&courier);
    keyring_begin(&courier.keyring, clock_ms());
    courier.dead_hosts = NEW(struct dead_hosts);
    courier.login_keys = login_keys_new(loop);
    if (make_tls(&courier.tls, &error) < 0)
        die("tls_out", error);
    take_names(&(struct node_view){0});
    open_dns();
    if (store_open(loop, &store_events, &courier.store, &error) < 0)
        die("store.address", error);
    courier.sts = sts_open(&courier);
    courier.tlsrpt = tlsrpt_open(&courier);
    courier.node = node_open(courier.store, &stats, 1000, &node_events);
    node_stats_done(&stats);
    courier.awaits_rules = true;
    courier.transcripts = transcripts_open(courier.store, daemon_node_name(), TRANSCRIPT_RATE);
    courier.rule_watch = rule_watch_open(courier.store, on_rules, NULL);
    grant_start(&courier);
    stray_start(&courier);
    away_start(&courier);
}

static void reload(void)
{
    if (!courier.node)
        return; /* it has left */
    take_names(node_view(courier.node));
    notice_load_settings(&courier);
    sources_reload(courier.sources);
    tlsrpt_reload(courier.tlsrpt);
    reload_tls();
    each_work(work_forget_route);
}

static void on_left(void *owner UNUSED)
{
    if (courier.is_cut_off) { /* its claims are reaped where they are, when that shard is there again */
        log_flush_all();
        exit(EXIT_FAILURE);
    }
    courier.node = NULL;
    grant_stop(&courier);
    keyring_done(&courier.keyring);
    each_work(work_drop_search);
    courier.sts = sts_close(courier.sts);
    courier.tlsrpt = tlsrpt_close(courier.tlsrpt);
    courier.sources = sources_free(courier.sources);
    courier.dns = dns_close(courier.dns);
    courier.limiter = limiter_close(courier.limiter);
    courier.rule_watch = rule_watch_close(courier.rule_watch);
    courier.is_traced = false;
    courier.transcripts = transcripts_close(courier.transcripts);
    courier.store = store_close(courier.store);
    daemon_end();
}

void courier_check_drained(struct courier *c)
{
    if (!c->is_ending || c->is_leaving)
        return;
    if (c->job_count > (c->is_cut_off ? away_jobs(c) : 0) ||
        settler_pending_count(c->settler) > (c->is_cut_off ? away_verdicts(c) : 0))
        return;
    if (claim_is_awaited(c)) /* it may bring jobs, which go back at once */
        return;
    if (!tlsrpt_is_written(c->tlsrpt) && !c->is_cut_off)
        return;
    c->is_leaving = true;
    node_leave(c->node, on_left, NULL);
}

/* Then the node leaves. */
static void drain(void)
{
    courier.is_ending = true;
    take_no_more();
    courier_check_drained(&courier);
}

void courier_give_up(struct courier *c)
{
    if (!c->is_cut_off)
        log_event(LOG_STORE_AWAY, FN("jobs", away_jobs(c)), F("msg", store_trouble(c->store)));
    c->is_cut_off = true;
    drain();
}

static bool is_ready(struct buf *why)
{
    if (!store_is_ready(courier.store))
        buf_add_text(why, store_trouble(courier.store));
    else if (!courier.incarnation)
        buf_add_text(why, "not joined the cluster yet");
    else if (courier.is_draining)
        buf_add_text(why, "draining, as baridctl node drain ordered");
    else
        return true;
    return false;
}

int main(int argc, char **argv)
{
    static const struct daemon daemon = {
        .program = "barid-courier",
        .start = start,
        .reload = reload,
        .drain = drain,
        .is_ready = is_ready,
    };

    return daemon_main(&daemon, argc, argv);
}
