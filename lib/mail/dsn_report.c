/* The part of a notification that programs read: message/delivery-status (RFC 3464 section 2). */
#include <string.h>

#include "base/clock.h"
#include "mail/addr.h"
#include "mail/ascii.h"
#include "mail/dsn_part.h"
#include "mail/fold.h"

/* Bytes of a remote's words in Diagnostic-Code; 0: the field is left out. */
static const size_t diagnostic_max[DSN_DETAIL_COUNT] = {
    [DSN_FULL] = VERDICT_TEXT_MAX, [DSN_SHORT] = 256, [DSN_TERSE] = 64};

void dsn_add_name(const char *name, struct buf *out)
{
    for (size_t i = 0; i < DOMAIN_MAX && name[i] != '\0'; i++)
        buf_add_char(out, is_alnum(name[i]) || strchr("-._[]:", name[i]) ? name[i] : '?');
}

static void add_date_field(const char *name, uint64_t wall_ms, struct buf *out)
{
    buf_add_text(out, name);
    clock_add_date(out, wall_ms);
    buf_add_text(out, "\r\n");
}

void dsn_add_message_fields(const struct dsn *d, struct buf *out)
{
    buf_add_text(out, "Reporting-MTA: dns; ");
    dsn_add_name(d->reporting_name, out);
    buf_add_text(out, "\r\n");
    add_date_field("Arrival-Date: ", d->envelope->arrival_ms, out);
}

static bool is_status(const char *s)
{
    if ((*s != '4' && *s != '5') || s[1] != '.')
        return false;
    unsigned dots = 0;
    for (s++; *s; s++) {
        if (*s == '.' ? ++dots > 2 || !is_digit(s[1]) : !is_digit(*s))
            return false;
    }
    return dots == 2;
}

/* RFC 3464 section 2.3.4. Action "failed" goes with 5.x.x; 4.x.x only says what delayed a message until it expired. */
static const char *status_of(const struct dsn_recipient *r)
{
    const char *status = r->verdict->status;
    return is_status(status) && (status[0] == '5' || r->last) ? status : "5.0.0";
}

/* "mx.example.com [192.0.2.1]:25" -> mx.example.com; without a name the address. */
static void add_remote_mta(const char *remote, struct buf *out)
{
    size_t len = strcspn(remote, " ");
    if (len == 0)
        return;
    if (remote[0] == '[' && strchr(remote, ']'))
        len = (size_t) (strchr(remote, ']') - remote) + 1;
    struct fold f;
    fold_start(&f, out, "Remote-MTA: dns;", 1);
    fold_word(&f, (struct span){.at = remote, .len = len});
    fold_end(&f);
}

/* RFC 3464 section 2.3.6: "smtp;" and the reply, code first. */
static void add_diagnostic(const struct verdict *v, size_t max, struct buf *out)
{
    struct span text = span_of(v->text);
    if (text.len > max)
        text.len = max;
    AUTO_BUF struct buf code = {0};
    buf_add_number(&code, v->code);
    struct fold f;
    fold_start(&f, out, "Diagnostic-Code: smtp;", 1);
    fold_word(&f, buf_span(&code));
    fold_words(&f, text);
    fold_end(&f);
}

void dsn_add_recipient_fields(const struct dsn *d, const struct dsn_recipient *r, enum dsn_detail detail,
                              struct buf *out)
{
    struct fold f;
    buf_add_text(out, "\r\n");
    fold_start(&f, out, "Final-Recipient: rfc822;", 1);
    fold_word(&f, span_of(r->addr));
    fold_end(&f);
    buf_add_text(out, "Action: failed\r\nStatus: ");
    buf_add_text(out, status_of(r));
    buf_add_text(out, "\r\n");
    const struct verdict *heard = r->verdict->from_remote ? r->verdict : r->last;
    if (heard && heard->from_remote && diagnostic_max[detail] > 0) {
        add_remote_mta(heard->remote, out);
        add_diagnostic(heard, diagnostic_max[detail], out);
    }
    if (d->last_attempt_ms != 0 && detail != DSN_NAMES)
        add_date_field("Last-Attempt-Date: ", d->last_attempt_ms, out);
}
