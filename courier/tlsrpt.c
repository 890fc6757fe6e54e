/*
 * What was counted since the last call to Redis: a tally for each domain and day. A tally asks DNS once whether the domain wants reports; the
 * answer is cached there. One call is under way at a time, so that a repeat is told from the next.
 */
#include "courier/tlsrpt.h"

#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/tls_setting.h"
#include "cluster/tlsrpt_settings.h"
#include "cluster/tlsrpt_store.h"
#include "courier/sts.h"
#include "courier/tlsrpt_private.h"
#include "courier/work.h"
#include "io/hash.h"
#include "io/http_client.h"
#include "mail/tlsrpt_record.h"

enum {
    PENDING_MAX = 20000, /* rows in memory */
    CALL_ROWS_MAX = 1000,
    CALL_TIME_MS = 30000,
    DAY_MS = 24 * 3600 * 1000,
    DATE_LEN = 10,
    AFTER_MIDNIGHT_MS = 5 * 60 * 1000, /* counts of the day before are in Redis by then */
};

struct row {
    char *text; /* of a policy; else NULL */
    uint64_t count;
};

struct tally {
    struct list link;
    struct tlsrpt *tlsrpt;
    struct dns_question *question;
    bool is_wanted; /* DNS says so, or does not answer: when the report is due it is asked again */
    uint64_t due_ms;
    struct map rows; /* field -> struct row */
    char name[TLSRPT_NAME_MAX + 1];
};

/* ---- tallies ---- */

static void tally_free(struct tally *y)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    if (y->question)
        dns_cancel(y->question);
    list_remove(&y->link);
    map_remove(&y->tlsrpt->tallies, span_of(y->name));
    y->tlsrpt->row_count -= y->rows.count;
    while (map_next(&y->rows, &cursor, &key, &value)) {
        mem_free(((struct row *) value)->text);
        mem_free(value);
    }
    map_done(&y->rows);
    mem_free(y);
}

/* NULL: no room. */
static struct tally *tally_of(struct tlsrpt *t, const char *domain)
{
    uint64_t now = store_redis_ms(t->courier->store), spread = conf_get()->tlsrpt.spread_ms;
    AUTO_BUF struct buf name = {.data = NULL};
    struct tally *y;

    clock_add_stamp(&name, now);
    name.len = DATE_LEN;
    buf_printf(&name, " %s", domain);
    y = map_get(&t->tallies, buf_span(&name));
    if (y || t->row_count >= PENDING_MAX || name.len > TLSRPT_NAME_MAX)
        return y;
    y = NEW(struct tally);
    y->tlsrpt = t;
    memcpy(y->name, name.data, name.len);
    y->due_ms = now - now % DAY_MS + DAY_MS + AFTER_MIDNIGHT_MS + hash64(buf_span(&name)) % (spread + 1);
    list_append(&t->order, &y->link);
    (void) map_set(&t->tallies, buf_span(&name), y); /* it was not there */
    return y;
}

static void add(struct tally *y, struct span field, const struct buf *text)
{
    struct row *row = map_get(&y->rows, field);

    if (!row) {
        row = NEW(struct row);
        row->text = text ? mem_text(text->data, text->len) : NULL;
        (void) map_set(&y->rows, field, row); /* it was not there */
        y->tlsrpt->row_count++;
    }
    row->count++;
}

static void count(struct tlsrpt *t, const struct tlsrpt_session *s)
{
    AUTO_BUF struct buf policy = {.data = NULL}, sum = {.data = NULL}, detail = {.data = NULL},
                        field = {.data = NULL};
    char digest[TLSRPT_DIGEST_LEN + 1];
    struct tally *y = tally_of(t, s->domain);

    metric_add_labelled(METRIC_TLSRPT_SESSIONS_TOTAL, s->result, 1);
    if (!y || t->row_count >= PENDING_MAX) {
        metric_add(METRIC_TLSRPT_DROPPED_TOTAL, 1);
        return;
    }
    tlsrpt_policy_text(s, &policy);
    hash_digest(buf_span(&policy), digest);
    buf_printf(&field, "P%s", digest);
    add(y, buf_span(&field), &policy);
    tlsrpt_session_fields(s, digest, &sum, &detail);
    add(y, buf_span(&sum), NULL);
    if (detail.len > 0)
        add(y, buf_span(&detail), NULL);
}

/* ---- sessions ---- */

bool tlsrpt_is_on(const struct courier *c)
{
    return c->tlsrpt && c->tlsrpt->is_on;
}

/* What the operator's settings decide says nothing about the domain. */
static bool is_reported(const struct courier *c, const struct work *w)
{
    struct tls_setting setting;
    AUTO_FREE char *why = NULL;
    bool is_open;

    if (!tlsrpt_is_on(c) || !w->route || w->route->transport.kind != TRANSPORT_MX ||
        w->route->transport.tls || w->domain[0] == '[')
        return false;
    if (tls_setting_parse(span_of(tls_setting_find(conf_get(), w->domain, NULL)), &setting, &why) < 0)
        return false;
    is_open = setting.wish == TLS_WISH_AUTO || setting.wish == TLS_WISH_DANE || setting.wish == TLS_WISH_STS;
    tls_setting_done(&setting);
    return is_open;
}

void tlsrpt_count(struct courier *c, const struct tlsrpt_connection *of)
{
    struct tlsrpt_session s = {.domain = of->work->domain,
                               .policy = of->policy,
                               .host = of->target->host,
                               .from = of->source,
                               .to = &of->target->ip,
                               .reason = of->detail};

    if (!of->target->is_by_mx || !is_reported(c, of->work) || of->policy->source == TLS_SOURCE_SETTING)
        return;
    s.result = tlsrpt_result_of(of->policy, of->target->host, of->failure);
    if (of->failure == TLS_FAILURE_NONE && s.result == TLSRPT_VALIDATION_FAILURE)
        s.reason = "the host is not one of the policy";
    count(c->tlsrpt, &s);
}

static bool is_first_of_host(const struct route *r, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(r->targets[i].host, r->targets[index].host) == 0)
            return false;
    }
    return true;
}

static void count_barred(struct courier *c, const struct work *w, const struct target *t)
{
    struct tlsrpt_session s = {.domain = w->domain,
                               .policy = t->policy,
                               .host = t->host,
                               .to = &t->ip,
                               .result = tlsrpt_result_of_barred(t->policy),
                               .reason = t->policy->barred.text};

    if (s.result != TLSRPT_SUCCESSFUL)
        count(c->tlsrpt, &s);
}

static void count_trouble(struct courier *c, const struct work *w, const struct route *r)
{
    static const enum tlsrpt_result results[] = {[STS_TROUBLE_FETCH] = TLSRPT_STS_FETCH_ERROR,
                                                 [STS_TROUBLE_INVALID] = TLSRPT_STS_INVALID,
                                                 [STS_TROUBLE_CERT] = TLSRPT_STS_WEBPKI_INVALID};
    struct tlsrpt_session s = {.domain = w->domain, .is_sts = true, .result = results[r->sts_trouble]};

    for (size_t i = 0; i < r->count; i++) { /* the one in force, if there is */
        if (r->targets[i].policy->source == TLS_SOURCE_STS)
            s.policy = r->targets[i].policy;
    }
    count(c->tlsrpt, &s);
}

void tlsrpt_count_route(struct courier *c, const struct work *w, const struct route *r)
{
    bool has_mail = false;

    LIST_EACH(&w->ready, it, next) {
        if (!job_is_relaxable(LIST_ENTRY(it, struct job, link))) { /* a report makes no report */
            has_mail = true;
            break;
        }
    }
    if (!has_mail || !is_reported(c, w))
        return;
    if (r->sts_trouble != STS_TROUBLE_NONE)
        count_trouble(c, w, r);
    for (size_t i = 0; i < r->count; i++) {
        if (r->targets[i].is_by_mx && tls_policy_is_barred(r->targets[i].policy) && is_first_of_host(r, i))
            count_barred(c, w, &r->targets[i]);
    }
}

/* ---- does the domain want to know ---- */

static void on_record(void *context, const struct dns_answer *a)
{
    struct tally *y = context;
    struct tlsrpt_record record;

    y->question = NULL;
    y->is_wanted = a->result == DNS_AWAY || tlsrpt_find_record(a, &record);
    if (y->is_wanted && a->result != DNS_AWAY)
        tlsrpt_record_done(&record);
    if (!y->is_wanted)
        tally_free(y);
}

bool tlsrpt_find_record(const struct dns_answer *a, struct tlsrpt_record *ret_record)
{
    struct span records[DNS_RECORDS_MAX];

    for (size_t i = 0; a->result == DNS_OK && i < a->count; i++)
        records[i] = a->records[i].data;
    return a->result == DNS_OK && tlsrpt_record_parse(records, a->count, ret_record);
}

struct dns_question *tlsrpt_ask_record(struct courier *c, const char *domain, dns_on_answer *on_answer,
                                       void *context)
{
    AUTO_FREE char *name = mem_format("_smtp._tls.%s", domain);

    return strlen(name) <= DOMAIN_MAX ? dns_ask(c->dns, name, DNS_TXT, on_answer, context) : NULL;
}

static void ask(struct tally *y)
{
    if (y->is_wanted || y->question)
        return;
    y->question = tlsrpt_ask_record(y->tlsrpt->courier, y->name + DATE_LEN + 1, on_record, y);
    if (!y->question)
        tally_free(y); /* too long a name for a record */
}

/* ---- to Redis ---- */

static void write_next(struct tlsrpt *t);

static void on_written(void *context, enum tlsrpt_answer answer, uint64_t dropped)
{
    struct tlsrpt *t = context;

    t->is_writing = false;
    if (t->is_closed) {
        mem_free(t);
        return;
    }
    metric_add(METRIC_TLSRPT_DROPPED_TOTAL, (int64_t) (answer == TLSRPT_OK ? dropped : t->written));
    write_next(t);
    if (t->courier->is_draining)
        courier_check_drained(t->courier);
}

/* Sessions are those of S and F; a D says more about one of these. */
static struct tlsrpt_row row_of(struct tlsrpt *t, struct span field, const struct row *row, struct buf *text)
{
    size_t at = text->len;

    if (field.at[0] == 'P')
        return (struct tlsrpt_row){field, span_of(row->text)};
    if (field.at[0] != 'D')
        t->written += row->count;
    buf_add_number(text, row->count);
    return (struct tlsrpt_row){field, {text->data + at, text->len - at}};
}

enum { NUMBER_MAX = 20 };

/* Whole tallies, as many as fit in a call; at least one. */
static void write_next(struct tlsrpt *t)
{
    const struct conf *conf = conf_get();
    const struct tlsrpt_limits limits = {conf->tlsrpt.max_reports, conf->tlsrpt.max_rows};
    AUTO_FREE struct tlsrpt_row *rows = NULL;
    AUTO_FREE struct tlsrpt_part *parts = NULL;
    AUTO_FREE struct tally **over = NULL;
    AUTO_BUF struct buf text = {.data = NULL};
    size_t part_count = 0, row_count = 0;

    if (t->is_writing || list_is_empty(&t->order) || !t->courier->incarnation ||
        !store_is_ready(t->courier->store))
        return;
    rows = mem_array(t->row_count + 1, sizeof(*rows));
    parts = mem_array(t->tallies.count + 1, sizeof(*parts));
    over = mem_array(t->tallies.count + 1, sizeof(*over));
    (void) buf_reserve(&text, (t->row_count + 1) * NUMBER_MAX); /* spans point into it */
    t->written = 0;
    LIST_EACH(&t->order, it, save) {
        struct tally *y = LIST_ENTRY(it, struct tally, link);
        struct tlsrpt_row *first = rows + row_count;
        size_t cursor = 0;
        struct span field;
        void *row;

        if (!y->is_wanted && !t->courier->is_draining)
            continue;
        if (part_count > 0 && row_count + y->rows.count > CALL_ROWS_MAX)
            break;
        while (map_next(&y->rows, &cursor, &field, &row))
            rows[row_count++] = row_of(t, field, row, &text);
        over[part_count] = y;
        parts[part_count++] = (struct tlsrpt_part){y->name, y->due_ms, first, y->rows.count};
    }
    if (part_count == 0)
        return;
    if (store_is_full(t->courier->store)) {
        metric_add(METRIC_TLSRPT_DROPPED_TOTAL, (int64_t) t->written);
    } else {
        t->is_writing = true;
        tlsrpt_store_count(t->courier->store, t->courier->incarnation, ++t->seq, parts, part_count, &limits,
                           CALL_TIME_MS, on_written, t);
    }
    for (size_t i = 0; i < part_count; i++)
        tally_free(over[i]);
}

static void on_tick(struct timer *timer)
{
    struct tlsrpt *t = CONTAINER_OF(timer, struct tlsrpt, timer);

    timer_start(t->courier->loop, timer, conf_get()->tlsrpt.interval_ms, on_tick);
    LIST_EACH(&t->order, it, save)
        ask(LIST_ENTRY(it, struct tally, link));
    write_next(t);
    if (t->is_on)
        tlsrpt_send_due(t);
}

/* ---- life ---- */

void tlsrpt_reload(struct tlsrpt *t)
{
    const struct conf *conf = conf_get();

    t->is_on = tlsrpt_settings_are_on(conf);
    if (t->is_on && t->timer.place == 0)
        timer_start(t->courier->loop, &t->timer, conf->tlsrpt.interval_ms, on_tick);
}

struct tlsrpt *tlsrpt_open(struct courier *c)
{
    struct tlsrpt *t = NEW(struct tlsrpt);

    metric_label(METRIC_TLSRPT_SESSIONS_TOTAL, tlsrpt_result_words, TLSRPT_RESULT_COUNT);
    t->courier = c;
    list_init(&t->order);
    tlsrpt_reload(t);
    return t;
}

bool tlsrpt_is_written(struct tlsrpt *t)
{
    if (!store_is_ready(t->courier->store) || !t->courier->incarnation)
        return true;
    write_next(t);
    return !t->is_writing && !t->sending;
}

struct tlsrpt *tlsrpt_close(struct tlsrpt *t)
{
    if (!t)
        return NULL;
    timer_stop(&t->timer);
    t->sending = tlsrpt_send_cancel(t->sending);
    t->http = http_client_free(t->http);
    while (!list_is_empty(&t->order))
        tally_free(LIST_FIRST(&t->order, struct tally, link));
    map_done(&t->tallies);
    t->is_closed = true;
    if (!t->is_writing)
        mem_free(t);
    return NULL;
}
