/* The part of a notification that programs read: message/delivery-status (RFC 3464 section 2). */
#include <string.h>

#include "base/clock.h"
#include "mail/addr.h"
#include "mail/ascii.h"
#include "mail/dsn_part.h"
#include "mail/fold.h"
#include "mail/orcpt.h"

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

static void add_field(const struct dsn *d, const char *name, struct span type, struct span value,
                      struct buf *out)
{
    struct fold f;
    fold_start(&f, out, name, 1);
    f.keeps_utf8 = dsn_is_global(d);
    fold_word(&f, type);
    fold_word(&f, value);
    fold_end(&f);
}

/* "rfc822; bob@one.test", of what orcpt.h wrote without the space. */
static void add_address_field(const struct dsn *d, const char *name, struct span address, struct buf *out)
{
    const char *end = memchr(address.at, ';', address.len);
    size_t type_len = end ? (size_t) (end - address.at) + 1 : address.len;
    add_field(d, name, (struct span){.at = address.at, .len = type_len},
              (struct span){.at = address.at + type_len, .len = address.len - type_len}, out);
}

void dsn_add_message_fields(const struct dsn *d, struct buf *out)
{
    buf_add_text(out, "Reporting-MTA: dns; ");
    dsn_add_name(d->reporting_name, out);
    buf_add_text(out, "\r\n");
    if (d->envelope->envid && *d->envelope->envid) {
        AUTO_BUF struct buf envid = {0};
        xtext_add_decoded(span_of(d->envelope->envid), &envid);
        add_field(d, "Original-Envelope-Id:", (struct span){.at = NULL}, buf_span(&envid), out);
    }
    add_date_field("Arrival-Date: ", d->envelope->arrival_ms, out);
}

static bool is_status(const char *s)
{
    if (*s < '2' || *s > '5' || s[1] != '.')
        return false;
    unsigned dots = 0;
    for (s++; *s; s++) {
        if (*s == '.' ? ++dots > 2 || !is_digit(s[1]) : !is_digit(*s))
            return false;
    }
    return dots == 2;
}

/* RFC 3464 section 2.3.4: the class goes with the action. Failed: 4.x.x only says what delayed a message until it expired. */
static const char *status_of(const struct dsn_recipient *r)
{
    static const char *const defaults[] = {
        [DSN_FAILED] = "5.0.0", [DSN_DELAYED] = "4.0.0", [DSN_RELAYED] = "2.0.0", [DSN_DELIVERED] = "2.0.0"};
    const char *status = r->verdict->status, *fallback = defaults[r->action];
    bool is_fit = *status == *fallback || (*status == '4' && r->action == DSN_FAILED && r->last);
    return is_fit && is_status(status) ? status : fallback;
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
    static const char *const actions[] = {[DSN_FAILED] = "failed",
                                          [DSN_DELAYED] = "delayed",
                                          [DSN_RELAYED] = "relayed",
                                          [DSN_DELIVERED] = "delivered"};
    AUTO_BUF struct buf original = {0}, final = {0};
    buf_add_text(out, "\r\n");
    if (r->orcpt && detail != DSN_NAMES) {
        orcpt_add_decoded(span_of(r->orcpt), !dsn_is_global(d), &original);
        add_address_field(d, "Original-Recipient:", buf_span(&original), out);
    }
    orcpt_add_addr(span_of(r->addr), !dsn_is_global(d), &final);
    add_address_field(d, "Final-Recipient:", buf_span(&final), out);
    buf_printf(out, "Action: %s\r\nStatus: %s\r\n", actions[r->action], status_of(r));
    const struct verdict *heard = r->verdict->from_remote ? r->verdict : r->last;
    if (heard && heard->from_remote && diagnostic_max[detail] > 0) {
        add_remote_mta(heard->remote, out);
        add_diagnostic(heard, diagnostic_max[detail], out);
    }
    if (d->last_attempt_ms != 0 && detail != DSN_NAMES)
        add_date_field("Last-Attempt-Date: ", d->last_attempt_ms, out);
    if (r->action == DSN_DELAYED && d->retry_until_ms != 0)
        add_date_field("Will-Retry-Until: ", d->retry_until_ms, out);
}
