/* Drives one engine: connection_drive() asks it and does what it wants until it waits for the remote. */
#include <errno.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "courier/attempt.h"
#include "courier/connection_private.h"
#include "courier/dead_host.h"
#include "courier/grant.h"
#include "courier/pool.h"
#include "courier/room.h"
#include "courier/work.h"

/* ---- jobs ---- */

static size_t target_of(const struct connection *k)
{
    return work_target_of(k->work, &k->target);
}

static void on_total(struct timer *t)
{
    struct connection *k = CONTAINER_OF(t, struct connection, total);

    smtp_client_end(k->client, FAULT_TIMEOUT, "the transaction took too long");
    connection_drive(k);
}

static bool send_next(struct connection *k)
{
    const struct conf *conf = conf_get();
    size_t target = target_of(k);
    struct job *j;

    if (k->is_closing || k->courier->is_draining || work_has_too_many(k->work) ||
        smtp_client_sent_count(k->client) >= conf->courier.max_per_connection || !k->work->route ||
        !connection_is_in_route(k, target))
        return false;
    j = work_take(k->work, k, target);
    if (!j)
        return false;
    if (!job_next_transaction(j, conf->courier.max_recipients))
        must(!"a ready job has recipients to send to");
    if (smtp_client_ask(k->client) == ASK_MESSAGE)
        k->next_chunk = 0;
    if (k->courier->is_traced)
        connection_trace(k, j);
    smtp_client_send(k->client, &j->message, stream_output(k->stream));
    stream_written(k->stream);
    FAULT_SENT(mail_sent);
    k->has_progress = true;
    timer_start(k->courier->loop, &k->total, conf->courier.transaction_time_ms, on_total);
    return true;
}

/* Invariant 4: the last thing before the dot is the right to send it. */
static void send_dot(struct connection *k)
{
    FAULT_POINT(before_dot);
#ifndef PLANT_NO_DOT_CHECK /* a planted bug, for the test that must find its second copy */
    struct job *j = smtp_client_current(k->client)->owner;

    if (j->is_dropped || !node_may_send_dot(k->courier->node, j->incarnation)) {
        smtp_client_end(k->client, FAULT_ABORTED, "this courier lost touch with the cluster");
        return;
    }
#endif

    FAULT_POINT(dot_checked);
    smtp_client_dot(k->client, stream_output(k->stream));
    stream_written(k->stream);
    FAULT_SENT(after_dot);
    k->has_progress = true;
    k->next_chunk = 0;
    if (smtp_client_has_room(k->client))
        send_next(k);
}

static void take_results(struct connection *k)
{
    struct client_message *m;

    while ((m = smtp_client_result(k->client))) {
        struct work *w = k->work;

        if (m->dot_sent && m->fault == FAULT_NONE)
            FAULT_POINT(dot_answered);
        work_hear(w, m);
        attempt_on_result(m->owner, k, target_of(k));
    }
    if (!smtp_client_current(k->client)) {
        timer_stop(&k->total);
        connection_forget_read(k);
    }
}

/* ---- idle ---- */

/* From here on it takes no message. */
static void begin_closing(struct connection *k)
{
    pool_remove(k);
    k->is_closing = true;
    k->work->leaving++;
}

void connection_quit(struct connection *k)
{
    if (k->is_closing)
        return;
    begin_closing(k);
    smtp_client_quit(k->client, stream_output(k->stream));
    stream_written(k->stream);
    stream_finish(k->stream);
}

static void rest(struct connection *k)
{
    const struct conf *conf = conf_get();

    if (k->courier->is_draining || !work_is_granted(k->work) || work_has_too_many(k->work) ||
        conf->courier.idle_time_ms == 0 ||
        smtp_client_sent_count(k->client) >= conf->courier.max_per_connection ||
        !connection_is_in_route(k, target_of(k)) || work_waits_for_another(k->work, k, target_of(k))) {
        connection_quit(k);
        return;
    }
    if (pool_has(k)) /* asked in vain: it rests on, and wakes nobody */
        return;
    pool_add(k);
    stream_deadline(k->stream, conf->courier.idle_time_ms);
    work_wake(k->work);
}

void connection_let_go(struct connection *k)
{
    if (pool_has(k))
        connection_quit(k);
    if (k->is_closing || k->was_ready)
        return;
    smtp_client_end(k->client, FAULT_ABORTED, "there are too many");
    connection_drive(k);
}

/* ---- driving ---- */

static void set_deadline(struct connection *k)
{
    const struct conf *conf = conf_get();
    const uint64_t limits[] = {
        [LIMIT_GREETING] = conf->courier.greeting_timeout_ms,
        [LIMIT_COMMAND] = conf->courier.command_timeout_ms,
        [LIMIT_DATA] = conf->courier.data_timeout_ms,
        [LIMIT_BLOCK] = conf->courier.block_timeout_ms,
        [LIMIT_DOT] = conf->courier.dot_timeout_ms,
        [LIMIT_QUIT] = 5000,
        [LIMIT_IDLE] = conf->courier.idle_time_ms,
    };

    if (k->has_progress)
        stream_deadline(k->stream, limits[smtp_client_limit(k->client)]);
    k->has_progress = false;
}

static void became_ready(struct connection *k)
{
    if (k->was_ready)
        return;
    FAULT_POINT(greeted);
    k->was_ready = true;
    k->work->connecting--;
    connection_count_tls(k);
    dead_hosts_remove(k->courier->dead_hosts, &k->target, k->pool ? &k->source : NULL);
    work_target_worked(k->work, k, target_of(k));
}

void connection_drive(struct connection *k)
{
    if (k->is_closing)
        return;
    for (;;) {
        switch (smtp_client_ask(k->client)) {
        case ASK_RESULT: take_results(k); break;
        case ASK_MESSAGE:
            became_ready(k);
            if (!send_next(k)) {
                rest(k);
                return;
            }
            pool_remove(k);
            break;
        case ASK_CONTENT:
            if (!connection_feed(k)) {
                set_deadline(k);
                return;
            }
            break;
        case ASK_DOT:
            if (stream_unsent(k->stream) >
                UNSENT_MAX) { /* a dot behind it would leave long after its check */
                stream_await_sent(k->stream);
                set_deadline(k);
                return;
            }
            send_dot(k);
            break;
        case ASK_REPLY:
            if (smtp_client_has_room(k->client) && send_next(k))
                break;
            set_deadline(k);
            return;
        case ASK_TLS: connection_shake(k); return;
        case ASK_KEY:
            connection_ask_key(k);
            set_deadline(k);
            return;
        case ASK_CLOSE:
            begin_closing(k);
            stream_abort(k->stream);
            return;
        }
    }
}

static void on_connected(void *owner)
{
    struct connection *k = owner;
    uint16_t port;

    k->is_connected = k->has_progress = true;
    FAULT_POINT(connected);
    metric_add(METRIC_CONNECTIONS_TOTAL, 1);
    if (!k->is_counted)
        k->has_local = stream_local(k->stream, &k->local, &port) == 0;
    connection_drive(k);
}

static size_t on_data(void *owner, struct span in)
{
    struct connection *k = owner;
    size_t used = 0;

    /* The engine stops at each result; what it left is offered again once that is taken. */
    while (used < in.len && !k->is_closing) {
        unsigned before = smtp_client_reply_count(k->client);
        size_t n = smtp_client_feed(k->client, (struct span){in.at + used, in.len - used},
                                    stream_output(k->stream));

        used += n;
        stream_written(k->stream);
        k->has_progress |= smtp_client_reply_count(k->client) != before;
        connection_drive(k);
        if (n == 0)
            break;
    }
    return k->is_closing ? in.len : used;
}

static void on_drained(void *owner)
{
    struct connection *k = owner;

    k->has_progress = true;
    connection_drive(k);
}

static const char *reason_text(const struct connection *k, int reason)
{
    if (reason == -ETIMEDOUT)
        return k->is_connected ? "no answer in time" : "connecting took too long";
    return reason == 0 ? "closed by the host" : log_errno_text(-reason);
}

/* It ended before it could carry a message. */
static void host_failed(struct connection *k)
{
    enum client_fault fault = smtp_client_fault(k->client);
    const struct verdict *why = smtp_client_fault_verdict(k->client);
    size_t target = target_of(k);

    if (fault == FAULT_NONE || fault == FAULT_ABORTED || connection_tries_again(k, target))
        return;
    if (fault == FAULT_AUTH)
        log_event(LOG_LOGIN_FAILED, F("remote", k->remote), F("user", k->login.user), F("why", why->text));
    if (!k->is_connected || (fault == FAULT_TIMEOUT && !k->is_shaking))
        dead_hosts_add(k->courier->dead_hosts, &k->target, k->pool ? &k->source : NULL, clock_ms());
    work_target_failed(k->work, k, target, why);
}

static void on_closed(void *owner, int reason)
{
    struct connection *k = owner;
    struct work *w = k->work;

    pool_remove(k);
    timer_stop(&k->total);
    connection_forget_read(k);
    connection_drop_key(k);
    if (k->is_shaking && smtp_client_ask(k->client) != ASK_CLOSE)
        connection_tls_lost(k, reason);
    connection_trace_closed(k, reason_text(k, reason));
    if (smtp_client_ask(k->client) != ASK_CLOSE)
        smtp_client_end(k->client,
                        !k->is_connected       ? FAULT_REFUSED
                        : reason == -ETIMEDOUT ? FAULT_TIMEOUT
                                               : FAULT_LOST,
                        reason_text(k, reason));
    take_results(k);
    work_connection_over(w, k);
    if (!k->was_ready)
        host_failed(k);
    k->courier->connection_count--;
    metric_set(METRIC_CONNECTIONS, (int64_t) k->courier->connection_count);
    connection_done(k);
    room_wake(k->courier);
    mem_free(k);
}

/* An idle one leaves politely; with a reply due, the host has failed. */
bool connection_on_timeout(void *owner)
{
    struct connection *k = owner;

    if (!pool_has(k))
        return false;
    connection_quit(k);
    return true;
}

const struct stream_events connection_events = {
    .on_connected = on_connected,
    .on_data = on_data,
    .on_drained = on_drained,
    .on_secured = connection_on_secured,
    .on_closed = on_closed,
};

void connection_abort_before_dot(struct connection *k)
{
    struct client_message *m = smtp_client_current(k->client);

    if (k->is_closing || (m && m->dot_sent))
        return;
    smtp_client_end(k->client, FAULT_ABORTED, "this courier was declared dead");
    connection_drive(k);
}
