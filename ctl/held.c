/* queue list --held: all are walked, the last ones kept. */
#include "ctl/held.h"

#include "base/mem.h"
#include "ctl/print.h"
#include "ctl/selection.h"
#include "ctl/survey.h"

struct held {
    char *job, *because;
    unsigned partition;
    uint64_t since_ms;
    struct json *json; /* one or the other: */
    char *queue, *from, *to;
};

struct held_walk {
    size_t limit;
    bool is_json;
    uint64_t now_ms;
    struct survey reasons; /* only held and its reasons */
    struct held *jobs;
    size_t count, room;
};

static void held_done(struct held *h)
{
    mem_free(h->job);
    mem_free(h->because);
    mem_free(h->queue);
    mem_free(h->from);
    mem_free(h->to);
    json_free(h->json);
}

static int compare_held(const void *left, const void *right)
{
    const struct held *a = left, *b = right;

    if (a->since_ms != b->since_ms)
        return a->since_ms > b->since_ms ? -1 : 1;
    return strcmp(a->job, b->job);
}

static void cut_to(struct held_walk *w, size_t most)
{
    if (w->count)
        qsort(w->jobs, w->count, sizeof(*w->jobs), compare_held);
    while (w->count > most)
        held_done(&w->jobs[--w->count]);
}

static const char *reason_of(const struct record *r)
{
    if (*r->held_because)
        return r->held_because;
    return r->is_there ? "" : "no record";
}

static void keep(struct held_walk *w, const struct selected *s)
{
    const struct record *r = &s->record;
    struct held h = {.job = mem_string(s->job),
                     .because = mem_string(reason_of(r)),
                     .partition = s->partition,
                     .since_ms = s->score};

    if (w->is_json) {
        h.json = json_new_object();
        json_put_text(h.json, "job", span_of(h.job));
        json_put_text(h.json, "queue", span_of(r->queue));
        json_put_number(h.json, "partition", s->partition);
        json_put_number(h.json, "since_ms", (int64_t) later_by(w->now_ms, s->score));
        json_put_text(h.json, "because", span_of(h.because));
        json_put_number(h.json, "crashes", r->crashes);
        put_record(h.json, r, w->now_ms);
    } else {
        struct buf to = {.data = NULL};
        if (r->is_readable)
            add_open_recipients(&to, r);
        h.queue = mem_string(r->queue);
        h.from = mem_string(!r->is_readable ? "?" : *r->envelope.sender ? r->envelope.sender : "<>");
        h.to = buf_steal_text(&to);
    }
    if (w->count == w->room) {
        w->room = w->room ? 2 * w->room : 64;
        w->jobs = mem_resize(w->jobs, w->room * sizeof(*w->jobs));
    }
    w->jobs[w->count++] = h;
}

static int on_page(void *context, struct selected *jobs, size_t count, uint64_t now_ms)
{
    struct held_walk *w = context;

    w->now_ms = now_ms;
    for (size_t i = 0; i < count; i++) {
        survey_note_reason(&w->reasons, span_of(reason_of(&jobs[i].record)));
        keep(w, &jobs[i]);
    }
    if (w->limit)
        cut_to(w, w->limit);
    return EXIT_OK;
}

static void print_held_json(struct held_walk *w)
{
    struct json *json = json_new_object(), *list = json_new_array();

    for (size_t i = 0; i < w->count; i++)
        json_put(list, NULL, STEAL(w->jobs[i].json));
    json_put_number(json, "count", (int64_t) w->reasons.reasons_of);
    put_reasons(json, &w->reasons);
    json_put(json, "held", list);
    print_json(json);
}

static void print_held(const struct held_walk *w)
{
    AUTO_BUF struct buf sum = {.data = NULL};
    struct grid t;

    if (w->reasons.reasons_of == 0) {
        printf("no job is held\n");
        return;
    }
    add_reasons(&sum, &w->reasons);
    printf("%llu held: %.*s\n", (unsigned long long) w->reasons.reasons_of, SPAN_ARG(buf_span(&sum)));
    grid_init(&t, "job|>since|queue|from|to|because");
    for (size_t i = 0; i < w->count; i++) {
        const struct held *h = &w->jobs[i];
        AUTO_BUF struct buf since = {.data = NULL};
        add_duration(&since, later_by(w->now_ms, h->since_ms));
        grid_cell_safe(&t, span_of(h->job));
        grid_cell_safe(&t, buf_span(&since));
        grid_cell_safe(&t, span_of(h->queue));
        grid_cell_safe(&t, span_of(h->from));
        grid_cell_safe(&t, span_of(h->to));
        grid_cell_safe(&t, span_of(h->because));
    }
    grid_print(&t);
    grid_done(&t);
    if (w->count < w->reasons.reasons_of)
        printf("and %llu more; --limit 0 prints all\n",
               (unsigned long long) w->reasons.reasons_of - w->count);
}

int held_list(const struct arguments *a, size_t limit)
{
    const struct selection s = {.held = true, .with_texts = true};
    struct held_walk w = {.limit = limit, .is_json = a->is_json};
    struct ask *k;
    int status = ask_open_partly(a, &k);

    if (status != EXIT_OK)
        return status;
    interrupt_watch();
    status = selection_walk(k, &s, on_page, &w);
    ask_close(k);
    cut_to(&w, limit ? limit : SIZE_MAX);
    if (status == EXIT_OK && a->is_json)
        print_held_json(&w);
    else if (status == EXIT_OK)
        print_held(&w);
    cut_to(&w, 0);
    mem_free(w.jobs);
    survey_done(&w.reasons);
    return status;
}
