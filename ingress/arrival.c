/*
 * The header is looked at in the kernel's buffer and taken out exactly: what follows it, maybe the first bytes of TLS, stays there for the stream.
 * What is surely header but not yet all of it is taken out at once, so that the loop does not tell of it again and again.
 */
#include "ingress/arrival.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/client.h"
#include "ingress/proxy.h"
#include "ingress/reactor.h"
#include "ingress/session.h"
#include "io/socket.h"

enum { WAIT_MS = 5000 };

struct arrival {
    struct service *service;
    struct list link;
    struct watch *watch;
    struct timer timer;
    struct buf taken; /* of the header */
    int fd;
};

/* The socket is the caller's again. */
static int arrival_free(struct arrival *a)
{
    int fd = a->fd;
    a->watch = watch_close(a->watch);
    timer_stop(&a->timer);
    list_remove(&a->link);
    buf_done(&a->taken);
    mem_free(a);
    return fd;
}

static void refuse(struct service *service, int fd, const char *why)
{
    struct reactor *r = service->reactor;
    struct ip ip;
    uint16_t port;
    AUTO_BUF struct buf text = {.data = NULL};
    metric_add(METRIC_ARRIVALS_REFUSED_TOTAL, 1);
    if (client_may_tell(loop_now_ms(r->loop)) && socket_peer(fd, &ip, &port) == 0) {
        ip_format(&ip, &text);
        log_event(LOG_ARRIVAL_REFUSED, F("listener", service->name), FS("peer", buf_span(&text)),
                  F("why", why));
    }
    (void) close(fd); /* the descriptor is gone whatever it says */
}

static void arrival_refuse(struct arrival *a, const char *why)
{
    struct service *service = a->service;
    refuse(service, arrival_free(a), why);
    reactor_check_drained(service->reactor);
}

/* A balancer that looks whether we are there: connected and gone. */
static void arrival_gone(struct arrival *a)
{
    struct service *service = a->service;
    if (a->taken.len > 0) {
        arrival_refuse(a, "closed within the header");
        return;
    }
    (void) close(arrival_free(a)); /* as above */
    reactor_check_drained(service->reactor);
}

/* Out of the kernel's buffer, where they were seen. */
static bool take(struct arrival *a, size_t len)
{
    char *at = buf_reserve(&a->taken, len);
    if (recv(a->fd, at, len, MSG_DONTWAIT) != (ssize_t) len)
        return false;
    buf_commit(&a->taken, len);
    return true;
}

static void on_ready(void *context, int events UNUSED)
{
    struct arrival *a = context;
    struct proxy_header header;
    size_t kept = a->taken.len;
    char *at = buf_reserve(&a->taken, PROXY_HEADER_MAX);
    ssize_t seen = recv(a->fd, at, PROXY_HEADER_MAX, MSG_PEEK | MSG_DONTWAIT);
    if (seen < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (seen <= 0) {
        arrival_gone(a);
        return;
    }
    struct span in = {.at = a->taken.data, .len = kept + (size_t) seen};
    int used = proxy_parse(in, &header);
    if (used < 0 || (used == 0 && in.len >= PROXY_HEADER_MAX) || (used > 0 && (size_t) used <= kept)) {
        arrival_refuse(a, "that is no PROXY header");
    } else if (!take(a, used > 0 ? (size_t) used - kept : (size_t) seen)) {
        arrival_gone(a);
    } else if (used > 0) {
        struct service *service = a->service;
        session_begin(service, arrival_free(a), &header);
    }
}

static void on_late(struct timer *t)
{
    arrival_refuse(CONTAINER_OF(t, struct arrival, timer), "no PROXY header came");
}

void arrival_open(struct service *service, int fd)
{
    struct reactor *r = service->reactor;
    struct ip peer;
    uint16_t port;
    if (socket_peer(fd, &peer, &port) < 0) {
        (void) close(fd); /* it has gone already */
        return;
    }
    if (!networks_have(&service->balancers, &peer)) {
        refuse(service, fd, "the peer is no balancer");
        return;
    }
    struct arrival *a = NEW(struct arrival);
    a->service = service;
    a->fd = fd;
    list_append(&r->arrivals, &a->link);
    timer_start(r->loop, &a->timer, WAIT_MS, on_late);
    if (watch_open(r->loop, fd, on_ready, a, &a->watch) < 0) {
        arrival_refuse(a, "the loop does not take it");
        return;
    }
    watch_set(a->watch, LOOP_READ);
}

void arrivals_stop(struct reactor *r)
{
    LIST_EACH(&r->arrivals, it, save)
        (void) close(arrival_free(LIST_ENTRY(it, struct arrival, link))); /* as above */
}
