/*
 * From an accepted connection to its greeting: PROXY header (arrival.c) -> whose connection it is -> TLS, where it comes first -> limits -> 220.
 * What the client says before its greeting is kept unread, and ends the session there (BEHAVIOURS B15).
 */
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/metric.h"
#include "ingress/arrival.h"
#include "ingress/client.h"
#include "ingress/overload.h"
#include "ingress/session_private.h"

/* ---- whose session it is */

void session_set_client(struct session *s, const struct ip *ip)
{
    AUTO_BUF struct buf text = {0};
    s->who.ip = *ip;
    ip_format(ip, &text);
    must(text.len < sizeof s->client_text);
    memcpy(s->client_text, text.data, text.len);
    s->client_text[text.len] = '\0';
}

bool session_enter(struct session *s)
{
    const struct conf *node = s->who.service->settings;
    const struct conf_listener *conf = s->who.service->conf;
    const struct client_limits limits = {.node = node->ingress.max_sessions,
                                         .listener = conf->max_sessions,
                                         .client = conf->max_sessions_per_client};
    s->is_counted = true;
    return client_enter(&s->who.ip, s->who.service->index, &limits) && !overload_is_full();
}

void session_leave(struct session *s)
{
    bool has_said_starttls = (s->engine.is_secured || s->is_shaking) && !s->who.service->is_tls_implicit;
    bool has_said_nothing = !s->engine.helo && !has_said_starttls && s->engine.errors == 0;
    if (s->is_charged && has_said_nothing) /* a health check, most likely (BEHAVIOURS E07) */
        admission_give_back_session(&s->who);
    s->is_charged = false;
    if (s->is_counted)
        client_leave(&s->who.ip, s->who.service->index);
    s->is_counted = false;
    limit_leave(STEAL(s->hold));
}

/* What the engine is told of the client, which may change with TLS, AUTH and XCLIENT. */
void session_set_rights(struct session *s)
{
    s->engine.is_auth_believed = admission_may_relay(&s->who);
    /* By who it speaks for: a client whose bytes a proxy passes on must not say whom it would like to be. */
    s->engine.is_xclient_allowed = networks_have(&s->who.service->xclient, &s->who.ip);
    s->engine.wall_offset_ms = (int64_t) store_redis_ms(s->reactor->store) -
                               (int64_t) loop_now_ms(s->reactor->loop);
}

/* ---- the greeting */

static void session_greet(struct session *s, const struct smtp_answer *a)
{
    uint64_t now_ms;
    struct buf *out = session_output(s, &now_ms);
    session_set_rights(s);
    if (a->code == 220 && s->has_spoken) {
        (void) smtp_server_feed(&s->engine, SPAN("?"), now_ms, out); /* what it is does not matter */
    } else {
        smtp_server_greet(&s->engine, a, now_ms, out);
    }
    if (a->code != 220) {
        metric_add(METRIC_SESSIONS_REFUSED_TOTAL, 1);
        session_tell_limit(s, a->text);
    }
    s->is_charged = a->code == 220 && !s->is_health_check;
    session_settle(s);
}

static void on_admitted(void *owner, const struct smtp_answer *answer)
{
    struct session *s = session_check(owner);
    s->admission = NULL;
    session_greet(s, answer);
    if (!s->is_finished)
        stream_resume(s->stream);
}

static void session_admit(struct session *s)
{
    static const struct smtp_answer welcome = {.code = 220, .status = "", .text = ""};
    struct smtp_answer answer = welcome;
    if (!s->is_health_check)
        s->admission = admission_session(&s->who, &s->hold, on_admitted, s, &answer);
    if (!s->admission)
        session_greet(s, &answer);
}

size_t session_on_early_data(struct session *s)
{
    s->has_spoken = true;
    stream_pause(s->stream);
    return 0;
}

/* ---- TLS */

bool session_has_tls(const struct session *s)
{
    const struct service *service = s->who.service;
    const struct conf_tls *most = &service->settings->tls;
    return service->tls && (uint64_t) metric_get(METRIC_HANDSHAKES) < most->max_handshakes &&
           client_handshakes(&s->who.ip) < most->max_handshakes_per_client;
}

void session_start_tls(struct session *s)
{
    const struct service *service = s->who.service;
    if (!service->tls) { /* a moment ago there was one */
        stream_abort(s->stream);
        return;
    }
    metric_add(METRIC_HANDSHAKES, 1);
    client_begin_handshake(&s->who.ip);
    s->is_shaking = true;
    s->deadline_ms = 0;
    stream_deadline(s->stream, service->settings->tls.handshake_timeout_ms);
    stream_start_tls(s->stream, service->tls);
}

void session_on_secured(void *owner)
{
    struct session *s = session_check(owner);
    const struct tls_info *tls = stream_tls(s->stream);
    s->is_shaking = false;
    metric_add(METRIC_HANDSHAKES, -1);
    client_end_handshake(&s->who.ip);
    metric_add(METRIC_HANDSHAKES_TOTAL, 1);
    metric_add(METRIC_SESSIONS_SECURED, 1);
    s->who.has_certificate = service_permits_certificate(s->who.service, tls);
    stream_deadline(s->stream, 0);
    session_trace_secured(s);
    if (s->engine.ask == SMTP_ASK_HANDSHAKE) {
        uint64_t now_ms;
        struct buf *out = session_output(s, &now_ms);
        session_logout(s);
        smtp_server_secured(&s->engine, now_ms, out);
        session_set_rights(s);
        session_resume(s);
    } else {
        s->engine.is_secured = true;
        session_admit(s);
    }
}

/* ---- the begin */

/* Bytes that are here before our greeting. */
static bool has_spoken(int fd)
{
    char first;
    return recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static struct session *session_new(struct service *service, int fd)
{
    static const struct stream_events events = {.on_data = session_on_data,
                                                .on_drained = session_on_drained,
                                                .on_secured = session_on_secured,
                                                .on_closed = session_on_closed};
    struct reactor *r = service->reactor;
    struct session *s = NEW(struct session);
    s->magic = SESSION_MAGIC;
    s->reactor = r;
    s->who.service = service;
    session_set_id(s);
    s->stream = stream_adopt(r->loop, fd, &events, s);
    stream_on_timeout(s->stream, session_on_timeout);
    smtp_server_init(&s->engine, reactor_shared.name, &service->profile);
    list_append(&r->sessions, &s->link);
    r->session_count++;
    metric_add(METRIC_SESSIONS, 1);
    metric_add(METRIC_SESSIONS_TOTAL, 1);
    return s;
}

void session_begin(struct service *service, int fd, const struct proxy_header *header)
{
    static const struct smtp_answer too_many = {
        .code = 421, .status = "4.7.0", .text = "Too many sessions; try again later"};
    static const struct smtp_answer draining = {
        .code = 421, .status = "4.3.2", .text = "This server takes no mail for now; try another"};
    bool is_early = !service->is_tls_implicit && has_spoken(fd);
    struct session *s = session_new(service, fd);
    struct ip peer;
    uint16_t port;
    reactor_refresh(s->reactor);
    if (stream_peer(s->stream, &peer, &port) < 0)
        peer = (struct ip){.is_v4 = false}; /* it has gone already; :: is trusted by nobody */
    session_set_client(s, header && !header->is_local ? &header->ip : &peer);
    s->is_health_check = header && header->is_local;
    s->has_spoken = is_early;
    bool is_draining = atomic_load(&reactor_shared.drain) == DRAIN_ORDERED;
    bool is_within_limits = !is_draining && (s->is_health_check || session_enter(s));
    session_tell_connected(s);
    if (s->reactor->is_traced && !s->is_health_check)
        session_trace(s);
    if (service->is_tls_implicit && (!is_within_limits || !session_has_tls(s))) {
        metric_add(METRIC_SESSIONS_REFUSED_TOTAL, 1);
        session_tell_limit(s, is_draining        ? draining.text
                              : is_within_limits ? "TLS cannot be had now"
                                                 : too_many.text);
        stream_abort(s->stream);
    } else if (service->is_tls_implicit) {
        session_start_tls(s);
    } else if (is_within_limits) {
        session_admit(s);
    } else {
        session_greet(s, is_draining ? &draining : &too_many);
    }
}

void session_open(struct service *service, int fd)
{
    if (service->is_proxied)
        arrival_open(service, fd);
    else
        session_begin(service, fd, NULL);
}
