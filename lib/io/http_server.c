/* The HTTP port of a node: libmicrohttpd without threads, its epoll descriptor watched by our loop. */
#include "io/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/socket.h"

enum {
    HTTP_MAGIC = 0x47795e7,
    CONNECTIONS_MAX = 64,
    CONNECTIONS_PER_CLIENT = 32,
    IDLE_MAX_S = 10,
    REQUEST_MAX_BYTES = 8192,
    REQUEST_MAX_MS = 10000, /* a whole request, from the connection or from the answer before it on */
    ANSWER_MAX_MS = 30000,  /* until all of the answer is taken */
    VISITS_EVERY_MS = 1000
};

struct http_server {
    unsigned magic;
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct watch *watch;
    struct timer tick, visits_tick;
    struct list visits, waiting; /* connections; exchanges whose answer is not known yet */
    bool is_busy;                /* closed in its own callback: stopped when that is back */
    bool is_closed;
    http_on_get *on_get;
    void *owner;
};

/* A connection: the library ends idle ones, this those that are slow. */
struct http_visit {
    struct list link;
    int fd;
    uint64_t until_ms; /* 0: it waits for us */
};

struct http_exchange {
    struct list link; /* waiting, while it is suspended */
    struct http_server *server;
    struct MHD_Connection *connection;
    struct MHD_Response *response; /* the answer, once it is known */
    unsigned status;
    bool is_asked; /* its owner knows of it */
};

/* ---- slow clients ---- */

static struct http_visit *visit_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection,
                                                                   MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    must(info && info->socket_context);
    return info->socket_context;
}

static void on_visits(struct timer *t)
{
    struct http_server *s = CONTAINER_OF(t, struct http_server, visits_tick);
    uint64_t now = clock_ms();

    for (struct list *it = s->visits.next; it != &s->visits; it = it->next) {
        struct http_visit *v = LIST_ENTRY(it, struct http_visit, link);
        if (v->until_ms && now >= v->until_ms)
            (void) shutdown(v->fd, SHUT_RDWR); /* the library sees its end, and closes it */
    }
    if (!list_is_empty(&s->visits))
        timer_start(s->loop, t, VISITS_EVERY_MS, on_visits);
}

static void on_connection(void *owner, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *s = owner;
    struct http_visit *v = *context;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        list_remove(&v->link);
        *context = mem_free(v);
        return;
    }
    v = NEW(struct http_visit);
    v->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    v->until_ms = clock_ms() + REQUEST_MAX_MS;
    list_append(&s->visits, &v->link);
    *context = v;
    if (!s->visits_tick.place)
        timer_start(s->loop, &s->visits_tick, VISITS_EVERY_MS, on_visits);
}

/* ---- answers ---- */

static void on_tick(struct timer *t);

static struct MHD_Response *response_of(const struct http_answer *a)
{
    AUTO_BUF struct buf status = {.data = NULL};
    struct span body = a->body;

    if (body.len == 0) {
        buf_printf(&status, "%u\n", a->status);
        body = buf_span(&status);
    }
    /* The library copies, though it asks for a pointer that is not const. */
    struct MHD_Response *response = MHD_create_response_from_buffer(body.len, (void *) body.at,
                                                                    MHD_RESPMEM_MUST_COPY);
    if (!response)
        return NULL;
    enum MHD_Result r = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
    for (const char *const *h = a->headers; r == MHD_YES && h && h[0]; h += 2)
        r = MHD_add_response_header(response, h[0], h[1]);
    if (r != MHD_YES) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

static enum MHD_Result http_reply(struct MHD_Connection *connection, unsigned status,
                                  struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    visit_of(connection)->until_ms = clock_ms() + ANSWER_MAX_MS;
    enum MHD_Result r = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response); /* counted: the connection has its own hold */
    return r;
}

void http_exchange_answer(struct http_exchange *x, const struct http_answer *answer)
{
    must(x->is_asked && !x->response && !x->status);
    x->status = answer->status;
    x->response = response_of(answer);
    if (!list_is_linked(&x->link))
        return; /* still in the call that asked */
    list_remove(&x->link);
    MHD_resume_connection(x->connection);
    timer_start(x->server->loop, &x->server->tick, 0, on_tick);
}

struct span http_exchange_header(const struct http_exchange *x, const char *name)
{
    return span_of(MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name));
}

bool http_exchange_client(const struct http_exchange *x, struct ip *ret_ip)
{
    uint16_t port;

    return socket_peer(visit_of(x->connection)->fd, ret_ip, &port) == 0;
}

/* ---- requests ---- */

static enum MHD_Result refuse_method(struct MHD_Connection *connection)
{
    static const char *const headers[] = {MHD_HTTP_HEADER_ALLOW, "GET, HEAD", NULL};
    const struct http_answer answer = {.status = MHD_HTTP_METHOD_NOT_ALLOWED,
                                       .type = "text/plain",
                                       .headers = headers,
                                       .body = SPAN("only GET and HEAD\n")};

    return http_reply(connection, answer.status, response_of(&answer));
}

/* Paths are taken as they are sent: no path of ours has an escape, and what was hidden in one is no path. */
static size_t on_unescape(void *owner UNUSED, struct MHD_Connection *connection UNUSED, char *text)
{
    return strlen(text);
}

/* Called once when the header is there, with *state NULL, again for the body and its end, and once more when a suspended one goes on. */
static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version UNUSED, const char *upload UNUSED,
                                  size_t *upload_len, void **state)
{
    struct http_server *s = owner;
    struct http_exchange *x = *state;
    must(s->magic == HTTP_MAGIC);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse_method(connection);
    if (!x) {
        x = NEW(struct http_exchange);
        *x = (struct http_exchange){.server = s, .connection = connection};
        *state = x;
        return MHD_YES;
    }
    if (*upload_len > 0) { /* a body is of no use to us */
        *upload_len = 0;
        return MHD_YES;
    }
    if (s->is_closed)
        return MHD_NO;
    if (!x->is_asked) {
        x->is_asked = true;
        visit_of(connection)->until_ms = 0;
        s->on_get(s->owner, x, path);
    }
    if (s->is_closed)
        return MHD_NO;
    if (x->status)
        return http_reply(connection, x->status, STEAL(x->response));
    list_append(&s->waiting, &x->link);
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static void on_completed(void *owner UNUSED, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how UNUSED)
{
    struct http_exchange *x = *state;

    visit_of(connection)->until_ms = clock_ms() + REQUEST_MAX_MS;
    if (!x)
        return;
    list_remove(&x->link);
    if (x->response)
        MHD_destroy_response(x->response);
    *state = mem_free(x);
}

/* ---- on the loop ---- */

static void http_server_free(struct http_server *s)
{
    while (!list_is_empty(&s->waiting)) { /* the library stops with none that is suspended */
        struct http_exchange *x = LIST_FIRST(&s->waiting, struct http_exchange, link);
        list_remove(&x->link);
        MHD_resume_connection(x->connection);
    }
    s->watch = watch_close(s->watch);
    MHD_stop_daemon(s->daemon); /* closes the listening socket, too */
    must(list_is_empty(&s->visits));
    timer_stop(&s->tick);
    timer_stop(&s->visits_tick);
    s->magic = 0;
    mem_free(s);
}

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
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER,
        on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned) CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned) CONNECTIONS_PER_CLIENT,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) IDLE_MAX_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t) REQUEST_MAX_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL,
        MHD_OPTION_END);
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
    list_init(&s->visits);
    list_init(&s->waiting);
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
