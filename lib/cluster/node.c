/*
 * One life of a node after another: join, beat each second, told dead or leave.
 *
 * A read of the nodes is confirmed when a later write on its connection is. With one Redis at level fsync its reply is enough, because it
 * leaves after the fsync of all that the read saw; with replicas the store has each call confirmed, reads too.
 */
#include "cluster/node.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/node_private.h"
#include "cluster/settings_digest.h"
#include "cluster/wire.h"

enum {
    BEAT_EVERY_MS = 1000,
    BEAT_TIME_MS = 1000,
    SOON_MS = 50,
    LEAVE_TIME_MS = 1900,
    BURY_TIME_MS = 1000,
    DOT_AGE_MS = 3000
};

struct node {
    struct store *store;
    struct node_events events;
    struct node_stats stats;
    uint64_t view_every_ms, view_due_ms;
    uint64_t incarnation; /* 0: not joined */
    uint64_t count;       /* of beats sent in this life */
    uint64_t beat_ms;     /* when the last confirmed beat was sent; 0: none yet */
    struct node_view view;
    struct timer beat, look, end;
    bool is_joining; /* or has joined: orders are known */
    bool is_ordered_to_drain;
    bool is_leaving;
    struct conf *conf; /* held: the settings whose digests are in stats; NULL: none yet */
    unsigned pending;  /* calls that know us */
    void (*on_left)(void *owner);
    void *left_owner;
};

struct node_call {
    struct store_call call;
    struct node *node;
    uint64_t incarnation; /* beat */
    bool has_view;
};

static void node_join(struct node *n);
static void node_send(struct node *n, bool has_beat, bool has_view);

/* A reload changes them. */
static void node_tell_settings(struct node *n)
{
    struct buf digests = {.data = NULL};

    if (n->conf == conf_get())
        return;
    n->conf = conf_release(n->conf);
    n->conf = conf_hold_current();
    settings_digest(n->conf, &digests);
    mem_free(n->stats.settings);
    n->stats.settings = buf_steal_text(&digests);
}

static void node_free(struct node *n)
{
    n->conf = conf_release(n->conf);
    view_done(&n->view);
    node_stats_done(&n->stats);
    mem_free(n);
}

static struct node_call *node_call_new(struct node *n, uint64_t give_up_ms,
                                       void (*on_done)(struct store_call *c, enum store_result result,
                                                       const struct redis_value *values))
{
    struct node_call *call = NEW(struct node_call);

    call->node = n;
    call->call.give_up_ms = give_up_ms;
    call->call.on_done = on_done;
    n->pending++;
    return call;
}

/* The call's end; false when the node has left, or was freed with its last call: it must not be touched. */
static bool node_call_over(struct node_call *call)
{
    struct node *n = call->node;

    store_call_done(&call->call);
    mem_free(call);
    n->pending--;
    if (!n->is_leaving)
        return true;
    if (!n->pending && !n->on_left)
        node_free(n);
    return false;
}

/* ---- joining ---- */

static void on_joined(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct node_call *call = CONTAINER_OF(c, struct node_call, call);
    struct node *n = call->node;
    uint64_t incarnation = 0;

    if (result == STORE_OK)
        must(span_number(redis_text(&values[0]), INT64_MAX, &incarnation) == 0);
    if (!node_call_over(call) || !incarnation)
        return; /* left, or the store is closed */
    n->incarnation = incarnation;
    n->count = n->beat_ms = 0;
    if (n->events.on_joined)
        n->events.on_joined(n->events.owner, incarnation);
    if (!n->is_leaving && n->incarnation == incarnation)
        node_send(n, true, true);
}

static void node_join(struct node *n)
{
    struct node_call *call = node_call_new(n, UINT64_MAX, on_joined);

    n->is_joining = true;
    call->call.is_never_refused = true;
    script_begin(&call->call, SCRIPT_join, 1, 0);
    resp_arg_text(&call->call.request.bytes, KEY_NODES);
    store_send(n->store, &call->call);
}

/* ---- beats and looks ---- */

static void node_obey(struct node *n)
{
    bool is_ordered = node_orders_find(&n->view.orders, NODE_ORDER_DRAIN, span_of(n->stats.name)) != NULL;

    if (n->is_ordered_to_drain != is_ordered) {
        n->is_ordered_to_drain = is_ordered;
        if (n->events.on_drain)
            n->events.on_drain(n->events.owner, is_ordered);
    }
    if (!n->is_joining && !n->is_leaving)
        node_join(n);
}

/* The view that replies bring, of the nodes and of their orders, unless a later one was faster. NULL: none came. */
static void node_see(struct node *n, const struct redis_value *values, uint64_t sent_ms)
{
    struct node_view view;

    if (values && sent_ms < n->view.sent_ms)
        return;
    if (!values || view_read(&values[0], &view) < 0) {
        if (values && !n->is_joining)
            node_join(n); /* the key is no hash: the log tells it of the join */
        if (n->events.on_view)
            n->events.on_view(n->events.owner, NULL);
        return;
    }
    if (node_orders_read(&values[1], &view.orders) < 0) {
        view.orders = n->view.orders; /* spoiled: nobody is let loose by it */
        n->view.orders = (struct node_orders){.items = NULL};
    }
    view.sent_ms = sent_ms;
    view.read_ms = clock_ms();
    view_done(&n->view);
    n->view = view;
    node_obey(n);
    if (!n->is_leaving && n->events.on_view)
        n->events.on_view(n->events.owner, &n->view);
}

static void node_hear(struct node *n, const struct redis_value *answer, uint64_t incarnation,
                      uint64_t sent_ms)
{
    if (incarnation != n->incarnation)
        return; /* of a life that is over */
    if (redis_is_text(answer, "ok")) {
        if (sent_ms > n->beat_ms)
            n->beat_ms = sent_ms;
        return;
    }
    if (!redis_is_text(answer, "dead"))
        return; /* "old" confirms nothing */
    n->incarnation = n->beat_ms = 0;
    if (n->events.on_dead)
        n->events.on_dead(n->events.owner);
    if (!n->is_leaving)
        node_join(n);
}

static void on_answered(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct node_call *call = CONTAINER_OF(c, struct node_call, call);
    struct node *n = call->node;

    /* First the beat: to be dead comes before everything else. */
    if (!n->is_leaving && result == STORE_OK && call->incarnation)
        node_hear(n, &values[c->request.reply_count - 1], call->incarnation, c->sent_ms);
    if (!n->is_leaving && call->has_view)
        node_see(n, result == STORE_OK ? values : NULL, c->sent_ms);
    (void) node_call_over(call); /* nothing is left to do for it */
}

static void on_look(struct timer *t)
{
    node_send(CONTAINER_OF(t, struct node, look), false, true);
}

void node_look_soon(struct node *n)
{
    uint64_t due_ms = clock_ms() + SOON_MS;

    if (n->is_leaving || n->look.due_ms <= due_ms)
        return;
    n->view_due_ms = due_ms;
    timer_start(store_loop(n->store), &n->look, SOON_MS, on_look);
}

static void on_beat(struct timer *t)
{
    struct node *n = CONTAINER_OF(t, struct node, beat);

    timer_start(store_loop(n->store), &n->beat, BEAT_EVERY_MS, on_beat);
    if (n->incarnation)
        node_send(n, true, clock_ms() + n->view_every_ms / 2 >= n->view_due_ms);
}

void node_beat_soon(struct node *n)
{
    if (!n->is_leaving && n->beat.due_ms > clock_ms() + SOON_MS)
        timer_start(store_loop(n->store), &n->beat, SOON_MS, on_beat);
}

/* A beat is never repeated, the next has the next count; a look neither, the next comes soon. */
static void node_send(struct node *n, bool has_beat, bool has_view)
{
    struct node_call *call = node_call_new(n, clock_ms() + BEAT_TIME_MS, on_answered);
    struct buf *b = &call->call.request.bytes;

    call->call.is_once = true;
    call->call.accepts_errors = true; /* what is no hash may spoil orders, but no beats */
    call->has_view = has_view;
    if (has_view) {
        call_begin(&call->call, 2);
        resp_arg(b, SPAN("HGETALL"));
        resp_arg_text(b, KEY_NODES);
        call_begin(&call->call, 2);
        resp_arg(b, SPAN("HGETALL"));
        resp_arg_text(b, KEY_ORDERS);
        n->view_due_ms = clock_ms() + n->view_every_ms;
        timer_start(store_loop(n->store), &n->look, n->view_every_ms, on_look);
    }
    if (has_beat) {
        struct buf stats AUTO_BUF = {.data = NULL};
        call->incarnation = n->incarnation;
        n->stats.store_audit_ok = store_is_ready(n->store);
        n->stats.beat_ms = store_redis_ms(n->store);
        n->stats.clock_ahead_ms = -store_clock_offset_ms(n->store);
        node_tell_settings(n);
        if (n->events.on_stats)
            n->events.on_stats(n->events.owner, &n->stats);
        wire_put_stats(&n->stats, &stats);
        script_begin(&call->call, SCRIPT_beat, 1, 3);
        resp_arg_text(b, KEY_NODES);
        resp_arg_number(b, (int64_t) n->incarnation);
        resp_arg_number(b, (int64_t) ++n->count);
        resp_arg(b, buf_span(&stats));
    }
    store_send(n->store, &call->call);
}

/* ---- open and leave ---- */

struct node *node_open(struct store *s, const struct node_stats *stats, uint64_t view_every_ms,
                       const struct node_events *events)
{
    struct node *n = NEW(struct node);

    must(view_every_ms > 0);
    n->store = s;
    n->events = *events;
    n->view_every_ms = view_every_ms;
    n->stats = *stats;
    n->stats.name = mem_string(stats->name);
    n->stats.version = mem_string(stats->version);
    n->stats.http = mem_string(stats->http);
    n->stats.bus = mem_string(stats->bus);
    n->stats.pools = mem_string(stats->pools ? stats->pools : "");
    n->stats.bus_key = mem_string(stats->bus_key ? stats->bus_key : "");
    n->stats.settings = mem_string("");
    timer_start(store_loop(s), &n->beat, BEAT_EVERY_MS, on_beat);
    node_send(n, false, true); /* what comes of it joins */
    return n;
}

static void node_left(struct node *n)
{
    void (*on_left)(void *owner) = n->on_left;
    void *owner = n->left_owner;

    n->on_left = NULL;
    if (!n->pending)
        node_free(n);
    on_left(owner);
}

static void on_left_answer(struct store_call *c, enum store_result result UNUSED,
                           const struct redis_value *values UNUSED)
{
    struct node_call *call = CONTAINER_OF(c, struct node_call, call);
    struct node *n = call->node;

    (void) node_call_over(call); /* on_left is set, so the node stays */
    node_left(n);
}

static void on_end(struct timer *t)
{
    node_left(CONTAINER_OF(t, struct node, end));
}

void node_leave(struct node *n, void (*on_left)(void *owner), void *owner)
{
    must(!n->is_leaving && on_left);
    n->is_leaving = true;
    n->on_left = on_left;
    n->left_owner = owner;
    timer_stop(&n->beat);
    timer_stop(&n->look);
    if (!n->incarnation) { /* nothing to take back; a join under way makes a life that never beats */
        timer_start(store_loop(n->store), &n->end, 0, on_end);
        return;
    }
    struct node_call *call = node_call_new(n, clock_ms() + LEAVE_TIME_MS, on_left_answer);
    script_begin(&call->call, SCRIPT_leave, 1, 1);
    resp_arg_text(&call->call.request.bytes, KEY_NODES);
    resp_arg_number(&call->call.request.bytes, (int64_t) n->incarnation);
    store_send(n->store, &call->call);
}

uint64_t node_incarnation(const struct node *n)
{
    return n->incarnation;
}

uint64_t node_beat_age_ms(const struct node *n)
{
    return n->beat_ms ? clock_ms() - n->beat_ms : UINT64_MAX;
}

bool node_is_ordered_to_drain(const struct node *n)
{
    return n->is_ordered_to_drain;
}

bool node_may_send_dot(const struct node *n, uint64_t incarnation)
{
    return incarnation && incarnation == n->incarnation && node_beat_age_ms(n) < DOT_AGE_MS;
}

const struct node_view *node_view(const struct node *n)
{
    return &n->view;
}

/* ---- bury ---- */

struct bury_call {
    struct store_call call;
    uint64_t incarnation;
    node_on_bury *on_answer;
    void *context;
};

static void on_buried(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct bury_call *bury = CONTAINER_OF(c, struct bury_call, call);
    bool ok = result == STORE_OK;

    bury->on_answer(bury->context, bury->incarnation, ok, ok && redis_is_text(&values[0], "dead"));
    store_call_done(c);
    mem_free(bury);
}

void node_bury(struct store *s, uint64_t incarnation, uint64_t count, node_on_bury *on_answer, void *context)
{
    struct bury_call *bury = NEW(struct bury_call);
    struct buf *b = &bury->call.request.bytes;

    bury->call.give_up_ms = clock_ms() + BURY_TIME_MS;
    bury->call.on_done = on_buried;
    bury->incarnation = incarnation;
    bury->on_answer = on_answer;
    bury->context = context;
    script_begin(&bury->call, SCRIPT_bury, 1, 2);
    resp_arg_text(b, KEY_NODES);
    resp_arg_number(b, (int64_t) incarnation);
    if (count == NODE_NO_COUNT)
        resp_arg(b, SPAN(""));
    else
        resp_arg_number(b, (int64_t) count);
    store_send(s, &bury->call);
}
