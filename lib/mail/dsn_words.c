/* The part of a notification that people read. What a remote said is indented, so it cannot look like a boundary. */
#include <string.h>

#include "base/clock.h"
#include "mail/addr.h"
#include "mail/dsn_part.h"
#include "mail/fold.h"

enum { WORDS_INDENT = 4 };

/* Bytes told of each recipient's answer. */
static const size_t words_max[DSN_DETAIL_COUNT] = {
    [DSN_FULL] = VERDICT_TEXT_MAX, [DSN_SHORT] = 256, [DSN_TERSE] = 64};

static void add_count(uint64_t count, const char *unit, struct buf *out)
{
    buf_printf(out, "%llu %s%s", (unsigned long long) count, unit, count == 1 ? "" : "s");
}

/* "5 days", "1 day and 3 hours", "20 seconds": the two largest units. */
static void add_span_of_time(uint64_t ms, struct buf *out)
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    uint64_t seconds = ms / 1000;
    size_t i = 0;
    while (i < 3 && seconds < units[i].seconds)
        i++;
    add_count(seconds / units[i].seconds, units[i].name, out);
    uint64_t rest = i < 3 ? seconds % units[i].seconds / units[i + 1].seconds : 0;
    if (rest > 0) {
        buf_add_text(out, " and ");
        add_count(rest, units[i + 1].name, out);
    }
}

/* Who said what, in a sentence of its own. */
static void add_answer(struct fold *f, const struct verdict *v, size_t max)
{
    AUTO_BUF struct buf text = {0};
    if (v->from_remote) {
        if (v->remote[0] != '\0')
            buf_printf(&text, "%s answered: %u ", v->remote, v->code);
        else
            buf_printf(&text, "the mail host answered: %u ", v->code);
    } else if (v->remote[0] != '\0') {
        buf_printf(&text, "%s: ", v->remote);
    }
    struct span words = span_of(v->text);
    size_t len = words.len < max ? words.len : max;
    buf_add(&text, words.at, len);
    if (len < words.len)
        buf_add_text(&text, " ...");
    fold_words(f, buf_span(&text));
}

static void add_expiry(struct fold *f, const struct dsn *d, const struct dsn_recipient *r, size_t max)
{
    AUTO_BUF struct buf text = {0};
    uint64_t arrival = d->envelope->arrival_ms;
    if (d->attempts == 0) {
        buf_add_text(&text, "It waited ");
    } else {
        buf_add_text(&text, "We tried ");
        add_count(d->attempts, "time", &text);
        buf_add_text(&text, " over ");
    }
    add_span_of_time(d->wall_ms > arrival ? d->wall_ms - arrival : 0, &text);
    buf_add_text(&text, " and have given up. The last ");
    buf_add_text(&text, r->last->from_remote ? "answer:" : "problem:");
    fold_words(f, buf_span(&text));
    fold_line(f);
    add_answer(f, r->last, max);
}

/* An address as people write it, unless it could be more than text. */
static void add_addr(const char *addr, struct buf *out)
{
    struct span s = span_of(addr);
    if (s.len <= PATH_MAX_LEN && span_is_text(s))
        buf_add_span(out, s);
    else
        buf_add_printable(out, s, PATH_MAX_LEN);
}

static void add_recipient(const struct dsn *d, const struct dsn_recipient *r, size_t max, struct buf *out)
{
    AUTO_BUF struct buf status = {0};
    struct fold f;
    buf_add_text(out, "\r\n<");
    add_addr(r->addr, out);
    buf_add_text(out, ">:\r\n");
    fold_start(&f, out, "", WORDS_INDENT);
    if (r->last && r->last->text) {
        add_expiry(&f, d, r, max);
    } else {
        add_answer(&f, r->verdict, max);
        if (!r->verdict->from_remote) {
            buf_printf(&status, "(%s)", r->verdict->status);
            fold_word(&f, buf_span(&status));
        }
    }
    fold_end(&f);
}

static void add_what_it_was(const struct dsn *d, struct span message_id, struct buf *out)
{
    char id[ID_TEXT_LEN + 1];
    id_format(&d->envelope->id, id);
    buf_add_text(out, "\r\nThe message:\r\n    received    ");
    clock_add_date(out, d->envelope->arrival_ms);
    buf_add_text(out, "\r\n    our number  ");
    buf_add_text(out, id);
    if (message_id.len > 0) {
        buf_add_text(out, "\r\n    Message-ID  ");
        buf_add_span(out, message_id);
    }
    buf_add_text(out, "\r\n");
}

static size_t count_of(const struct dsn *d, enum dsn_action action, size_t listed)
{
    size_t count = 0;
    for (size_t i = 0; i < listed; i++)
        count += d->recipients[i].action == action;
    return count;
}

static void add_recipients(const struct dsn *d, enum dsn_action action, enum dsn_detail detail, size_t listed,
                           struct buf *out)
{
    for (size_t i = 0; i < listed; i++) {
        if (d->recipients[i].action == action)
            add_recipient(d, &d->recipients[i], words_max[detail], out);
    }
}

/* ---- in the operator's words */

struct values {
    struct buf texts[DSN_FIELDS];
    struct span spans[DSN_FIELDS];
};

/* recipients: as add_recipients() wrote them, with an empty line first. */
static void values_fill(struct values *v, const struct dsn *d, size_t count, struct span message_id,
                        struct span recipients)
{
    static const struct span line_end = SPAN("\r\n");
    char id[ID_TEXT_LEN + 1];
    *v = (struct values){0};
    id_format(&d->envelope->id, id);
    if (recipients.len >= 2 * line_end.len)
        buf_add(&v->texts[DSN_FIELD_RECIPIENTS], recipients.at + line_end.len,
                recipients.len - 2 * line_end.len);
    buf_add_number(&v->texts[DSN_FIELD_COUNT], count);
    dsn_add_name(d->reporting_name, &v->texts[DSN_FIELD_HOST]);
    add_addr(d->envelope->sender, &v->texts[DSN_FIELD_SENDER]);
    buf_add_span(&v->texts[DSN_FIELD_MESSAGE_ID], message_id);
    buf_add_text(&v->texts[DSN_FIELD_NUMBER], id);
    clock_add_date(&v->texts[DSN_FIELD_ARRIVED], d->envelope->arrival_ms);
    if (d->retry_until_ms != 0)
        clock_add_date(&v->texts[DSN_FIELD_RETRY_UNTIL], d->retry_until_ms);
    for (size_t i = 0; i < DSN_FIELDS; i++)
        v->spans[i] = buf_span(&v->texts[i]);
}

static void values_done(struct values *v)
{
    for (size_t i = 0; i < DSN_FIELDS; i++)
        buf_done(&v->texts[i]);
}

static void add_template(const struct dsn *d, enum dsn_action action, enum dsn_detail detail, size_t listed,
                         struct span message_id, struct buf *out)
{
    AUTO_BUF struct buf recipients = {0};
    struct values v;
    add_recipients(d, action, detail, listed, &recipients);
    values_fill(&v, d, count_of(d, action, listed), message_id, buf_span(&recipients));
    dsn_template_add_text(d->templates[action], v.spans, out);
    values_done(&v);
}

/* ---- in our own */

/* The recipients that it happened to, and what it means for them. */
static void add_action(const struct dsn *d, enum dsn_action action, enum dsn_detail detail, size_t listed,
                       struct buf *out)
{
    static const char *const begins[] = {
        [DSN_FAILED] = "Your message could not be delivered to ",
        [DSN_DELAYED] = "Your message has not been delivered yet to ",
        [DSN_RELAYED] = "Your message was passed on to a mail host that reports nothing back, for ",
        [DSN_DELIVERED] = "Your message was delivered to the mail store of ",
    };
    static const char *const ends[] = {
        [DSN_FAILED] = "Nothing more will be tried for these recipients.",
        [DSN_DELAYED] = "It is tried again; you need not send it anew.",
        [DSN_RELAYED] = "You asked to be told; you will hear no more of it from us.",
        [DSN_DELIVERED] = "You asked to be told.",
    };
    buf_printf(out, "\r\n%s", d->to ? "Mail of the null sender could not be delivered to " : begins[action]);
    add_count(count_of(d, action, listed), "recipient", out);
    buf_add_text(out, ":\r\n");
    add_recipients(d, action, detail, listed, out);
    buf_printf(out, "\r\n%s\r\n", ends[action]);
}

static void add_names_only(size_t listed, size_t left_out, struct buf *out)
{
    buf_add_text(out, "\r\nIt has news of your message for ");
    add_count(listed, "recipient", out);
    buf_add_text(out, ",\r\nwhich are named in the report below.\r\n");
    if (left_out > 0) {
        buf_add_text(out, "The report has no room for ");
        add_count(left_out, "more recipient", out);
        buf_add_text(out, ".\r\n");
    }
}

void dsn_add_words(const struct dsn *d, enum dsn_detail detail, size_t listed, size_t left_out,
                   struct span message_id, struct buf *out)
{
    bool is_theirs = d->templates[d->recipients[0].action] && detail != DSN_NAMES;
    if (!is_theirs) {
        buf_add_text(out, "This is the mail system at ");
        dsn_add_name(d->reporting_name, out);
        buf_add_text(out, ".\r\n");
    }
    if (detail == DSN_NAMES)
        add_names_only(listed, left_out, out);
    for (enum dsn_action action = 0; action < DSN_ACTION_COUNT && detail != DSN_NAMES; action++) {
        if (count_of(d, action, listed) == 0)
            continue;
        if (d->templates[action])
            add_template(d, action, detail, listed, message_id, out);
        else
            add_action(d, action, detail, listed, out);
    }
    if (is_theirs)
        return;
    add_what_it_was(d, message_id, out);
    buf_add_text(out, "\r\nA report for programs follows, and then your message or only its header.\r\n");
}

void dsn_add_subject(const struct dsn *d, struct span message_id, struct buf *out)
{
    static const char *const subjects[] = {
        [DSN_FAILED] = "Your message could not be delivered",
        [DSN_DELAYED] = "Your message is delayed",
        [DSN_RELAYED] = "Your message was passed on",
        [DSN_DELIVERED] = "Your message was delivered",
    };
    enum dsn_action action = d->recipients[0].action;
    const struct dsn_template *t = d->templates[action];
    if (!t || !dsn_template_has_subject(t)) {
        buf_add_text(out, d->to ? "Mail of the null sender could not be delivered" : subjects[action]);
        return;
    }
    struct values v;
    values_fill(&v, d, count_of(d, action, d->recipient_count), message_id, (struct span){.at = NULL});
    dsn_template_add_subject(t, v.spans, out);
    values_done(&v);
}
