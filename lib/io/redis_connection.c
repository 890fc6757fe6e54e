/*
 * One connection to Redis.
 *
 * Normal path: opening -> hello -> (kill ->) greet -> up. Any failure: ending -> down -> opening again after a jittered pause.
 * What was under way when a life ended is in limbo: its owner hears REDIS_UNKNOWN only when the next life has killed the last one at the
 * server, or finds another server process. Nothing of a limbo request can be executed after that (PROTOCOL.md, ground rule 2).
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

static void connection_send(struct redis_connection *c, struct redis_request *request, uint64_t now_us)
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

void redis_connection_take(struct redis_connection *c)
{
    struct redis *r = c->redis;
    unsigned room = r->settings.window - c->count, n = 0;
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
        connection_send(c, request, now_us);
    }
    r->waiting_count -= n;
    metric_add(METRIC_STORE_REQUESTS_TOTAL, n);
    stream_written(c->stream);
}

/* Stands in for a request that was given up: its replies are still to come, and are thrown away. */
static void on_orphan_done(struct redis_request *orphan, enum redis_result result UNUSED,
                           const struct redis_value *values UNUSED)
{
    mem_free(orphan);
}

static bool is_ours(const struct redis_connection *c, const struct redis_request *request)
{
    return request == &c->own || request == &c->greeting || request->on_done == on_orphan_done;
}

void redis_connection_expire(struct redis_connection *c, uint64_t now_ms)
{
    struct list *expired = &c->redis->expired;
    LIST_EACH(&c->limbo, it, save) {
        struct redis_request *request = LIST_ENTRY(it, struct redis_request, link);
        if (request->give_up_ms && request->give_up_ms <= now_ms) {
            list_remove(it);
            list_append(expired, it);
        }
    }
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
    if (c->state == CONNECTION_UP && head && head->sent_ms + c->redis->settings.timeout_ms <= now_ms)
        redis_connection_give_up(c, "a reply was owed for too long");
}

static void connection_resolve_limbo(struct redis_connection *c)
{
    c->before.client_id = 0;
    while (!list_is_empty(&c->limbo))
        redis_finish(LIST_FIRST(&c->limbo, struct redis_request, link), REDIS_UNKNOWN, NULL);
}

/* ---- the life's first steps */

static void connection_ask(struct redis_connection *c, enum connection_state state,
                           void (*on_done)(struct redis_request *, enum redis_result,
                                           const struct redis_value *))
{
    c->state = state;
    c->own.on_done = on_done;
    connection_send(c, &c->own, clock_us());
    stream_written(c->stream);
}

static void connection_is_up(struct redis_connection *c)
{
    c->state = CONNECTION_UP;
    c->retry_ms = 0;
    stream_deadline(c->stream, 0);
    redis_connection_up(c->redis);
    redis_stir(c->redis);
}

static void on_greeted(struct redis_request *request, enum redis_result result,
                       const struct redis_value *values)
{
    struct redis_connection *c = CONTAINER_OF(request, struct redis_connection, greeting);
    const struct redis_settings *settings = &c->redis->settings;
    if (result != REDIS_OK)
        return; /* on_closed sees to it */
    int r = settings->on_greeted ? settings->on_greeted(settings->owner, values, request->reply_count) : 0;
    if (c->state != CONNECTION_GREET)
        return; /* the owner has closed it all */
    if (r != 0)
        redis_connection_give_up(c, "refused after its greeting");
    else
        connection_is_up(c);
}

static void connection_greet(struct redis_connection *c)
{
    const struct redis_settings *settings = &c->redis->settings;
    buf_clear(&c->greeting.bytes);
    c->greeting.reply_count = 0;
    if (settings->greet)
        settings->greet(settings->owner, &c->greeting);
    if (c->state == CONNECTION_ENDING)
        return;
    if (c->greeting.reply_count == 0) {
        connection_is_up(c);
        return;
    }
    c->state = CONNECTION_GREET;
    c->greeting.on_done = on_greeted;
    connection_send(c, &c->greeting, clock_us());
    stream_written(c->stream);
}

static void connection_limbo_is_over(struct redis_connection *c)
{
    connection_resolve_limbo(c);
    if (c->state != CONNECTION_ENDING)
        connection_greet(c);
}

static void on_killed(struct redis_request *request, enum redis_result result,
                      const struct redis_value *values)
{
    struct redis_connection *c = CONTAINER_OF(request, struct redis_connection, own);
    if (result != REDIS_OK)
        return;                          /* on_closed sees to it */
    if (values[0].type == REDIS_INTEGER) /* how many were killed: the last life is gone either way */
        connection_limbo_is_over(c);
    else
        redis_connection_give_up(c, "CLIENT KILL was refused");
}

static int life_parse(struct life *ret_life, const struct redis_value *values)
{
    struct span info = redis_text(&values[1]);
    if (values[0].type != REDIS_INTEGER || values[0].integer <= 0)
        return -EPROTO;
    while (info.len > 0) {
        struct span line = span_trim(span_cut(&info, '\n'));
        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        struct span key = span_cut(&line, ':');
        if (!span_equal(key, SPAN("run_id")) || line.len == 0 || line.len > RUN_ID_MAX)
            continue;
        ret_life->client_id = values[0].integer;
        memcpy(ret_life->run_id, line.at, line.len);
        ret_life->run_id[line.len] = '\0';
        return 0;
    }
    return -EPROTO;
}

static void on_hello(struct redis_request *request, enum redis_result result,
                     const struct redis_value *values)
{
    struct redis_connection *c = CONTAINER_OF(request, struct redis_connection, own);
    if (result != REDIS_OK)
        return; /* on_closed sees to it */
    if (life_parse(&c->life, values) < 0) {
        redis_connection_give_up(c, "no answer to CLIENT ID and INFO server");
        return;
    }
    if (!c->before.client_id || strcmp(c->before.run_id, c->life.run_id) != 0) {
        connection_limbo_is_over(
            c); /* nothing to kill, or another process: the last one's clients are gone with it */
        return;
    }
    buf_clear(&c->own.bytes);
    resp_command(&c->own.bytes, 4);
    resp_arg_text(&c->own.bytes, "CLIENT");
    resp_arg_text(&c->own.bytes, "KILL");
    resp_arg_text(&c->own.bytes, "ID");
    resp_arg_number(&c->own.bytes, c->before.client_id);
    c->own.reply_count = 1;
    connection_ask(c, CONNECTION_KILL, on_killed);
}

static void on_connected(void *owner)
{
    struct redis_connection *c = owner;
    buf_clear(&c->own.bytes);
    resp_command(&c->own.bytes, 2);
    resp_arg_text(&c->own.bytes, "CLIENT");
    resp_arg_text(&c->own.bytes, "ID");
    resp_command(&c->own.bytes, 2);
    resp_arg_text(&c->own.bytes, "INFO");
    resp_arg_text(&c->own.bytes, "server");
    c->own.reply_count = 2;
    connection_ask(c, CONNECTION_HELLO, on_hello);
}

/* ---- replies */

static int connection_reply(struct redis_connection *c, const struct redis_value *value, uint64_t now_us)
{
    struct redis_request *request = LIST_FIRST(&c->under_way, struct redis_request, link);
    if (!request)
        return -EBADMSG;
    if (!request->values)
        request->values = reply_reader_room(c->reader, request->reply_count * sizeof(*request->values));
    request->values[request->values_seen++] = *value;
    if (request->values_seen < request->reply_count)
        return 0;
    c->count--;
    if (!is_ours(c, request) && now_us > request->sent_us)
        metric_observe_us(METRIC_STORE_SECONDS, now_us - request->sent_us);
    redis_finish(request, REDIS_OK, request->values);
    reply_reader_clear(c->reader);
    return 0;
}

static size_t on_data(void *owner, struct span in)
{
    struct redis_connection *c = owner;
    size_t len = in.len;
    uint64_t now_us = clock_us();
    int r = 0;
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
    c->stream = NULL;
    c->state = CONNECTION_DOWN;
    c->reader = reply_reader_free(c->reader);
    connection_clear(c, &c->limbo);
    if (!r->is_closed)
        connection_retry_later(c);
    if (was_up)
        redis_connection_down(r, fault);
    redis_connection_gone(r);
}

static const struct stream_events connection_events = {
    .on_connected = on_connected, .on_data = on_data, .on_drained = on_drained, .on_closed = on_closed};

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
}

void redis_connection_open(struct redis_connection *c)
{
    struct redis *r = c->redis;
    c->state = CONNECTION_OPENING;
    c->life.client_id = 0;
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
