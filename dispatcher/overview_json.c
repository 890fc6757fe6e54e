/* The status page's figures, as JSON. Addresses and content are not among them. */
#include "base/mem.h"
#include "cluster/busy_sum.h"
#include "dispatcher/obey.h"
#include "dispatcher/overview.h"

static int64_t since(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms && then_ms < now_ms ? (int64_t) (now_ms - then_ms) : 0;
}

static int64_t until(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms > now_ms ? (int64_t) (then_ms - now_ms) : 0;
}

/* ---- what stops mail ---- */

static bool is_working(const struct overview_moment *m, const struct node_peer *p)
{
    return node_is_beating(p, m->redis_ms) && p->stats.store_audit_ok && !p->stats.is_draining;
}

static unsigned partitions_held(const struct overview_moment *m)
{
    uint64_t held = 0;

    for (size_t i = 0; i < m->view->count; i++)
        if (m->view->peers[i].stats.role == ROLE_DISPATCHER &&
            node_is_beating(&m->view->peers[i], m->redis_ms))
            held += m->view->peers[i].stats.partitions;
    return held < PARTITION_COUNT ? (unsigned) held : PARTITION_COUNT;
}

static void put_causes(struct json *json, const struct overview_moment *m)
{
    struct json *causes = json_new_array();
    unsigned held = partitions_held(m), away = m->overview->last.away;
    AUTO_BUF struct buf words = {.data = NULL};

    if (*m->trouble)
        json_put_text(causes, NULL, span_of(m->trouble));
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        bool works = false;
        for (size_t i = 0; i < m->view->count && !works; i++)
            works = m->view->peers[i].stats.role == role && is_working(m, &m->view->peers[i]);
        buf_clear(&words);
        buf_printf(&words, "no %s works", role_name(role));
        if (!works)
            json_put_text(causes, NULL, buf_span(&words));
    }
    buf_clear(&words);
    buf_printf(&words, "%u of %d partitions have no dispatcher", PARTITION_COUNT - held, PARTITION_COUNT);
    if (held < PARTITION_COUNT)
        json_put_text(causes, NULL, buf_span(&words));
    buf_clear(&words);
    buf_printf(&words, "%u of %d partitions did not answer: their Redis is away", away, PARTITION_COUNT);
    if (away > 0)
        json_put_text(causes, NULL, buf_span(&words));
    json_put(json, "causes", causes);
    json_put_number(json, "partitions", PARTITION_COUNT);
    json_put_number(json, "partitions_held", held);
}

/* ---- the queue ---- */

static struct json *queue_json(const struct overview_moment *m)
{
    const struct overview *o = m->overview;
    const struct overview_sum *sum = &o->last;
    struct json *json = json_new_object();

    json_put_number(json, "waiting", (int64_t) sum->waiting);
    json_put_number(json, "due", (int64_t) sum->due);
    json_put_number(json, "claimed", (int64_t) sum->claimed);
    json_put_number(json, "held", (int64_t) sum->held);
    json_put_number(json, "queues", (int64_t) sum->queues);
    json_put_number(json, "paused", (int64_t) sum->paused);
    json_put_number(json, "suspended", (int64_t) sum->suspended);
    json_put_number(json, "oldest_ms", since(sum->oldest_ms, m->redis_ms));
    json_put_number(json, "late_ms", (int64_t) sum->tardy_ms);
    json_put_number(json, "age_ms", (int64_t) (m->now_ms - o->last_ms));
    json_put_number(json, "took_ms", (int64_t) o->took_ms);
    json_put_flag(json, "partial", sum->is_partial);
    return json;
}

static const char *state_of(const struct overview_moment *m, struct span name, uint64_t paused_until_ms,
                            bool is_worked, uint64_t due)
{
    if (m->overview->rules && rules_suspend(m->overview->rules, name))
        return "suspended";
    if (paused_until_ms > m->redis_ms)
        return "paused";
    return is_worked ? "worked" : due ? "due" : "waiting";
}

static struct json *one_queue(const struct overview_moment *m, const struct overview_queue *q,
                              const struct busy_sum *work)
{
    struct json *json = json_new_object();
    const char *state = state_of(m, span_of(q->name), q->paused_until_ms, work != NULL, q->due);

    json_put_text(json, "name", span_of(q->name));
    json_put_text(json, "state", span_of(state));
    json_put_number(json, "waiting", (int64_t) q->waiting);
    json_put_number(json, "due", (int64_t) q->due);
    json_put_number(json, "next_ms", until(q->next_ms, m->redis_ms));
    json_put_number(json, "oldest_ms", since(q->oldest_ms, m->redis_ms));
    json_put_number(json, "paused_ms", until(q->paused_until_ms, m->redis_ms));
    json_put_text(json, "error", span_of(q->paused_until_ms > m->redis_ms ? q->error : ""));
    json_put_number(json, "claimed", (int64_t) (work ? work->jobs : 0));
    json_put_number(json, "connections", (int64_t) (work ? work->connections : 0));
    return json;
}

/* The longest ones, then those that are worked without anything waiting. */
static struct json *queues_json(const struct overview_moment *m)
{
    const struct overview_sum *sum = &m->overview->last;
    struct json *list = json_new_array();
    struct busy_sums works;
    size_t count = sum->top_count;

    busy_sums_read(m->view, m->redis_ms, false, &works);
    for (size_t i = 0; i < sum->top_count; i++) {
        struct busy_sum *work = busy_sums_find(&works, span_of(sum->top[i].name));
        json_put(list, NULL, one_queue(m, &sum->top[i], work));
        if (work)
            work->queues = 0; /* shown */
    }
    for (size_t i = 0; i < works.count && count < OVERVIEW_QUEUES; i++) {
        const struct overview_queue q = {.name = works.all[i].name};
        if (works.all[i].queues == 0)
            continue;
        json_put(list, NULL, one_queue(m, &q, &works.all[i]));
        count++;
    }
    busy_sums_done(&works);
    return list;
}

/* ---- sites, nodes, rates ---- */

static struct json *sites_json(const struct overview_moment *m)
{
    struct json *list = json_new_array();
    struct busy_sums sums;

    busy_sums_read(m->view, m->redis_ms, true, &sums);
    for (size_t i = 0; i < sums.count && i < OVERVIEW_SITES; i++) {
        const struct busy_sum *sum = &sums.all[i];
        struct json *json = json_new_object();
        json_put_text(json, "name", span_of(sum->name));
        json_put_number(json, "connections", (int64_t) sum->connections);
        json_put_number(json, "granted", (int64_t) sum->granted);
        if (sum->has_rate_limit)
            json_put_number(json, "rate", (int64_t) sum->rate);
        else
            json_put_null(json, "rate");
        json_put_number(json, "claimed", (int64_t) sum->jobs);
        json_put_number(json, "queues", (int64_t) sum->queues);
        json_put_number(json, "couriers", (int64_t) sum->couriers);
        json_put(list, NULL, json);
    }
    busy_sums_done(&sums);
    return list;
}

static const char *node_state(const struct overview_moment *m, const struct node_peer *p)
{
    if (p->stats.role == ROLE_COUNT)
        return "joining";
    if (!node_is_beating(p, m->redis_ms))
        return "silent";
    if (p->stats.is_draining)
        return "draining";
    return p->stats.store_audit_ok ? "works" : "no store";
}

static void put_rates(struct json *json, const struct pulses *p, uint64_t incarnation)
{
    static const char *const names[] = {[PULSE_ACCEPTED] = "accepted",
                                        [PULSE_DELIVERED] = "delivered",
                                        [PULSE_DEFERRED] = "deferred",
                                        [PULSE_FAILED] = "failed"};

    for (enum pulse what = PULSE_ACCEPTED; what <= PULSE_FAILED; what++)
        json_put_real(json, names[what],
                      incarnation ? pulse_rate(p, incarnation, what) : pulse_rate_of_all(p, what));
}

static struct json *node_json(const struct overview_moment *m, const struct node_peer *p)
{
    struct json *json = json_new_object(), *rates = json_new_object();

    json_put_text(json, "name", span_of(p->stats.name));
    json_put_text(json, "role", span_of(p->stats.role == ROLE_COUNT ? "" : role_name(p->stats.role)));
    json_put_text(json, "state", span_of(node_state(m, p)));
    json_put_text(json, "version", span_of(p->stats.version));
    json_put_number(json, "sessions", (int64_t) p->stats.sessions);
    json_put_number(json, "claimed", (int64_t) p->stats.claimed);
    json_put_number(json, "partitions", (int64_t) p->stats.partitions);
    json_put_number(json, "in_doubt", (int64_t) p->stats.in_doubt);
    json_put_number(json, "beat_ms", since(p->stats.beat_ms, m->redis_ms));
    put_rates(rates, &m->overview->pulses, p->incarnation);
    json_put(json, "rates", rates);
    return json;
}

static struct json *nodes_json(const struct overview_moment *m)
{
    struct json *list = json_new_array();
    size_t shown = 0;

    for (enum role role = 0; role <= ROLE_COUNT; role++)
        for (size_t i = 0; i < m->view->count && shown < OVERVIEW_NODES; i++)
            if (m->view->peers[i].stats.role == role) {
                json_put(list, NULL, node_json(m, &m->view->peers[i]));
                shown++;
            }
    return list;
}

static struct json *verdicts_json(const struct overview_moment *m)
{
    struct json *list = json_new_array();

    for (enum bounce b = 1; b < BOUNCE_COUNT; b++) {
        uint64_t deferred = 0, failed = 0;
        for (size_t i = 0; i < m->view->count; i++) {
            deferred += m->view->peers[i].stats.deferred_as[b];
            failed += m->view->peers[i].stats.failed_as[b];
        }
        if (deferred + failed == 0)
            continue;
        struct json *json = json_new_object();
        json_put_text(json, "class", span_of(bounce_name(b)));
        json_put_number(json, "deferred", (int64_t) deferred);
        json_put_number(json, "failed", (int64_t) failed);
        json_put_real(json, "deferred_rate", pulse_rate_of_class(&m->overview->pulses, b, false));
        json_put_real(json, "failed_rate", pulse_rate_of_class(&m->overview->pulses, b, true));
        json_put(list, NULL, json);
    }
    return list;
}

struct json *overview_json(const struct overview_moment *m)
{
    const struct overview *o = m->overview;
    struct json *json = json_new_object(), *rates = json_new_object();

    json_put_text(json, "node", span_of(m->name));
    json_put_text(json, "version", span_of(m->version));
    json_put_number(json, "redis_ms", (int64_t) m->redis_ms);
    json_put_number(json, "memory_percent", m->memory_percent);
    put_causes(json, m);
    json_put_number(json, "suspensions", (int64_t) (o->rules ? rules_count(o->rules, RULE_SUSPEND) : 0));
    json_put_number(json, "rules", (int64_t) (o->rules ? o->rules->count : 0));
    if (o->last_ms)
        json_put(json, "queue", queue_json(m));
    else
        json_put_null(json, "queue");
    put_rates(rates, &o->pulses, 0);
    json_put(json, "rates", rates);
    json_put_flag(json, "rates_known", o->pulses.count > 0 && pulses_are_known(&o->pulses));
    json_put_number(json, "nodes_all", (int64_t) m->view->count);
    json_put(json, "queues", queues_json(m));
    json_put(json, "sites", sites_json(m));
    json_put(json, "nodes", nodes_json(m));
    json_put(json, "verdicts", verdicts_json(m));
    return json;
}
