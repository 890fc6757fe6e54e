/* Delivery status notifications: the message around the three parts (RFC 3464 section 2, RFC 6522), and how all of it is kept within DSN_MAX. */
#include "mail/dsn.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mail/ascii.h"
#include "mail/dsn_part.h"
#include "mail/fold.h"
#include "mail/header.h"
#include "mail/mime.h"

enum {
    BOUNDARY_MAX = 48,
    NAME_BYTES_MAX = 200,
    ORIGINAL_LEAST = 8192, /* room kept for the original's header */
    FRAME_MAX = 1024,      /* delimiters and fields of the parts */
};
/* What the Message-ID of a notification begins with, its number follows: about mail of a sender, of the null sender. */
#define OWN_ID "dsn."
#define DOUBLE_ID "double-bounce."

/* The original's Message-ID when it is one (RFC 5322 section 3.6.4): anything else is not repeated in our header. */
static struct span find_message_id(const struct dsn *d, struct header_scan *scan)
{
    header_scan_init(
        scan, (struct header_limits){.size_bytes = UINT64_MAX, .fields = UINT64_MAX, .hops = UINT64_MAX});
    header_scan_feed(scan, d->original);
    if (d->original_is_whole)
        header_scan_end(scan);
    struct span id = span_of(scan->message_id);
    bool is_id = id.len > 2 && id.at[0] == '<' && id.at[id.len - 1] == '>';
    for (size_t i = 1; is_id && i + 1 < id.len; i++)
        is_id = is_printable(id.at[i]) && id.at[i] != ' ' && id.at[i] != '<' && id.at[i] != '>';
    return is_id ? id : (struct span){.at = NULL};
}

/* Made of the id, which nobody could guess when the original was written; a number is added in the case that cannot happen. */
static void make_boundary(const struct dsn *d, char ret_boundary[static BOUNDARY_MAX])
{
    char id[ID_TEXT_LEN + 1];
    id_format(&d->id, id);
    snprintf(ret_boundary, BOUNDARY_MAX, "=_%s", id);
    for (unsigned n = 1;
         d->original.len > 0 && memmem(d->original.at, d->original.len, ret_boundary, strlen(ret_boundary));
         n++)
        snprintf(ret_boundary, BOUNDARY_MAX, "=_%s_%u_", id, n);
}

static bool is_id_of(struct span message_id, struct span start)
{
    struct id id;
    return message_id.len > start.len + ID_TEXT_LEN && span_starts_nocase(message_id, start) &&
           id_parse((struct span){.at = message_id.at + start.len, .len = ID_TEXT_LEN}, &id) == 0 &&
           message_id.at[start.len + ID_TEXT_LEN] == '@';
}

bool dsn_is_double_bounce_id(struct span message_id)
{
    return is_id_of(message_id, SPAN("<" DOUBLE_ID));
}

bool dsn_is_own_id(struct span message_id)
{
    return is_id_of(message_id, SPAN("<" OWN_ID)) || dsn_is_double_bounce_id(message_id);
}

/* The display name: as it is when made of atoms (RFC 5322 section 3.2.3), else quoted. */
static void add_quoted_name(const char *name, struct buf *out)
{
    bool is_plain = *name != '\0';
    for (const char *c = name; *c; c++)
        is_plain = is_plain && (is_alnum(*c) || *c == ' ' || *c == '-' || *c == '_');
    size_t len = strlen(name);
    if (!is_plain)
        buf_add_char(out, '"');
    for (size_t i = 0; i < len && i < NAME_BYTES_MAX; i++) {
        if (name[i] == '"' || name[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, is_printable(name[i]) ? name[i] : '?');
    }
    if (!is_plain)
        buf_add_char(out, '"');
}

static void add_from(const struct dsn *d, struct buf *out)
{
    AUTO_BUF struct buf name = {0}, addr = {0};
    struct span text = span_of(d->from_name);
    buf_add_text(&addr, d->to ? "<double-bounce@" : "<MAILER-DAEMON@");
    dsn_add_name(d->reporting_name, &addr);
    buf_add_char(&addr, '>');
    if (text.len > NAME_BYTES_MAX)
        text.len = NAME_BYTES_MAX;
    struct fold f;
    fold_start(&f, out, "From:", 1);
    if (span_has_8bit(text) && span_is_text(text)) {
        mime_add_words(&f, text);
    } else {
        add_quoted_name(d->from_name, &name);
        fold_word(&f, buf_span(&name));
    }
    fold_word(&f, buf_span(&addr));
    fold_end(&f);
}

const char *dsn_to(const struct dsn *d)
{
    return d->to ? d->to : d->envelope->sender;
}

bool dsn_is_global(const struct dsn *d)
{
    return !is_ascii_text(dsn_to(d));
}

static void add_subject(const struct dsn *d, struct span message_id, struct buf *out)
{
    AUTO_BUF struct buf subject = {0};
    dsn_add_subject(d, message_id, &subject);
    struct fold f;
    fold_start(&f, out, "Subject:", 1);
    mime_add_words(&f, buf_span(&subject));
    fold_end(&f);
}

static void add_header(const struct dsn *d, const char *boundary, struct span message_id, struct buf *out)
{
    struct fold f;
    char id[ID_TEXT_LEN + 1];
    id_format(&d->id, id);
    buf_add_text(out, "Date: ");
    clock_add_date(out, d->wall_ms);
    buf_add_text(out, "\r\n");
    add_from(d, out);
    fold_start(&f, out, "To:", 1);
    f.keeps_utf8 = dsn_is_global(d);
    fold_word(&f, span_of(dsn_to(d)));
    fold_end(&f);
    add_subject(d, message_id, out);
    buf_printf(out, "Message-ID: <%s%s@", d->to ? DOUBLE_ID : OWN_ID, id);
    dsn_add_name(d->reporting_name, out);
    buf_add_text(out, ">\r\n");
    if (message_id.len > 0)
        buf_printf(out, "In-Reply-To: %.*s\r\nReferences: %.*s\r\n", SPAN_ARG(message_id),
                   SPAN_ARG(message_id));
    buf_printf(out,
               "Auto-Submitted: auto-replied\r\n"
               "%s"
               "MIME-Version: 1.0\r\n"
               "Content-Type: multipart/report; report-type=delivery-status;\r\n"
               " boundary=\"%s\"\r\n",
               d->envelope->tls_optional ? "TLS-Required: No\r\n" : "", boundary);
}

static void add_words_part(struct span words, struct buf *out)
{
    if (mime_is_plain(words)) {
        buf_add_text(out, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
        buf_add_span(out, words);
    } else {
        buf_add_text(out, "Content-Type: text/plain; charset=utf-8\r\n"
                          "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        mime_add_quoted(words, out);
    }
}

/* The two parts we write ourselves, within room bytes if the detail leaves any choice. Returns how many recipients are in them. */
static size_t add_parts(const struct dsn *d, enum dsn_detail detail, const char *boundary,
                        struct span message_id, size_t room, struct buf *out)
{
    enum { WORDS_LEAST = 1536 }; /* the part for people when it names nobody */
    AUTO_BUF struct buf report = {0};
    size_t listed = 0;
    dsn_add_message_fields(d, &report);
    while (listed < d->recipient_count) {
        size_t before = report.len;
        dsn_add_recipient_fields(d, &d->recipients[listed], detail, &report);
        if (report.len + WORDS_LEAST > room) {
            report.len = before;
            break;
        }
        listed++;
    }
    if (listed < d->recipient_count && detail != DSN_NAMES)
        return listed;
    AUTO_BUF struct buf words = {0};
    dsn_add_words(d, detail, listed, d->recipient_count - listed, message_id, &words);
    buf_printf(out, "--%s\r\nContent-Description: What happened\r\n", boundary);
    add_words_part(buf_span(&words), out);
    buf_printf(out, "\r\n--%s\r\nContent-Description: Report for programs\r\n%s\r\n", boundary,
               dsn_is_global(d) ? "Content-Type: message/global-delivery-status\r\n"
                                  "Content-Transfer-Encoding: 8bit\r\n"
                                : "Content-Type: message/delivery-status\r\n");
    buf_add_span(out, buf_span(&report));
    return listed;
}

struct dsn_written dsn_write(const struct dsn *d, struct buf *out)
{
    must(dsn_to(d)[0] != '\0' && d->recipient_count > 0);
    struct header_scan scan;
    struct span message_id = find_message_id(d, &scan);
    char boundary[BOUNDARY_MAX];
    make_boundary(d, boundary);

    AUTO_BUF struct buf header = {0}, parts = {0}, original = {0};
    add_header(d, boundary, message_id, &header);
    size_t room = DSN_MAX - header.len - FRAME_MAX;
    struct dsn_written written = {0};
    for (enum dsn_detail detail = DSN_FULL; detail < DSN_DETAIL_COUNT; detail++) {
        buf_clear(&parts);
        written.recipient_count = add_parts(d, detail, boundary, message_id, room - ORIGINAL_LEAST, &parts);
        if (written.recipient_count == d->recipient_count && parts.len <= room - ORIGINAL_LEAST)
            break;
    }
    must(parts.len <= room);
    written.is_utf8 = dsn_is_global(d);
    written.is_8bit = dsn_add_original(d, room - parts.len, &original) || written.is_utf8;

    size_t start = out->len;
    buf_add_span(out, buf_span(&header));
    if (written.is_8bit)
        buf_add_text(out, "Content-Transfer-Encoding: 8bit\r\n");
    buf_add_text(out, "\r\nThis is a report in MIME format.\r\n\r\n");
    buf_add_span(out, buf_span(&parts));
    buf_printf(out, "\r\n--%s\r\n", boundary);
    buf_add_span(out, buf_span(&original));
    buf_printf(out, "\r\n--%s--\r\n", boundary);
    must(out->len - start <= DSN_MAX);
    return written;
}
