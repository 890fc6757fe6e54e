/*
 * The client of Dovecot's auth service. Requests wait while a connection is being made; a connection that ends takes all of its requests with it, as
 * "away": which of them Dovecot has judged nobody knows, and the client may ask again. After a failure nobody is kept waiting for PAUSE_MS.
 */
#include "ingress/dovecot.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingress/dovecot_line.h"
#include "io/stream.h"

enum { PAUSE_MS = 1000, HELLO_MS = 10000, MECHANISMS_MAX = 64, SEND_LINE_MAX = 8192, REQUEST_MAGIC = 0xd07e };

struct dovecot_request {
    unsigned magic;
    struct list link;
    struct dovecot *owner;
    uint32_t id;      /* 0: not sent yet */
    struct buf line;  /* what is to be sent behind "AUTH <id>" */
    bool is_answered; /* with a challenge: it is the client's turn, and nothing is told before its response */
    bool is_over;     /* away: told by the timer */
    uint64_t time_ms;
    struct timer timer;
    dovecot_on_result *on_result;
    void *context;
};

struct dovecot {
    struct loop *loop;
    char *address;
    struct stream *stream;
    bool has_version, is_ready, has_said_hello;
    uint32_t last_id;
    uint64_t pause_until_ms;
    struct list requests;
    char *mechanisms[MECHANISMS_MAX]; /* of the last hello that was whole */
    size_t mechanism_count;
    char *hello[MECHANISMS_MAX]; /* of the one under way */
    size_t hello_count;
    void (*on_hello)(void *context);
    void *context;
    bool is_closed; /* the owner has gone: the stream's end frees it */
};

/* ---- the address */

int dovecot_check(const char *address, char **ret_error)
{
    char host[DOMAIN_MAX + 1];
    struct ip ip;
    uint16_t port = 0;
    if (address[0] == '/')
        return 0;
    if (hostport_parse(span_of(address), 0, host, &port) >= 0 && port > 0 &&
        ip_parse(span_of(host), &ip) >= 0)
        return 0;
    *ret_error = mem_format("auth.dovecot_socket: \"%s\" is neither a path nor a numeric address with a port",
                            address);
    return -EINVAL;
}

/* ---- requests */

static void request_free(struct dovecot_request *r)
{
    timer_stop(&r->timer);
    list_remove(&r->link);
    buf_wipe(&r->line);
    r->magic = 0;
    mem_free(r);
}

/* The last one: the request is gone before its owner hears of it. */
static void request_end(struct dovecot_request *r, const struct dovecot_result *result)
{
    dovecot_on_result *on_result = r->on_result;
    void *context = r->context;
    request_free(r);
    on_result(context, result);
}

static void cancel_there(struct dovecot_request *r)
{
    AUTO_BUF struct buf line = {0};
    if (r->id == 0 || !r->owner->is_ready)
        return;
    buf_printf(&line, "CANCEL\t%u\n", r->id);
    stream_write(r->owner->stream, buf_span(&line));
}

static void on_request_timer(struct timer *t)
{
    static const struct dovecot_result away = {.answer = DOVECOT_AWAY};
    struct dovecot_request *r = CONTAINER_OF(t, struct dovecot_request, timer);
    if (!r->is_over)
        cancel_there(r);
    request_end(r, &away);
}

/* Told from the loop, since its owner may be waiting for a call of ours to return; after the client's response when that is awaited. */
static void request_fail_soon(struct dovecot_request *r)
{
    r->is_over = true;
    r->id = 0;
    if (!r->is_answered)
        timer_start(r->owner->loop, &r->timer, 0, on_request_timer);
}

static void fail_all(struct dovecot *d)
{
    LIST_EACH(&d->requests, it, save)
        request_fail_soon(LIST_ENTRY(it, struct dovecot_request, link));
}

static void request_send(struct dovecot_request *r)
{
    struct dovecot *d = r->owner;
    AUTO_BUF struct buf head = {0};
    if (++d->last_id == 0)
        d->last_id = 1;
    r->id = d->last_id;
    buf_printf(&head, "AUTH\t%u\t", r->id);
    stream_write(d->stream, buf_span(&head));
    stream_write(d->stream, buf_span(&r->line));
    buf_wipe(&r->line);
}

static struct dovecot_request *request_find(struct dovecot *d, uint32_t id)
{
    LIST_EACH(&d->requests, it, save) {
        struct dovecot_request *r = LIST_ENTRY(it, struct dovecot_request, link);
        if (r->id == id && id != 0)
            return r;
    }
    return NULL;
}

/* ---- the connection */

static void hello_clear(struct dovecot *d)
{
    while (d->hello_count > 0)
        mem_free(d->hello[--d->hello_count]);
}

static void take_hello(struct dovecot *d)
{
    while (d->mechanism_count > 0)
        mem_free(d->mechanisms[--d->mechanism_count]);
    memcpy(d->mechanisms, d->hello, sizeof d->mechanisms);
    d->mechanism_count = d->hello_count;
    d->hello_count = 0;
    d->is_ready = d->has_said_hello = true;
    stream_deadline(d->stream, 0);
    LIST_EACH(&d->requests, it, save) {
        struct dovecot_request *r = LIST_ENTRY(it, struct dovecot_request, link);
        if (r->id == 0 && !r->is_over)
            request_send(r);
    }
    if (d->on_hello)
        d->on_hello(d->context);
}

static int take_reply(struct dovecot *d, const struct dovecot_line *l)
{
    struct dovecot_request *r = request_find(d, l->id);
    struct dovecot_result result = {.answer = DOVECOT_REFUSED};
    if (!r)
        return d->is_ready ? 0 : -EBADMSG; /* one that was given up */
    if (r->is_answered) {                  /* nobody has asked; it has given up waiting, or lies */
        request_fail_soon(r);
        return l->word == DOVECOT_FAIL ? 0 : -EBADMSG;
    }
    if (l->word == DOVECOT_CONT) {
        r->is_answered = true;
        timer_stop(&r->timer);
        result = (struct dovecot_result){.answer = DOVECOT_CHALLENGE, .challenge = buf_span(&l->challenge)};
        r->on_result(r->context, &result);
        return 0;
    }
    if (l->word == DOVECOT_OK)
        result = (struct dovecot_result){.answer = DOVECOT_ACCEPTED, .user = buf_span(&l->user)};
    else if (l->is_temporary)
        result.answer = DOVECOT_AWAY;
    request_end(r, &result);
    return 0;
}

/* -EBADMSG: no Dovecot that we understand. */
static int take_line(struct dovecot *d, const struct dovecot_line *l)
{
    switch (l->word) {
    case DOVECOT_VERSION: d->has_version = l->major == 1; return d->has_version ? 0 : -EBADMSG;
    case DOVECOT_MECH:
        if (d->is_ready || d->hello_count == MECHANISMS_MAX)
            return -EBADMSG;
        d->hello[d->hello_count++] = mem_text(l->mechanism.at, l->mechanism.len);
        return 0;
    case DOVECOT_DONE:
        if (!d->has_version || d->is_ready)
            return -EBADMSG;
        take_hello(d);
        return 0;
    case DOVECOT_CONT:
    case DOVECOT_OK:
    case DOVECOT_FAIL: return take_reply(d, l);
    case DOVECOT_OTHER: break;
    }
    return 0;
}

static size_t on_data(void *owner, struct span in)
{
    struct dovecot *d = owner;
    size_t used = 0;
    while (used < in.len) {
        struct dovecot_line line;
        const char *end = memchr(in.at + used, '\n', in.len - used);
        if (!end && in.len - used <= DOVECOT_LINE_MAX)
            break;
        struct span text = {.at = in.at + used, .len = end ? (size_t) (end - in.at) - used : 0};
        int r = end && text.len <= DOVECOT_LINE_MAX ? dovecot_line_parse(text, &line) : -EBADMSG;
        bool is_parsed = end && text.len <= DOVECOT_LINE_MAX;
        used += text.len + 1;
        if (r >= 0)
            r = take_line(d, &line);
        if (is_parsed)
            dovecot_line_done(&line);
        if (r < 0) {
            stream_abort(d->stream);
            return in.len;
        }
    }
    return used < in.len ? used : in.len;
}

static void on_closed(void *owner, int reason)
{
    struct dovecot *d = owner;
    d->stream = NULL;
    if (d->is_closed) {
        (void) dovecot_close(d); /* always NULL */
        return;
    }
    if (log_is_on(LOG_BACKEND_LOST))
        log_event(LOG_BACKEND_LOST, F("backend", "dovecot"), F("address", d->address),
                  F("reason", reason == 0 ? "closed, or not understood" : log_errno_text(-reason)));
    d->is_ready = d->has_version = false;
    d->pause_until_ms = loop_now_ms(d->loop) + PAUSE_MS;
    hello_clear(d);
    fail_all(d);
}

static void dovecot_connect(struct dovecot *d)
{
    static const struct stream_events events = {.on_data = on_data, .on_closed = on_closed};
    AUTO_BUF struct buf hello = {0};
    char host[DOMAIN_MAX + 1];
    struct ip ip;
    uint16_t port;
    if (d->address[0] == '/') {
        d->stream = stream_connect_unix(d->loop, d->address, &events, d);
    } else {
        must(hostport_parse(span_of(d->address), 0, host, &port) >= 0 && ip_parse(span_of(host), &ip) >= 0);
        d->stream = stream_connect(d->loop, &ip, port, NULL, &events, d);
    }
    buf_printf(&hello, "VERSION\t1\t2\nCPID\t%ld\n", (long) getpid());
    stream_write(d->stream, buf_span(&hello));
    stream_deadline(d->stream, HELLO_MS);
}

struct dovecot *dovecot_open(struct loop *l, const char *address, void (*on_hello)(void *context),
                             void *context)
{
    struct dovecot *d = NEW(struct dovecot);
    d->loop = l;
    d->address = mem_string(address);
    d->on_hello = on_hello;
    d->context = context;
    list_init(&d->requests);
    dovecot_connect(d);
    return d;
}

struct dovecot *dovecot_close(struct dovecot *d)
{
    if (!d)
        return NULL;
    while (!list_is_empty(&d->requests))
        request_free(LIST_FIRST(&d->requests, struct dovecot_request, link));
    if (d->stream) {
        d->is_closed = true;
        stream_abort(d->stream);
        return NULL;
    }
    hello_clear(d);
    while (d->mechanism_count > 0)
        mem_free(d->mechanisms[--d->mechanism_count]);
    mem_free(d->address);
    return mem_free(d);
}

bool dovecot_has(const struct dovecot *d, struct span mechanism)
{
    if (!d->has_said_hello)
        return span_equal_nocase(mechanism, SPAN("PLAIN"));
    for (size_t i = 0; i < d->mechanism_count; i++)
        if (span_equal_nocase(mechanism, span_of(d->mechanisms[i])))
            return true;
    return false;
}

/* ---- asking */

static void add_parameter(struct buf *line, const char *name, struct span value)
{
    buf_add_char(line, '\t');
    buf_add_text(line, name);
    dovecot_add_escaped(line, value);
}

static void add_ip(struct buf *line, const char *name, const struct ip *ip)
{
    AUTO_BUF struct buf text = {0};
    ip_format(ip, &text);
    add_parameter(line, name, buf_span(&text));
}

/* Failures are counted and delayed by us: no-penalty. resp= must be the last. */
static void make_line(struct buf *line, const struct dovecot_client *client, struct span mechanism,
                      bool has_response, struct span response)
{
    (void) buf_reserve(line, 512 + response.len * 2); /* so that no copy of the response is left behind */
    dovecot_add_escaped(line, mechanism);
    buf_add_text(line, "\tservice=smtp\tnologin\tno-penalty");
    if (client->local)
        add_ip(line, "lip=", client->local);
    add_ip(line, "rip=", client->remote);
    add_parameter(line, "session=", span_of(client->session));
    if (client->is_secured)
        buf_add_text(line, "\tsecured=tls");
    if (has_response) {
        buf_add_text(line, "\tresp=");
        base64_encode(response, line);
    }
    buf_add_char(line, '\n');
}

struct dovecot_request *dovecot_ask(struct dovecot *d, const struct dovecot_client *client,
                                    struct span mechanism, bool has_response, struct span response,
                                    uint64_t time_ms, dovecot_on_result *on_result, void *context)
{
    struct dovecot_request *r = NEW(struct dovecot_request);
    r->magic = REQUEST_MAGIC;
    r->owner = d;
    r->on_result = on_result;
    r->context = context;
    r->time_ms = time_ms;
    list_append(&d->requests, &r->link);
    make_line(&r->line, client, mechanism, has_response, response);
    if (!d->stream && loop_now_ms(d->loop) >= d->pause_until_ms)
        dovecot_connect(d);
    if (!d->stream || r->line.len > SEND_LINE_MAX) {
        request_fail_soon(r);
        return r;
    }
    timer_start(d->loop, &r->timer, time_ms, on_request_timer);
    if (d->is_ready)
        request_send(r);
    return r;
}

void dovecot_respond(struct dovecot_request *r, struct span response)
{
    struct buf line = {0};
    must(r->magic == REQUEST_MAGIC && r->is_answered);
    r->is_answered = false;
    if (r->is_over) {
        request_fail_soon(r);
        return;
    }
    timer_start(r->owner->loop, &r->timer, r->time_ms, on_request_timer);
    (void) buf_reserve(&line, 64 + response.len * 2); /* as above */
    buf_printf(&line, "CONT\t%u\t", r->id);
    base64_encode(response, &line);
    buf_add_char(&line, '\n');
    if (line.len <= SEND_LINE_MAX)
        stream_write(r->owner->stream, buf_span(&line));
    else
        request_fail_soon(r);
    buf_wipe(&line);
}

struct dovecot_request *dovecot_cancel(struct dovecot_request *r)
{
    if (!r)
        return NULL;
    must(r->magic == REQUEST_MAGIC);
    cancel_there(r);
    request_free(r);
    return NULL;
}
