/* Schedules as they are written in settings: "first=5min longest=1h lifetime=2d bounce_lifetime=1d warn=4h", any of them. */
#include "cluster/retry_schedule.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/lane.h"
#include "mail/addr.h"

#define TIME_MAX_MS (UINT64_C(60) * 24 * 3600 * 1000)

enum { TIME_MIN_MS = 10 };

/* Where one of the words goes; NULL: it is none. */
static uint64_t *field_of(struct retry *r, struct span word)
{
    struct {
        const char *word;
        uint64_t *field;
    } fields[] = {{"first", &r->first_ms},
                  {"longest", &r->longest_ms},
                  {"lifetime", &r->lifetime_ms},
                  {"bounce_lifetime", &r->bounce_lifetime_ms},
                  {"warn", &r->warn_ms}};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (span_equal(word, span_of(fields[i].word)))
            return fields[i].field;
    return NULL;
}

/* What the text says, over what is there. -EINVAL: it cannot be read; *ret is then half read. */
static int read_schedule(const char *text, struct retry *ret)
{
    struct span rest = span_trim(span_of(text));

    while (rest.len > 0) {
        struct span value = span_cut(&rest, ' '), word = span_cut(&value, '=');
        uint64_t *field = field_of(ret, word), ms;
        if (!field || conf_parse_time(value, &ms) < 0 || ms < TIME_MIN_MS || ms > TIME_MAX_MS)
            return -EINVAL;
        *field = ms;
        rest = span_trim(rest);
    }
    return 0;
}

static const char *class_row(const struct conf_map *rows, enum bounce why)
{
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->keys[i], bounce_name(why)) == 0)
            return rows->values[i];
    return NULL;
}

void retry_find(const struct conf *conf, const char *queue, enum bounce why, struct retry *ret_retry)
{
    struct retry r = {
        .first_ms = conf->retry.first_ms,
        .longest_ms = conf->retry.longest_ms,
        .lifetime_ms = conf->retry.lifetime_ms,
        .bounce_lifetime_ms = conf->retry.bounce_lifetime_ms,
        .warn_ms = conf->dsn.delay_after_ms,
    };
    const char *of_queue = queue_row(&conf->retry.schedules, queue),
               *of_class = class_row(&conf->retry.classes, why);

    if (of_queue)
        must(read_schedule(of_queue, &r) == 0); /* checked before they were in force */
    if (of_class)
        must(read_schedule(of_class, &r) == 0);
    *ret_retry = r;
}

/* ---- are they in order? ---- */

static int fault(const struct conf *conf, const char *path, const char *key, const char *what,
                 char **ret_error)
{
    struct buf text = {.data = NULL};

    conf_place(conf, path, key, &text);
    buf_printf(&text, ": \"%s\": %s", key, what);
    *ret_error = buf_steal_text(&text);
    return -EINVAL;
}

static bool is_queue_pattern(const char *key)
{
    struct span domain, lane;

    queue_split(span_of(key), &domain, &lane);
    return domain.len > 0 && (lane.len > 0 || !strchr(key, '/'));
}

static int check_row(const struct conf *conf, const char *path, const char *key, const char *value,
                     char **ret_error)
{
    struct retry r = {.first_ms = 0};

    if (!*value || read_schedule(value, &r) < 0)
        return fault(
            conf, path, key,
            "expected \"first=5min longest=1h lifetime=2d bounce_lifetime=1d warn=4h\", any of them, each from 10ms to 60d",
            ret_error);
    if (r.first_ms > 0 && r.longest_ms > 0 && r.first_ms > r.longest_ms)
        return fault(conf, path, key, "its first is longer than its longest", ret_error);
    return 0;
}

int retry_schedules_check(const struct conf *conf, char **ret_error)
{
    const struct conf_map *queues = &conf->retry.schedules, *classes = &conf->retry.classes;
    int r = 0;

    for (size_t i = 0; r == 0 && i < queues->count; i++) {
        r = check_row(conf, "retry.schedules", queues->keys[i], queues->values[i], ret_error);
        if (r == 0 && !is_queue_pattern(queues->keys[i]))
            r = fault(conf, "retry.schedules", queues->keys[i],
                      "expected a queue: example.com, .example.com or *, maybe with /lane", ret_error);
    }
    for (size_t i = 0; r == 0 && i < classes->count; i++) {
        r = check_row(conf, "retry.classes", classes->keys[i], classes->values[i], ret_error);
        if (r == 0 && bounce_named(span_of(classes->keys[i])) == BOUNCE_NONE)
            r = fault(conf, "retry.classes", classes->keys[i], "expected a class (docs/bounces.md)",
                      ret_error);
    }
    return r;
}
