/*
 * Requests to Redis: the queue, how it is spread over connections, expiry, opening and closing.
 * Submissions of one round are spread at its end: whole writes of about what Redis reads at once, each to the connection with the fewest
 * requests under way.
 */
#include "io/redis.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "io/redis_private.h"

enum { TICK_MIN_MS = 5, TICK_MAX_MS = 100, REDIS_PORT = 6379 };

static void redis_must_tick(struct redis *r);

/* ---- requests */

void redis_finish(struct redis_request *request, enum redis_result result, const struct redis_value *values)
{
    list_remove(&request->link);
    request->connection = NULL;
    request->on_done(request, result, values);
}

void redis_request_done(struct redis_request *request)
{
    must(!list_is_linked(&request->link));
    buf_done(&request->bytes);
}

static struct redis_connection *redis_least_busy(struct redis *r)
{
    struct redis_connection *best = NULL;
    for (unsigned i = 0; i < r->settings.connections; i++) {
        struct redis_connection *c = &r->connections[i];
        if (redis_connection_has_room(c) && (!best || c->count < best->count))
            best = c;
    }
    return best;
}

static void on_dispatch(struct tail *t)
{
    struct redis *r = CONTAINER_OF(t, struct redis, dispatch);
    while (!list_is_empty(&r->waiting)) {
        struct redis_connection *c = redis_least_busy(r);
        if (!c)
            break;
        redis_connection_take(c);
    }
}

void redis_stir(struct redis *r)
{
    if (r->is_closed)
        return;
    if (!list_is_empty(&r->waiting) && r->up > 0)
        tail_add(r->loop, &r->dispatch, on_dispatch);
    redis_must_tick(r);
}

void redis_submit(struct redis *r, struct redis_request *request)
{
    must(!list_is_linked(&request->link) && request->reply_count > 0 && request->bytes.len > 0);
    if (r->is_closed)
        return;
    request->connection = NULL;
    list_append(&r->waiting, &request->link);
    r->waiting_count++;
    redis_stir(r);
}

bool redis_withdraw(struct redis *r, struct redis_request *request)
{
    if (!list_is_linked(&request->link))
        return true;
    if (request->connection)
        return false;
    list_remove(&request->link);
    r->waiting_count--;
    return true;
}

bool redis_is_up(const struct redis *r)
{
    return r->up > 0;
}

bool redis_refuses(const struct redis *r)
{
    return r->refuses;
}

unsigned redis_connections_up(const struct redis *r)
{
    return r->up;
}

size_t redis_waiting(const struct redis *r)
{
    return r->waiting_count;
}

/* ---- expiry: looked at on a coarse tick, while there is anything to look at */

static void redis_tell_expired(struct redis *r)
{
    while (!list_is_empty(&r->expired))
        redis_finish(LIST_FIRST(&r->expired, struct redis_request, link), REDIS_UNKNOWN, NULL);
}

/* now_ms UINT64_MAX: all of them. */
static void redis_expire_waiting(struct redis *r, uint64_t now_ms)
{
    LIST_EACH(&r->waiting, it, save) {
        struct redis_request *request = LIST_ENTRY(it, struct redis_request, link);
        if (now_ms != UINT64_MAX && (!request->give_up_ms || request->give_up_ms > now_ms))
            continue;
        list_remove(it);
        list_append(&r->expired, it);
        r->waiting_count--;
        request->connection = r->connections; /* it can no longer be withdrawn: on_done comes */
    }
}

static bool redis_has_requests(const struct redis *r)
{
    if (!list_is_empty(&r->waiting))
        return true;
    for (unsigned i = 0; i < r->settings.connections; i++)
        if (r->connections[i].count > 0 || !list_is_empty(&r->connections[i].limbo))
            return true;
    return false;
}

static void on_tick(struct timer *t)
{
    struct redis *r = CONTAINER_OF(t, struct redis, tick);
    uint64_t now_ms = clock_ms();
    for (unsigned i = 0; i < r->settings.connections; i++)
        redis_connection_expire(&r->connections[i], now_ms);
    redis_expire_waiting(r, now_ms);
    redis_tell_expired(r);
    if (!r->is_closed && redis_has_requests(r))
        redis_must_tick(r);
}

static void redis_must_tick(struct redis *r)
{
    uint64_t ms = r->settings.timeout_ms / 8;
    ms = ms < TICK_MIN_MS ? TICK_MIN_MS : ms > TICK_MAX_MS ? TICK_MAX_MS : ms;
    if (!r->tick.place)
        timer_start(r->loop, &r->tick, ms, on_tick);
}

/* ---- what connections tell */

void redis_connection_up(struct redis *r)
{
    metric_add(METRIC_STORE_RECONNECTS_TOTAL, 1);
    metric_add(METRIC_STORE_CONNECTIONS, 1);
    if (++r->up == 1 && r->settings.on_up)
        r->settings.on_up(r->settings.owner);
}

void redis_connection_down(struct redis *r, const char *reason)
{
    must(r->up > 0);
    r->up--;
    metric_add(METRIC_STORE_CONNECTIONS, -1);
    if (r->up == 0 && !r->is_closed && r->settings.on_down)
        r->settings.on_down(r->settings.owner, reason);
    redis_stir(r);
}

void redis_connection_refused(struct redis *r, const char *reason)
{
    if (!r->is_closed && r->settings.on_refused)
        r->settings.on_refused(r->settings.owner, reason);
}

/* ---- opening and closing */

static bool has_text(const char *text)
{
    return text && *text;
}

/* A unix socket needs no TLS: nobody else listens, and file rights say who may speak. */
static void redis_keep_access(struct redis *r, const struct redis_settings *settings, const char *host)
{
    r->settings.tls = settings->tls && !r->path ? tls_client_hold(settings->tls) : NULL;
    r->tls_name = mem_string(has_text(settings->tls_name) ? settings->tls_name : host);
    r->password = has_text(settings->password) ? mem_string(settings->password) : NULL;
    r->user = r->password && has_text(settings->user) ? mem_string(settings->user) : NULL;
    /* Borrowed for the call only. */
    r->settings.address = r->settings.tls_name = r->settings.user = r->settings.password = NULL;
}

void redis_use_tls(struct redis *r, struct tls_client *tls)
{
    if (!r->settings.tls)
        return;                                 /* a unix socket */
    (void) tls_client_release(r->settings.tls); /* always NULL */
    r->settings.tls = tls_client_hold(tls);
}

void redis_use_replicas(struct redis *r, unsigned replicas)
{
    must(r->settings.replicas && replicas);
    r->settings.replicas = replicas;
}

static int redis_parse_address(struct redis *r, const char *address, char host[static DOMAIN_MAX + 1])
{
    host[0] = '\0';
    if (strncmp(address, "unix:", 5) == 0) {
        if (address[5] == '\0')
            return -EINVAL;
        r->path = mem_string(address + 5);
        return 0;
    }
    if (hostport_parse(span_of(address), REDIS_PORT, host, &r->port) < 0)
        return -EINVAL;
    if (ip_parse(span_of(host), &r->ip) < 0)
        r->host = mem_string(host);
    return 0;
}

int redis_open(struct loop *l, const struct redis_settings *settings, struct redis **ret_redis)
{
    must(settings->connections > 0 && settings->window > 0 && settings->timeout_ms > 0);
    must(!settings->replicas || settings->wait_ms < settings->timeout_ms);
    struct redis *r = NEW(struct redis);
    char host[DOMAIN_MAX + 1];
    int result = redis_parse_address(r, settings->address, host);
    if (result < 0) {
        mem_free(r);
        return result;
    }
    r->loop = l;
    r->settings = *settings;
    redis_keep_access(r, settings, host);
    list_init(&r->waiting);
    list_init(&r->expired);
    r->connections = mem_array(settings->connections, sizeof(*r->connections));
    for (unsigned i = 0; i < settings->connections; i++) {
        redis_connection_init(&r->connections[i], r);
        redis_connection_open(&r->connections[i]);
    }
    *ret_redis = r;
    return 0;
}

static void on_funeral(struct tail *t)
{
    struct redis *r = CONTAINER_OF(t, struct redis, funeral);
    for (unsigned i = 0; i < r->settings.connections; i++) {
        buf_done(&r->connections[i].own.bytes);
        buf_done(&r->connections[i].greeting.bytes);
        mem_free(r->connections[i].refusal);
    }
    if (r->password)
        explicit_bzero(r->password, strlen(r->password));
    r->settings.tls = tls_client_release(r->settings.tls);
    mem_free(r->password);
    mem_free(r->user);
    mem_free(r->tls_name);
    mem_free(r->connections);
    mem_free(r->path);
    mem_free(r->host);
    mem_free(r);
}

void redis_connection_gone(struct redis *r)
{
    if (!r->is_closed)
        return;
    for (unsigned i = 0; i < r->settings.connections; i++)
        if (r->connections[i].stream)
            return;
    tail_add(r->loop, &r->funeral, on_funeral);
}

struct redis *redis_close(struct redis *r)
{
    if (!r)
        return NULL;
    must(!r->is_closed);
    r->is_closed = true;
    timer_stop(&r->tick);
    tail_remove(&r->dispatch);
    metric_add(METRIC_STORE_CONNECTIONS, -(int64_t) r->up);
    r->up = 0;
    for (unsigned i = 0; i < r->settings.connections; i++)
        redis_connection_end(&r->connections[i]);
    redis_expire_waiting(r, UINT64_MAX);
    redis_tell_expired(r);
    redis_connection_gone(r);
    return NULL;
}
