/* The store, opened and waited for. */
#include "ctl/reach.h"

#include "base/mem.h"

static struct {
    struct loop *loop;
    struct timer patience;
    struct store *store;
    bool is_waiting;
} attempt;

static void on_ready(void *owner)
{
    (void) owner;
    if (attempt.is_waiting &&
        store_is_ready(attempt.store)) /* else it was away for a moment: calls are repeated */
        loop_stop(attempt.loop);
}

static void on_patience_over(struct timer *t)
{
    (void) t;
    loop_stop(attempt.loop);
}

int store_reach(struct ask *k, enum reach reach, struct store **ret_store)
{
    const struct store_events events = {.on_ready = on_ready};
    AUTO_FREE char *error = NULL;
    struct store *s;

    attempt.loop = ask_loop(k);
    if (store_open(attempt.loop, &events, &s, &error) < 0)
        return say_failed("%s", error);
    if (reach == REACH_FOR_ORDERS)
        store_ask_followers_only(s);
    attempt.store = s;
    if (!store_is_ready(s)) {
        attempt.is_waiting = true;
        timer_start(attempt.loop, &attempt.patience, REACH_TIME_MS, on_patience_over);
        loop_run(attempt.loop);
        timer_stop(&attempt.patience);
        attempt.is_waiting = false;
    }
    if (!store_is_ready(s)) {
        const char *trouble = store_trouble(s);
        int status = say_failed("nothing was done: %s", *trouble ? trouble : "Redis does not answer");
        store_close(s);
        return status;
    }
    *ret_store = s;
    return EXIT_OK;
}
