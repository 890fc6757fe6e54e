/* Versions of the cluster-wide tables: asked for twice a second, one request for the process. */
#include "ingress/change.h"

#include <stdatomic.h>

#include "base/mem.h"

enum { LOOK_EVERY_MS = 500, LOOK_TIME_MS = 2000 };

static struct {
    struct store *store; /* NULL: closed */
    void (*on_change)(void);
    struct timer look;
    bool is_asking;
} change;

/* count_more: how many fields there are, and one; 0: not read yet. */
static struct {
    _Atomic uint64_t version, count_more;
} seen[TABLE_COUNT];

static void on_versions(void *context UNUSED, const struct table_version *versions)
{
    bool is_other = false;

    change.is_asking = false;
    for (unsigned i = 0; versions && i < TABLE_COUNT; i++) {
        uint64_t version = versions[i].version ? versions[i].version : 1;
        uint64_t count_more = versions[i].count == UINT64_MAX ? UINT64_MAX : versions[i].count + 1;
        is_other |= atomic_exchange(&seen[i].version, version) != version;
        is_other |= atomic_exchange(&seen[i].count_more, count_more) != count_more;
    }
    if (is_other && change.store)
        change.on_change();
}

static void on_look(struct timer *t)
{
    timer_start(store_loop(change.store), t, LOOK_EVERY_MS, on_look);
    if (change.is_asking)
        return;
    change.is_asking = true;
    table_versions(change.store, LOOK_TIME_MS, on_versions, NULL);
}

void change_open(struct store *s, void (*on_change)(void))
{
    must(!change.store);
    change.store = s;
    change.on_change = on_change;
    timer_start(store_loop(s), &change.look, 0, on_look);
}

void change_close(void)
{
    timer_stop(&change.look);
    change.store = NULL;
}

uint64_t change_version(enum table table)
{
    return atomic_load_explicit(&seen[table].version, memory_order_relaxed);
}

bool change_is_empty(enum table table)
{
    return atomic_load_explicit(&seen[table].count_more, memory_order_relaxed) == 1;
}
