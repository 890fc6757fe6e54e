/*
 * libcurl's multi interface on our loop: it says which sockets and which time to wait for, we say what is ready. Its callbacks only note; answers are
 * given out after it has returned, because inside a callback it must not be called.
 */
#include "io/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

enum { CONNECTIONS_KEPT = 8, CONNECTIONS_MAX = 64, HEADERS_MAX_BYTES = 65536 };

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct list calls, sockets;
    struct timer timer;
};

struct http_socket {
    struct list link;
    struct http_client *client;
    curl_socket_t fd;
    struct watch *watch;
};

struct http_call {
    struct list link;
    struct http_client *client;
    CURL *easy;
    struct curl_slist *headers, *addresses;
    size_t header_bytes;
    struct buf sent, received;
    size_t max_bytes;
    bool is_too_long;
    char error[CURL_ERROR_SIZE];
    http_on_answer *on_answer;
    void *context;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

/* ---- the end of a request */

static void call_free(struct http_call *call)
{
    list_remove(&call->link);
    (void) curl_multi_remove_handle(call->client->multi, call->easy); /* it is there, or has been taken out */
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->addresses);
    buf_wipe(&call->sent);
    buf_wipe(&call->received);
    mem_free(call);
}

static void call_end(struct http_call *call, CURLcode code)
{
    struct http_answer answer = {.error = "", .body = buf_span(&call->received)};
    char *type = NULL;
    long status = 0;
    if (code == CURLE_OK && curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
        status >= 100 && status <= 999)
        answer.status = (unsigned) status;
    else
        answer.error = call->is_too_long                  ? "the answer is too long"
                       : code == CURLE_OPERATION_TIMEDOUT ? "no answer in time"
                       : call->error[0]                   ? call->error
                                                          : curl_easy_strerror(code);
    answer.is_untrusted = code == CURLE_PEER_FAILED_VERIFICATION;
    if (curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK)
        answer.content_type = type;
    call->on_answer(call->context, &answer);
    call_free(call);
}

/* An owner may cancel others, or free nothing less than all of it, while it is told. */
static void give_answers(struct http_client *c)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(c->multi, &left)) != NULL) {
        struct http_call *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        must(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &call) == CURLE_OK && call);
        call_end(call, code);
    }
}

/* ---- what libcurl waits for */

static void on_timer(struct timer *t)
{
    struct http_client *c = CONTAINER_OF(t, struct http_client, timer);
    int running;
    must(curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running) == CURLM_OK);
    give_answers(c);
}

static int on_set_timer(CURLM *multi UNUSED, long timeout_ms, void *context)
{
    struct http_client *c = context;
    if (timeout_ms < 0)
        timer_stop(&c->timer);
    else
        timer_start(c->loop, &c->timer, (uint64_t) timeout_ms, on_timer);
    return 0;
}

static void on_ready(void *context, int events)
{
    struct http_socket *s = context;
    struct http_client *c = s->client; /* the socket may be gone after the next line */
    int running,
        ready = (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
    must(curl_multi_socket_action(c->multi, s->fd, ready, &running) == CURLM_OK);
    give_answers(c);
}

static void socket_free(struct http_socket *s)
{
    s->watch = watch_close(s->watch);
    list_remove(&s->link);
    mem_free(s);
}

static int on_set_socket(CURL *easy UNUSED, curl_socket_t fd, int what, void *context, void *known)
{
    struct http_client *c = context;
    struct http_socket *s = known;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            socket_free(s);
        return 0;
    }
    if (!s) {
        s = NEW(struct http_socket);
        s->client = c;
        s->fd = fd;
        must(watch_open(c->loop, fd, on_ready, s, &s->watch) >= 0); /* a socket of its own making */
        list_append(&c->sockets, &s->link);
        must(curl_multi_assign(c->multi, fd, s) == CURLM_OK);
    }
    watch_set(s->watch, (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0));
    return 0;
}

/* ---- the client */

struct http_client *http_client_new(struct loop *l)
{
    struct http_client *c = NEW(struct http_client);
    must(pthread_once(&once, init_curl) == 0);
    c->loop = l;
    list_init(&c->calls);
    list_init(&c->sockets);
    c->multi = curl_multi_init();
    must(c->multi != NULL);
    must(curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_set_socket) == CURLM_OK);
    must(curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) == CURLM_OK);
    must(curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_set_timer) == CURLM_OK);
    must(curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) == CURLM_OK);
    must(curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long) CONNECTIONS_KEPT) == CURLM_OK);
    must(curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long) CONNECTIONS_MAX) == CURLM_OK);
    return c;
}

struct http_client *http_client_free(struct http_client *c)
{
    if (!c)
        return NULL;
    while (!list_is_empty(&c->calls))
        call_free(LIST_FIRST(&c->calls, struct http_call, link));
    must(curl_multi_cleanup(c->multi) == CURLM_OK);
    while (!list_is_empty(&c->sockets)) /* those it closed without a word */
        socket_free(LIST_FIRST(&c->sockets, struct http_socket, link));
    timer_stop(&c->timer);
    return mem_free(c);
}

/* ---- a request */

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct http_call *call = context;
    size_t len = size * count;
    if (len > call->max_bytes - call->received.len) {
        call->is_too_long = true;
        return 0; /* ends it */
    }
    buf_add(&call->received, data, len);
    return len;
}

static size_t on_header(char *data UNUSED, size_t size, size_t count, void *context)
{
    struct http_call *call = context;
    size_t len = size * count;
    call->header_bytes += len;
    call->is_too_long = call->header_bytes > HEADERS_MAX_BYTES;
    return call->is_too_long ? 0 : len;
}

#define SET(call, option, value) must(curl_easy_setopt((call)->easy, option, value) == CURLE_OK)

static void add_header(struct http_call *call, const char *name, const char *value)
{
    AUTO_FREE char *line = mem_format("%s: %s", name, value);
    struct curl_slist *headers = curl_slist_append(call->headers, line);
    must(headers != NULL);
    call->headers = headers;
}

/* "+": for this request; the next one of that host says where it is by then. */
static void set_addresses(struct http_call *call, const struct http_request *q)
{
    AUTO_BUF struct buf line = {.data = NULL};
    CURLU *url = curl_url();
    char *host = NULL, *port = NULL;
    must(url && curl_url_set(url, CURLUPART_URL, q->url, 0) == CURLUE_OK &&
         curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
         curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK);
    buf_printf(&line, "+%s:%s:", host, port);
    for (size_t i = 0; i < q->address_count; i++) {
        buf_add_text(&line, i > 0 ? ",[" : "[");
        ip_format(&q->addresses[i], &line);
        buf_add_char(&line, ']');
    }
    buf_add_char(&line, '\0');
    call->addresses = curl_slist_append(NULL, line.data);
    must(call->addresses != NULL);
    SET(call, CURLOPT_RESOLVE, call->addresses);
    /* Good for as long as this waits, also in line: what the host's name means is never asked again, of anybody. */
    SET(call, CURLOPT_DNS_CACHE_TIMEOUT, (long) (q->timeout_ms / 1000 + 60));
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(url);
}

static void set_body(struct http_call *call, const struct http_request *q)
{
    (void) buf_reserve(&call->sent, q->body.len + 1); /* it has its place */
    buf_add_span(&call->sent, q->body);
    SET(call, CURLOPT_POST, 1L);
    SET(call, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) call->sent.len);
    SET(call, CURLOPT_POSTFIELDS, call->sent.data);
    add_header(call, "Content-Type", q->content_type);
    add_header(call, "Expect", ""); /* no waiting for 100 */
}

static void set_options(struct http_call *call, const struct http_request *q)
{
    SET(call, CURLOPT_URL, q->url);
    SET(call, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(call, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2); /* or above */
    SET(call, CURLOPT_PROXY, "");
    SET(call, CURLOPT_NOSIGNAL, 1L);
    SET(call, CURLOPT_FOLLOWLOCATION, 0L);
    SET(call, CURLOPT_TIMEOUT_MS, (long) q->timeout_ms);
    SET(call, CURLOPT_QUICK_EXIT,
        1L); /* a name still looked up is left to its thread: waiting for it would hold up the loop */
    SET(call, CURLOPT_USERAGENT, "barid/" BARID_VERSION);
    SET(call, CURLOPT_WRITEFUNCTION, on_body);
    SET(call, CURLOPT_WRITEDATA, call);
    SET(call, CURLOPT_HEADERFUNCTION, on_header);
    SET(call, CURLOPT_HEADERDATA, call);
    SET(call, CURLOPT_ERRORBUFFER, call->error);
    SET(call, CURLOPT_PRIVATE, call);
    if (q->ca && q->ca[0] != '\0')
        SET(call, CURLOPT_CAINFO, q->ca);
    if (q->user) {
        SET(call, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
        SET(call, CURLOPT_USERNAME, q->user);
        SET(call, CURLOPT_PASSWORD, q->password ? q->password : "");
    }
    SET(call, CURLOPT_FRESH_CONNECT, q->is_alone ? 1L : 0L);
    SET(call, CURLOPT_FORBID_REUSE, q->is_alone ? 1L : 0L);
    if (q->address_count > 0)
        set_addresses(call, q);
    if (q->accept)
        add_header(call, "Accept", q->accept);
    if (q->body.at)
        set_body(call, q);
    if (call->headers)
        SET(call, CURLOPT_HTTPHEADER, call->headers);
}

struct http_call *http_send(struct http_client *c, const struct http_request *request,
                            http_on_answer *on_answer, void *context)
{
    struct http_call *call = NEW(struct http_call);
    call->client = c;
    call->on_answer = on_answer;
    call->context = context;
    call->max_bytes = request->max_bytes;
    call->easy = curl_easy_init();
    must(call->easy != NULL);
    set_options(call, request);
    list_append(&c->calls, &call->link);
    must(curl_multi_add_handle(c->multi, call->easy) == CURLM_OK);
    return call;
}

struct http_call *http_cancel(struct http_call *call)
{
    if (call)
        call_free(call);
    return NULL;
}
