/* why, of a queue: its jobs by place, what stands in their way, when the first can move. */
#include "base/mem.h"
#include "ctl/outlook.h"
#include "ctl/print.h"
#include "ctl/selection.h"
#include "ctl/why.h"

struct why {
    const char *queue;
    unsigned first, last; /* partitions */
    struct health health;
    struct ruling ruling;
    struct outlook *outlooks; /* of each of them */
    uint64_t claimed, held;
    char *held_because; /* of one of them */
};

static int on_page(void *context, struct selected *jobs, size_t count, uint64_t now_ms)
{
    struct why *w = context;

    (void) now_ms;
    for (size_t i = 0; i < count; i++) {
        w->claimed += jobs[i].place == PLACE_CLAIMED;
        w->held += jobs[i].place == PLACE_HELD;
        if (jobs[i].place == PLACE_HELD && !*w->held_because) {
            mem_free(w->held_because);
            w->held_because = mem_string(jobs[i].record.held_because);
        }
    }
    return EXIT_OK;
}

static int why_read(struct ask *k, struct why *w)
{
    const struct selection s = {.queue = w->queue, .claimed = true, .held = true};

    int status = ruling_read(k, &w->ruling);

    if (status != EXIT_OK)
        return status;
    for (unsigned partition = w->first; partition <= w->last; partition++)
        outlook_ask(k, &w->outlooks[partition - w->first], &w->ruling, w->queue, partition);
    health_ask(k, &w->health);
    status = ask_wait(k);
    return status == EXIT_OK ? selection_walk(k, &s, on_page, w) : status;
}

/* #fanout is in every partition: what is told is of the one with most due jobs, counts are of all. */
static const struct outlook *sum_up(const struct why *w, struct outlook *ret_sum)
{
    const struct outlook *worst = &w->outlooks[0];

    *ret_sum = *worst;
    for (unsigned i = 1; i <= w->last - w->first; i++) {
        const struct outlook *o = &w->outlooks[i];
        ret_sum->waiting += o->waiting;
        ret_sum->due += o->due;
        if (o->next_ms && (!ret_sum->next_ms || o->next_ms < ret_sum->next_ms))
            ret_sum->next_ms = o->next_ms;
        if (o->has_oldest && (!ret_sum->has_oldest ||
                              memcmp(o->oldest.bytes, ret_sum->oldest.bytes, sizeof(o->oldest.bytes)) < 0)) {
            ret_sum->oldest = o->oldest;
            ret_sum->has_oldest = true;
        }
        if (o->due > worst->due)
            worst = o;
    }
    return worst;
}

static void add_reason(struct buf *out, const struct why *w, const struct outlook *sum,
                       const struct outlook *worst)
{
    AUTO_BUF struct buf causes = {.data = NULL};

    add_queue_causes(&causes, worst, &w->health);
    if (sum->waiting == 0 && w->claimed == 0 && w->held == 0)
        buf_add_text(out, "it has no jobs");
    else if (sum->waiting == 0 && w->claimed > 0)
        buf_add_text(out, "all its jobs are at work");
    else if (sum->waiting == 0)
        buf_add_text(out,
                     "all its jobs are held: they stay until `baridctl queue release`, `bounce` or `delete`");
    else if (sum->due == 0)
        buf_add_text(out, "no job is due yet");
    else if (causes.len == 0)
        buf_printf(out, "%llu jobs are due; they go as its limits and its destination allow",
                   (unsigned long long) sum->due);
    if (causes.len > 0 && (sum->waiting > 0 || is_suspended(worst)))
        buf_printf(out, "%s%.*s", out->len ? "; " : "", SPAN_ARG(buf_span(&causes)));
}

static void print_why_json(const struct why *w)
{
    struct outlook sum;
    const struct outlook *worst = sum_up(w, &sum);
    struct json *json = json_new_object();
    AUTO_BUF struct buf reason = {.data = NULL};

    add_reason(&reason, w, &sum, worst);
    put_outlook(json, &sum, &w->health);
    json_put_number(json, "claimed", (int64_t) w->claimed);
    json_put_number(json, "held", (int64_t) w->held);
    json_put_text(json, "held_because", span_of(w->held_because));
    if (sum.next_ms && !is_suspended(worst))
        json_put_number(json, "next_in_ms", (int64_t) (outlook_next_ms(&sum, sum.next_ms) - sum.now_ms));
    else
        json_put_null(json, "next_in_ms");
    json_put_text(json, "because", buf_span(&reason));
    print_json(json);
}

static void print_why(const struct why *w)
{
    struct outlook sum;
    const struct outlook *worst = sum_up(w, &sum);
    AUTO_BUF struct buf out = {.data = NULL};

    buf_add_printable(&out, span_of(w->queue), QUEUE_TEXT_MAX * 4);
    buf_printf(&out, ": %llu waiting, %llu of them due, %llu claimed, %llu held\n  ",
               (unsigned long long) sum.waiting, (unsigned long long) sum.due,
               (unsigned long long) w->claimed, (unsigned long long) w->held);
    add_reason(&out, w, &sum, worst);
    if (sum.has_oldest) {
        char oldest[ID_TEXT_LEN + 1];
        id_format(&sum.oldest, oldest);
        buf_printf(&out, "\n  the oldest that waits: %s, ", oldest);
        add_duration(&out, later_by(sum.now_ms, id_time_ms(&sum.oldest)));
    }
    if (sum.next_ms && !is_suspended(worst) && outlook_next_ms(&sum, sum.next_ms) > sum.now_ms) {
        buf_add_text(&out, "\n  the first moves in ");
        add_duration(&out, outlook_next_ms(&sum, sum.next_ms) - sum.now_ms);
        buf_add_text(&out, " at the earliest");
    }
    if (paused_for_ms(worst) == 0 && *worst->error) {
        buf_add_text(&out, "\n  it was paused before: ");
        buf_add_printable(&out, span_of(worst->error), QUEUE_TEXT_MAX * 4);
    }
    if (*w->held_because) {
        buf_add_text(&out, "\n  held, one of them: ");
        buf_add_printable(&out, span_of(w->held_because), QUEUE_TEXT_MAX * 4);
    }
    buf_add_text(&out, "\n  limits: ");
    add_limits(&out, w->queue);
    if (w->first == w->last && is_owned(worst)) {
        buf_printf(&out, "\n  partition %u, of ", worst->partition);
        add_node(&out, &w->health, ROLE_DISPATCHER, worst->owner);
    }
    buf_add_char(&out, '\n');
    print_buf(&out);
}

int why_queue(const struct arguments *a, const char *queue)
{
    struct why w = {.queue = queue};
    struct ask *k;

    int status = queue_name_check(queue);
    if (status == EXIT_OK)
        status = ask_open_partly(a, &k);
    if (status != EXIT_OK)
        return status;
    queue_partitions(queue, &w.first, &w.last);
    if (w.first == w.last && (status = ask_reaches(k, w.first, queue)) != EXIT_OK) {
        ask_close(k);
        return status;
    }
    w.outlooks = mem_array(w.last - w.first + 1, sizeof(*w.outlooks));
    w.held_because = mem_string("");
    interrupt_watch();
    status = why_read(k, &w);
    ask_close(k);
    if (status == EXIT_OK && a->is_json)
        print_why_json(&w);
    else if (status == EXIT_OK)
        print_why(&w);
    for (unsigned i = 0; i <= w.last - w.first; i++)
        outlook_done(&w.outlooks[i]);
    mem_free(w.outlooks);
    mem_free(w.held_because);
    ruling_done(&w.ruling);
    health_done(&w.health);
    return status;
}
