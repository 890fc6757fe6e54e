/* TRACE rules: read on the main loop, copied by each reactor when their number is another one. */
#include "ingress/tracing.h"

#include "base/mem.h"
#include "cluster/rule_watch.h"

static struct {
    struct rule_watch *watch;
    void (*on_change)(void);
    pthread_mutex_t lock;
    struct rules rules;      /* under the lock */
    _Atomic unsigned number; /* grows with each set of them */
} tracing = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void put(const struct rules *rules)
{
    struct rules fresh, old;

    rules_copy(rules, RULE_TRACE, &fresh);
    pthread_mutex_lock(&tracing.lock);
    old = tracing.rules;
    tracing.rules = fresh;
    pthread_mutex_unlock(&tracing.lock);
    rules_done(&old);
}

static void on_rules(void *owner UNUSED, const struct rules *rules)
{
    if (!rules_has(rules, RULE_TRACE) && tracing.rules.count == 0) /* written by this thread alone */
        return;
    put(rules);
    atomic_fetch_add(&tracing.number, 1);
    tracing.on_change();
}

void tracing_open(struct store *s, void (*on_change)(void))
{
    must(!tracing.watch);
    tracing.on_change = on_change;
    tracing.watch = rule_watch_open(s, on_rules, NULL);
}

void tracing_close(void)
{
    tracing.watch = rule_watch_close(tracing.watch);
    put(&(struct rules){.items = NULL});
}

void tracing_refresh(struct reactor *r)
{
    unsigned number = atomic_load(&tracing.number);

    if (r->tracing == number)
        return;
    r->tracing = number;
    pthread_mutex_lock(&tracing.lock);
    r->is_traced = transcripts_take(r->transcripts, &tracing.rules);
    pthread_mutex_unlock(&tracing.lock);
}
