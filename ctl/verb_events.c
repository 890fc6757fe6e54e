/* events: the streams of all partitions as one, roughly in order of time. */
#include <ctype.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "cluster/history.h"
#include "ctl/ask.h"
#include "ctl/print.h"
#include "ctl/selection.h"
#include "ctl/verb.h"

/*
 * Memory: a group of streams at a time, cut to the lines that will be printed. A stream holds about 2,000 entries; of each as many are read at
 * once as could be wanted. KNOWN_MAX: jobs whose queue is remembered.
 */
enum {
    LIMIT = 20,
    LIMIT_MAX = 10000,
    GROUP = 16,
    ENTRIES_ALL = 5000,
    ENTRIES_NEW = 100,
    LOOK_EVERY_MS = 200,
    KNOWN_MAX = 50000,
    DETAIL_MAX = 4000,
};

struct line {
    uint64_t ms, seq;
    unsigned partition;
    char *event, *job, *detail;
};

struct events {
    struct ask *ask;
    const struct arguments *arguments;
    const char *queue, *text; /* NULL: any */
    unsigned first, last;     /* partitions */
    char at[PARTITION_COUNT][STREAM_ID_MAX + 1];
    struct line *lines;
    size_t count, room;
    struct map known;  /* job -> OURS or FOREIGN, of those whose queue was asked for or told */
    struct map tagged; /* a stream's key -> its place in `at` */
};
static char ours[] = "ours", foreign[] = "foreign";

/* ---- lines */

static void line_done(struct line *l)
{
    mem_free(l->event);
    mem_free(l->job);
    mem_free(l->detail);
}

static char *copy_of(struct span s)
{
    return mem_text(s.len ? s.at : "", s.len);
}

static bool is_wanted_event(const struct events *e, struct span event)
{
    const char *name;
    size_t cursor = 0;
    bool is_any = true;

    while ((name = argument_next(e->arguments, "event", &cursor))) {
        is_any = false;
        if (span_equal(event, span_of(name)))
            return true;
    }
    return is_any;
}

struct reading {
    struct events *events;
    unsigned partition;
};

static void on_line(void *context, const struct history_line *line)
{
    const struct reading *r = context;
    struct events *e = r->events;

    if (e->count == e->room) {
        e->room = e->room ? 2 * e->room : 256;
        e->lines = mem_resize(e->lines, e->room * sizeof(*e->lines));
    }
    e->lines[e->count++] = (struct line){.ms = line->ms,
                                         .seq = line->seq,
                                         .partition = r->partition,
                                         .event = copy_of(line->event),
                                         .job = copy_of(line->job),
                                         .detail = copy_of(line->detail)};
}

static int compare_lines(const void *left, const void *right)
{
    const struct line *a = left, *b = right;

    if (a->ms != b->ms)
        return a->ms < b->ms ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return (a->seq > b->seq) - (a->seq < b->seq);
}

static void set_at(struct events *e, unsigned partition, struct span id)
{
    if (id.len == 0)
        return;
    memcpy(e->at[partition], id.at, id.len);
    e->at[partition][id.len] = '\0';
}

/* ---- whose jobs: a record says its queue; of one that has ended, the addresses in what was told of it */

static void on_queue(void *context, const struct redis_value *values)
{
    const struct reading *r = context; /* partition: number of the line */
    struct events *e = r->events;
    const struct line *l = &e->lines[r->partition];
    struct span queue = redis_text(&values[0]);

    if (queue.len > 0)
        map_set(&e->known, span_of(l->job), span_equal(queue, span_of(e->queue)) ? ours : foreign);
}

static bool tells_domain(const struct events *e, const char *detail)
{
    struct span rest = span_of(e->queue), name = span_cut(&rest, '/');
    AUTO_FREE char *domain = mem_format("@%.*s", SPAN_ARG(name));

    for (const char *at = strcasestr(detail, domain); at; at = strcasestr(at + 1, domain)) {
        int behind = (unsigned char) at[1 + name.len];
        if (!isalnum(behind) && behind != '.' && behind != '-')
            return true;
    }
    return false;
}

static int find_queues(struct events *e)
{
    if (e->known.count > KNOWN_MAX)
        map_done(&e->known);
    for (size_t i = 0; i < e->count; i++) {
        const struct line *l = &e->lines[i];
        if (map_get(&e->known, span_of(l->job)))
            continue;
        struct reading *r = NEW(struct reading);
        *r = (struct reading){e, (unsigned) i};
        resp_arg_text(ask_key(e->ask, "HGET", 3, KEY_OF_JOB, l->partition, span_of(l->job)), "q");
        ask_send_with(e->ask, on_queue, r);
    }
    int status = ask_wait(e->ask);
    for (size_t i = 0; i < e->count; i++)
        if (!map_get(&e->known, span_of(e->lines[i].job)) && tells_domain(e, e->lines[i].detail))
            map_set(&e->known, span_of(e->lines[i].job), ours);
    return status;
}

static bool has_words(const struct line *l, const char *words)
{
    return strcasestr(l->detail, words) || strcasestr(l->job, words);
}

/* In order, and only what was asked for. */
static int sift(struct events *e)
{
    int status = e->queue ? find_queues(e) : EXIT_OK;
    size_t kept = 0;

    for (size_t i = 0; i < e->count; i++) {
        struct line *l = &e->lines[i];
        if (is_wanted_event(e, span_of(l->event)) && (!e->text || has_words(l, e->text)) &&
            (!e->queue || map_get(&e->known, span_of(l->job)) == ours))
            e->lines[kept++] = *l;
        else
            line_done(l);
    }
    e->count = kept;
    if (e->count)
        qsort(e->lines, e->count, sizeof(*e->lines), compare_lines);
    return status;
}

/* Keeps the last ones. */
static void cut_to(struct events *e, size_t most)
{
    size_t over = e->count > most ? e->count - most : 0;

    for (size_t i = 0; i < over; i++)
        line_done(&e->lines[i]);
    if (over > 0)
        memmove(e->lines, e->lines + over, most * sizeof(*e->lines));
    e->count -= over;
}

/* ---- printing */

static void print_line(const struct line *l, bool is_json, struct buf *out)
{
    AUTO_BUF struct buf time = {.data = NULL};

    clock_add_stamp(&time, l->ms);
    if (is_json) {
        struct json *json = json_new_object();
        json_put_text(json, "time", buf_span(&time));
        json_put_text(json, "event", span_of(l->event));
        json_put_text(json, "job", span_of(l->job));
        json_put_text(json, "detail", span_of(l->detail));
        json_print_line(json, out);
        json_free(json);
        return;
    }
    AUTO_BUF struct buf event = {.data = NULL};
    buf_add_printable(&event, span_of(l->event), DETAIL_MAX);
    buf_printf(out, "%.*s %-9.*s ", SPAN_ARG(buf_span(&time)), SPAN_ARG(buf_span(&event)));
    buf_add_printable(out, span_of(l->job), DETAIL_MAX);
    buf_add_text(out, *l->detail ? " " : "");
    buf_add_printable(out, span_of(l->detail), DETAIL_MAX);
    buf_add_char(out, '\n');
}

/* All lines, and forgets them. False: nobody reads any more. */
static bool print_lines(struct events *e)
{
    AUTO_BUF struct buf out = {.data = NULL};

    for (size_t i = 0; i < e->count; i++) {
        print_line(&e->lines[i], e->arguments->is_json, &out);
        line_done(&e->lines[i]);
    }
    e->count = 0;
    print_buf(&out);
    return fflush(stdout) == 0;
}

/* ---- the last lines */

static void on_last(void *context, const struct redis_value *values)
{
    struct reading *r = context;
    const struct redis_value *entries = &values[0];

    if (entries->type != REDIS_ARRAY || entries->count == 0)
        return;
    set_at(r->events, r->partition, history_entry_id(&entries->items[0])); /* the newest comes first */
    for (size_t i = entries->count; i > 0; i--)
        history_read(&entries->items[i - 1], on_line, r);
}

/* With a filter any line may be the last that passes it. */
static size_t entries_wanted(const struct events *e, size_t limit)
{
    bool has_filter = e->queue || e->text || argument_is_given(e->arguments, "event");

    return has_filter && limit > 0 ? ENTRIES_ALL : limit > 0 ? limit : 1;
}

static int read_last(struct events *e, size_t limit)
{
    int status = EXIT_OK;

    for (unsigned partition = e->first; status == EXIT_OK && partition <= e->last; partition++) {
        struct reading *r = NEW(struct reading);
        struct buf *b = ask_key(e->ask, "XREVRANGE", 6, KEY_OF_EVENTS, partition, span_of(""));
        *r = (struct reading){e, partition};
        resp_arg_text(b, "+");
        resp_arg_text(b, "-");
        resp_arg_text(b, "COUNT");
        resp_arg_number(b, (int64_t) entries_wanted(e, limit));
        ask_send_with(e->ask, on_last, r);
        if (partition % GROUP == GROUP - 1 || partition == e->last) {
            status = ask_wait(e->ask);
            if (status == EXIT_OK)
                status = sift(e);
            cut_to(e, limit);
        }
    }
    return status;
}

/* ---- what comes */

static void on_new(void *context, const struct redis_value *values)
{
    struct events *e = context;
    const struct redis_value *streams = &values[0];

    for (size_t i = 0; streams->type == REDIS_ARRAY && i < streams->count; i++) {
        const struct redis_value *stream = &streams->items[i];
        if (stream->type != REDIS_ARRAY || stream->count != 2 || stream->items[1].type != REDIS_ARRAY)
            continue;
        const char *at = map_get(&e->tagged, redis_text(&stream->items[0]));
        const struct redis_value *entries = &stream->items[1];
        if (!at || entries->count == 0)
            continue;
        struct reading r = {e, (unsigned) ((size_t) (at - e->at[0]) / sizeof(e->at[0]))};
        set_at(e, r.partition, history_entry_id(&entries->items[entries->count - 1]));
        for (size_t j = 0; j < entries->count; j++)
            history_read(&entries->items[j], on_line, &r);
    }
}

static void ask_streams(struct events *e, unsigned first, unsigned last)
{
    struct buf *b = ask_command(e->ask, 4 + 2 * (size_t) (last - first + 1));

    resp_arg_text(b, "XREAD");
    resp_arg_text(b, "COUNT");
    resp_arg_number(b, ENTRIES_NEW);
    resp_arg_text(b, "STREAMS");
    for (unsigned partition = first; partition <= last; partition++)
        key_arg(b, KEY_OF_EVENTS, partition, span_of(""), 0);
    for (unsigned partition = first; partition <= last; partition++)
        resp_arg_text(b, e->at[partition]);
    ask_send(e->ask, on_new, e);
}

/* In one question, unless each partition may be elsewhere. */
static void ask_new(struct events *e)
{
    bool is_cluster = shards_kind(ask_shards(e->ask)) == STORE_CLUSTER;

    if (!is_cluster)
        ask_streams(e, e->first, e->last);
    for (unsigned partition = e->first; is_cluster && partition <= e->last; partition++)
        ask_streams(e, partition, partition);
}

static int follow(struct events *e)
{
    for (;;) {
        ask_new(e);
        int status = ask_wait(e->ask);
        bool is_quiet = e->count == 0;
        if (status == EXIT_OK)
            status = sift(e);
        if (status != EXIT_OK || !print_lines(e))
            return status;
        if (is_quiet)
            ask_pause(e->ask, LOOK_EVERY_MS);
    }
}

/* ---- the verb */

static void events_begin(struct events *e)
{
    for (unsigned partition = e->first; partition <= e->last; partition++) {
        AUTO_BUF struct buf key = {.data = NULL};
        key_format(&key, KEY_OF_EVENTS, partition, span_of(""), 0);
        map_set(&e->tagged, buf_span(&key), e->at[partition]);
        set_at(e, partition, SPAN("0-0"));
    }
}

int verb_events(const struct arguments *a)
{
    struct events *e;
    uint64_t limit;
    const char *queue = argument_text(a, "queue", NULL);
    int status = queue ? queue_name_check(queue) : EXIT_OK;

    if (status != EXIT_OK || argument_number(a, "limit", 0, LIMIT_MAX, LIMIT, &limit) < 0)
        return EXIT_BAD_USAGE;
    e = NEW(struct events);
    *e = (struct events){
        .arguments = a, .queue = queue, .text = argument_text(a, "text", NULL), .last = PARTITION_COUNT - 1};
    if (queue)
        queue_partitions(queue, &e->first, &e->last);
    status = ask_open_partly(a, &e->ask);
    if (status == EXIT_OK) {
        events_begin(e);
        status = read_last(e, (size_t) limit);
        if (status == EXIT_OK && print_lines(e) && argument_is_given(a, "follow"))
            status = follow(e);
        ask_close(e->ask);
    }
    cut_to(e, 0);
    mem_free(e->lines);
    map_done(&e->known);
    map_done(&e->tagged);
    mem_free(e);
    return status;
}
