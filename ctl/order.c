/* Orders to jobs, and what becomes of them. */
#include "ctl/order.h"

#include <unistd.h>

#include "base/mem.h"
#include "ctl/reach.h"

enum { ORDER_TIME_MS = 10000, ORDERS_MAX = 32, ANSWER_MAX = 16 };

const char *order_name(enum order order)
{
    static const char *const names[] = {"retry", "hold", "release", "delete", "bounce", "undo"};

    return names[order];
}

bool order_needs_texts(enum order order)
{
    return order == ORDER_RELEASE || order == ORDER_BOUNCE || order == ORDER_UNDO;
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

bool order_is_of(const struct record *r, const char *rule)
{
    size_t len = strlen(rule);

    return strncmp(r->ruled, rule, len) == 0 && r->ruled[len] == ' ';
}

/* By its note "<rule> <from> <to> ...": it is where the rule put it, or its courier has not met the order yet. */
static enum effect foresee_undo(enum place place, const struct record *r)
{
    const char *places = strchr(r->ruled, ' ');

    if (!places || strlen(places) < 4)
        return EFFECT_NONE;
    if (place == PLACE_CLAIMED)
        return places[1] == 'c' ? EFFECT_DONE : EFFECT_NONE;
    if (places[3] != (place == PLACE_HELD ? 'h' : 'q'))
        return EFFECT_NONE;
    return place == PLACE_HELD && is_broken(r) ? EFFECT_UNREADABLE : EFFECT_DONE;
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
    case ORDER_UNDO: return foresee_undo(place, r);
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
    const char *why;  /* of holds; NULL: "by operator" */
    const char *rule; /* id of the rule they are of; NULL: none */
    bool is_undo;
    size_t open, room; /* under way; so many may be when it stops waiting */
};

struct given_order {
    struct orders *orders;
    struct tally *tally;
};

int orders_open(struct ask *k, struct orders **ret_orders)
{
    struct store *store;
    int status = store_reach(k, REACH_FOR_ORDERS, &store);

    if (status != EXIT_OK)
        return status;
    *ret_orders = NEW(struct orders);
    **ret_orders = (struct orders){.ask = k, .store = store};
    return EXIT_OK;
}

void orders_because(struct orders *o, const char *why, const char *rule, bool is_undo)
{
    o->is_undo = is_undo;
    o->why = why;
    o->rule = rule;
}

struct store *orders_store(struct orders *o)
{
    return o->store;
}

struct orders *orders_close(struct orders *o)
{
    if (!o)
        return NULL;
    must(o->open == 0);
    o->store = store_close(o->store);
    return mem_free(o);
}

static void orders_over(struct orders *o)
{
    if (--o->open <= o->room)
        loop_stop(ask_loop(o->ask));
}

static void wait_for_room(struct orders *o, size_t room)
{
    o->room = room;
    while (o->open > room)
        loop_run(ask_loop(o->ask));
    o->room = 0;
}

static void order_over(struct given_order *g, enum effect effect)
{
    struct orders *o = g->orders;

    g->tally->count[effect]++;
    mem_free(g);
    orders_over(o);
}

static void on_acted(void *context, enum act_answer answer)
{
    static const enum effect effects[] = {[ACT_OK] = EFFECT_DONE,
                                          [ACT_LATER] = EFFECT_LATER,
                                          [ACT_GONE] = EFFECT_GONE,
                                          [ACT_LEFT] = EFFECT_NONE,
                                          [ACT_UNKNOWN] = EFFECT_UNKNOWN};

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
    static const enum act acts[] = {[ORDER_RETRY] = ACT_RETRY,
                                    [ORDER_HOLD] = ACT_HOLD,
                                    [ORDER_RELEASE] = ACT_UNHOLD,
                                    [ORDER_BOUNCE] = ACT_BOUNCE,
                                    [ORDER_UNDO] = ACT_UNDO};
    struct given_order *g = NEW(struct given_order);
    const char *rule = o->is_undo && order == ORDER_RELEASE ? NULL : o->rule;

    wait_for_room(o, ORDERS_MAX - 1);
    *g = (struct given_order){o, tally};
    o->open++;
    if (order == ORDER_DELETE)
        queue_delete(o->store, partition, job, queue, false, ORDER_TIME_MS, on_deleted, g);
    else
        queue_act(o->store,
                  &(struct queue_act){.act = acts[order],
                                      .partition = partition,
                                      .job = job,
                                      .queue = queue,
                                      .why = o->why,
                                      .rule = rule},
                  ORDER_TIME_MS, on_acted, g);
}

static void on_resumed(void *context, enum act_answer answer)
{
    struct given_order *g = context;
    struct orders *o = g->orders;

    g->tally->has_resumed |= answer == ACT_OK;
    mem_free(g);
    orders_over(o);
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
    wait_for_room(o, 0);
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
