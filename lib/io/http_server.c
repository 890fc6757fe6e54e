/* The port for metrics and health: libmicrohttpd without threads, its epoll descriptor watched by our loop. */
#include "io/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/socket.h"

enum { HTTP_MAGIC = 0x47795e7, CONNECTIONS_MAX = 64, IDLE_MAX_S = 10, REQUEST_MAX_BYTES = 8192 };

struct http_server {
    unsigned magic;
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct watch *watch;
    struct timer tick;
    bool is_busy; /* closed in its own callback: stopped when that is back */
    bool is_closed;
    http_on_get *on_get;
    void *owner;
};

static enum MHD_Result http_reply(struct MHD_Connection *connection, unsigned status, struct span body,
                                  const char *type)
{
    /* The library copies, though it asks for a pointer that is not const. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.len, (void *) (body.len ? body.at : ""), MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    enum MHD_Result r = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED && r == MHD_YES)
        r = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (r == MHD_YES)
        r = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response); /* counted: the connection has its own hold */
    return r;
}

/* Called once when the header is there, with *state NULL, and again for the body and its end. */
static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version UNUSED, const char *upload UNUSED,
                                  size_t *upload_len, void **state)
{
    struct http_server *s = owner;
    must(s->magic == HTTP_MAGIC);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return http_reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, SPAN("only GET and HEAD\n"), "text/plain");
    if (!*state) {
        *state = s;
        return MHD_YES;
    }
    if (*upload_len > 0) { /* a body is of no use to us */
        *upload_len = 0;
        return MHD_YES;
    }
    if (s->is_closed)
        return MHD_NO;
    struct buf body AUTO_BUF = {.data = NULL};
    const char *type = "text/plain; charset=utf-8";
    unsigned status = s->on_get(s->owner, path, &body, &type);
    if (body.len == 0)
        buf_printf(&body, "%u\n", status);
    return http_reply(connection, status, buf_span(&body), type);
}

static void http_server_free(struct http_server *s)
{
    timer_stop(&s->tick);
    s->watch = watch_close(s->watch);
    MHD_stop_daemon(s->daemon); /* closes the listening socket, too */
    s->magic = 0;
    mem_free(s);
}

static void on_tick(struct timer *t);

static void http_server_run(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG ms;
    must(s->magic == HTTP_MAGIC);
    s->is_busy = true;
    (void) MHD_run(s->daemon); /* its failures end single connections */
    s->is_busy = false;
    if (s->is_closed)
        http_server_free(s);
    else if (MHD_get_timeout(s->daemon, &ms) == MHD_YES)
        timer_start(s->loop, &s->tick, ms, on_tick);
    else
        timer_stop(&s->tick);
}

static void on_tick(struct timer *t)
{
    http_server_run(CONTAINER_OF(t, struct http_server, tick));
}

static void on_ready(void *context, int events UNUSED)
{
    http_server_run(context);
}

static void on_library_log(void *owner UNUSED, const char *format UNUSED, va_list args UNUSED)
{
    /* what clients do wrong is no news */
}

static int http_server_start(struct http_server *s, int fd)
{
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned) CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) IDLE_MAX_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t) REQUEST_MAX_BYTES, MHD_OPTION_END);
    if (!s->daemon) {
        (void) close(fd); /* nobody has taken it over */
        return -EIO;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    must(info && info->epoll_fd >= 0);
    int r = watch_open(s->loop, info->epoll_fd, on_ready, s, &s->watch);
    if (r < 0) {
        MHD_stop_daemon(s->daemon);
        return r;
    }
    watch_set(s->watch, LOOP_READ);
    return 0;
}

/* A listening socket of our own: the library would bind all addresses. */
static int listen_at(const char *address, uint16_t *ret_port)
{
    char host[DOMAIN_MAX + 1];
    uint16_t port;
    struct ip ip;
    struct span text = span_of(address);
    /* Port 0, any free one, is nobody's port to connect to: hostport_parse() refuses it. */
    if (text.len > 2 && memcmp(text.at + text.len - 2, ":0", 2) == 0)
        text.len -= 2;
    if (hostport_parse(text, 0, host, &port) < 0 || ip_parse(span_of(host), &ip) < 0)
        return -EINVAL;
    int fd = socket_listen(&ip, port, false);
    if (fd < 0)
        return fd;
    int r = socket_local(fd, &ip, ret_port);
    if (r < 0) {
        (void) close(fd); /* the first failure is the one to tell */
        return r;
    }
    return fd;
}

int http_server_open(struct loop *l, const char *address, http_on_get *on_get, void *owner,
                     struct http_server **ret_server, uint16_t *ret_port)
{
    uint16_t port;
    int fd = listen_at(address, &port);
    if (fd < 0)
        return fd;
    struct http_server *s = NEW(struct http_server);
    s->magic = HTTP_MAGIC;
    s->loop = l;
    s->on_get = on_get;
    s->owner = owner;
    int r = http_server_start(s, fd);
    if (r < 0) {
        mem_free(s);
        return r;
    }
    *ret_server = s;
    *ret_port = port;
    return 0;
}

struct http_server *http_server_close(struct http_server *s)
{
    if (!s)
        return NULL;
    must(s->magic == HTTP_MAGIC && !s->is_closed);
    s->is_closed = true;
    if (!s->is_busy)
        http_server_free(s);
    return NULL;
}
