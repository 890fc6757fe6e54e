/*
 * Questions about limits, and what this reactor holds of their slices.
 *
 * A question takes what is here from each bucket and waits for the rest; when one bucket refuses, what the others gave goes back to their slices.
 * Answers are told at the end of the round, so that whoever is told may ask, cancel and leave as he likes.
 */
#include "cluster/limit.h"

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/limit_private.h"
#include "io/crypto.h"
#include "io/hash.h"

struct limit_hold {
    size_t count;
    struct slice *slices[];
};

/* ---- calls */

static void call_free(struct limit_call *c)
{
    timer_stop(&c->time);
    list_remove(&c->link);
    for (size_t i = 0; i < c->count; i++)
        c->waiters[i].slice->calls--;
    mem_free(c);
}

/* Its wants leave their queues, and what was taken goes back. */
static void call_undo(struct limit_call *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct waiter *w = &c->waiters[i];
        if (list_is_linked(&w->link))
            list_remove(&w->link);
        else
            slice_put_back(w->slice, w->count);
    }
    c->missing = 0;
}

static struct limit_hold *hold_new(struct slice *const *slices, size_t count)
{
    struct limit_hold *hold = NULL;

    for (size_t i = 0; i < count; i++) {
        if (!slices[i]->is_slots)
            continue;
        if (!hold)
            hold = mem_alloc(sizeof *hold + count * sizeof(hold->slices[0]));
        hold->slices[hold->count++] = slices[i];
    }
    return hold;
}

static void on_tell(struct tail *t)
{
    struct limiter *l = CONTAINER_OF(t, struct limiter, tell);

    while (!list_is_empty(&l->settled)) {
        struct limit_call *c = LIST_FIRST(&l->settled, struct limit_call, link);
        struct limit_result result = c->result;
        if (result.answer == LIMIT_PASS) {
            struct slice *slices[LIMIT_WANTS_MAX];
            for (size_t i = 0; i < c->count; i++)
                slices[i] = c->waiters[i].slice;
            result.hold = hold_new(slices, c->count);
        }
        limit_on_answer *on_answer = c->on_answer;
        void *context = c->context;
        call_free(c);
        on_answer(context, &result);
    }
}

static void count_answer(enum limit_answer answer)
{
    if (answer != LIMIT_PASS)
        metric_add(answer == LIMIT_REFUSED ? METRIC_LIMIT_REFUSED_TOTAL : METRIC_LIMIT_UNKNOWN_TOTAL, 1);
}

static void call_settle(struct limit_call *c, const struct limit_result *result)
{
    if (result->answer != LIMIT_PASS)
        call_undo(c);
    count_answer(result->answer);
    timer_stop(&c->time);
    c->result = *result;
    list_remove(&c->link);
    list_append(&c->limiter->settled, &c->link);
    tail_add(c->limiter->loop, &c->limiter->tell, on_tell);
}

static void on_call_time(struct timer *t)
{
    const struct limit_result unknown = {.answer = LIMIT_UNKNOWN};
    struct limit_call *c = CONTAINER_OF(t, struct limit_call, time);

    c->limiter->is_silent = true;
    call_settle(c, &unknown);
}

static uint64_t wait_of(const struct slice *s, uint64_t now)
{
    return !s->is_slots && s->refused_until_ms > now ? s->refused_until_ms - now : 0;
}

static void waiter_refuse(struct waiter *w)
{
    const struct limit_result refused = {
        .answer = LIMIT_REFUSED,
        .which = (unsigned) (w - w->call->waiters),
        .label = w->label,
        .wait_ms = wait_of(w->slice, clock_ms()),
    };

    call_settle(w->call, &refused);
}

/* Whether a waiter that Redis was asked for gets it now; at the head of its queue. */
static bool waiter_serve(struct waiter *w)
{
    struct slice *s = w->slice;

    bool is_here = s->is_slots ? s->used < s->held
                   : w->count  ? s->held >= w->count
                               : s->held > 0 || s->left > 0; /* a look */

    if (!is_here)
        return false;
    slice_give(s, w->count);
    list_remove(&w->link);
    if (--w->call->missing == 0) {
        const struct limit_result pass = {.answer = LIMIT_PASS};
        call_settle(w->call, &pass);
    }
    return true;
}

static void slice_fail(struct slice *s)
{
    const struct limit_result unknown = {.answer = LIMIT_UNKNOWN};

    while (!list_is_empty(&s->waiters))
        call_settle(LIST_FIRST(&s->waiters, struct waiter, link)->call, &unknown);
}

/* What Redis did not give now it will not give in the next moment either. */
static void slice_note_refusal(struct slice *s, uint64_t count, uint64_t wait_ms)
{
    uint64_t now = clock_ms();

    if (wait_ms > REFUSED_MOST_MS || s->is_slots)
        wait_ms = REFUSED_MOST_MS;
    if (wait_ms < REFUSED_LEAST_MS)
        wait_ms = REFUSED_LEAST_MS;
    if (now >= s->refused_until_ms || count < s->refused_min)
        s->refused_min = count ? count : 1;
    s->refused_until_ms = now + wait_ms;
}

void slice_answer(struct slice *s, bool ok, uint64_t granted, uint64_t left, uint64_t wait_ms)
{
    bool is_short = false;

    if (!ok) {
        slice_fail(s);
        return;
    }
    s->seen_ms = clock_ms();
    s->left = left;
    s->held = s->is_slots ? granted : s->held + granted;
    /* A refusal settles its call, which may take that call's other wants out of this queue too: so always from the start. */
    for (bool has_more = true; has_more;) {
        has_more = false;
        LIST_EACH(&s->waiters, at, next) {
            struct waiter *w = LIST_ENTRY(at, struct waiter, link);
            if (waiter_serve(w))
                continue;
            if (!w->is_asked)
                break;
            is_short = true;
            slice_note_refusal(s, w->count, wait_ms);
            waiter_refuse(w);
            has_more = true;
            break;
        }
    }
    if (!list_is_empty(&s->waiters))
        slice_ask(s);
    else if (is_short && !s->is_slots && s->held)
        slice_ask(s); /* a rest that was too little: others may use it */
}

/* ---- questions */

static bool answer(struct limit_result *ret, enum limit_answer answer)
{
    ret->answer = answer;
    count_answer(answer);
    return true;
}

/* What is missing is waited for; taken: bits of the wants that are not. */
static struct limit_call *call_new(struct limiter *l, const struct limit_want *wants,
                                   struct slice *const *slices, size_t count, uint32_t taken)
{
    struct limit_call *c = mem_alloc(sizeof *c + count * sizeof(c->waiters[0]));

    c->limiter = l;
    c->count = count;
    for (size_t i = 0; i < count; i++) {
        struct waiter *w = &c->waiters[i];
        *w = (struct waiter){.call = c, .slice = slices[i], .count = wants[i].count, .label = wants[i].label};
        slices[i]->calls++;
        if (taken >> i & 1)
            continue;
        list_append(&slices[i]->waiters, &w->link);
        c->missing++;
        slice_ask(slices[i]);
    }
    list_append(&l->waiting, &c->link);
    timer_start(l->loop, &c->time, conf_get()->ingress.limits_time_ms, on_call_time);
    return c;
}

bool limit_take(struct limiter *l, const struct limit_want *wants, size_t count, limit_on_answer *on_answer,
                void *context, struct limit_result *ret)
{
    struct slice *slices[LIMIT_WANTS_MAX];
    uint32_t taken = 0;
    size_t missing = 0;
    uint64_t now = clock_ms();
    bool is_away = false; /* the shard of a bucket that is missing */

    *ret = (struct limit_result){.answer = LIMIT_PASS};
    must(count <= LIMIT_WANTS_MAX);
    if (count == 0)
        return true;
    metric_add(METRIC_LIMIT_QUESTIONS_TOTAL, 1);
    for (size_t i = 0; i < count; i++) {
        slices[i] = slice_of(l, &wants[i]);
        if (!slices[i])
            return answer(ret, LIMIT_UNKNOWN);
        must(slices[i]->is_slots ? wants[i].count == 1 : wants[i].count <= LIMIT_COUNT_MAX);
        if (slice_refuses(slices[i], wants[i].count, now)) {
            ret->which = (unsigned) i;
            ret->label = wants[i].label;
            ret->wait_ms = wait_of(slices[i], now);
            return answer(ret, LIMIT_REFUSED);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (slice_take(slices[i], wants[i].count, now)) {
            taken |= UINT32_C(1) << i;
            continue;
        }
        missing++;
        is_away |= !store_partition_is_ready(l->store, slices[i]->partition);
    }
    if (missing == 0) {
        ret->hold = hold_new(slices, count);
        return true;
    }
    if (!is_away && !l->is_silent) {
        ret->call = call_new(l, wants, slices, count, taken);
        ret->call->on_answer = on_answer;
        ret->call->context = context;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (taken >> i & 1)
            slice_put_back(slices[i], wants[i].count);
        else if (!is_away)
            slice_ask(slices[i]); /* to hear whether it speaks again */
    }
    return answer(ret, LIMIT_UNKNOWN);
}

void limit_cancel(struct limit_call *c)
{
    if (!c)
        return;
    if (c->missing || c->result.answer == LIMIT_PASS) /* else it is undone already */
        call_undo(c);
    call_free(c);
}

void limit_give_back(struct limiter *l, const struct limit_want *wants, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slice *s = wants[i].rule.per_ms ? slice_of(l, &wants[i]) : NULL;
        if (s)
            slice_put_back(s, wants[i].count);
    }
}

void limit_leave(struct limit_hold *hold)
{
    if (!hold)
        return;
    for (size_t i = 0; i < hold->count; i++)
        slice_put_back(hold->slices[i], 1);
    mem_free(hold);
}

/* ---- its life */

struct limiter *limiter_open(struct store *s)
{
    struct limiter *l = NEW(struct limiter);
    unsigned char seed[16];

    l->store = s;
    l->loop = store_loop(s);
    list_init(&l->asking);
    list_init(&l->waiting);
    list_init(&l->settled);
    list_init(&l->batches);
    crypto_random(seed, sizeof seed);
    hash_digest((struct span){.at = (const char *) seed, .len = sizeof seed}, l->node);
    return l;
}

struct limiter *limiter_close(struct limiter *l)
{
    struct span key;
    void *value;

    if (!l)
        return NULL;
    while (!list_is_empty(&l->waiting))
        limit_cancel(LIST_FIRST(&l->waiting, struct limit_call, link));
    while (!list_is_empty(&l->settled))
        limit_cancel(LIST_FIRST(&l->settled, struct limit_call, link));
    tail_remove(&l->flush);
    tail_remove(&l->tell);
    timer_stop(&l->sweep);
    batches_forget(l);
    for (size_t i = 0; i < ARRAY_LEN(l->slices); i++) {
        size_t cursor = 0;
        while (map_next(&l->slices[i], &cursor, &key, &value))
            mem_free(value);
        map_done(&l->slices[i]);
    }
    return mem_free(l);
}
