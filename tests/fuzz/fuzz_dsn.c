/*
 * Notifications about any original, reply and address, read back by dsn_reader.c and compared with what went in. Two bytes of choices; then three
 * lines: address, remote, reply text; then a template up to a NUL where one is chosen; the rest is the original.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "dsn_reader.h"
#include "mail/dsn.h"
#include "mail/mail_kind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_MOST = 998, MOST = 300 };

/* The first byte of choices, and the second. */
enum {
    FROM_REMOTE = 1,
    THREE = 2,
    EXPIRED = 4,
    ATTEMPTED = 8,
    WHOLE = 16,
    SMALL = 32,
    ASKED_FOR = 64,
    MANY = 128 /* with THREE and ASKED_FOR; they are slow */
};
enum { TEMPLATED = 1, NEEDS_TLS = 2, HEADER_ONLY = 4, TO_POSTMASTER = 8, TLS_OPTIONAL = 16 };

static const char *const action_words[] = {"failed", "delayed", "relayed", "delivered"};
static const char classes[] = "5422";

/* ---- what was told of the recipients */

/* As a fold writes it: no blanks, since a line may end anywhere among them, and a question mark for what is not printable ASCII. */
static void add_shown(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] != ' ' && text.at[i] != '\t')
            buf_add_char(out, text.at[i] > ' ' && text.at[i] <= '~' ? text.at[i] : '?');
}

static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    return true;
}

static bool begins_with(struct span text, struct span start)
{
    return text.len >= start.len && (start.len == 0 || memcmp(text.at, start.at, start.len) == 0);
}

static void check_diagnostic(const struct dsn *d, const struct verdict *heard, struct span group)
{
    AUTO_BUF struct buf value = {0}, got = {0}, wanted = {0};
    if (read_field(group, "Diagnostic-Code", &value) == 0) {
        must(d->recipient_count > 3 || !heard->from_remote);
        return;
    }
    must(heard->from_remote);
    add_shown(buf_span(&value), &got);
    buf_printf(&wanted, "smtp;%u", heard->code);
    add_shown(span_of(heard->text), &wanted);
    must(begins_with(buf_span(&wanted), buf_span(&got)));
    must(d->recipient_count > 3 || got.len == wanted.len);
}

static void check_recipient(const struct dsn *d, const struct dsn_recipient *r, struct span group)
{
    AUTO_BUF struct buf value = {0}, wanted = {0};
    read_names(
        group,
        "Original-Recipient Final-Recipient! Action! Status! Remote-MTA Diagnostic-Code Last-Attempt-Date "
        "Will-Retry-Until");
    must(read_field(group, "Action", &value) == 1 &&
         span_equal(buf_span(&value), span_of(action_words[r->action])));
    must(read_field(group, "Status", &value) == 1 && value.len >= 5 && value.len < 12);
    must(value.data[0] == classes[r->action] || (value.data[0] == '4' && r->action == DSN_FAILED && r->last));
    must(r->action == DSN_DELAYED || read_field(group, "Will-Retry-Until", &value) == 0);
    must(read_field(group, "Final-Recipient", &value) == 1);
    buf_printf(&wanted, "rfc822; %s", r->addr);
    struct span addr = span_of(r->addr);
    must(!is_plain(addr) || addr.len == 0 || addr.len > 60 ||
         span_equal(buf_span(&value), buf_span(&wanted)));
    must(begins_with(buf_span(&value), span_has_8bit(addr) ? SPAN("utf-8;") : SPAN("rfc822;")));
    check_diagnostic(d, r->verdict->from_remote || !r->last ? r->verdict : r->last, group);
}

static void check_report(const struct dsn *d, const struct dsn_written *written, const struct read_part *part)
{
    AUTO_BUF struct buf type = {0};
    struct span rest = part->body, group;
    size_t count = 0;
    must(read_field(part->header, "Content-Type", &type) == 1);
    must(span_equal(buf_span(&type), written->is_utf8 ? SPAN("message/global-delivery-status")
                                                      : SPAN("message/delivery-status")));
    must(read_group(&rest, &group));
    read_names(group, "Reporting-MTA! Arrival-Date! Original-Envelope-Id");
    for (; read_group(&rest, &group); count++) {
        must(count < written->recipient_count);
        check_recipient(d, &d->recipients[count], group);
    }
    must(count == written->recipient_count);
}

static void check_words(const struct dsn *d, const struct read_part *part)
{
    AUTO_BUF struct buf words = {0}, wanted = {0};
    struct span addr = span_of(d->recipients[0].addr);
    read_words(part, &words);
    if (d->recipient_count > 3 || !span_is_text(addr) || words.len > 30000)
        return;
    buf_printf(&wanted, "<%s>:\r\n", d->recipients[0].addr);
    must(memmem(words.data, words.len, wanted.data, wanted.len));
}

/* ---- what came back of the original */

static bool is_carriable(struct span line)
{
    return line.len <= LINE_MOST && !memchr(line.at, '\0', line.len) && !memchr(line.at, '\r', line.len);
}

/* The next line without its end; *ret_is_mail: it ended with CRLF. */
static struct span next_line(struct span *rest, bool *ret_is_mail)
{
    const char *end = memchr(rest->at, '\n', rest->len);
    struct span line = span_cut(rest, '\n');
    *ret_is_mail = end && line.len > 0 && line.at[line.len - 1] == '\r';
    if (*ret_is_mail)
        line.len--;
    return line;
}

static bool can_be_whole(const struct dsn *d)
{
    struct span rest = d->original;
    if (d->recipients[0].action != DSN_FAILED || d->envelope->ret == RET_HDRS || d->envelope->requires_tls ||
        !d->original_is_whole || rest.len == 0 || rest.len > d->max_original_bytes)
        return false;
    while (rest.len > 0) {
        bool is_mail;
        struct span line = next_line(&rest, &is_mail);
        if (!is_carriable(line) || (!is_mail && rest.at))
            return false;
    }
    return d->original.at[d->original.len - 1] != '\n' || d->original.len < 2 ||
           d->original.at[d->original.len - 2] == '\r';
}

/* Its fields that mail can carry, each whole. A last line that may go on is not known. */
static void add_header(const struct dsn *d, struct buf *out)
{
    AUTO_BUF struct buf field = {0};
    struct span rest = d->original;
    bool is_good = false;
    while (rest.len > 0) {
        bool is_mail;
        struct span line = next_line(&rest, &is_mail);
        bool has_end = rest.at != NULL;
        if (line.len == 0 && (has_end || d->original_is_whole))
            break;
        if (line.len == 0 || (line.at[0] != ' ' && line.at[0] != '\t')) {
            buf_add_span(out, is_good ? buf_span(&field) : (struct span){.at = NULL});
            buf_clear(&field);
            is_good = true;
        }
        is_good = is_good && is_carriable(line) && (has_end || d->original_is_whole);
        buf_add_span(&field, line);
        buf_add_text(&field, "\r\n");
    }
    buf_add_span(out, is_good ? buf_span(&field) : (struct span){.at = NULL});
}

static void check_header(const struct dsn *d, struct span got)
{
    AUTO_BUF struct buf wanted = {0};
    add_header(d, &wanted);
    must(begins_with(buf_span(&wanted), got));
    if (got.len == wanted.len)
        return;
    must(wanted.len > 7000); /* room for so much is kept */
    must(wanted.data[got.len] != ' ' && wanted.data[got.len] != '\t');
}

static void check_original(const struct dsn *d, const struct read_part *part)
{
    AUTO_BUF struct buf type = {0};
    must(read_field(part->header, "Content-Type", &type) == 1);
    if (span_equal(buf_span(&type), SPAN("message/rfc822")) ||
        span_equal(buf_span(&type), SPAN("message/global"))) {
        must(span_equal(part->body, d->original) && can_be_whole(d));
        return;
    }
    must(begins_with(buf_span(&type), SPAN("text/rfc822-headers")) ||
         span_equal(buf_span(&type), SPAN("message/global-headers")));
    must(type.data[0] != 'm' || span_is_utf8(part->body));
    must(!can_be_whole(d) || d->original.len > 7000); /* room for so much is kept */
    check_header(d, part->body);
}

static void check(const struct dsn *d, const struct dsn_written *written, struct span message)
{
    struct read_dsn read;
    read_dsn(message, &read);
    check_words(d, &read.parts[0]);
    check_report(d, written, &read.parts[1]);
    check_original(d, &read.parts[2]);
    must(mail_kind_of(message).is_report && mail_kind_of(message).is_double_bounce == (d->to != NULL));
    (void) mail_kind_of(d->original); /* whatever it is, within bounds */
}

/* ---- making one */

static void make_recipients(struct dsn *d, struct dsn_recipient *recipients, uint8_t choices,
                            const char *addr, const struct verdict *v, const struct verdict *last)
{
    bool is_many = (choices & (MANY | ASKED_FOR | THREE)) == (MANY | ASKED_FOR | THREE);
    d->recipients = recipients;
    d->recipient_count = is_many ? MOST : choices & THREE ? 3 : 1;
    for (size_t i = 0; i < d->recipient_count; i++)
        recipients[i] = (struct dsn_recipient){
            .addr = addr,
            .action = choices & ASKED_FOR ? (enum dsn_action)(i * DSN_ACTION_COUNT / d->recipient_count)
                                          : DSN_FAILED,
            .orcpt = choices & ASKED_FOR ? v->text : NULL,
            .verdict = v,
            .last = choices & EXPIRED ? last : NULL};
}

static struct dsn_template *read_template(bool is_wanted, struct span *rest)
{
    struct dsn_template *t = NULL;
    char *error = NULL;
    if (!is_wanted)
        return NULL;
    if (dsn_template_parse(span_cut(rest, '\0'), &t, &error) < 0)
        mem_free(error);
    return t;
}

static void write_and_check(struct dsn *d)
{
    AUTO_BUF struct buf out = {0};
    struct dsn_written written = dsn_write(d, &out);
    must(out.len <= DSN_MAX && written.recipient_count > 0 && written.recipient_count <= d->recipient_count);
    check(d, &written, buf_span(&out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    static struct dsn_recipient recipients[MOST];
    uint8_t choices = data[0], more = data[1];
    struct span rest = {.at = (const char *) data + 2, .len = size - 2};
    struct span addr = span_cut(&rest, '\n'), remote = span_cut(&rest, '\n'), text = span_cut(&rest, '\n');
    struct verdict v = {.class = VERDICT_FAILED, .code = 550, .from_remote = (choices & FROM_REMOTE) != 0};
    struct verdict last = {.class = VERDICT_DEFERRED, .code = 451, .from_remote = true};
    char *to = mem_text(addr.at, addr.len < 254 ? addr.len : 254);
    snprintf(v.status, sizeof v.status, "%.*s", remote.len < 11 ? (int) remote.len : 11,
             remote.len > 0 ? remote.at : "");
    v.remote = mem_text(remote.at, remote.len < 300 ? remote.len : 300);
    v.text = mem_text(text.at, text.len < VERDICT_TEXT_MAX ? text.len : VERDICT_TEXT_MAX);
    last.remote = mem_string(v.remote);
    last.text = mem_string(v.text);
    struct dsn_template *template = read_template(more & TEMPLATED, &rest);
    struct envelope envelope = {.sender = to[0] != '\0' ? to : v.text,
                                .arrival_ms = 1000,
                                .envid = choices & ASKED_FOR ? v.remote : NULL,
                                .ret = more & HEADER_ONLY ? RET_HDRS : RET_UNSAID,
                                .requires_tls = more & NEEDS_TLS,
                                .tls_optional = more & TLS_OPTIONAL,
                                .has_utf8_header = choices & ASKED_FOR};
    struct dsn d = {
        .to = more & TO_POSTMASTER ? "postmaster@relay.example" : NULL,
        .reporting_name = "relay.example",
        .from_name = v.text,
        .envelope = &envelope,
        .wall_ms = 5000,
        .last_attempt_ms = choices & ATTEMPTED ? 4000 : 0,
        .retry_until_ms = 9000,
        .attempts = choices,
        .original = rest,
        .original_is_whole = (choices & WHOLE) != 0,
        .max_original_bytes = choices & SMALL ? 100 : 60000,
        .templates = {template, NULL, template},
    };
    make_recipients(&d, recipients, choices, to, &v, &last);
    if (envelope.sender[0] != '\0')
        write_and_check(&d);
    dsn_template_free(template);
    verdict_done(&v);
    verdict_done(&last);
    mem_free(to);
    return 0;
}
