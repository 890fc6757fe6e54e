/* getaddrinfo() blocks, so it has a thread; the answer comes back over an eventfd. Loop and thread each hold the look-up until they are done. */
#include "io/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

struct lookup {
    atomic_uint holders; /* loop and thread */
    char *host;
    int fd;
    int error; /* written by the thread before it signals fd */
    struct ip ip;
    struct watch *watch;
    lookup_on_found *on_found;
    void *context;
};

static void let_go(struct lookup *u)
{
    if (atomic_fetch_sub(&u->holders, 1) > 1)
        return;
    close(u->fd);
    mem_free(u->host);
    mem_free(u);
}

static void take_address(struct lookup *u, const struct addrinfo *found)
{
    if (found->ai_family == AF_INET) {
        memcpy(u->ip.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
        memcpy(u->ip.bytes + 12, &((const struct sockaddr_in *) (const void *) found->ai_addr)->sin_addr, 4);
        u->ip.is_v4 = true;
    } else {
        const struct sockaddr_in6 *six = (const void *) found->ai_addr;

        memcpy(u->ip.bytes, &six->sin6_addr, 16);
        u->ip.scope = six->sin6_scope_id;
    }
}

static void *look_up(void *context)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct lookup *u = context;
    struct addrinfo *found = NULL;
    uint64_t one = 1;
    ssize_t n;

    /* rule: blocks only this thread */
    u->error = getaddrinfo(u->host, NULL, &hints, &found) == 0 && found ? 0 : -EHOSTUNREACH;
    if (u->error == 0)
        take_address(u, found);
    if (found)
        freeaddrinfo(found);
    n = write(u->fd, &one, sizeof(one));
    must(n == sizeof(one));
    let_go(u);
    return NULL;
}

static void on_ready(void *context, int events UNUSED)
{
    struct lookup *u = context;
    uint64_t one;

    (void) read(u->fd, &one,
                sizeof(one)); /* it is there: on_ready says so; what the thread wrote before is ours now */
    u->watch = watch_close(u->watch);
    u->on_found(u->context, u->error, u->error ? NULL : &u->ip);
    let_go(u);
}

int lookup_open(struct loop *l, const char *host, lookup_on_found *on_found, void *context,
                struct lookup **ret_lookup)
{
    struct lookup *u;
    pthread_t thread;
    int r, fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    u = NEW(struct lookup);
    u->fd = fd;
    u->host = mem_string(host);
    u->on_found = on_found;
    u->context = context;
    atomic_init(&u->holders, 1);
    r = watch_open(l, fd, on_ready, u, &u->watch);
    if (r == 0) {
        atomic_fetch_add(&u->holders, 1);
        watch_set(u->watch, LOOP_READ);
        r = -pthread_create(&thread, NULL, look_up, u);
        if (r == 0) {
            pthread_detach(thread);
            *ret_lookup = u;
            return 0;
        }
        let_go(u);
        u->watch = watch_close(u->watch);
    }
    let_go(u);
    return r;
}

struct lookup *lookup_cancel(struct lookup *u)
{
    if (!u)
        return NULL;
    u->watch = watch_close(u->watch);
    let_go(u);
    return NULL;
}
