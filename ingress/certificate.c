/*
 * The TLS of the listeners. Once a second the main loop looks whether a file has changed; the new one comes into force for sessions that begin
 * from then on. One that cannot be used is told once: tls_files_changed() says nothing more of it until it is mended.
 */
#include "ingress/certificate.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/service.h"

enum { LOOK_EVERY_MS = 1000 };

static struct {
    struct loop *loop;
    struct timer timer;
    struct tls_tickets *tickets;
    void (*on_change)(void);
    pthread_mutex_t lock; /* servers[]: reactors hold what they get */
    struct tls_server **servers;
    size_t count;
} certificates = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool has_tls(const struct conf_listener *l)
{
    return l->tls != LISTENER_TLS_OFF && l->certificates.count > 0;
}

/* *ret_server NULL: the listener has no TLS. */
static int make(const struct conf *conf, const struct conf_listener *l, struct tls_server **ret_server,
                char **ret_error)
{
    AUTO_FREE char *why = NULL;
    /* A ticket of one listener proves nothing to another one, nor one of the time when another authority was believed (BEHAVIOURS C09). */
    AUTO_FREE char *trust = mem_format("%s\n%s", l->name, l->client_ca);
    const struct tls_server_settings settings = {
        .certificates = &l->certificates,
        .min_version = (enum tls_version) conf->tls.min_version,
        .ciphers = conf->tls.ciphers,
        .client_ca = l->client_ca,
        .asks_client_certificate = *l->client_ca,
        .trust = trust,
        .tickets = conf->tls.ticket_time_ms > 0 ? certificates.tickets : NULL,
        .ticket_ms = conf->tls.ticket_time_ms,
    };
    *ret_server = NULL;
    if (!has_tls(l))
        return 0;
    int r = tls_server_new(&settings, ret_server, &why);
    if (r < 0) {
        AUTO_FREE char *path = conf_member_path(&l->as_member, "listeners", "certificates");
        *ret_error = mem_format("%s: %s", path, why);
    }
    return r;
}

static void put(size_t i, struct tls_server *next)
{
    (void) pthread_mutex_lock(&certificates.lock); /* cannot fail for a default mutex that is not held */
    struct tls_server *old = certificates.servers[i];
    certificates.servers[i] = next;
    (void) pthread_mutex_unlock(&certificates.lock); /* as above */
    (void) tls_server_release(old);                  /* always NULL */
}

static void tell(const struct conf_listener *l, const struct tls_server *t)
{
    if (!t)
        return;
    const char *warning = tls_server_warning(t);
    if (*warning)
        log_event(LOG_CERTIFICATE_POOR, F("listener", l->name), F("why", warning));
}

/* Those in force are changed by this thread only. */
static void measure(void)
{
    int64_t first_ms = INT64_MAX;

    for (size_t i = 0; i < certificates.count; i++) {
        const struct tls_server *t = certificates.servers[i];
        if (t && tls_server_ends_ms(t) < first_ms)
            first_ms = tls_server_ends_ms(t);
    }
    metric_set(METRIC_LISTENER_CERTIFICATE_END_SECONDS, first_ms < INT64_MAX ? first_ms : 0);
}

/* Keeps what is in force if there is nothing better. */
static bool renew(const struct conf *conf, size_t i)
{
    struct tls_server *next;
    AUTO_FREE char *error = NULL;
    if (make(conf, &conf->listeners[i], &next, &error) < 0) {
        log_event(LOG_CERTIFICATE_REFUSED, F("listener", conf->listeners[i].name), F("error", error));
        return false;
    }
    put(i, next);
    measure();
    tell(&conf->listeners[i], next);
    return true;
}

static void on_look(struct timer *t)
{
    const struct conf *conf = conf_get();
    bool is_changed = false;
    for (size_t i = 0; i < certificates.count; i++) {
        if (!certificates.servers[i] || !tls_files_changed(certificates.servers[i]) || !renew(conf, i))
            continue;
        log_event(LOG_CERTIFICATE_LOADED, F("listener", conf->listeners[i].name));
        is_changed = true;
    }
    if (is_changed)
        certificates.on_change();
    timer_start(certificates.loop, t, LOOK_EVERY_MS, on_look);
}

int certificates_check(const struct conf *conf, char **ret_error)
{
    for (size_t i = 0; i < conf->listener_count; i++) {
        struct tls_server *server;
        int r = make(conf, &conf->listeners[i], &server, ret_error);
        if (r < 0)
            return r;
        (void) tls_server_release(server); /* always NULL */
    }
    return 0;
}

int certificates_open(struct loop *l, struct tls_tickets *tickets, void (*on_change)(void), char **ret_error)
{
    const struct conf *conf = conf_get();
    certificates.loop = l;
    certificates.tickets = tickets;
    certificates.on_change = on_change;
    certificates.servers = mem_array(conf->listener_count + 1, sizeof certificates.servers[0]);
    for (; certificates.count < conf->listener_count; certificates.count++) {
        const struct conf_listener *listener = &conf->listeners[certificates.count];
        int r = make(conf, listener, &certificates.servers[certificates.count], ret_error);
        if (r < 0)
            return r;
        tell(listener, certificates.servers[certificates.count]);
    }
    measure();
    timer_start(l, &certificates.timer, LOOK_EVERY_MS, on_look);
    return 0;
}

void certificates_reload(void)
{
    for (size_t i = 0; i < certificates.count; i++)
        (void) renew(conf_get(), i); /* what was stays, and is told */
}

void certificates_close(void)
{
    timer_stop(&certificates.timer);
    for (size_t i = 0; i < certificates.count; i++)
        put(i, NULL);
    certificates.servers = mem_free(certificates.servers);
    certificates.count = 0;
}

struct tls_server *certificate_get(size_t listener)
{
    (void) pthread_mutex_lock(&certificates.lock); /* as above */
    must(listener < certificates.count);
    struct tls_server *t = certificates.servers[listener];
    if (t)
        (void) tls_server_hold(t);                   /* the same pointer */
    (void) pthread_mutex_unlock(&certificates.lock); /* as above */
    return t;
}
