/* Listening sockets: the second half of stream.h. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/socket.h"
#include "io/stream.h"

enum { LISTENER_MAGIC = 0x11573e4, ACCEPTS_PER_EVENT = 64, FAULT_PAUSE_MS = 100 };

struct listener {
    unsigned magic;
    struct loop *loop;
    struct watch *watch;
    struct timer pause;
    int fd;
    uint16_t port;
    bool is_accepting; /* closed in its own callback: freed when that is back */
    bool is_closed;
    void (*on_accept)(void *owner, int fd);
    void (*on_fault)(void *owner, int error);
    void *owner;
};

static void listener_free(struct listener *l)
{
    l->magic = 0;
    mem_free(l);
}

static void on_pause_over(struct timer *t)
{
    listener_resume(CONTAINER_OF(t, struct listener, pause));
}

void listener_pause(struct listener *l, uint64_t ms)
{
    watch_set(l->watch, 0);
    timer_start(l->loop, &l->pause, ms, on_pause_over);
}

void listener_resume(struct listener *l)
{
    timer_stop(&l->pause);
    watch_set(l->watch, LOOP_READ);
}

static void listener_accept(struct listener *l)
{
    for (int i = 0; i < ACCEPTS_PER_EVENT && !l->is_closed; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            l->on_accept(l->owner, fd);
            continue;
        }
        int error = errno;
        if (error == EAGAIN)
            return;
        if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM)
            continue; /* that connection died in the backlog (accept(2)): the next one */
        listener_pause(l, FAULT_PAUSE_MS);
        if (l->on_fault)
            l->on_fault(l->owner, error);
        return;
    }
}

static void on_ready(void *context, int events UNUSED)
{
    struct listener *l = context;
    must(l->magic == LISTENER_MAGIC);
    l->is_accepting = true;
    listener_accept(l);
    l->is_accepting = false;
    if (l->is_closed)
        listener_free(l);
}

int listener_open(struct loop *l, const struct ip *ip, uint16_t port, void (*on_accept)(void *owner, int fd),
                  void (*on_fault)(void *owner, int error), void *owner, struct listener **ret_listener)
{
    struct ip local;
    uint16_t local_port = 0;
    int fd = socket_listen(ip, port, true);
    if (fd < 0)
        return fd;
    struct listener *listener = NEW(struct listener);
    int r = socket_local(fd, &local, &local_port);
    if (r >= 0)
        r = watch_open(l, fd, on_ready, listener, &listener->watch);
    if (r < 0) {
        (void) close(fd); /* the first failure is the one to tell */
        mem_free(listener);
        return r;
    }
    listener->magic = LISTENER_MAGIC;
    listener->loop = l;
    listener->fd = fd;
    listener->port = local_port;
    listener->on_accept = on_accept;
    listener->on_fault = on_fault;
    listener->owner = owner;
    watch_set(listener->watch, LOOP_READ);
    *ret_listener = listener;
    return 0;
}

uint16_t listener_port(const struct listener *l)
{
    return l->port;
}

struct listener *listener_close(struct listener *l)
{
    if (!l)
        return NULL;
    must(l->magic == LISTENER_MAGIC && !l->is_closed);
    l->is_closed = true;
    timer_stop(&l->pause);
    l->watch = watch_close(l->watch);
    (void) close(l->fd); /* the descriptor is gone whatever it says */
    if (!l->is_accepting)
        listener_free(l);
    return NULL;
}
