/*
 * One report from Redis to those who asked for it: due, taken, made, the domain's record asked for anew, the mail committed, then each https:
 * place, then the end. A courier that dies leaves it taken for HOLD_MS; the next one makes the same, from the same rows. The mail's commit knows
 * its repeats, so there is one mail; a place with https: that took it just before may get it again, under the same report-id.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/tlsrpt_settings.h"
#include "cluster/tlsrpt_store.h"
#include "courier/ring.h"
#include "courier/tlsrpt_mailing.h"
#include "courier/tlsrpt_private.h"
#include "courier/tlsrpt_report.h"
#include "courier/web_host.h"
#include "io/gzip.h"
#include "io/hash.h"
#include "io/http_client.h"
#include "mail/tlsrpt_record.h"

enum {
    CALL_TIME_MS = 10000,
    HOLD_MS = 10 * 60 * 1000, /* longer than all of it can take */
    DAY_MS = 24 * 3600 * 1000,
    DATE_LEN = 10,
    DOUBLINGS_MAX = 6,
    ANSWER_BYTES_MAX = 4096,
};
#define SENT ".sent:"
#define BY_MAIL "mail"

struct tlsrpt_sending {
    struct tlsrpt *tlsrpt;
    bool is_cancelled; /* a call to Redis is under way, whose answer frees it */
    bool is_calling;
    bool is_failed; /* a place did not take it */
    uint64_t day_ms, taken_ms, tries;
    struct id id;
    struct buf packed;
    struct tlsrpt_record record;
    struct map sent; /* places that had it before */
    size_t url;      /* under way */
    struct dns_question *question;
    struct web_host *place;
    struct http_call *call;
    struct timer timer;
    char name[TLSRPT_NAME_MAX + 1], token[TLSRPT_TOKEN_MAX];
};

static struct courier *courier_of(const struct tlsrpt_sending *s)
{
    return s->tlsrpt->courier;
}

static const char *domain_of(const struct tlsrpt_sending *s)
{
    return s->name + DATE_LEN + 1;
}

/* ---- life ---- */

static void sending_free(struct tlsrpt_sending *s)
{
    if (s->question)
        dns_cancel(s->question);
    s->place = web_host_cancel(s->place);
    s->call = http_cancel(s->call);
    timer_stop(&s->timer);
    buf_done(&s->packed);
    tlsrpt_record_done(&s->record);
    map_done(&s->sent);
    mem_free(s);
}

struct tlsrpt_sending *tlsrpt_send_cancel(struct tlsrpt_sending *s)
{
    if (s && s->is_calling)
        s->is_cancelled = true;
    else if (s)
        sending_free(s);
    return NULL;
}

/* An answer of Redis came. False: nobody wants to know any more. */
static bool answered(struct tlsrpt_sending *s)
{
    s->is_calling = false;
    if (s->is_cancelled)
        sending_free(s);
    else
        return true;
    return false;
}

static void over(struct tlsrpt_sending *s, bool is_more)
{
    struct tlsrpt *t = s->tlsrpt;

    t->sending = NULL;
    sending_free(s);
    if (t->courier->is_draining)
        courier_check_drained(t->courier);
    else if (is_more)
        tlsrpt_send_due(t);
}

/* ---- the end ---- */

static void on_ended(void *context, enum tlsrpt_answer answer UNUSED)
{
    struct tlsrpt_sending *s = context;

    if (answered(s)) /* unknown or stale: it is looked at again when its time is over */
        over(s, true);
}

static void end(struct tlsrpt_sending *s, enum tlsrpt_outcome outcome)
{
    uint64_t doublings = s->tries < DOUBLINGS_MAX ? s->tries : DOUBLINGS_MAX;

    s->is_calling = true;
    tlsrpt_store_end(courier_of(s)->store, s->name, s->token, outcome,
                     conf_get()->tlsrpt.https_retry_ms << doublings, NULL, CALL_TIME_MS, on_ended, s);
}

static void drop(struct tlsrpt_sending *s, const char *why)
{
    log_event(LOG_TLSRPT_DROPPED, F("report", s->name), F("why", why));
    end(s, TLSRPT_DONE);
}

/* Something is away: again later, for a day. */
static void put_off(struct tlsrpt_sending *s, const char *why)
{
    if (store_redis_ms(courier_of(s)->store) < s->taken_ms + DAY_MS)
        end(s, TLSRPT_BACK);
    else
        drop(s, why);
}

/* ---- by https ---- */

static void send_to_next(struct tlsrpt_sending *s);

static void on_noted(void *context, enum tlsrpt_answer answer)
{
    struct tlsrpt_sending *s = context;

    if (!answered(s))
        return;
    if (answer == TLSRPT_OK)
        send_to_next(s);
    else
        over(s, false); /* not ours any more, or Redis is away */
}

static void note_sent(struct tlsrpt_sending *s, const char *where)
{
    char id[ID_TEXT_LEN + 1];

    id_format(&s->id, id);
    log_event(LOG_TLSRPT_SENT, F("report", s->name), F("msg", id), F("to", where));
    metric_add(METRIC_TLSRPT_REPORTS_TOTAL, 1);
    s->is_calling = true;
    tlsrpt_store_end(courier_of(s)->store, s->name, s->token, TLSRPT_SENT, 0, where, CALL_TIME_MS, on_noted,
                     s);
}

static void failed(struct tlsrpt_sending *s, const char *why)
{
    const char *url = s->record.urls[s->url++];

    timer_stop(&s->timer);
    s->is_failed = true;
    log_event(LOG_TLSRPT_FAILED, F("report", s->name), F("to", url), F("why", why));
    send_to_next(s);
}

static void on_late(struct timer *timer)
{
    struct tlsrpt_sending *s = CONTAINER_OF(timer, struct tlsrpt_sending, timer);

    s->place = web_host_cancel(s->place);
    s->call = http_cancel(s->call);
    failed(s, "no answer in time");
}

static void on_answer(void *context, const struct http_answer *a)
{
    struct tlsrpt_sending *s = context;
    AUTO_FREE char *why = a->status ? mem_format("HTTP status %u", a->status) : mem_string(a->error);

    s->call = NULL; /* it frees itself */
    if (a->status < 200 || a->status > 299) {
        failed(s, why);
        return;
    }
    timer_stop(&s->timer);
    note_sent(s, s->record.urls[s->url++]);
}

static void on_found(void *context, const struct ip *ips, size_t count, const char *why)
{
    struct tlsrpt_sending *s = context;
    const struct conf *conf = conf_get();
    const struct http_request request = {
        .url = s->record.urls[s->url],
        .body = buf_span(&s->packed),
        .content_type = "application/tlsrpt+gzip",
        .ca = conf->tlsrpt.https_ca,
        .addresses = ips,
        .address_count = count,
        .is_alone = true,
        .timeout_ms = conf->tlsrpt.https_time_ms,
        .max_bytes = ANSWER_BYTES_MAX,
    };

    s->place = NULL;
    if (count == 0) {
        failed(s, why);
        return;
    }
    if (!s->tlsrpt->http)
        s->tlsrpt->http = http_client_new(courier_of(s)->loop);
    s->call = http_send(s->tlsrpt->http, &request, on_answer, s);
}

static void all_tried(struct tlsrpt_sending *s)
{
    if (!s->is_failed) {
        end(s, TLSRPT_DONE);
        return;
    }
    if (store_redis_ms(courier_of(s)->store) >= s->taken_ms + DAY_MS)
        metric_add(METRIC_TLSRPT_FAILED_TOTAL, 1);
    put_off(s, "a place with https: did not take it for a day");
}

static void send_to_next(struct tlsrpt_sending *s)
{
    char host[DOMAIN_MAX + 1];

    while (s->url < s->record.url_count && map_get(&s->sent, span_of(s->record.urls[s->url])))
        s->url++;
    if (s->url == s->record.url_count) {
        all_tried(s);
        return;
    }
    tlsrpt_url_host(s->record.urls[s->url], host);
    timer_start(courier_of(s)->loop, &s->timer, conf_get()->tlsrpt.https_time_ms, on_late);
    s->place = web_host_find(courier_of(s), host, on_found, s);
}

/* ---- by mail ---- */

static void on_committed(void *context, enum commit_answer answer)
{
    struct tlsrpt_sending *s = context;

    if (!answered(s))
        return;
    switch (answer) {
    case COMMIT_NEW: ring_queue(courier_of(s), id_home(&s->id), SPAN(QUEUE_FANOUT)); break;
    case COMMIT_AGAIN:
    case COMMIT_CLASH: /* the same report, made under other settings */
    case COMMIT_REVOKED: break;
    case COMMIT_INCOMPLETE:
    case COMMIT_FULL:
    case COMMIT_UNDONE:
    case COMMIT_UNKNOWN: put_off(s, "it could not be queued for a day"); return;
    }
    note_sent(s, BY_MAIL);
}

static void send_mail(struct tlsrpt_sending *s)
{
    const struct conf *conf = conf_get();
    char submitter[DOMAIN_MAX + 1], id[ID_TEXT_LEN + 1];
    const char *from = tlsrpt_settings_from(conf, submitter);
    const struct tlsrpt_mail mail = {
        .id = id,
        .domain = domain_of(s),
        .submitter = submitter,
        .from = from,
        .contact = conf->tlsrpt.contact,
        .organization = *conf->tlsrpt.organization ? conf->tlsrpt.organization : submitter,
        .to = (const char *const *) s->record.mails,
        .to_count = s->record.mail_count,
        .start_s = s->day_ms / 1000,
        .end_s = (s->day_ms + DAY_MS) / 1000 - 1,
        .wall_ms = s->taken_ms,
        .packed = buf_span(&s->packed),
    };

    id_format(&s->id, id);
    s->is_calling = true;
    tlsrpt_mailing_commit(courier_of(s), &mail, &s->id, on_committed, s);
}

static void on_record(void *context, const struct dns_answer *a)
{
    struct tlsrpt_sending *s = context;

    s->question = NULL;
    if (a->result == DNS_AWAY)
        put_off(s, "its record could not be looked up for a day");
    else if (!tlsrpt_settings_are_on(conf_get()))
        end(s, TLSRPT_BACK);
    else if (!tlsrpt_find_record(a, &s->record))
        drop(s, "the domain wants no reports any more");
    else if (s->record.mail_count > 0 && !map_get(&s->sent, SPAN(BY_MAIL)))
        send_mail(s);
    else
        send_to_next(s);
}

/* ---- from what was counted ---- */

/* What the script and we wrote beside the counts. */
static void take_notes(struct tlsrpt_sending *s, const struct tlsrpt_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct span field = rows[i].field;

        if (span_equal(field, SPAN(".taken")))
            (void) span_number(rows[i].value, UINT64_MAX, &s->taken_ms); /* else 0 */
        else if (span_equal(field, SPAN(".tries")))
            (void) span_number(rows[i].value, UINT64_MAX, &s->tries); /* else 0 */
        else if (span_starts_nocase(field, SPAN(SENT)))
            (void) map_set(&s->sent, (struct span){field.at + strlen(SENT), field.len - strlen(SENT)},
                           s); /* only that it is there counts */
    }
}

/* False: nothing was counted. */
static bool make_report(struct tlsrpt_sending *s, const struct tlsrpt_row *rows, size_t count)
{
    const struct conf *conf = conf_get();
    char submitter[DOMAIN_MAX + 1], id[ID_TEXT_LEN + 1];
    AUTO_BUF struct buf text = {.data = NULL};
    struct tlsrpt_report report = {.id = id, .contact = conf->tlsrpt.contact, .day_ms = s->day_ms};

    id_format(&s->id, id);
    (void) tlsrpt_settings_from(conf, submitter); /* for the name */
    report.organization = *conf->tlsrpt.organization ? conf->tlsrpt.organization : submitter;
    if (!tlsrpt_report_write(&report, rows, count, &text))
        return false;
    gzip_pack(buf_span(&text), &s->packed);
    if (s->packed.len <= conf->tlsrpt.max_size_bytes)
        return true;
    report.is_brief = true;
    buf_clear(&text);
    buf_clear(&s->packed);
    (void) tlsrpt_report_write(&report, rows, count, &text); /* as before */
    gzip_pack(buf_span(&text), &s->packed);
    return true;
}

/* "2026-11-22 example.com". */
static bool read_name(struct tlsrpt_sending *s)
{
    AUTO_FREE char *stamp = mem_format("%.*sT00:00:00Z", DATE_LEN, s->name);
    size_t len = strlen(s->name);

    return len > DATE_LEN + 1 && s->name[DATE_LEN] == ' ' &&
           domain_check(span_of(s->name + DATE_LEN + 1)) == 0 &&
           clock_parse_stamp(span_of(stamp), &s->day_ms) == 0;
}

static void on_taken(void *context, enum tlsrpt_answer answer, const struct tlsrpt_row *rows, size_t count)
{
    struct tlsrpt_sending *s = context;

    if (!answered(s))
        return;
    if (answer != TLSRPT_OK) {
        over(s, answer == TLSRPT_GONE);
        return;
    }
    take_notes(s, rows, count);
    if (!tlsrpt_settings_are_on(conf_get())) {
        end(s, TLSRPT_BACK);
    } else if (!read_name(s)) {
        drop(s, "its name is none of ours");
    } else {
        s->id = tlsrpt_mailing_id(domain_of(s), s->day_ms + DAY_MS);
        if (!make_report(s, rows, count)) {
            drop(s, "no session was counted");
            return;
        }
        s->question = tlsrpt_ask_record(courier_of(s), domain_of(s), on_record, s);
        if (!s->question)
            drop(s, "its name is too long for a record");
    }
}

static void on_due(void *context, const struct span *names, size_t count)
{
    struct tlsrpt_sending *s = context;
    struct courier *c = courier_of(s);
    int n;

    if (!answered(s))
        return;
    if (count == 0 || !c->incarnation) {
        over(s, false);
        return;
    }
    n = snprintf(s->token, sizeof(s->token), "%llu.%llu", (unsigned long long) c->incarnation,
                 (unsigned long long) ++s->tlsrpt->token_seq);
    must(n > 0 && (size_t) n < sizeof(s->token));
    names += hash64(span_of(s->token)) % count; /* couriers that look together take different ones */
    memcpy(s->name, names->at, names->len);
    s->is_calling = true;
    tlsrpt_store_take(c->store, s->name, s->token, HOLD_MS, CALL_TIME_MS, on_taken, s);
}

void tlsrpt_send_due(struct tlsrpt *t)
{
    struct courier *c = t->courier;

    if (t->sending || c->is_draining || !c->incarnation || !store_is_ready(c->store))
        return;
    t->sending = NEW(struct tlsrpt_sending);
    t->sending->tlsrpt = t;
    t->sending->is_calling = true;
    tlsrpt_store_due(c->store, CALL_TIME_MS, on_due, t->sending);
}
