/*
 * The listening socket of a hub. It is ours, and libzmq gets duplicates of it: so the port stays open while a hub changes its keys, and so
 * connections can be refused before there are too many. libzmq would take them until no descriptor is left, and each may be sent a whole frame
 * before its handshake is over. Shut, the kernel drops what asks for a new connection; those that stand are not touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/bus_private.h"
#include "io/socket.h"

enum { LOOK_MS = 100, BACKLOG = 512, HOST_MAX = 256 };

/* ---- too many */

static void door_shut(struct door *d, bool is_shut)
{
    struct sock_filter nothing[] = {{.code = BPF_RET | BPF_K, .k = 0}};
    const struct sock_fprog program = {.len = ARRAY_LEN(nothing), .filter = nothing};
    int unused = 0;
    int r = is_shut ? setsockopt(d->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program))
                    : setsockopt(d->fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
    if (r < 0)
        return; /* tried again at the next look */
    d->is_shut = is_shut;
    d->events->on_crowded(d->events->owner, is_shut);
}

/* A new descriptor gets the lowest free number: as many are open, at least. */
static int open_descriptors(const struct door *d)
{
    int fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return d->most;
    (void) close(fd); /* nothing was written */
    return fd;
}

static void on_look(struct timer *t)
{
    struct door *d = CONTAINER_OF(t, struct door, look);
    int count = open_descriptors(d);
    timer_start(d->loop, t, LOOK_MS, on_look);
    if (d->is_shut ? count < d->most - d->most / 4 : count >= d->most)
        door_shut(d, !d->is_shut);
}

static int limit_of(size_t descriptors_max)
{
    struct rlimit limit = {.rlim_cur = descriptors_max};
    (void) getrlimit(RLIMIT_NOFILE, &limit); /* fails for a bad name only */
    rlim_t most = limit.rlim_cur - limit.rlim_cur / 4;
    return (int) (descriptors_max < most ? descriptors_max : most);
}

/* ---- the address */

static int listen_at(const struct addrinfo *at)
{
    int one = 1, zero = 0;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int r = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (r == 0 && at->ai_family == AF_INET6) /* the wildcard takes IPv4, too */
        r = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (r == 0)
        r = bind(fd, at->ai_addr, at->ai_addrlen);
    if (r == 0)
        r = listen(fd, BACKLOG);
    if (r == 0)
        return fd;
    int error = errno;
    (void) close(fd); /* the first failure is the one to tell */
    return -error;
}

static int listen_to(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    /* rule: at the start, before the loop runs; it waits for a name server only where a name is given */
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -EINVAL;
    int fd = listen_at(found);
    freeaddrinfo(found);
    return fd;
}

/* "host:port"; host: a name, an address, one of IPv6 in brackets, or nothing or * for all. */
static int door_listen(const char *address)
{
    const char *colon = strrchr(address, ':');
    char host[HOST_MAX];
    uint64_t port;

    size_t len = colon ? (size_t) (colon - address) : 0;
    if (!colon || len >= sizeof(host) || span_number(span_of(colon + 1), UINT16_MAX, &port) < 0)
        return -EINVAL;
    bool is_bracketed = len >= 2 && address[0] == '[' && address[len - 1] == ']';
    if (is_bracketed)
        len -= 2;
    memcpy(host, address + is_bracketed, len);
    host[len] = '\0';
    if (len > 0 && strcmp(host, "*") != 0)
        return listen_to(host, colon + 1);
    int fd = listen_to("::", colon + 1);
    return fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL ? listen_to("0.0.0.0", colon + 1) : fd;
}

int door_open(struct door *d, struct loop *l, const char *address, size_t descriptors_max,
              const struct hub_events *events)
{
    struct ip ip;
    *d = (struct door){.loop = l, .fd = -1, .most = limit_of(descriptors_max), .events = events};
    int r = door_listen(address);
    if (r < 0)
        return r;
    d->fd = r;
    r = socket_local(d->fd, &ip, &d->port);
    if (r < 0)
        door_close(d);
    else
        timer_start(l, &d->look, LOOK_MS, on_look);
    return r < 0 ? r : 0;
}

void door_close(struct door *d)
{
    timer_stop(&d->look);
    if (d->fd >= 0)
        (void) close(d->fd); /* nothing was written */
    d->fd = -1;
}
