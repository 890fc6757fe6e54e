/* libmicrohttpd with its own epoll descriptor on our loop: no threads, GET and HEAD, small answers. */
#include "io/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/socket.h"
#include "mail/addr.h"

enum { CONNECTIONS_MAX = 64, TIMEOUT_S = 10 };

struct http_server {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct watch *watch;
    struct timer timer;
    http_on_get *on_get;
    void *owner;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type, struct buf *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result r;

    if (!response)
        return MHD_NO;
    (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type); /* without it the answer still serves */
    r = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return r;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path, const char *method, const char *version UNUSED,
                                  const char *upload UNUSED, size_t *upload_size, void **request)
{
    static int seen;
    struct http_server *s = context;
    AUTO_BUF struct buf body = {0};
    const char *type = "text/plain; charset=utf-8";
    unsigned status;

    if (*request != &seen) { /* the header only: go on */
        *request = &seen;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *upload_size = 0;
        buf_add_text(&body, "only GET and HEAD\n");
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, type, &body);
    }
    status = s->on_get(s->owner, path, &body, &type);
    if (body.len == 0)
        buf_printf(&body, "%u\n", status);
    return answer(connection, status, type, &body);
}

static void on_timer(struct timer *t);

static void run(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG ms;

    (void) MHD_run(s->daemon); /* its failures end single connections */
    if (MHD_get_timeout(s->daemon, &ms) == MHD_YES)
        timer_start(s->loop, &s->timer, ms < 1000 ? ms + 1 : 1000, on_timer);
    else
        timer_stop(&s->timer);
}

static void on_timer(struct timer *t)
{
    run(CONTAINER_OF(t, struct http_server, timer));
}

static void on_ready(void *context, int events UNUSED)
{
    run(context);
}

/* A listening socket of our own: libmicrohttpd would bind all addresses. */
static int bind_address(const char *address, int *ret_fd, uint16_t *ret_port)
{
    char host[DOMAIN_MAX + 1];
    uint16_t port;
    struct ip ip;
    int fd, r = hostport_parse(span_of(address), 0, host, &port);

    if (r < 0 || ip_parse(span_of(host), &ip) < 0)
        return -EINVAL;
    fd = socket_listen(&ip, port, false);
    if (fd < 0)
        return fd;
    r = socket_local(fd, &ip, ret_port);
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int http_server_open(struct loop *l, const char *address, http_on_get *on_get, void *owner, struct http_server **ret_server, uint16_t *ret_port)
{
    struct http_server *s;
    const union MHD_DaemonInfo *info;
    int fd = -1, r = bind_address(address, &fd, ret_port);

    if (r < 0)
        return r;
    s = NEW(struct http_server);
    s->loop = l;
    s->on_get = on_get;
    s->owner = owner;
    s->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned) CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) TIMEOUT_S, MHD_OPTION_END);
    if (!s->daemon) {
        close(fd);
        mem_free(s);
        return -EIO;
    }
    info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    must(info);
    r = watch_open(l, info->epoll_fd, on_ready, s, &s->watch);
    if (r < 0) {
        MHD_stop_daemon(s->daemon);
        mem_free(s);
        return r;
    }
    watch_set(s->watch, LOOP_READ);
    *ret_server = s;
    return 0;
}

struct http_server *http_server_close(struct http_server *s)
{
    if (!s)
        return NULL;
    timer_stop(&s->timer);
    watch_close(s->watch);
    MHD_stop_daemon(s->daemon);
    return mem_free(s);
}
