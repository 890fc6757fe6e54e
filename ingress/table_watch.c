/*
 * Watches the files of the address tables: a look at each once a second. What has changed, and has stayed as it is for one look (somebody may
 * be writing it), is read on another thread and put in force whole, or not at all.
 */
#include "ingress/table_watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/redact.h"

enum { LOOK_EVERY_MS = 1000 };

/* What is in force. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct table_files *in_force; /* NULL: none are set */
static _Atomic unsigned number;

/* The main loop's. */
static struct {
    struct loop *loop; /* NULL: closed */
    struct timer look;
    bool is_loading, is_asked; /* asked: once more after the load under way */
    struct buf tried;          /* what the files looked like when they were read last */
    struct buf before;         /* at the last look */
} watch;

/* A load on another thread. */
struct load {
    struct conf *conf;
    struct table_files *files;
    char *error;
};

unsigned table_watch_number(void)
{
    return atomic_load_explicit(&number, memory_order_acquire);
}

struct table_files *table_watch_hold(unsigned *ret_number)
{
    (void) pthread_mutex_lock(&lock); /* cannot fail: no thread holds it twice */
    struct table_files *f = table_files_hold(in_force);
    *ret_number = table_watch_number();
    (void) pthread_mutex_unlock(&lock); /* as above */
    return f;
}

static void put_in_force(struct table_files *f)
{
    (void) pthread_mutex_lock(&lock); /* as above */
    struct table_files *old = in_force;
    in_force = f;
    atomic_fetch_add(&number, 1);
    (void) pthread_mutex_unlock(&lock); /* as above */
    (void) table_files_release(old);    /* always NULL */
    metric_set(METRIC_TABLE_ROWS, (int64_t) table_files_rows(f));
    metric_set(METRIC_TABLE_FILES_STALE, 0);
    if (watch.loop && (f || old))
        log_event(LOG_TABLES_LOADED, FN("rows", table_files_rows(f)));
}

/* What all files look like: another text when one of them is another. */
static void describe(const struct conf *conf, struct buf *out)
{
    buf_clear(out);
    for (unsigned i = 0; i < TABLE_FILE_COUNT; i++) {
        const struct conf_list *paths = table_files_of(conf, i);
        for (size_t k = 0; k < paths->count; k++) {
            struct stat found;
            bool is_there = stat(paths->items[k], &found) == 0;
            buf_printf(out, "%u %s ", i, paths->items[k]);
            if (is_there)
                buf_printf(out, "%llu %llu %lld.%09ld\n", (unsigned long long) found.st_ino,
                           (unsigned long long) found.st_size, (long long) found.st_mtim.tv_sec,
                           found.st_mtim.tv_nsec);
        }
    }
}

static void load_begin(void);

static void load(void *context)
{
    struct load *l = context;

    (void) table_files_load(l->conf, &l->files, &l->error); /* the sentence tells */
}

static void on_loaded(void *context)
{
    struct load *l = context;

    watch.is_loading = false;
    if (l->error) {
        AUTO_BUF struct buf shown = {.data = NULL};
        redact_add(&shown, span_of(l->error));
        log_event(LOG_TABLES_REFUSED, FS("error", buf_span(&shown)));
        metric_set(METRIC_TABLE_FILES_STALE, 1);
    } else if (watch.loop) {
        put_in_force(STEAL(l->files));
    }
    (void) table_files_release(l->files); /* always NULL */
    (void) conf_release(l->conf);         /* always NULL */
    mem_free(l->error);
    mem_free(l);
    if (watch.loop && watch.is_asked)
        load_begin();
}

static void load_begin(void)
{
    struct load *l;

    watch.is_asked = watch.is_loading;
    if (watch.is_loading)
        return;
    l = NEW(struct load);
    l->conf = conf_hold((struct conf *) (uintptr_t) conf_get());
    describe(l->conf,
             &watch.tried); /* before they are read: what changes meanwhile is seen by the next look */
    watch.is_loading = true;
    loop_work(watch.loop, load, on_loaded, l);
}

static void on_look(struct timer *t)
{
    struct buf now = {.data = NULL};

    timer_start(watch.loop, t, LOOK_EVERY_MS, on_look);
    describe(conf_get(), &now);
    bool is_settled = span_equal(buf_span(&now), buf_span(&watch.before));
    bool is_tried = span_equal(buf_span(&now), buf_span(&watch.tried));
    buf_done(&watch.before);
    watch.before = now;
    if (is_settled && !is_tried)
        load_begin();
}

int table_watch_open(struct loop *l, char **ret_error)
{
    struct table_files *f = NULL;

    must(!watch.loop);
    describe(conf_get(), &watch.tried);
    int r = table_files_load(conf_get(), &f, ret_error);
    if (r < 0)
        return r;
    watch.loop = l;
    put_in_force(f);
    timer_start(l, &watch.look, LOOK_EVERY_MS, on_look);
    return 0;
}

void table_watch_reload(void)
{
    load_begin();
}

void table_watch_close(void)
{
    if (!watch.loop)
        return;
    timer_stop(&watch.look);
    watch.loop = NULL;
    put_in_force(NULL);
    buf_done(&watch.tried);
    buf_done(&watch.before);
}
