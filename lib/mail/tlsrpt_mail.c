/* The mail of a TLS report: words for people, and the file. */
#include "mail/tlsrpt_mail.h"

#include "base/base64.h"
#include "base/clock.h"
#include "mail/fold.h"
#include "mail/mime.h"

enum { LINE_BYTES = 57, DATE_LEN = 10 }; /* 76 characters of base64 */

void tlsrpt_mail_add_file_name(const struct tlsrpt_mail *m, struct buf *out)
{
    buf_printf(out, "%s!%s!%llu!%llu!%s.json.gz", m->submitter, m->domain, (unsigned long long) m->start_s,
               (unsigned long long) m->end_s, m->id);
}

static void add_field(struct buf *out, const char *name, const char *text)
{
    struct fold f;

    fold_start(&f, out, name, 1);
    fold_text(&f, text);
    fold_end(&f);
}

static void add_to(const struct tlsrpt_mail *m, struct buf *out)
{
    struct fold f;

    fold_start(&f, out, "To:", 1);
    for (size_t i = 0; i < m->to_count; i++) {
        fold_word(&f, span_of(m->to[i]));
        if (i + 1 < m->to_count) {
            f.is_glued = true;
            fold_word(&f, SPAN(","));
        }
    }
    fold_end(&f);
}

static void add_header(const struct tlsrpt_mail *m, struct buf *out)
{
    AUTO_BUF struct buf subject = {0};
    struct fold f;

    buf_add_text(out, "Date: ");
    clock_add_date(out, m->wall_ms);
    buf_add_text(out, "\r\n");
    add_field(out, "From:", m->from);
    add_to(m, out);
    buf_printf(&subject, "Report Domain: %s Submitter: %s Report-ID: <%s@%s>", m->domain, m->submitter, m->id,
               m->submitter);
    fold_start(&f, out, "Subject:", 1);
    fold_words(&f, buf_span(&subject));
    fold_end(&f);
    buf_printf(out, "Message-ID: <%s@%s>\r\n", m->id, m->submitter);
    add_field(out, "TLS-Report-Domain:", m->domain);
    add_field(out, "TLS-Report-Submitter:", m->submitter);
    buf_printf(out,
               "TLS-Required: No\r\n"
               "Auto-Submitted: auto-generated\r\n"
               "MIME-Version: 1.0\r\n"
               "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
               " boundary=\"=_%s\"\r\n\r\n",
               m->id);
}

static void add_words(const struct tlsrpt_mail *m, struct buf *out)
{
    AUTO_BUF struct buf text = {0}, day = {0};
    bool is_plain;

    clock_add_stamp(&day, m->start_s * 1000);
    buf_printf(
        &text,
        "This is a report about TLS sessions with the mail hosts of\r\n%s\r\non %.*s (UTC), by\r\n%s.\r\n"
        "The attached file has it in the format of RFC 8460.\r\n\r\nContact: %s\r\n",
        m->domain, DATE_LEN, day.data, m->organization, m->contact);
    is_plain = mime_is_plain(buf_span(&text));
    buf_printf(out, "--=_%s\r\nContent-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n",
               m->id, is_plain ? "us-ascii" : "utf-8", is_plain ? "7bit" : "quoted-printable");
    if (is_plain)
        buf_add_span(out, buf_span(&text));
    else
        mime_add_quoted(buf_span(&text), out);
}

static void add_file(const struct tlsrpt_mail *m, struct buf *out)
{
    buf_printf(out,
               "\r\n--=_%s\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"
               "Content-Disposition: attachment;\r\n filename=\"",
               m->id);
    tlsrpt_mail_add_file_name(m, out);
    buf_add_text(out, "\"\r\n\r\n");
    for (size_t at = 0; at < m->packed.len; at += LINE_BYTES) {
        size_t len = m->packed.len - at < LINE_BYTES ? m->packed.len - at : LINE_BYTES;

        base64_encode((struct span){m->packed.at + at, len}, out);
        buf_add_text(out, "\r\n");
    }
    buf_printf(out, "\r\n--=_%s--\r\n", m->id);
}

void tlsrpt_mail_write(const struct tlsrpt_mail *m, struct buf *out)
{
    add_header(m, out);
    add_words(m, out);
    add_file(m, out);
}
