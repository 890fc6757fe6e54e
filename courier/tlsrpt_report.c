/* From rows to JSON. */
#include "courier/tlsrpt_report.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "courier/tlsrpt_row.h"
#include "io/json.h"

enum { STAMP_SECONDS = 19, DAY_LAST_MS = 24 * 3600 * 1000 - 1000 }; /* "2026-11-22T00:00:00" */

static int by_field(const void *left, const void *right)
{
    const struct tlsrpt_row *a = left, *b = right;
    size_t least = a->field.len < b->field.len ? a->field.len : b->field.len;
    int r = memcmp(a->field.at, b->field.at, least);

    return r ? r : (a->field.len > b->field.len) - (a->field.len < b->field.len);
}

/* What follows the letter. */
static struct span digest_of(struct span field)
{
    return (struct span){field.at + 1, field.len > TLSRPT_DIGEST_LEN ? TLSRPT_DIGEST_LEN : field.len - 1};
}

static int64_t number_of(struct span value)
{
    uint64_t n = 0;

    return span_number(value, INT64_MAX, &n) == 0 ? (int64_t) n : 0;
}

/* The sum of a kind for one policy. */
static int64_t sum_of(const struct tlsrpt_row *rows, size_t count, char kind, struct span digest)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].field.at[0] == kind && span_equal(digest_of(rows[i].field), digest))
            return number_of(rows[i].value);
    }
    return 0;
}

/* ---- one policy ---- */

static void put_list(struct json *to, const char *key, struct span text, char separator)
{
    struct json *list = json_new_array();

    while (text.at) {
        struct span item = span_cut(&text, separator);

        if (item.len > 0)
            json_put_text(list, NULL, item);
    }
    json_put(to, key, list);
}

static struct json *policy_json(struct span text)
{
    struct json *policy = json_new_object();
    struct span type = span_cut(&text, '\n'), domain = span_cut(&text, '\n'), mx = span_cut(&text, '\n');

    json_put_text(policy, "policy-type", type);
    if (text.len > 0)
        put_list(policy, "policy-string", text, '\n');
    json_put_text(policy, "policy-domain", domain);
    if (mx.len > 0)
        put_list(policy, "mx-host", mx, ' ');
    return policy;
}

static void put_if(struct json *to, const char *key, struct span text)
{
    if (text.len > 0)
        json_put_text(to, key, text);
}

static void put_failure(struct json *to, const struct tlsrpt_row *row)
{
    struct json *failure = json_new_object();
    struct span rest = row->field;

    (void) span_cut(&rest, '\n'); /* the policy */
    json_put_text(failure, "result-type", span_cut(&rest, '\n'));
    put_if(failure, "sending-mta-ip", span_cut(&rest, '\n'));
    put_if(failure, "receiving-mx-hostname", span_cut(&rest, '\n'));
    put_if(failure, "receiving-ip", span_cut(&rest, '\n'));
    json_put_number(failure, "failed-session-count", number_of(row->value));
    put_if(failure, "failure-reason-code", rest);
    json_put(to, NULL, failure);
}

static struct json *failures_json(const struct tlsrpt_row *rows, size_t count, struct span digest)
{
    struct json *failures = json_new_array();

    for (size_t i = 0; i < count; i++) {
        if (rows[i].field.at[0] == 'D' && span_equal(digest_of(rows[i].field), digest))
            put_failure(failures, &rows[i]);
    }
    return failures;
}

/* ---- all of it ---- */

static void put_stamp(struct json *to, const char *key, uint64_t wall_ms)
{
    AUTO_BUF struct buf text = {.data = NULL};

    clock_add_stamp(&text, wall_ms);
    text.len = STAMP_SECONDS;
    buf_add_char(&text, 'Z');
    json_put_text(to, key, buf_span(&text));
}

/* Returns how many sessions there were. */
static int64_t put_policy(const struct tlsrpt_report *r, const struct tlsrpt_row *rows, size_t count,
                          const struct tlsrpt_row *policy, struct json *to)
{
    struct span digest = digest_of(policy->field);
    int64_t good = sum_of(rows, count, 'S', digest), bad = sum_of(rows, count, 'F', digest);
    struct json *one, *summary;

    if (good + bad == 0)
        return 0;
    one = json_new_object();
    summary = json_new_object();
    json_put(one, "policy", policy_json(policy->value));
    json_put_number(summary, "total-successful-session-count", good);
    json_put_number(summary, "total-failure-session-count", bad);
    json_put(one, "summary", summary);
    if (bad > 0 && !r->is_brief)
        json_put(one, "failure-details", failures_json(rows, count, digest));
    json_put(to, NULL, one);
    return good + bad;
}

bool tlsrpt_report_write(const struct tlsrpt_report *r, const struct tlsrpt_row *rows, size_t count,
                         struct buf *out)
{
    struct tlsrpt_row *sorted = mem_array(count + 1, sizeof(*sorted));
    struct json *report = json_new_object(), *range = json_new_object(), *policies = json_new_array();
    int64_t sessions = 0;
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (rows[i].field.len > TLSRPT_DIGEST_LEN)
            sorted[kept++] = rows[i];
    }
    qsort(sorted, kept, sizeof(*sorted), by_field);
    put_stamp(range, "start-datetime", r->day_ms);
    put_stamp(range, "end-datetime", r->day_ms + DAY_LAST_MS);
    json_put_text(report, "organization-name", span_of(r->organization));
    json_put(report, "date-range", range);
    json_put_text(report, "contact-info", span_of(r->contact));
    json_put_text(report, "report-id", span_of(r->id));
    for (size_t i = 0; i < kept; i++) {
        if (sorted[i].field.at[0] == 'P')
            sessions += put_policy(r, sorted, kept, &sorted[i], policies);
    }
    json_put(report, "policies", policies);
    if (sessions > 0)
        json_print_line(report, out);
    json_free(report);
    mem_free(sorted);
    return sessions > 0;
}
