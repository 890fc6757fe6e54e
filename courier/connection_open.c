/* The beginning of a connection, and who may use it. */
#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"
#include "courier/connection_private.h"
#include "courier/tlsrpt.h"
#include "courier/work.h"

/* ---- what it is ---- */

static struct tls_policy *policy_of(const struct way *way)
{
    return way->is_relaxed ? tls_policy_may() : way->target->policy;
}

static enum client_tls wish_of(const struct way *way)
{
    switch (policy_of(way)->level) {
    case TLS_LEVEL_NONE: return CLIENT_TLS_NEVER;
    case TLS_LEVEL_MAY: return way->target->is_plain ? CLIENT_TLS_NEVER : CLIENT_TLS_MAY;
    case TLS_LEVEL_ENCRYPT:
    case TLS_LEVEL_VERIFY:
    case TLS_LEVEL_FINGERPRINT:
    case TLS_LEVEL_DANE: break;
    }
    return CLIENT_TLS_MUST;
}

static char *name_remote(const struct target *t)
{
    AUTO_BUF struct buf remote = {0};

    buf_add_text(&remote, t->host);
    buf_add_text(&remote, " [");
    if (t->path) {
        buf_add_text(&remote, t->path);
        buf_add_char(&remote, ']');
    } else {
        ip_format(&t->ip, &remote);
        buf_printf(&remote, "]:%u", t->port);
    }
    return buf_steal_text(&remote);
}

static void login_copy(struct login *to, const struct transport *from)
{
    if (!from->user)
        return;
    to->user = mem_string(from->user);
    to->password = mem_string(from->password ? from->password : "");
    to->mechanisms.items = mem_array(from->mechanisms.count, sizeof(*to->mechanisms.items));
    for (size_t i = 0; i < from->mechanisms.count; i++)
        to->mechanisms.items[to->mechanisms.count++] = mem_string(from->mechanisms.items[i]);
}

static void login_done(struct login *l)
{
    if (l->password)
        explicit_bzero(l->password, strlen(l->password));
    for (size_t i = 0; i < l->mechanisms.count; i++)
        mem_free(l->mechanisms.items[i]);
    mem_free(l->mechanisms.items);
    mem_free(l->password);
    mem_free(l->user);
}

static void take_source(struct connection *k, const struct source *s)
{
    if (!s)
        return;
    k->pool = s->pool;
    k->source = k->target.ip.is_v4 ? s->v4 : s->v6;
    k->terms.helo_name = s->helo_name;
}

void connection_init(struct connection *k, struct work *w, const struct way *way)
{
    const struct transport *transport = &w->route->transport;

    k->courier = w->courier;
    k->conf = conf_hold((struct conf *) (uintptr_t) conf_get());
    k->redirect = w->route->redirect;
    target_copy(&k->target, way->target);
    k->policy = tls_policy_hold(policy_of(way));
    k->is_relaxed = way->is_relaxed;
    k->remote = name_remote(way->target);
    login_copy(&k->login, transport);
    k->terms = (struct client_terms){
        .tls = wish_of(way),
        .is_lmtp = transport->is_lmtp,
        .is_wrapped = transport->is_wrapped,
        .is_private = way->target->path != NULL,
        .user = k->login.user,
        .password = k->login.password,
        .mechanisms = &k->login.mechanisms,
    };
    take_source(k, way->source);
    k->client = smtp_client_new(&w->courier->client, &k->terms, k->remote);
}

void connection_done(struct connection *k)
{
    smtp_client_free(k->client);
    k->transcript = transcript_close(k->transcript);
    target_done(&k->target);
    tls_policy_release(k->policy);
    login_done(&k->login);
    conf_release(k->conf);
    mem_free(k->remote);
}

void connection_open(struct work *w, const struct way *way, const struct job *first)
{
    struct courier *c = w->courier;
    struct connection *k = NEW(struct connection);

    connection_init(k, w, way);
    k->is_counted = !tlsrpt_is_on(c) || job_is_relaxable(first); /* so a report about TLS makes no other */
    work_connection_came(w, k);
    c->connection_count++;
    metric_set(METRIC_CONNECTIONS, (int64_t) c->connection_count);
    k->stream = k->target.path ? stream_connect_unix(c->loop, k->target.path, &connection_events, k)
                               : stream_connect(c->loop, &k->target.ip, k->target.port,
                                                k->pool ? &k->source : NULL, &connection_events, k);
    stream_on_timeout(k->stream, connection_on_timeout);
    stream_deadline(k->stream, conf_get()->courier.connect_timeout_ms);
    if (c->is_traced)
        connection_trace(k, first);
}

/* ---- who may use it ---- */

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool connection_is_for(const struct connection *k, const struct work *w, const struct way *way)
{
    const struct transport *transport = &w->route->transport;

    return target_equal(&k->target, way->target) && k->conf == conf_get() &&
           k->redirect == w->route->redirect && k->is_relaxed == way->is_relaxed &&
           k->pool == (way->source ? way->source->pool : NULL) &&
           strcmp(k->policy->key, policy_of(way)->key) == 0 && k->terms.is_lmtp == transport->is_lmtp &&
           k->terms.is_wrapped == transport->is_wrapped && is_same_text(k->login.user, transport->user) &&
           (!k->login.user ||
            is_same_text(k->login.password, transport->password ? transport->password : ""));
}

static bool obeys(const struct connection *k, const struct tls_policy *p)
{
    return k->is_relaxed || (!tls_policy_is_barred(p) && strcmp(p->key, k->policy->key) == 0);
}

/* A host's addresses come and go; what its name must prove stays. */
bool connection_is_in_route(const struct connection *k, size_t target)
{
    const struct route *r = k->work->route;

    if (k->conf != conf_get() || k->redirect != k->work->redirect)
        return false;
    if (!r)
        return true;
    if (target != SIZE_MAX)
        return obeys(k, r->targets[target].policy);
    for (size_t i = 0; i < r->count; i++) {
        const struct target *t = &r->targets[i];

        if (strcmp(t->host, k->target.host) == 0 && t->port == k->target.port && obeys(k, t->policy))
            return true;
    }
    return false;
}

bool connection_suits(const struct connection *k, size_t target, const struct job *j)
{
    uint64_t tried = k->is_relaxed ? j->tried_relaxed : j->tried;

    if (k->is_relaxed && !job_is_relaxable(j))
        return false;
    return target == SIZE_MAX || !(tried >> target & 1);
}
