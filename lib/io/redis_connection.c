/*
 * One connection to Redis.
 *
 * Normal path: opening -> hello -> (kill ->) greet -> up (redis_hello.c has all before up). Any failure: ending -> down -> opening again after a
 * jittered pause.
 * What was under way when a life ended is in limbo: its owner hears REDIS_UNKNOWN only when the next life has killed the last one at the
 * server, or finds another server process. Nothing of a limbo request can be executed after that (PROTOCOL.md, ground rule 2).
 *
 * Behind a batch with held requests goes one WAIT. Redis answers nothing behind it before its reply, so those of the batch that have their
 * values are all that can be held when it comes.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "io/redis_private.h"

enum {
    RETRY_FIRST_MS = 50,
    RETRY_MAX_MS = 2000,
    BATCH_BYTES = 16384, /* Redis reads about this much of a client per pass */
    REPLY_SHARE = 4,     /* and writes so many times as much */
};

static const struct stream_events connection_events;

/* ---- requests */

void redis_connection_send(struct redis_connection *c, struct redis_request *request, uint64_t now_us)
{
    request->connection = c;
    request->values = NULL;
    request->values_seen = 0;
    request->sent_us = now_us;
    request->sent_ms = now_us / 1000;
    list_append(&c->under_way, &request->link);
    c->count++;
    buf_add_span(stream_output(c->stream), buf_span(&request->bytes));
}

bool redis_connection_has_room(const struct redis_connection *c)
{
    return c->state == CONNECTION_UP && c->count < c->redis->settings.window && !stream_is_full(c->stream);
}

/* Stands in for a request that was given up: its replies are still to come, and are thrown away. */
static void on_orphan_done(struct redis_request *orphan, enum redis_result result UNUSED,
                           const struct redis_value *values UNUSED)
{
    mem_free(orphan);
}

/* Its reply came: it is handled there. The connection ended: what it was for is in limbo. */
static void on_wait_done(struct redis_request *wait, enum redis_result result UNUSED,
                         const struct redis_value *values UNUSED)
{
    redis_request_done(wait);
    mem_free(wait);
}

static bool is_ours(const struct redis_connection *c, const struct redis_request *request)
{
    return request == &c->own || request == &c->greeting || request->on_done == on_orphan_done ||
           request->on_done == on_wait_done;
}

/* ---- WAIT */

static void connection_finish(struct redis_connection *c, struct redis_request *request, uint64_t now_us)
{
    if (!is_ours(c, request) && now_us > request->sent_us)
        metric_observe_us(METRIC_STORE_SECONDS, now_us - request->sent_us);
    redis_finish(request, REDIS_OK, request->values);
}

static void connection_wait(struct redis_connection *c, uint64_t now_us)
{
    const struct redis_settings *settings = &c->redis->settings;
    struct redis_request *wait = NEW(struct redis_request);
    if (settings->fence) {
        settings->fence(settings->owner, &wait->bytes);
        wait->reply_count++;
    }
    resp_command(&wait->bytes, 3);
    resp_arg_text(&wait->bytes, "WAIT");
    resp_arg_number(&wait->bytes, settings->replicas);
    resp_arg_number(&wait->bytes, (int64_t) settings->wait_ms);
    wait->reply_count++;
    wait->replicas_asked = settings->replicas;
    wait->on_done = on_wait_done;
    redis_connection_send(c, wait, now_us);
}

/* An error (no right to WAIT, no primary any more) is no replica. Its last reply is the count, the one before, if any, the fence's. */
static unsigned connection_count_replicas(struct redis_connection *c, const struct redis_request *wait)
{
    const struct redis_settings *settings = &c->redis->settings;
    const struct redis_value *count = &wait->values[wait->reply_count - 1];
    bool is_fenced = wait->values[0].type != REDIS_ERROR_REPLY;
    if (!is_fenced && wait->reply_count > 1 && settings->on_fence_refused)
        settings->on_fence_refused(settings->owner, wait->values[0].text);
#ifdef PLANT_NO_WAIT /* a planted bug, for the test that must find its loss: nobody looks at what WAIT counted */
    return settings->replicas;
#endif
    return is_fenced && count->type == REDIS_INTEGER && count->integer > 0 ? (unsigned) count->integer : 0;
}

/* The WAIT goes before those it was for: one of them may close all of this. */
static void connection_waited(struct redis_connection *c, struct redis_request *wait, uint64_t now_us)
{
    unsigned replicas = connection_count_replicas(c, wait), asked = wait->replicas_asked;
    c->waited_ms = now_us / 1000;
    connection_finish(c, wait, now_us);
    while (!list_is_empty(&c->held)) {
        struct redis_request *request = LIST_FIRST(&c->held, struct redis_request, link);
        request->replicas = replicas;
        request->replicas_asked = asked;
        connection_finish(c, request, now_us);
    }
}

/* ---- requests, out */

void redis_connection_take(struct redis_connection *c)
{
    struct redis *r = c->redis;
    unsigned room = r->settings.window - c->count, n = 0;
    bool is_held = false;
    size_t total = 0, weight = 0;
    for (struct list *it = r->waiting.next; it != &r->waiting && n < room && weight < BATCH_BYTES;
         it = it->next, n++) {
        const struct redis_request *request = LIST_ENTRY(it, struct redis_request, link);
        total += request->bytes.len;
        weight += request->bytes.len + request->reply_bytes / REPLY_SHARE;
    }
    (void) buf_reserve(stream_output(c->stream), total); /* one allocation for all */
    uint64_t now_us = clock_us();
    for (unsigned i = 0; i < n; i++) {
        struct redis_request *request = LIST_FIRST(&r->waiting, struct redis_request, link);
        list_remove(&request->link);
        redis_connection_send(c, request, now_us);
        is_held |= request->is_held;
    }
    if (is_held && r->settings.replicas > 0)
        connection_wait(c, now_us);
    r->waiting_count -= n;
    metric_add(METRIC_STORE_REQUESTS_TOTAL, n);
    stream_written(c->stream);
}

/* Of those whose replies are not to come any more, or came already. */
static void list_expire(struct list *requests, struct list *expired, uint64_t now_ms)
{
    LIST_EACH(requests, it, save) {
        struct redis_request *request = LIST_ENTRY(it, struct redis_request, link);
        if (request->give_up_ms && request->give_up_ms <= now_ms) {
            list_remove(it);
            list_append(expired, it);
        }
    }
}

void redis_connection_expire(struct redis_connection *c, uint64_t now_ms)
{
    struct list *expired = &c->redis->expired;
    list_expire(&c->limbo, expired, now_ms);
    list_expire(&c->held, expired, now_ms);
    LIST_EACH(&c->under_way, it, save) {
        struct redis_request *request = LIST_ENTRY(it, struct redis_request, link);
        if (is_ours(c, request) || !request->give_up_ms || request->give_up_ms > now_ms)
            continue;
        struct redis_request *orphan = NEW(struct redis_request);
        orphan->reply_count = request->reply_count - request->values_seen;
        orphan->sent_ms = request->sent_ms;
        orphan->on_done = on_orphan_done;
        list_append(it, &orphan->link); /* before `it` in order: append is "before the head" */
        list_remove(it);
        list_append(expired, it);
    }
    struct redis_request *head = LIST_FIRST(&c->under_way, struct redis_request, link);
    if (c->state != CONNECTION_UP || !head)
        return;
    /* What is behind a WAIT is owed from its reply on. */
    uint64_t owed_ms = head->sent_ms > c->waited_ms ? head->sent_ms : c->waited_ms;
    if (owed_ms + c->redis->settings.timeout_ms <= now_ms)
        redis_connection_give_up(c, "a reply was owed for too long");
}

void redis_connection_resolve_limbo(struct redis_connection *c)
{
    c->before.client_id = 0;
    while (!list_is_empty(&c->limbo))
        redis_finish(LIST_FIRST(&c->limbo, struct redis_request, link), REDIS_UNKNOWN, NULL);
}

/* ---- replies */

static int connection_reply(struct redis_connection *c, const struct redis_value *value, uint64_t now_us)
{
    struct redis_request *request = LIST_FIRST(&c->under_way, struct redis_request, link);
    if (!request)
        return -EBADMSG;
    if (request == &c->own && value->type == REDIS_ERROR_REPLY)
        redis_hello_error(c, value->text);
    if (!request->values)
        request->values = reply_reader_room(c->reader, request->reply_count * sizeof(*request->values));
    request->values[request->values_seen++] = *value;
    if (request->values_seen < request->reply_count)
        return 0;
    c->count--;
    if (request->is_held && c->redis->settings.replicas > 0) {
        list_remove(&request->link);
        list_append(&c->held, &request->link);
        return 0;
    }
    if (request->on_done == on_wait_done)
        connection_waited(c, request, now_us);
    else
        connection_finish(c, request, now_us);
    if (list_is_empty(&c->held))
        reply_reader_clear(c->reader);
    return 0;
}

static size_t on_data(void *owner, struct span in)
{
    struct redis_connection *c = owner;
    size_t len = in.len;
    uint64_t now_us = clock_us();
    int r = 0;
    if (c->state == CONNECTION_HELLO)
        redis_hello_first_bytes(c, in);
    while (in.len > 0 && c->state != CONNECTION_ENDING) {
        struct span slice = {.at = in.at, .len = in.len < REPLY_SLICE_BYTES ? in.len : REPLY_SLICE_BYTES};
        struct redis_value value;
        reply_reader_feed(c->reader, slice);
        in.at += slice.len;
        in.len -= slice.len;
        while (c->state != CONNECTION_ENDING && (r = reply_reader_next(c->reader, &value)) > 0) {
            if (connection_reply(c, &value, now_us) < 0)
                redis_connection_give_up(c, "a reply that nobody asked for");
        }
        if (r < 0)
            redis_connection_give_up(c, r == -EMSGSIZE ? "a reply of unreasonable size"
                                                       : "a reply not understood");
    }
    redis_stir(c->redis);
    return len;
}

static void on_drained(void *owner)
{
    struct redis_connection *c = owner;
    redis_stir(c->redis);
}

/* ---- end and new beginning */

void redis_connection_give_up(struct redis_connection *c, const char *fault)
{
    if (c->state == CONNECTION_DOWN || c->state == CONNECTION_ENDING)
        return;
    bool was_up = c->state == CONNECTION_UP;
    c->state = CONNECTION_ENDING;
    c->fault = fault;
    if (c->stream)
        stream_reset(c->stream);
    if (was_up)
        redis_connection_down(c->redis, fault);
}

static void on_retry(struct timer *t)
{
    redis_connection_open(CONTAINER_OF(t, struct redis_connection, retry));
}

static void connection_retry_later(struct redis_connection *c)
{
    uint32_t random = 0;
    (void) getrandom(&random, sizeof(random), GRND_NONBLOCK); /* jitter only: none is no harm */
    c->retry_ms = c->retry_ms ? c->retry_ms * 2 : RETRY_FIRST_MS;
    if (c->retry_ms > RETRY_MAX_MS)
        c->retry_ms = RETRY_MAX_MS;
    timer_start(c->redis->loop, &c->retry, c->retry_ms / 2 + random % (c->retry_ms / 2 + 1), on_retry);
}

/* Sorts what was under way: ours is dropped, the owners' goes to `to`. */
static void connection_clear(struct redis_connection *c, struct list *to)
{
    while (!list_is_empty(&c->held)) {
        struct list *first = c->held.next;
        list_remove(first);
        list_append(to, first);
    }
    while (!list_is_empty(&c->under_way)) {
        struct redis_request *request = LIST_FIRST(&c->under_way, struct redis_request, link);
        if (is_ours(c, request)) {
            redis_finish(request, REDIS_UNKNOWN, NULL);
        } else {
            list_remove(&request->link);
            list_append(to, &request->link);
        }
    }
    c->count = 0;
}

static void on_closed(void *owner, int reason)
{
    struct redis_connection *c = owner;
    struct redis *r = c->redis;
    bool was_up = c->state == CONNECTION_UP;
    const char *fault = c->state == CONNECTION_ENDING ? c->fault
                        : reason == 0                 ? "closed by the server"
                                                      : log_errno_text(-reason);
    /* Requests are taken only when up, and then nothing is in limbo. */
    if (c->count > 0 && list_is_empty(&c->limbo) && !c->before.client_id)
        c->before = c->life;
    AUTO_FREE char *refusal = c->has_been_up ? NULL : redis_refusal_of(c, reason);
    c->stream = NULL;
    c->state = CONNECTION_DOWN;
    c->reader = reply_reader_free(c->reader);
    connection_clear(c, &c->limbo);
    if (!r->is_closed)
        connection_retry_later(c);
    if (was_up)
        redis_connection_down(r, fault);
    else if (refusal)
        redis_connection_refused(r, refusal);
    redis_connection_gone(r);
}

static const struct stream_events connection_events = {
    .on_connected = redis_hello_connected,
    .on_secured = redis_hello_secured,
    .on_data = on_data,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

static void connection_connect(struct redis_connection *c, const struct ip *ip)
{
    struct redis *r = c->redis;
    c->reader = reply_reader_new();
    if (r->path)
        c->stream = stream_connect_unix(r->loop, r->path, &connection_events, c);
    else
        c->stream = stream_connect(r->loop, ip, r->port, NULL, &connection_events, c);
    stream_deadline(c->stream, r->settings.timeout_ms);
}

static void on_found(void *context, int error UNUSED, const struct ip *ip)
{
    struct redis_connection *c = context;
    c->lookup = NULL;
    if (ip) {
        connection_connect(c, ip);
        return;
    }
    c->state = CONNECTION_DOWN;
    connection_retry_later(c);
    redis_connection_refused(c->redis, "its name has no address: is it right, and does DNS know it?");
}

void redis_connection_open(struct redis_connection *c)
{
    struct redis *r = c->redis;
    c->state = CONNECTION_OPENING;
    c->life.client_id = 0;
    c->waited_ms = 0;
    c->has_been_up = false;
    c->fault = NULL;
    c->refusal = mem_free(c->refusal);
    if (!r->host) {
        connection_connect(c, &r->ip);
    } else if (lookup_open(r->loop, r->host, on_found, c, &c->lookup) < 0) {
        c->state = CONNECTION_DOWN;
        connection_retry_later(c);
    }
}

void redis_connection_init(struct redis_connection *c, struct redis *r)
{
    c->redis = r;
    list_init(&c->under_way);
    list_init(&c->held);
    list_init(&c->limbo);
}

void redis_connection_end(struct redis_connection *c)
{
    timer_stop(&c->retry);
    c->lookup = lookup_cancel(c->lookup);
    if (c->state != CONNECTION_DOWN) {
        if (c->stream && c->state != CONNECTION_ENDING)
            stream_reset(c->stream);
        c->state = CONNECTION_ENDING;
    }
    connection_clear(c, &c->redis->expired);
    while (!list_is_empty(&c->limbo)) {
        struct list *first = c->limbo.next;
        list_remove(first);
        list_append(&c->redis->expired, first);
    }
}
