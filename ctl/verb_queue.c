/* queue list. */
#include "base/mem.h"
#include "ctl/ask.h"
#include "ctl/held.h"
#include "ctl/print.h"
#include "ctl/survey.h"
#include "ctl/verb.h"

enum { LIST_ROWS = 30 };

static bool is_fanout(const struct survey_queue *q)
{
    return strcmp(q->name, QUEUE_FANOUT) == 0;
}

/* #fanout is in every partition, but one line to a reader. */
static void merge_fanout(struct survey *s)
{
    struct survey_queue *whole = NULL;
    size_t kept = 0;

    for (size_t i = 0; i < s->queue_count; i++) {
        struct survey_queue *q = &s->queues[i];
        if (!is_fanout(q) || !whole) {
            s->queues[kept] = *q;
            if (is_fanout(q))
                whole = &s->queues[kept];
            kept++;
            continue;
        }
        whole->waiting += q->waiting;
        whole->due += q->due;
        if (q->next_ms && (!whole->next_ms || q->next_ms < whole->next_ms))
            whole->next_ms = q->next_ms;
        if (q->has_oldest &&
            (!whole->has_oldest || memcmp(q->oldest.bytes, whole->oldest.bytes, sizeof(q->oldest.bytes)) < 0))
            whole->oldest = q->oldest;
        whole->has_oldest |= q->has_oldest;
        mem_free(q->name);
        mem_free(q->error);
    }
    s->queue_count = kept;
}

/* Most waiting first, then by name. */
static int compare_queues(const void *left, const void *right)
{
    const struct survey_queue *a = left, *b = right;

    if (a->waiting != b->waiting)
        return a->waiting > b->waiting ? -1 : 1;
    return strcmp(a->name, b->name);
}

static struct json *queue_json(const struct survey *s, const struct survey_queue *q)
{
    struct json *json = json_new_object();
    char oldest[ID_TEXT_LEN + 1];

    json_put_text(json, "queue", span_of(q->name));
    json_put_number(json, "waiting", (int64_t) q->waiting);
    json_put_number(json, "due", (int64_t) q->due);
    if (q->next_ms)
        json_put_number(json, "next_due_in_ms", (int64_t) later_by(q->next_ms, s->now_ms));
    else
        json_put_null(json, "next_due_in_ms");
    if (q->has_oldest) {
        id_format(&q->oldest, oldest);
        json_put_text(json, "oldest", span_of(oldest));
        json_put_number(json, "oldest_age_ms", (int64_t) survey_age_ms(s, &q->oldest));
    }
    json_put_number(json, "paused_for_ms", (int64_t) later_by(q->paused_until_ms, s->now_ms));
    json_put_text(json, "paused_because", span_of(q->error));
    return json;
}

static void add_queue_row(struct grid *t, const struct survey *s, const struct survey_queue *q)
{
    AUTO_BUF struct buf next = {.data = NULL}, age = {.data = NULL}, paused = {.data = NULL};

    if (q->next_ms && q->next_ms <= s->now_ms)
        buf_add_text(&next, "now");
    else if (q->next_ms)
        add_duration(&next, q->next_ms - s->now_ms);
    if (q->has_oldest)
        add_duration(&age, survey_age_ms(s, &q->oldest));
    if (q->paused_until_ms > s->now_ms) {
        buf_add_text(&paused, "paused for ");
        add_duration(&paused, q->paused_until_ms - s->now_ms);
        buf_printf(&paused, ": %s", q->error);
    }
    grid_cell_safe(t, span_of(q->name));
    grid_cell(t, "%llu", (unsigned long long) q->waiting);
    grid_cell(t, "%llu", (unsigned long long) q->due);
    grid_cell_safe(t, buf_span(&next));
    grid_cell_safe(t, buf_span(&age));
    grid_cell_safe(t, buf_span(&paused));
}

static void print_held_note(const struct survey *s)
{
    AUTO_BUF struct buf out = {.data = NULL};

    if (s->held == 0)
        return;
    buf_printf(&out, "HELD: %llu jobs wait for you: ", (unsigned long long) s->held);
    add_reasons(&out, s);
    buf_add_text(&out, "; `baridctl queue list --held` lists them\n");
    print_buf(&out);
}

static void print_list(const struct survey *s, size_t rows)
{
    struct grid t;

    if (s->queue_count == 0) {
        printf("no job waits in any queue; %llu claimed, %llu held\n", (unsigned long long) s->claimed,
               (unsigned long long) s->held);
        print_held_note(s);
        return;
    }
    grid_init(&t, "queue|>waiting|>due|>next|>oldest|");
    for (size_t i = 0; i < rows; i++)
        add_queue_row(&t, s, &s->queues[i]);
    grid_print(&t);
    grid_done(&t);
    if (rows < s->queue_count)
        printf("and %zu more queues; --limit 0 prints all\n", s->queue_count - rows);
    print_held_note(s);
}

int verb_queue_list(const struct arguments *a)
{
    struct survey s;
    struct ask *k;
    uint64_t limit;

    if (argument_number(a, "limit", 0, UINT32_MAX, LIST_ROWS, &limit) < 0)
        return EXIT_BAD_USAGE;
    if (argument_is_given(a, "held"))
        return held_list(a, (size_t) limit);
    int status = ask_open_partly(a, &k);
    if (status != EXIT_OK)
        return status;
    status = survey_take(k, &s);
    ask_close(k);
    if (status != EXIT_OK)
        return status;
    merge_fanout(&s);
    if (s.queue_count)
        qsort(s.queues, s.queue_count, sizeof(*s.queues), compare_queues);
    size_t rows = limit && limit < s.queue_count ? (size_t) limit : s.queue_count;
    if (a->is_json) {
        struct json *json = json_new_object(), *list = json_new_array();
        for (size_t i = 0; i < rows; i++)
            json_put(list, NULL, queue_json(&s, &s.queues[i]));
        json_put_number(json, "count", (int64_t) s.queue_count);
        json_put(json, "queues", list);
        json_put_number(json, "held", (int64_t) s.held);
        put_reasons(json, &s);
        print_json(json);
    } else {
        print_list(&s, rows);
    }
    survey_done(&s);
    return EXIT_OK;
}
