/* The cluster's figures as tables. */
#include "ctl/top.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/busy_sum.h"
#include "ctl/print.h"

enum { QUEUE_ROWS_MAX = 1000, STATE_WORDS_MAX = 60 };

static const struct {
    const char *name, *headings;
} views[] = {
#define VIEW(NAME, name, key, headings, sorted, turned) [VIEW_##NAME] = {name, headings},
#include "ctl/top.def"
#undef VIEW
};

/* ---- read ---- */

static int compare_waiting(const void *left, const void *right)
{
    const struct survey_queue *a = left, *b = right;

    return a->waiting != b->waiting ? (a->waiting > b->waiting ? -1 : 1) : strcmp(a->name, b->name);
}

int figures_read(struct ask *k, struct figures *f)
{
    uint64_t began_ms = clock_ms();
    struct survey survey;
    int status = survey_take(k, &survey);

    if (status != EXIT_OK)
        return status;
    survey_done(&f->survey);
    f->survey = survey;
    if (survey.queue_count)
        qsort(survey.queues, survey.queue_count, sizeof(*survey.queues), compare_waiting);
    ruling_done(&f->ruling);
    status = ruling_read(k, &f->ruling);
    if (status != EXIT_OK)
        return status;
    health_ask(k, &f->health);
    status = ask_wait(k);
    if (status == EXIT_OK)
        pulses_note(&f->pulses, &f->health.view);
    f->took_ms = clock_ms() - began_ms;
    return status;
}

void figures_done(struct figures *f)
{
    survey_done(&f->survey);
    health_done(&f->health);
    ruling_done(&f->ruling);
    pulses_done(&f->pulses);
}

/* ---- nodes ---- */

static const char *state_of(const struct figures *f, const struct node_peer *p)
{
    if (p->stats.role == ROLE_COUNT)
        return "joining";
    if (!is_beating(&f->health, p))
        return "SILENT";
    if (p->stats.is_draining)
        return "draining";
    return p->stats.store_audit_ok ? "works" : "NO STORE";
}

static void fill_nodes(const struct figures *f, struct sheet *s)
{
    for (size_t i = 0; i < f->health.view.count; i++) {
        const struct node_peer *p = &f->health.view.peers[i];
        bool lives = is_beating(&f->health, p);
        sheet_text(s, span_of(p->stats.name));
        sheet_text(s, span_of(role_name(p->stats.role)));
        sheet_text(s, span_of(state_of(f, p)));
        sheet_count(s, p->stats.sessions);
        sheet_count(s, p->stats.claimed);
        sheet_count(s, p->stats.partitions);
        for (enum pulse what = PULSE_ACCEPTED; what <= PULSE_FAILED; what++)
            sheet_rate(s, lives ? pulse_rate(&f->pulses, p->incarnation, what) : 0);
        sheet_count(s, p->stats.in_doubt);
        sheet_time(s, beat_age_ms(&f->health, p), p->stats.role != ROLE_COUNT);
    }
}

/* ---- queues and sites, with what couriers do for them ---- */

static void fill_sites(const struct figures *f, struct sheet *s)
{
    struct busy_sums sums;

    busy_sums_read(&f->health.view, f->health.now_ms, true, &sums);
    for (size_t i = 0; i < sums.count; i++) {
        const struct busy_sum *sum = &sums.all[i];
        sheet_text(s, span_of(sum->name));
        sheet_count(s, sum->connections);
        sheet_count(s, sum->granted);
        if (sum->has_rate_limit)
            sheet_count(s, sum->rate);
        else
            sheet_text(s, span_of("")); /* no limit */
        sheet_count(s, sum->jobs);
        sheet_count(s, sum->queues);
        sheet_count(s, sum->couriers);
    }
    busy_sums_done(&sums);
}

static void add_state(const struct figures *f, const struct survey_queue *q, struct buf *out)
{
    const struct rule *rule = ruling_suspends(&f->ruling, q->name);

    if (rule) {
        buf_add_text(out, "suspended by ");
        rule_id_add(rule->number, out);
    } else if (q->paused_until_ms > f->survey.now_ms) {
        buf_add_text(out, "paused for ");
        add_duration(out, q->paused_until_ms - f->survey.now_ms);
        buf_add_text(out, ": ");
        buf_add_printable(out, span_of(q->error), STATE_WORDS_MAX);
    }
}

static void add_queue(const struct figures *f, const struct survey_queue *q, const struct busy_sum *work,
                      struct sheet *s)
{
    AUTO_BUF struct buf state = {.data = NULL};

    add_state(f, q, &state);
    sheet_text(s, span_of(q->name));
    sheet_count(s, q->waiting);
    sheet_count(s, q->due);
    sheet_time(s, later_by(q->next_ms, f->survey.now_ms), q->next_ms > 0);
    sheet_time(s, q->has_oldest ? survey_age_ms(&f->survey, &q->oldest) : 0, q->has_oldest);
    sheet_count(s, work ? work->jobs : 0);
    sheet_count(s, work ? work->connections : 0);
    sheet_text(s, buf_span(&state));
}

/* The longest ones, and those that are worked without anything waiting. */
static void fill_queues(const struct figures *f, struct sheet *s)
{
    struct busy_sums sums;

    busy_sums_read(&f->health.view, f->health.now_ms, false, &sums);
    for (size_t i = 0; i < f->survey.queue_count && i < QUEUE_ROWS_MAX; i++) {
        const struct survey_queue *q = &f->survey.queues[i];
        struct busy_sum *work = busy_sums_find(&sums, span_of(q->name));
        add_queue(f, q, work, s);
        if (work)
            work->queues = 0; /* shown */
    }
    for (size_t j = 0; j < sums.count; j++) {
        struct survey_queue q = {.name = sums.all[j].name};
        if (sums.all[j].queues > 0)
            add_queue(f, &q, &sums.all[j], s);
    }
    busy_sums_done(&sums);
}

/* ---- verdicts ---- */

static uint64_t sum_of_class(const struct figures *f, enum bounce bounce, bool is_failed)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < f->health.view.count; i++) {
        const struct node_stats *stats = &f->health.view.peers[i].stats;
        sum += is_failed ? stats->failed_as[bounce] : stats->deferred_as[bounce];
    }
    return sum;
}

static void fill_verdicts(const struct figures *f, struct sheet *s)
{
    for (enum bounce b = 1; b < BOUNCE_COUNT; b++) {
        uint64_t deferred = sum_of_class(f, b, false), failed = sum_of_class(f, b, true);
        if (deferred + failed == 0)
            continue;
        sheet_text(s, span_of(bounce_name(b)));
        sheet_rate(s, pulse_rate_of_class(&f->pulses, b, false));
        sheet_rate(s, pulse_rate_of_class(&f->pulses, b, true));
        sheet_count(s, deferred);
        sheet_count(s, failed);
    }
}

void figures_view(const struct figures *f, enum view view, struct sheet *ret_sheet)
{
    static void (*const fill[])(const struct figures *f, struct sheet *s) = {
        [VIEW_NODES] = fill_nodes,
        [VIEW_QUEUES] = fill_queues,
        [VIEW_SITES] = fill_sites,
        [VIEW_VERDICTS] = fill_verdicts,
    };

    sheet_init(ret_sheet, views[view].name, views[view].headings);
    fill[view](f, ret_sheet);
}

/* ---- above the tables ---- */

static void add_causes(const struct figures *f, struct buf *out)
{
    AUTO_BUF struct buf why = {.data = NULL};

    add_cluster_causes(&why, &f->health);
    if (f->survey.leased < PARTITION_COUNT)
        add_cause(&why, "%u of %d partitions have no dispatcher", PARTITION_COUNT - f->survey.leased,
                  PARTITION_COUNT);
    if (why.len)
        buf_printf(out, "NOT READY: %.*s", SPAN_ARG(buf_span(&why)));
    else
        buf_add_text(out, "ready");
}

void figures_add_state(const struct figures *f, struct buf *out)
{
    const struct survey *q = &f->survey;

    buf_add_text(out, "barid   ");
    add_causes(f, out);
    buf_add_text(out, "; store ");
    add_bytes(out, f->health.memory.used_bytes);
    if (f->health.memory.most_bytes) {
        buf_add_text(out, " of ");
        add_bytes(out, f->health.memory.most_bytes);
    }
    buf_printf(out, "\nqueue   %llu waiting, %llu due, %llu claimed, %llu held, in %zu queues",
               (unsigned long long) q->waiting, (unsigned long long) q->due, (unsigned long long) q->claimed,
               (unsigned long long) q->held, q->queue_count);
    if (q->has_oldest) {
        buf_add_text(out, "; the oldest waits ");
        add_duration(out, survey_age_ms(q, &q->oldest));
    }
    buf_printf(out, "\nrates   accepted %.1f/s, delivered %.1f/s, deferred %.1f/s, failed %.1f/s\n",
               pulse_rate_of_all(&f->pulses, PULSE_ACCEPTED), pulse_rate_of_all(&f->pulses, PULSE_DELIVERED),
               pulse_rate_of_all(&f->pulses, PULSE_DEFERRED), pulse_rate_of_all(&f->pulses, PULSE_FAILED));
}

struct json *figures_rates_json(const struct figures *f)
{
    struct json *json = json_new_object();

    json_put_real(json, "accepted", pulse_rate_of_all(&f->pulses, PULSE_ACCEPTED));
    json_put_real(json, "delivered", pulse_rate_of_all(&f->pulses, PULSE_DELIVERED));
    json_put_real(json, "deferred", pulse_rate_of_all(&f->pulses, PULSE_DEFERRED));
    json_put_real(json, "failed", pulse_rate_of_all(&f->pulses, PULSE_FAILED));
    return json;
}
