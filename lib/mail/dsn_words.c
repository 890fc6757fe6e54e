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

static void add_recipient(const struct dsn *d, const struct dsn_recipient *r, size_t max, struct buf *out)
{
    AUTO_BUF struct buf status = {0};
    struct fold f;
    buf_add_text(out, "\r\n<");
    buf_add_printable(out, span_of(r->addr), PATH_MAX_LEN);
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

/* The recipients that it happened to, and what it means for them. */
static void add_action(const struct dsn *d, enum dsn_action action, enum dsn_detail detail, size_t listed,
                       struct buf *out)
{
    static const char *const begins[] = {
        [DSN_FAILED] = "Your message could not be delivered to ",
        [DSN_DELAYED] = "Your message has not been delivered yet to ",
        [DSN_RELAYED] = "Your message was passed on to a mail host that reports nothing back, for ",
    };
    static const char *const ends[] = {
        [DSN_FAILED] = "Nothing more will be tried for these recipients.",
        [DSN_DELAYED] = "It is tried again; you need not send it anew.",
        [DSN_RELAYED] = "You asked to be told; you will hear no more of it from us.",
    };
    size_t count = 0;
    for (size_t i = 0; i < listed; i++)
        count += d->recipients[i].action == action;
    if (count == 0)
        return;
    buf_printf(out, "\r\n%s", begins[action]);
    add_count(count, "recipient", out);
    buf_add_text(out, ":\r\n");
    for (size_t i = 0; i < listed; i++) {
        if (d->recipients[i].action == action)
            add_recipient(d, &d->recipients[i], words_max[detail], out);
    }
    buf_printf(out, "\r\n%s\r\n", ends[action]);
}

void dsn_add_words(const struct dsn *d, enum dsn_detail detail, size_t listed, size_t left_out,
                   struct span message_id, struct buf *out)
{
    buf_add_text(out, "This is the mail system at ");
    dsn_add_name(d->reporting_name, out);
    buf_add_text(out, ".\r\n");
    if (detail == DSN_NAMES) {
        buf_add_text(out, "\r\nIt has news of your message for ");
        add_count(listed, "recipient", out);
        buf_add_text(out, ",\r\nwhich are named in the report below.\r\n");
        if (left_out > 0) {
            buf_add_text(out, "The report has no room for ");
            add_count(left_out, "more recipient", out);
            buf_add_text(out, ".\r\n");
        }
    } else {
        for (enum dsn_action action = 0; action < DSN_ACTION_COUNT; action++)
            add_action(d, action, detail, listed, out);
    }
    add_what_it_was(d, message_id, out);
    buf_add_text(out, "\r\nA report for programs follows, and then your message or only its header.\r\n");
}
