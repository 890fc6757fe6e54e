/* Orders to the store that jobs are taken out of: put aside, deleted, given back. */
#include "ctl/shipment_private.h"

struct order_to {
    struct shipment *shipment;
    struct cargo *cargo; /* NULL: one that is remembered as late */
};

static struct order_to *order_new(struct shipment *s, struct cargo *c)
{
    struct order_to *o = NEW(struct order_to);

    *o = (struct order_to){s, c};
    s->open++;
    return o;
}

static struct cargo *order_over(struct order_to *o, bool is_unknown)
{
    struct shipment *s = o->shipment;
    struct cargo *c = o->cargo;

    s->is_unknown |= is_unknown;
    mem_free(o);
    if (--s->open == 0)
        loop_stop(ask_loop(s->ask));
    return c;
}

static int wait_for_answers(struct shipment *s)
{
    while (s->open > 0)
        loop_run(ask_loop(s->ask));
    if (!s->is_unknown)
        return EXIT_OK;
    return say_failed("Redis does not answer: stopped; the same move again goes on from here");
}

/* ---- put aside ---- */

void late_add(struct shipment *s, unsigned partition, const char *job, const char *queue)
{
    if (s->late_count == s->late_room) {
        s->late_room = s->late_room ? 2 * s->late_room : 64;
        s->late = mem_resize(s->late, s->late_room * sizeof(*s->late));
    }
    s->late[s->late_count++] = (struct late){partition, mem_string(job), mem_string(queue)};
}

static void on_held(void *context, enum act_answer answer)
{
    struct shipment *s = ((struct order_to *) context)->shipment;
    struct cargo *c = order_over(context, answer == ACT_UNKNOWN);

    if (answer == ACT_OK)
        return;
    c->state = CARGO_LEFT;
    if (answer == ACT_LATER)
        late_add(s, c->partition, c->job, c->queue);
}

int cargo_put_aside(struct shipment *s, struct cargo *cargo, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cargo *c = &cargo[i];
        if (c->state != CARGO_WANTED || c->is_held)
            continue;
#ifdef PLANT_MOVE_WITHOUT_HOLD /* a bug for the tests to find: it goes on here while it is moved */
        continue;
#endif
        AUTO_FREE char *why = mem_format(SHIPMENT_REASON "%llu", (unsigned long long) c->due_ms);
        struct queue_act act = {
            .act = ACT_HOLD, .partition = c->partition, .job = c->job, .queue = c->queue, .why = why};
        queue_act(s->store, &act, SHIPMENT_TIME_MS, on_held, order_new(s, c));
    }
    return wait_for_answers(s);
}

/* ---- given back ---- */

static void on_given_back(void *context, enum act_answer answer)
{
    (void) order_over(context, answer == ACT_UNKNOWN); /* nothing more is done with it */
}

static void release(struct shipment *s, unsigned partition, const char *job, const char *queue, void *context)
{
    struct queue_act act = {.act = ACT_UNHOLD, .partition = partition, .job = job, .queue = queue};

    queue_act(s->store, &act, SHIPMENT_TIME_MS, on_given_back, context);
}

int cargo_give_back(struct shipment *s, struct cargo *cargo, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cargo *c = &cargo[i];
        if (c->goes_on)
            release(s, c->partition, c->job, c->queue, order_new(s, c));
    }
    return wait_for_answers(s);
}

/* Whatever has happened to them since: in c the order is taken back, in h they go on. */
int late_give_back(struct shipment *s)
{
    for (size_t i = 0; i < s->late_count; i++) {
        struct late *l = &s->late[i];
        release(s, l->partition, l->job, l->queue, order_new(s, NULL));
        mem_free(l->job);
        mem_free(l->queue);
    }
    s->late_count = 0;
    return wait_for_answers(s);
}

/* ---- deleted, once it is there ---- */

static void on_deleted(void *context, enum delete_answer answer)
{
    struct shipment *s = ((struct order_to *) context)->shipment;
    struct cargo *c = order_over(context, answer == DELETE_UNKNOWN);

    if (answer == DELETE_DELETED) {
        s->counts.moved++;
    } else if (answer == DELETE_LATER && c->keeps_content) {
        s->counts.moved++;
        s->counts.parents++;
    } else if (answer != DELETE_UNKNOWN) {
        s->counts.in_doubt++; /* it was held, and is claimed or gone: somebody released it */
    }
}

int cargo_delete(struct shipment *s, struct cargo *cargo, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cargo *c = &cargo[i];
        if (c->state == CARGO_THERE)
            queue_delete_moved(s->store, c->partition, c->job, c->queue, SHIPMENT_TIME_MS, on_deleted,
                               order_new(s, c));
    }
    return wait_for_answers(s);
}
