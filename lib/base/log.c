/* One line per event. Lines are formatted by log_line.c into a buffer of the thread and written together. */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log_line.h"
#include "base/metric.h"

/*
 * PIPE_BYTES is what a pipe takes without mixing it with other writers' bytes (PIPE_BUF). A reader that takes nothing for STALL_MS loses lines:
 * mail goes before the log.
 */
enum { FLUSH_BYTES = 32768, PIPE_BYTES = 4096, STALL_MS = 1000 };

struct log_settings {
    struct log_settings *previous; /* kept: another thread may be formatting with it */
    enum log_level least;
    bool json;
    char *node;
};

/* What one thread has gathered. Its lock is taken by other threads only at the end of the process. */
struct gathered {
    struct list entry;
    pthread_mutex_t lock;
    struct buf lines;
};

static struct log_settings first_settings = {.least = LOG_INFO, .node = NULL};
static struct log_settings *_Atomic settings = &first_settings;

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list registry = {.next = &registry, .prev = &registry};
static pthread_once_t started = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;
static _Thread_local struct gathered *mine;

static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_torn; /* the last line written has no end: the next write begins with one */

static const struct {
    const char *name;
    const char *help;
    enum log_level level;
    enum { ASKS_NOBODY, ASKS_PERSON } asks;
} events[] = {
#define LOG_EVENT(name_, level_, asks_, help_) [LOG_##name_] = {#name_, help_, LOG_##level_, ASKS_##asks_},
#include "base/log.def"
#undef LOG_EVENT
};

/* The names as printed, in lower case, made once. */
enum { NAME_MAX_LEN = 32 };
static char names[LOG_EVENT_COUNT][NAME_MAX_LEN];

static void at_end_of_thread(void *gathered)
{
    struct gathered *g = gathered;

    log_flush();
    (void) pthread_mutex_lock(&registry_lock); /* cannot fail for a default mutex that is not held */
    list_remove(&g->entry);
    (void) pthread_mutex_unlock(&registry_lock); /* as above */
    (void) pthread_mutex_destroy(&g->lock);      /* as above */
    buf_done(&g->lines);
    mem_free(g);
    mine = NULL;
}

static void start(void)
{
    for (size_t event = 0; event < LOG_EVENT_COUNT; event++) {
        must(strlen(events[event].name) < NAME_MAX_LEN);
        for (size_t i = 0; events[event].name[i]; i++) {
            char c = events[event].name[i];
            names[event][i] = c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
        }
    }
    must(pthread_key_create(&at_thread_end, at_end_of_thread) == 0);
    must(atexit(log_flush_all) == 0);
}

static struct gathered *gather(void)
{
    if (mine)
        return mine;
    must(pthread_once(&started, start) == 0);
    struct gathered *g = NEW(struct gathered);
    must(pthread_mutex_init(&g->lock, NULL) == 0);
    must(pthread_setspecific(at_thread_end, g) == 0);
    (void) pthread_mutex_lock(&registry_lock); /* as above */
    list_append(&registry, &g->entry);
    (void) pthread_mutex_unlock(&registry_lock); /* as above */
    mine = g;
    return g;
}

static size_t count_lines(struct span s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += s.at[i] == '\n';
    return count;
}

/* Writes all of s, waiting a little for a slow reader. Returns 0 or -errno, with the rest in *s. */
static int write_all(struct span *s)
{
    while (s->len) {
        ssize_t done = write(STDOUT_FILENO, s->at, s->len);
        if (done >= 0) {
            s->at += done;
            s->len -= (size_t) done;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
        if (poll(&ready, 1, STALL_MS) == 0)
            return -EAGAIN;
    }
    return 0;
}

/* As many whole lines as fit in max_len bytes, or one line that is longer. */
static struct span some_lines(struct span s, size_t max_len)
{
    if (s.len <= max_len)
        return s;
    const char *end = memrchr(s.at, '\n', max_len);
    if (!end)
        end = memchr(s.at, '\n', s.len);
    must(end);
    s.len = (size_t) (end + 1 - s.at);
    return s;
}

static void write_lines(struct span lines)
{
    struct stat what;
    bool is_pipe = fstat(STDOUT_FILENO, &what) == 0 && S_ISFIFO(what.st_mode);

    (void) pthread_mutex_lock(&write_lock); /* cannot fail for a default mutex that is not held */
    if (is_torn && lines.len) {
        struct span end = SPAN("\n");
        is_torn = write_all(&end) < 0;
    }
    while (lines.len) {
        struct span piece = is_pipe ? some_lines(lines, PIPE_BYTES) : lines;
        struct span rest = piece;
        if (write_all(&rest) < 0) {
            metric_add(METRIC_LOG_DROPPED_TOTAL, (int64_t) count_lines(rest) + (int64_t) count_lines(lines) -
                                                     (int64_t) count_lines(piece));
            is_torn = is_torn || (rest.len < piece.len && rest.at[-1] != '\n');
            break;
        }
        lines.at += piece.len;
        lines.len -= piece.len;
    }
    (void) pthread_mutex_unlock(&write_lock); /* as above */
}

static void flush_locked(struct gathered *g)
{
    write_lines(buf_span(&g->lines));
    buf_clear(&g->lines);
}

void log_flush(void)
{
    if (!mine || !mine->lines.len) /* only this thread adds lines */
        return;
    (void) pthread_mutex_lock(&mine->lock); /* as above */
    flush_locked(mine);
    (void) pthread_mutex_unlock(&mine->lock); /* as above */
}

/* Called by must() from anywhere, maybe from within this file: a lock that is taken is passed over. */
void log_flush_all(void)
{
    if (pthread_mutex_trylock(&registry_lock) != 0)
        return;
    LIST_EACH(&registry, it, next) {
        struct gathered *g = LIST_ENTRY(it, struct gathered, entry);
        if (pthread_mutex_trylock(&g->lock) != 0)
            continue;
        if (g->lines.len)
            flush_locked(g);
        (void) pthread_mutex_unlock(&g->lock); /* as above */
    }
    (void) pthread_mutex_unlock(&registry_lock); /* as above */
}

bool log_is_on(enum log_event event)
{
    return events[event].level >= atomic_load_explicit(&settings, memory_order_acquire)->least;
}

void log_fields(enum log_event event, const struct log_field *fields, size_t count)
{
    const struct log_settings *s = atomic_load_explicit(&settings, memory_order_acquire);
    enum log_level level = events[event].level;

    if (level < s->least)
        return;
    struct gathered *g = gather();
    (void) pthread_mutex_lock(&g->lock); /* as above; nobody else holds it but at the end of the process */
    struct log_line line = {.wall_ms = clock_wall_ms(),
                            .level = log_level_name(level),
                            .event = names[event],
                            .node = s->node,
                            .fields = fields,
                            .count = count};
    if (s->json)
        log_line_json(&g->lines, &line);
    else
        log_line_text(&g->lines, &line);
    if (level >= LOG_WARN || g->lines.len >= FLUSH_BYTES)
        flush_locked(g);
    (void) pthread_mutex_unlock(&g->lock); /* as above */
}

void log_setup(const char *node, enum log_level least, bool json)
{
    struct log_settings *old = atomic_load_explicit(&settings, memory_order_acquire);

    if (old->node && node && strcmp(old->node, node) == 0 && old->least == least && old->json == json)
        return;
    struct log_settings *next = NEW(struct log_settings);
    next->previous = old;
    next->least = least;
    next->json = json;
    next->node = node && *node ? mem_string(node) : NULL;
    atomic_store_explicit(&settings, next, memory_order_release);
}

const char *log_errno_text(int error)
{
    const char *text = strerrordesc_np(error);
    return text ? text : "unknown error";
}

const char *log_event_name(enum log_event event)
{
    must((size_t) event < LOG_EVENT_COUNT);
    must(pthread_once(&started, start) == 0);
    return names[event];
}

const char *log_event_help(enum log_event event)
{
    must((size_t) event < LOG_EVENT_COUNT);
    return events[event].help;
}

enum log_level log_event_level(enum log_event event)
{
    must((size_t) event < LOG_EVENT_COUNT);
    return events[event].level;
}

bool log_event_asks(enum log_event event)
{
    must((size_t) event < LOG_EVENT_COUNT);
    return events[event].asks == ASKS_PERSON;
}

const char *log_level_name(enum log_level level)
{
    static const char *const level_names[] = {"debug", "info", "warn", "error"};
    must((size_t) level < ARRAY_LEN(level_names));
    return level_names[level];
}
