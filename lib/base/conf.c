/* The snapshots of settings: which is in force, who holds it, and what a reload may change. */
#include "base/conf.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/conf_row.h"
#include "base/mem.h"

/*
 * The current snapshot is behind a lock. Each thread holds the one it saw last and asks for the lock only when the generation has changed, so
 * conf_get() costs one atomic load.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct conf *current;
static atomic_uint_fast64_t generation;

struct seen {
    struct conf *conf;
    uint_fast64_t generation;
};
static _Thread_local struct seen seen;
static pthread_key_t at_thread_end;
static pthread_once_t started = PTHREAD_ONCE_INIT;

struct conf *conf_new(void)
{
    struct conf *c = NEW(struct conf);

    c->users = 1;
    for (size_t i = 0; i < conf_row_count; i++)
        if (!conf_rows[i].section->member)
            must(conf_value_set(conf_holder(c, conf_rows[i].section, 0), &conf_rows[i],
                                span_of(conf_rows[i].initial)) == 0);
    return c;
}

struct conf *conf_hold(struct conf *c)
{
    __atomic_add_fetch(&c->users, 1, __ATOMIC_RELAXED);
    return c;
}

struct conf *conf_release(struct conf *c)
{
    if (!c || __atomic_sub_fetch(&c->users, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    for (size_t i = 0; i < conf_row_count; i++)
        if (!conf_rows[i].section->member)
            conf_value_clear(conf_holder(c, conf_rows[i].section, 0), &conf_rows[i]);
    conf_members_free(c);
    conf_places_free(c);
    return mem_free(c);
}

static void forget(void *unused)
{
    (void) unused;
    seen.conf = conf_release(seen.conf);
    seen.generation = 0;
}

static void start(void)
{
    must(pthread_key_create(&at_thread_end, forget) == 0);
}

static void look_again(void)
{
    must(pthread_once(&started, start) == 0);
    must(pthread_setspecific(at_thread_end, &seen) ==
         0);                          /* any pointer but NULL: forget() runs at the thread's end */
    (void) pthread_mutex_lock(&lock); /* cannot fail for a default mutex that is not held */
    must(current);                    /* settings are read before anything asks for them */
    conf_release(seen.conf);
    seen.conf = conf_hold(current);
    seen.generation = atomic_load_explicit(&generation, memory_order_relaxed);
    (void) pthread_mutex_unlock(&lock); /* as above */
}

const struct conf *conf_get(void)
{
    if (!seen.conf || seen.generation != atomic_load_explicit(&generation, memory_order_acquire))
        look_again();
    return seen.conf;
}

struct conf *conf_hold_current(void)
{
    (void) conf_get(); /* this thread has it now */
    return conf_hold(seen.conf);
}

static struct conf *put_in_force(struct conf *next)
{
    (void) pthread_mutex_lock(&lock); /* as above */
    struct conf *old = current;
    current = next;
    atomic_fetch_add_explicit(&generation, 1, memory_order_release);
    (void) pthread_mutex_unlock(&lock); /* as above */
    return old;
}

void conf_set(struct conf *next)
{
    must(next && next->users > 0);
    conf_release(put_in_force(next));
}

void conf_reload(struct conf *next, struct buf *ret_restart)
{
    const struct conf *old = conf_get();

    must(next && next->users == 1 && next != old); /* it is changed here: nobody else may see it yet */
    for (size_t i = 0; i < conf_row_count; i++) {
        const struct conf_row *row = &conf_rows[i];
        if (row->is_live || row->section->member)
            continue;
        void *values = conf_holder(next, row->section, 0), *running = conf_holder(old, row->section, 0);
        if (conf_value_equal(values, running, row))
            continue;
        buf_printf(ret_restart, "%s%s.%s", ret_restart->len ? ", " : "", row->section->name, row->name);
        conf_value_copy(values, running, row);
    }
    conf_members_keep(next, old, ret_restart);
    conf_set(next);
}
