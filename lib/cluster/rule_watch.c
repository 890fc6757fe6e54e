/* Rules in force: a look at the table's version, and the rows when it is another one or a rule's time is over. */
#include "cluster/rule_watch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/keys.h"
#include "cluster/table.h"

enum { LOOK_EVERY_MS = 400, LOOK_TIME_MS = 2000, TELL_AGAIN_MS = 60000 };

struct rule_watch {
    struct store *store;
    rule_watch_on_rules *on_rules;
    void *owner;
    struct rules rules;
    bool is_known;
    uint64_t version;    /* of the rows that were read */
    uint64_t wanted;     /* of those being read */
    uint64_t ends_ms;    /* when the first of them is over, by Redis' clock; 0: none ends by itself */
    uint64_t unreadable; /* told */
    uint64_t told_ms;    /* when; while no rules are known nothing is worked, so it is told again */
    struct timer look;
    struct store_call call;
    bool is_asking, is_closed; /* closed while it asks: freed by the answer */
};

static void watch_free(struct rule_watch *w)
{
    store_call_done(&w->call);
    rules_done(&w->rules);
    mem_free(w);
}

/* ---- reading */

static void ask(struct rule_watch *w, void (*on_done)(struct store_call *c, enum store_result result,
                                                      const struct redis_value *values))
{
    store_call_done(&w->call);
    w->call = (struct store_call){.give_up_ms = clock_ms() + LOOK_TIME_MS,
                                  .accepts_errors = true, /* a key of another type is its own trouble */
                                  .is_unheld = true,
                                  .on_done = on_done};
    w->is_asking = true;
}

/* The watch's call is over; false: so is the watch. */
static bool is_open_still(struct rule_watch *w)
{
    bool is_closed = w->is_closed;

    w->is_asking = false;
    if (is_closed)
        watch_free(w);
    return !is_closed;
}

static void tell_unreadable(struct rule_watch *w, uint64_t count, const char *why)
{
    bool is_news = count > w->unreadable ||
                   (count > 0 && !w->is_known && clock_ms() >= w->told_ms + TELL_AGAIN_MS);

    if (is_news) {
        log_event(LOG_RULES_UNREADABLE, FN("rules", count), F("error", why));
        w->told_ms = clock_ms();
    }
    w->unreadable = count;
}

static void take(struct rule_watch *w, const struct rules *rules)
{
    struct rules old = w->rules;

    w->rules = *rules;
    w->ends_ms = 0;
    for (size_t i = 0; i < rules->count; i++) {
        uint64_t until_ms = rules->items[i].until_ms;
        if (until_ms && (!w->ends_ms || until_ms < w->ends_ms))
            w->ends_ms = until_ms;
    }
    metric_set(METRIC_RULES, (int64_t) rules->count);
    metric_set(METRIC_RULES_SUSPENDING, (int64_t) rules_count(rules, RULE_SUSPEND));
    w->is_known = true;
    w->on_rules(w->owner, &w->rules); /* the old ones are still there for who compares */
    rules_done(&old);
}

static void on_rows(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct rule_watch *w = CONTAINER_OF(c, struct rule_watch, call);
    struct rules rules = {.items = NULL};
    bool is_read = result == STORE_OK;

    if (w->is_closed || !is_read) {
        (void) is_open_still(w); /* nothing is left to do for it */
        return;
    }
    int r = rules_read(&values[0], store_redis_ms(w->store), &rules);
    w->is_asking = false;
    if (r < 0) {
        tell_unreadable(w, 1,
                        values[0].type == REDIS_ERROR_REPLY
                            ? "Redis refuses: its ACL file is of another version, or the key no hash"
                            : "the key is no hash, or holds too much");
        return;
    }
    tell_unreadable(w, rules.unreadable, "written by another version, or damaged");
    w->version = w->wanted;
    take(w, &rules);
}

static void read_rows(struct rule_watch *w)
{
    ask(w, on_rows);
    call_begin(&w->call, 2);
    resp_arg(&w->call.request.bytes, SPAN("HGETALL"));
    resp_arg_text(&w->call.request.bytes, KEY_RULES);
    store_send(w->store, &w->call);
}

static void on_version(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct rule_watch *w = CONTAINER_OF(c, struct rule_watch, call);
    int64_t number = 0;

    if (!is_open_still(w) || result != STORE_OK)
        return;
    w->wanted = redis_number(&values[0], &number) == 0 && number > 0 ? (uint64_t) number : 0;
    if (!w->is_known || w->wanted != w->version || (w->ends_ms && w->ends_ms <= store_redis_ms(w->store)))
        read_rows(w);
}

static void on_look(struct timer *t)
{
    struct rule_watch *w = CONTAINER_OF(t, struct rule_watch, look);
    struct buf *b = &w->call.request.bytes;

    timer_start(store_loop(w->store), t, LOOK_EVERY_MS, on_look);
    if (w->is_asking)
        return;
    ask(w, on_version);
    call_begin(&w->call, 3);
    resp_arg(b, SPAN("HGET"));
    resp_arg_text(b, KEY_CHANGED);
    resp_arg_text(b, table_name(TABLE_RULES));
    store_send(w->store, &w->call);
}

/* ---- open and close */

struct rule_watch *rule_watch_open(struct store *s, rule_watch_on_rules *on_rules, void *owner)
{
    struct rule_watch *w = NEW(struct rule_watch);

    *w = (struct rule_watch){.store = s, .on_rules = on_rules, .owner = owner};
    timer_start(store_loop(s), &w->look, 0, on_look);
    return w;
}

struct rule_watch *rule_watch_close(struct rule_watch *w)
{
    if (!w)
        return NULL;
    timer_stop(&w->look);
    w->is_closed = true;
    if (!w->is_asking)
        watch_free(w);
    return NULL;
}

const struct rules *rule_watch_rules(const struct rule_watch *w)
{
    return w->is_known ? &w->rules : NULL;
}
