/* Calls of the store: sent, repeated while the outcome is unknown, confirmed (PROTOCOL.md ground rules 1 and 2). */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/script.h"
#include "cluster/store_private.h"

enum { PAUSE_FIRST_MS = 5, PAUSE_MOST_MS = 250, PAUSE_DOUBLINGS = 6, REDIRECTS_AT_ONCE = 2 };

/* What passes by itself, by the first word of the error. NOSCRIPT passes once the scripts are loaded. */
static const char *const temporary[] = {
    "MOVED", "ASK",        "TRYAGAIN",  "CLUSTERDOWN", "LOADING",  "READONLY", "MASTERDOWN",
    "OOM",   "NOREPLICAS", "UNBLOCKED", "MISCONF",     "NOSCRIPT", "BUSY",
};
static const char non_local[] =
    "attempted to access a non local key"; /* a slot that moves, seen from inside a script */

static struct span error_code(const struct redis_value *v)
{
    struct span rest = v->text;

    return span_cut(&rest, ' ');
}

bool store_is_code(const struct redis_value *v, const char *code)
{
    return v->type == REDIS_ERROR_REPLY && span_equal(error_code(v), span_of(code));
}

bool store_is_temporary(const struct redis_value *v)
{
    if (v->type != REDIS_ERROR_REPLY)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(temporary); i++)
        if (store_is_code(v, temporary[i]))
            return true;
    return v->text.len && memmem(v->text.at, v->text.len, non_local, sizeof non_local - 1) != NULL;
}

static void call_dispatch(struct store_call *c);

static void call_finish(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    timer_stop(&c->pause);
    list_remove(&c->link);
    c->on_done(c, result, values);
}

static bool is_over(const struct store_call *c)
{
    return c->store->is_closing || clock_ms() >= c->give_up_ms;
}

static void on_give_up(struct timer *t)
{
    call_finish(CONTAINER_OF(t, struct store_call, pause), STORE_UNKNOWN, NULL);
}

static void on_pause_over(struct timer *t)
{
    struct store_call *c = CONTAINER_OF(t, struct store_call, pause);

    list_remove(&c->link);
    if (is_over(c))
        call_finish(c, STORE_UNKNOWN, NULL);
    else
        call_dispatch(c);
}

/* Until its shard is ready, or the call's time is over. */
static void call_park(struct store_call *c, struct list *where)
{
    uint64_t now = clock_ms();

    list_append(where, &c->link);
    if (c->give_up_ms != UINT64_MAX)
        timer_start(c->store->loop, &c->pause, c->give_up_ms > now ? c->give_up_ms - now : 0, on_give_up);
}

static uint64_t jitter(struct store *s, uint64_t below)
{
    s->jitter ^= s->jitter << 13;
    s->jitter ^= s->jitter >> 7;
    s->jitter ^= s->jitter << 17;
    return s->jitter % below;
}

/* After an error that passes by itself: 5 ms doubling to 250, half of it by chance, so that nodes do not repeat in step. */
static void call_pause(struct store_call *c)
{
    uint64_t delay_ms = (uint64_t) PAUSE_FIRST_MS
                        << (c->pauses < PAUSE_DOUBLINGS ? c->pauses : PAUSE_DOUBLINGS);
    uint64_t now = clock_ms(), rest_ms = c->give_up_ms > now ? c->give_up_ms - now : 0;

    c->pauses++;
    if (delay_ms > PAUSE_MOST_MS)
        delay_ms = PAUSE_MOST_MS;
    delay_ms = delay_ms / 2 + jitter(c->store, delay_ms / 2 + 1);
    if (delay_ms > rest_ms)
        delay_ms = rest_ms;
    list_append(&c->store->paused, &c->link);
    timer_start(c->store->loop, &c->pause, delay_ms, on_pause_over);
}

static void call_repeat(struct store_call *c, bool at_once)
{
    if (c->is_once || is_over(c))
        call_finish(c, STORE_UNKNOWN, NULL);
    else if (at_once)
        call_dispatch(c);
    else
        call_pause(c);
}

/* What temporary errors ask for, besides a repeat. NULL: the call is repeated after a pause where its slot is; else at once, there. */
static struct shard *errors_heed(struct store_call *c, const struct redis_value *values, bool *ret_is_ask)
{
    struct store_shard *ss = c->shard->data;
    struct shard *to = NULL;
    unsigned count = 0;
    bool is_suspect = false;

    for (unsigned i = 0; i < c->request.reply_count; i++) {
        const struct redis_value *v = &values[i];
        if (v->type != REDIS_ERROR_REPLY)
            continue;
        if (store_is_code(v, "NOSCRIPT"))
            store_shard_load(ss);
        is_suspect |= store_is_code(v, "READONLY") || store_is_code(v, "MASTERDOWN") ||
                      store_is_code(v, "CLUSTERDOWN");
        struct shard *named = shards_follow(c->store->shards, c->shard, c->slot, v, ret_is_ask);
        if (!named)
            continue;
        /* ASK is followed when all commands were told so: a slot half moved makes them wait for the other half. */
        count++;
        to = named;
    }
    if (is_suspect)
        store_shard_suspect(ss);
    return count == c->request.reply_count || !*ret_is_ask ? to : NULL;
}

static void call_redirect(struct store_call *c, struct shard *to, bool is_ask);

/* One temporary error repeats the whole call: what was done of it is harmless to repeat. */
static void call_repeat_later(struct store_call *c, const struct redis_value *values)
{
    bool is_ask = false;
    struct shard *to = errors_heed(c, values, &is_ask);

    if (to && !(c->is_once && c->is_unsure)) /* what was refused as a whole is no repeat */
        call_redirect(c, to, is_ask);
    else
        call_repeat(c, false);
}

/* Judges a whole reply. */
static void call_judge(struct store_call *c, const struct redis_value *values)
{
    const struct redis_value *passing = NULL, *lasting = NULL;
    struct store_shard *ss = c->shard->data;
    const struct store *s = c->store;
    bool was_executed = false; /* some of it */

    for (unsigned i = 0; i < c->request.reply_count; i++) {
        if (store_is_temporary(&values[i])) {
            passing = &values[i];
            c->was_full |= store_is_code(passing, "OOM");
            if (c->is_repeat_harmful_oom && !c->is_unsure && store_is_code(passing, "OOM")) {
                call_finish(c, STORE_REFUSED, passing);
                return;
            }
        } else if (values[i].type == REDIS_ERROR_REPLY && !c->accepts_errors) {
            lasting = &values[i];
        } else {
            was_executed = true;
        }
    }
    bool is_short = s->replicas && c->request.is_held && !store_shard_is_held(ss, &c->request);
    if (passing) {
        c->is_unsure |= was_executed;
        call_repeat_later(c, values);
    } else if (is_short) {
        c->is_unsure = true;
        call_repeat(c, store_shard_short(ss, &c->request));
    } else if (lasting) {
        report_failed(lasting->text);
        if (c->is_unsure || c->is_never_refused) /* unsure: this answer says nothing about an earlier send */
            call_repeat(c, false);
        else
            call_finish(c, STORE_REFUSED, lasting);
    } else if (!ss->is_ready || (s->replicas && c->request.is_held && !c->shard->slot_count)) {
        /* Executed, but by a Redis that is not durable now, or has an heir: what held it with that one may forget it. */
        c->is_unsure = true;
        call_repeat(
            c,
            !ss->is_ready); /* one that is not ready lets it wait; another might answer the same at once, again and again */
    } else {
        call_finish(c, STORE_OK, values);
    }
}

static void on_replied(struct redis_request *request, enum redis_result result,
                       const struct redis_value *values)
{
    struct store_call *c = CONTAINER_OF(request, struct store_call, request);

    if (result == REDIS_OK) {
        call_judge(c, values);
        return;
    }
    c->is_unsure = true;
    if (!is_over(c))
        metric_add(METRIC_STORE_UNKNOWN_TOTAL, 1);
    call_repeat(c, true);
}

static void call_prepare(struct store_call *c, struct shard *shard)
{
    if (c->sends && c->on_repeat)
        c->on_repeat(c);
    c->shard = shard;
    c->sends++;
    c->sent_ms = clock_ms();
}

static void call_submit(struct store_call *c, struct shard *shard)
{
    call_prepare(c, shard);
    c->request.give_up_ms = c->give_up_ms;
    c->request.is_held = !c->is_unheld;
    c->request.on_done = on_replied;
    redis_submit(shard->redis, &c->request);
}

static void call_dispatch(struct store_call *c)
{
    struct shard *shard = shards_find(c->store->shards, c->slot);
    struct store_shard *ss = shard ? shard->data : NULL;

    if (!ss || c->store->is_closing)
        call_park(c, &c->store->homeless);
    else if (ss->is_ready)
        call_submit(c, shard);
    else
        call_park(c, &ss->parked);
}

/* ---- ASK: the commands travel in a request of their own, each behind ASKING, because the call's own bytes must stay as they are */

struct detour {
    struct redis_request request;
    struct store_call *call;
};

static void on_detour_done(struct redis_request *request, enum redis_result result,
                           const struct redis_value *values)
{
    struct detour *detour = CONTAINER_OF(request, struct detour, request);
    struct store_call *c = detour->call;
    unsigned count = c->request.reply_count;
    AUTO_FREE struct redis_value *own = mem_array(count, sizeof *own);

    for (unsigned i = 0; result == REDIS_OK && i < count; i++)
        own[i] = values[2 * i + 1];
    c->request.replicas = request->replicas;
    c->request.sent_ms = request->sent_ms;
    redis_request_done(request);
    mem_free(detour);
    on_replied(&c->request, result, own);
}

static void call_detour(struct store_call *c, struct shard *to)
{
    struct detour *detour = NEW(struct detour);

    call_prepare(c, to);
    detour->call = c;
    detour->request.reply_count = commands_ask(buf_span(&c->request.bytes), &detour->request.bytes);
    must(detour->request.reply_count == 2 * c->request.reply_count);
    detour->request.give_up_ms = c->give_up_ms;
    detour->request.is_held = c->request.is_held;
    detour->request.on_done = on_detour_done;
    redis_submit(to->redis, &detour->request);
}

/* Where the redirection points; but not in circles, nor where it would not count. */
static void call_redirect(struct store_call *c, struct shard *to, bool is_ask)
{
    const struct store_shard *ss = to->data;

    metric_add(METRIC_STORE_REDIRECTED_TOTAL, 1);
    if (is_over(c))
        call_finish(c, STORE_UNKNOWN, NULL);
    else if (!is_ask && c->pauses < REDIRECTS_AT_ONCE)
        c->pauses++, call_dispatch(c); /* it is the owner now */
    else if (is_ask && ss->is_ready && to != c->shard)
        call_detour(c, to);
    else
        call_pause(c);
}

void store_send(struct store *s, struct store_call *c)
{
    must(c->on_done && c->request.reply_count && !list_is_linked(&c->link));
    c->store = s;
    c->sends = c->pauses = 0;
    c->is_unsure = c->was_full = false;
    c->slot = s->has_slots ? (uint16_t) commands_slot(buf_span(&c->request.bytes)) : s->common;
    call_dispatch(c);
}

void store_resume(struct store *s, struct list *waiting)
{
    struct list now;

    list_init(&now);
    while (!list_is_empty(waiting)) {
        struct list *first = waiting->next;
        list_remove(first);
        list_append(&now, first);
    }
    while (!list_is_empty(&now)) { /* sending calls nobody back, so nothing comes or goes meanwhile */
        struct store_call *c = LIST_FIRST(&now, struct store_call, link);
        must(c->store == s);
        timer_stop(&c->pause);
        list_remove(&c->link);
        call_dispatch(c);
    }
}

void store_end_calls(struct store *s)
{
    struct list *lists[] = {&s->homeless, &s->paused};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        while (!list_is_empty(lists[i]))
            call_finish(LIST_FIRST(lists[i], struct store_call, link), STORE_UNKNOWN, NULL);
}

void store_call_done(struct store_call *c)
{
    must(!list_is_linked(&c->link));
    redis_request_done(&c->request);
}

void script_begin(struct store_call *c, enum script script, size_t key_count, size_t arg_count)
{
    call_begin(c, 3 + key_count + arg_count);
    resp_arg(&c->request.bytes, SPAN("EVALSHA"));
    resp_arg(&c->request.bytes, script_hash(script));
    resp_arg_number(&c->request.bytes, (int64_t) key_count);
}

void call_begin(struct store_call *c, size_t arg_count)
{
    resp_command(&c->request.bytes, arg_count);
    c->request.reply_count++;
}
