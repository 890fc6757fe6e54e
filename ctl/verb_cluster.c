/* status: the cluster in one look. */
#include "base/conf.h"
#include "base/mem.h"
#include "ctl/away.h"
#include "ctl/health.h"
#include "ctl/print.h"
#include "ctl/ruling.h"
#include "ctl/survey.h"
#include "ctl/verb.h"

enum { DURABILITY_NONE = 1 };

struct overview {
    struct survey survey;
    struct health health;
    struct ruling ruling;
    char *why_not; /* ready, one sentence; "" when it is */
};

static void judge(struct overview *s)
{
    struct buf why = {.data = NULL};

    add_cluster_causes(&why, &s->health);
    unsigned told = PARTITION_COUNT - away_partitions();
    if (s->survey.leased < told)
        add_cause(&why, "%u of %d partitions have no dispatcher", told - s->survey.leased, PARTITION_COUNT);
    s->why_not = buf_steal_text(&why);
}

/* ---- as JSON */

static struct json *node_json(const struct overview *s, const struct node_peer *p)
{
    struct json *json = json_new_object();
    const struct node_stats *stats = &p->stats;
    bool has_beaten = stats->role != ROLE_COUNT;

    json_put_text(json, "role", span_of(has_beaten ? role_name(stats->role) : "unknown"));
    json_put_text(json, "name", span_of(stats->name));
    json_put_number(json, "incarnation", (int64_t) p->incarnation);
    json_put_text(json, "version", span_of(stats->version));
    json_put_text(json, "http", span_of(stats->http));
    json_put_text(json, "bus", span_of(stats->bus));
    json_put_flag(json, "beating", is_beating(&s->health, p));
    if (has_beaten)
        json_put_number(json, "beat_age_ms", (int64_t) beat_age_ms(&s->health, p));
    else
        json_put_null(json, "beat_age_ms");
    json_put_number(json, "started_ms", (int64_t) stats->started_ms);
    json_put_flag(json, "store_ok", stats->store_audit_ok);
    json_put_flag(json, "draining", stats->is_draining);
    json_put_number(json, "sessions", (int64_t) stats->sessions);
    json_put_number(json, "accepted", (int64_t) stats->accepted);
    json_put_number(json, "delivered", (int64_t) stats->delivered);
    json_put_number(json, "deferred", (int64_t) stats->deferred);
    json_put_number(json, "failed", (int64_t) stats->failed);
    json_put_number(json, "in_doubt", (int64_t) stats->in_doubt);
    json_put_number(json, "claimed", (int64_t) stats->claimed);
    json_put_number(json, "capacity", (int64_t) stats->capacity);
    json_put_number(json, "partitions", (int64_t) stats->partitions);
    json_put_number(json, "queues_active", (int64_t) stats->queues_active);
    return json;
}

static struct json *store_json(const struct overview *s)
{
    struct json *json = json_new_object();
    AUTO_FREE char *place = shards_place();

    json_put_text(json, "address", span_of(place));
    json_put_flag(json, "ok", s->health.is_store_ok);
    json_put_text(json, "durability",
                  span_of(conf_get()->store.durability == DURABILITY_NONE ? "none" : "fsync"));
    json_put_text(json, "trouble", span_of(s->health.trouble));
    json_put_number(json, "used_bytes", (int64_t) s->health.memory.used_bytes);
    json_put_number(json, "max_bytes", (int64_t) s->health.memory.most_bytes);
    return json;
}

static void print_status_json(const struct overview *s)
{
    struct json *json = json_new_object(), *nodes = json_new_array(), *partitions = json_new_object(),
                *queue = json_new_object();
    const struct survey *survey = &s->survey;
    char oldest[ID_TEXT_LEN + 1];

    json_put_flag(json, "ready", !*s->why_not);
    json_put_text(json, "why_not", span_of(s->why_not));
    for (size_t i = 0; i < s->health.view.count; i++)
        json_put(nodes, NULL, node_json(s, &s->health.view.peers[i]));
    json_put(json, "nodes", nodes);
    json_put_number(partitions, "total", PARTITION_COUNT);
    json_put_number(partitions, "leased", survey->leased);
    json_put(json, "partitions", partitions);
    json_put_number(queue, "due", (int64_t) survey->due);
    json_put_number(queue, "waiting", (int64_t) survey->waiting);
    json_put_number(queue, "claimed", (int64_t) survey->claimed);
    json_put_number(queue, "held", (int64_t) survey->held);
    put_reasons(queue, survey);
    json_put_number(queue, "queues", (int64_t) survey->queue_count);
    if (survey->has_oldest) {
        id_format(&survey->oldest, oldest);
        json_put_text(queue, "oldest", span_of(oldest));
        json_put_number(queue, "oldest_age_ms", (int64_t) survey_age_ms(survey, &survey->oldest));
    } else {
        json_put_null(queue, "oldest");
        json_put_null(queue, "oldest_age_ms");
    }
    json_put(json, "queue", queue);
    json_put(json, "rules", ruling_json(&s->ruling));
    json_put(json, "store", store_json(s));
    print_json(json);
}

/* ---- for people */

/* What its role makes worth telling. */
static void add_work(struct buf *out, const struct node_stats *s)
{
    if (s->role == ROLE_INGRESS)
        buf_printf(out, "%llu sessions, %llu accepted", (unsigned long long) s->sessions,
                   (unsigned long long) s->accepted);
    else if (s->role == ROLE_DISPATCHER)
        buf_printf(out, "%llu partitions, %llu queues with work", (unsigned long long) s->partitions,
                   (unsigned long long) s->queues_active);
    else if (s->role == ROLE_COURIER)
        buf_printf(out, "%llu claimed, %llu delivered, %llu deferred, %llu failed, %llu in doubt",
                   (unsigned long long) s->claimed, (unsigned long long) s->delivered,
                   (unsigned long long) s->deferred, (unsigned long long) s->failed,
                   (unsigned long long) s->in_doubt);
    buf_add_text(out, s->is_draining ? ", draining" : "");
    buf_add_text(out, s->role != ROLE_COUNT && !s->store_audit_ok ? ", WITHOUT STORE" : "");
}

static void print_nodes(const struct overview *s)
{
    struct grid t;

    grid_init(&t, "role|name|incarnation|version|up|beat|http|work");
    for (size_t i = 0; i < s->health.view.count; i++) {
        const struct node_peer *p = &s->health.view.peers[i];
        const struct node_stats *stats = &p->stats;
        bool has_beaten = stats->role != ROLE_COUNT;
        AUTO_BUF struct buf up = {.data = NULL}, beat = {.data = NULL}, work = {.data = NULL};
        if (stats->started_ms > 0 && stats->started_ms < s->health.now_ms)
            add_duration(&up, s->health.now_ms - stats->started_ms);
        if (has_beaten)
            add_duration(&beat, beat_age_ms(&s->health, p));
        add_work(&work, stats);
        grid_cell(&t, "%s", has_beaten ? role_name(stats->role) : "(joining)");
        grid_cell_safe(&t, span_of(stats->name));
        grid_cell(&t, "%llu", (unsigned long long) p->incarnation);
        grid_cell_safe(&t, span_of(stats->version));
        grid_cell_safe(&t, buf_span(&up));
        grid_cell(&t, "%.*s%s", SPAN_ARG(buf_span(&beat)),
                  has_beaten && !is_beating(&s->health, p) ? " SILENT" : "");
        grid_cell_safe(&t, span_of(stats->http));
        grid_cell_safe(&t, buf_span(&work));
    }
    grid_print(&t);
    grid_done(&t);
}

static void print_status(const struct overview *s)
{
    const struct survey *q = &s->survey;
    AUTO_BUF struct buf out = {.data = NULL}, suspended = {.data = NULL};
    AUTO_FREE char *place = shards_place();

    if (*s->why_not)
        buf_printf(&out, "NOT READY   %s\n", s->why_not);
    else
        buf_add_text(&out, "ready       mail is taken and delivered\n");
    buf_printf(&out, "queue       %llu due, %llu waiting, %llu claimed, %llu held, in %zu queues",
               (unsigned long long) q->due, (unsigned long long) q->waiting, (unsigned long long) q->claimed,
               (unsigned long long) q->held, q->queue_count);
    if (q->has_oldest) {
        char oldest[ID_TEXT_LEN + 1];
        id_format(&q->oldest, oldest);
        buf_printf(&out, "; the oldest is %s, ", oldest);
        add_duration(&out, survey_age_ms(q, &q->oldest));
    }
    if (q->held > 0) {
        buf_printf(&out, "\nHELD        %llu jobs wait for you: ", (unsigned long long) q->held);
        add_reasons(&out, q);
        buf_add_text(&out, "; `baridctl queue list --held` lists them");
    }
    add_suspensions(&suspended, &s->ruling);
    if (suspended.len > 0)
        buf_printf(&out, "\nSUSPENDED   %.*s", SPAN_ARG(buf_span(&suspended)));
    buf_printf(&out, "\npartitions  %u of %d have a dispatcher\nstore       %s, durability %s, ", q->leased,
               PARTITION_COUNT, place, conf_get()->store.durability == DURABILITY_NONE ? "none" : "fsync");
    add_bytes(&out, s->health.memory.used_bytes);
    buf_add_text(&out, " used");
    if (s->health.memory.most_bytes) {
        buf_add_text(&out, " of ");
        add_bytes(&out, s->health.memory.most_bytes);
    }
    if (*s->health.trouble)
        buf_printf(&out, "\n            %s", s->health.trouble);
    buf_add_text(&out, "\n\n");
    print_buf(&out);
    print_nodes(s);
}

static void status_done(struct overview *s)
{
    survey_done(&s->survey);
    health_done(&s->health);
    ruling_done(&s->ruling);
    mem_free(s->why_not);
}

int verb_status(const struct arguments *a)
{
    struct overview s = {.why_not = NULL};
    struct ask *k;

    int status = ask_open_partly(a, &k);
    if (status != EXIT_OK)
        return status;
    status = survey_take(k, &s.survey);
    if (status == EXIT_OK) {
        health_ask(k, &s.health);
        status = ask_wait(k);
    }
    if (status == EXIT_OK)
        status = ruling_read(k, &s.ruling);
    ask_close(k);
    if (status == EXIT_OK) {
        judge(&s);
        if (a->is_json)
            print_status_json(&s);
        else
            print_status(&s);
    }
    status_done(&s);
    return status;
}
