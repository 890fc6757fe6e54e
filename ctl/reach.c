/* The store, opened and waited for. */
#include "ctl/reach.h"

#include "base/mem.h"

static struct {
    struct loop *loop;
    struct timer patience;
    struct store *store;
    bool is_waiting;
} reach;

static void on_ready(void *owner)
{
    (void) owner;
    if (reach.is_waiting &&
        store_is_ready(reach.store)) /* else it was away for a moment: calls are repeated */
        loop_stop(reach.loop);
}

static void on_patience_over(struct timer *t)
{
    (void) t;
    loop_stop(reach.loop);
}

int store_reach(struct ask *k, enum reach_for purpose, struct store **ret_store)
{
    const struct store_events events = {.on_ready = on_ready};
    AUTO_FREE char *error = NULL;
    struct store *s;

    reach.loop = ask_loop(k);
    if (store_open(reach.loop, &events, &s, &error) < 0)
        return say_failed("%s", error);
    if (purpose == REACH_FOR_ORDERS)
        store_ask_followers_only(s);
    reach.store = s;
    if (!store_is_ready(s)) {
        reach.is_waiting = true;
        timer_start(reach.loop, &reach.patience, REACH_TIME_MS, on_patience_over);
        loop_run(reach.loop);
        timer_stop(&reach.patience);
        reach.is_waiting = false;
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
