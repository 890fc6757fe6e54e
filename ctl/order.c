/* Orders to jobs, and what becomes of them. */
#include "ctl/order.h"

#include <unistd.h>

#include "base/mem.h"
#include "ctl/reach.h"

enum { ORDER_TIME_MS = 10000, ANSWER_MAX = 16 };

const char *order_name(enum order order)
{
    static const char *const names[] = {"retry", "hold", "release", "delete", "bounce"};

    return names[order];
}

bool order_needs_texts(enum order order)
{
    return order == ORDER_RELEASE || order == ORDER_BOUNCE;
}

/* ---- which jobs it concerns */

static bool is_broken(const struct record *r)
{
    return !r->is_readable && !r->is_newer;
}

static enum effect foresee_delete(enum place place, const struct record *r)
{
    if (r->fate == FATE_DELETE)
        return EFFECT_NONE;
    if (place == PLACE_CLAIMED || (r->keeps_content && r->exact_ms))
        return EFFECT_LATER;
    return r->is_there ? EFFECT_DONE : EFFECT_GONE; /* held without a record: it leaves the list */
}

static enum effect foresee_bounce(enum place place, const struct record *r)
{
    if (r->fate == FATE_BOUNCE)
        return EFFECT_NONE;
    if (is_broken(r))
        return EFFECT_UNREADABLE;
    return place == PLACE_CLAIMED ? EFFECT_LATER : EFFECT_DONE;
}

enum effect order_foresee(enum order order, enum place place, uint64_t due_ms, uint64_t now_ms,
                          const struct record *r)
{
    if (place == PLACE_GONE)
        return EFFECT_NONE;
    switch (order) {
    case ORDER_RETRY: return place == PLACE_WAITING && due_ms > now_ms ? EFFECT_DONE : EFFECT_NONE;
    case ORDER_HOLD:
        if (place == PLACE_CLAIMED)
            return r->fate == FATE_HOLD ? EFFECT_NONE : EFFECT_LATER;
        return place == PLACE_WAITING ? EFFECT_DONE : EFFECT_NONE;
    case ORDER_RELEASE:
        if (place == PLACE_CLAIMED)
            return r->fate == FATE_HOLD ? EFFECT_DONE : EFFECT_NONE;
        if (place != PLACE_HELD)
            return EFFECT_NONE;
        return is_broken(r) ? EFFECT_UNREADABLE : EFFECT_DONE;
    case ORDER_DELETE: return foresee_delete(place, r);
    case ORDER_BOUNCE: return foresee_bounce(place, r);
    }
    return EFFECT_NONE;
}

uint64_t tally_sum(const struct tally *t)
{
    uint64_t sum = 0;

    for (enum effect effect = EFFECT_DONE; effect < EFFECT_COUNT; effect++)
        sum += t->count[effect];
    return sum;
}

/* ---- sending */

struct orders {
    struct ask *ask;
    struct store *store;
    const char *why; /* of holds; NULL: "by operator" */
    size_t open;
};

struct given_order {
    struct orders *orders;
    struct tally *tally;
};

int orders_open(struct ask *k, struct orders **ret_orders)
{
    struct store *store;
    int status = store_reach(k, &store);

    if (status != EXIT_OK)
        return status;
    *ret_orders = NEW(struct orders);
    **ret_orders = (struct orders){.ask = k, .store = store};
    return EXIT_OK;
}

void orders_because(struct orders *o, const char *why)
{
    o->why = why;
}

struct orders *orders_close(struct orders *o)
{
    if (!o)
        return NULL;
    must(o->open == 0);
    o->store = store_close(o->store);
    return mem_free(o);
}

static void order_over(struct given_order *g, enum effect effect)
{
    struct orders *o = g->orders;

    g->tally->count[effect]++;
    mem_free(g);
    if (--o->open == 0)
        loop_stop(ask_loop(o->ask));
}

static void on_ruled(void *context, enum rule_answer answer)
{
    static const enum effect effects[] = {[RULE_OK] = EFFECT_DONE,
                                          [RULE_LATER] = EFFECT_LATER,
                                          [RULE_GONE] = EFFECT_GONE,
                                          [RULE_UNKNOWN] = EFFECT_UNKNOWN};

    order_over(context, effects[answer]);
}

static void on_deleted(void *context, enum delete_answer answer)
{
    static const enum effect effects[] = {[DELETE_DELETED] = EFFECT_DONE,
                                          [DELETE_LATER] = EFFECT_LATER,
                                          [DELETE_CLAIMED] = EFFECT_LATER,
                                          [DELETE_GONE] = EFFECT_GONE,
                                          [DELETE_UNKNOWN] = EFFECT_UNKNOWN};

    order_over(context, effects[answer]);
}

void orders_give(struct orders *o, enum order order, unsigned partition, const char *job, const char *queue,
                 struct tally *tally)
{
    static const enum rule rules[] = {[ORDER_RETRY] = RULE_RETRY,
                                      [ORDER_HOLD] = RULE_HOLD,
                                      [ORDER_RELEASE] = RULE_UNHOLD,
                                      [ORDER_BOUNCE] = RULE_BOUNCE};
    struct given_order *g = NEW(struct given_order);

    *g = (struct given_order){o, tally};
    o->open++;
    if (order == ORDER_DELETE)
        queue_delete(o->store, partition, job, queue, false, ORDER_TIME_MS, on_deleted, g);
    else
        queue_rule(o->store, rules[order], partition, job, queue, o->why, ORDER_TIME_MS, on_ruled, g);
}

static void on_resumed(void *context, enum rule_answer answer)
{
    struct given_order *g = context;
    struct orders *o = g->orders;

    g->tally->has_resumed |= answer == RULE_OK;
    mem_free(g);
    if (--o->open == 0)
        loop_stop(ask_loop(o->ask));
}

void orders_resume(struct orders *o, unsigned partition, const char *queue, struct tally *tally)
{
    struct given_order *g = NEW(struct given_order);

    *g = (struct given_order){o, tally};
    o->open++;
    queue_pause(o->store, &(struct queue_pause){.partition = partition, .queue = queue}, ORDER_TIME_MS,
                on_resumed, g);
}

void orders_wait(struct orders *o)
{
    if (o->open > 0)
        loop_run(ask_loop(o->ask));
    must(o->open == 0);
}

/* ---- consent */

int order_check_consent(const struct arguments *a)
{
    if (argument_is_given(a, "yes") || argument_is_given(a, "dry-run") ||
        (isatty(STDIN_FILENO) && !a->is_json))
        return EXIT_OK;
    return say_usage("nobody can be asked here: --yes does it unasked, --dry-run shows what it would do");
}

int order_confirm(const char *question)
{
    char answer[ANSWER_MAX];

    fprintf(stderr, "%s [y/N] ", question);
    if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return EXIT_OK;
    return say_failed("nothing was done");
}
