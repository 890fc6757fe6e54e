/* A proxy between a store and its Redis that loses replies: the request was executed, and nobody knows. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "redis_server.h"

struct proxy {
    struct loop *loop;
    int fd;
    struct watch *watch;
    char server_socket[96];
    const char *lose;
    bool has_lost;
    struct list pairs;
};

/* One connection of the store, and ours to the server. */
struct pair {
    struct list link;
    struct proxy *proxy;
    int client, server;
    struct watch *client_watch, *server_watch;
};

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    must(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    return address;
}

static void pair_close(struct pair *pair)
{
    pair->client_watch = watch_close(pair->client_watch);
    pair->server_watch = watch_close(pair->server_watch);
    (void) close(pair->client);
    (void) close(pair->server);
    list_remove(&pair->link);
    mem_free(pair);
}

/* Moves what is there; false at the end of the stream. A piece that holds what is to be lost ends the pair. */
static bool pass(struct pair *pair, int from, int to, bool is_reply)
{
    char piece[65536];
    ssize_t n = recv(from, piece, sizeof piece, MSG_DONTWAIT);
    struct proxy *p = pair->proxy;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    if (is_reply && p->lose && memmem(piece, (size_t) n, p->lose, strlen(p->lose))) {
        p->lose = NULL;
        p->has_lost = true;
        return false;
    }
    for (ssize_t done = 0; done < n;) {
        ssize_t sent = send(to, piece + done, (size_t) (n - done), MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) { /* the loop has made it non-blocking */
            (void) poll(&(struct pollfd){.fd = to, .events = POLLOUT}, 1, 1000);
            continue;
        }
        if (sent <= 0)
            return false;
        done += sent;
    }
    return true;
}

static void on_client(void *context, int events UNUSED)
{
    struct pair *pair = context;

    if (!pass(pair, pair->client, pair->server, false))
        pair_close(pair);
}

static void on_server(void *context, int events UNUSED)
{
    struct pair *pair = context;

    if (!pass(pair, pair->server, pair->client, true))
        pair_close(pair);
}

static void on_accept(void *context, int events UNUSED)
{
    struct proxy *p = context;
    struct sockaddr_un address = address_of(p->server_socket);
    int client = accept(p->fd, NULL, NULL);

    if (client < 0)
        return;
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(server >= 0);
    if (connect(server, (struct sockaddr *) &address, sizeof address) < 0) {
        (void) close(client);
        (void) close(server);
        return;
    }
    struct pair *pair = NEW(struct pair);
    pair->proxy = p;
    pair->client = client;
    pair->server = server;
    list_append(&p->pairs, &pair->link);
    must(watch_open(p->loop, client, on_client, pair, &pair->client_watch) == 0);
    must(watch_open(p->loop, server, on_server, pair, &pair->server_watch) == 0);
    watch_set(pair->client_watch, LOOP_READ);
    watch_set(pair->server_watch, LOOP_READ);
}

struct proxy *proxy_open(struct loop *l, const char *socket_path, const char *server_socket)
{
    struct proxy *p = NEW(struct proxy);
    struct sockaddr_un address = address_of(socket_path);

    p->loop = l;
    must(strlen(server_socket) < sizeof p->server_socket);
    memcpy(p->server_socket, server_socket, strlen(server_socket) + 1);
    list_init(&p->pairs);
    (void) unlink(socket_path);
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(p->fd >= 0 && bind(p->fd, (struct sockaddr *) &address, sizeof address) == 0 &&
         listen(p->fd, 16) == 0);
    must(watch_open(l, p->fd, on_accept, p, &p->watch) == 0);
    watch_set(p->watch, LOOP_READ);
    return p;
}

void proxy_lose(struct proxy *p, const char *lose)
{
    p->lose = lose;
    p->has_lost = false;
}

bool proxy_has_lost(const struct proxy *p)
{
    return p->has_lost;
}

void proxy_close(struct proxy *p)
{
    while (!list_is_empty(&p->pairs))
        pair_close(LIST_FIRST(&p->pairs, struct pair, link));
    p->watch = watch_close(p->watch);
    (void) close(p->fd);
    mem_free(p);
}
