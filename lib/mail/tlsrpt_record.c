/* _smtp._tls records: exactly one of our version; unknown fields and unknown kinds of places mean nothing. */
#include "mail/tlsrpt_record.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "mail/ascii.h"

enum { PORT_MAX = 65535 };
#define VERSION "v=TLSRPTv1"
#define MAILTO "mailto:"
#define HTTPS "https://"

/* ---- places ---- */

static int hex_digit(char c)
{
    return is_digit(c) ? c - '0' : to_lower(c) >= 'a' && to_lower(c) <= 'f' ? to_lower(c) - 'a' + 10 : -1;
}

/* RFC 3986 section 2.1. False: a percent sign without its digits. */
static bool decode(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        int high, low;

        if (text.at[i] != '%') {
            buf_add_char(out, text.at[i]);
            continue;
        }
        high = i + 2 < text.len ? hex_digit(text.at[i + 1]) : -1;
        low = high >= 0 ? hex_digit(text.at[i + 2]) : -1;
        if (low < 0)
            return false;
        buf_add_char(out, (char) (high << 4 | low));
        i += 2;
    }
    return true;
}

/* RFC 6068: one address; what it says of header fields is not for us. */
static void add_mail(struct tlsrpt_record *r, struct span place)
{
    AUTO_BUF struct buf text = {0};
    struct addr addr;
    char domain[DOMAIN_MAX + 1];

    if (r->mail_count == TLSRPT_PLACES_MAX || !decode(span_cut(&place, '?'), &text) ||
        addr_parse(buf_span(&text), &addr) < 0 || domain_normalise(addr.domain, domain) < 0)
        return;
    r->mails[r->mail_count++] = mem_text(text.data, text.len);
}

/* Host and port of what follows "https://"; -EINVAL: not with a name, or with a user. */
static int parse_authority(struct span rest, char ret_host[static DOMAIN_MAX + 1])
{
    size_t len = 0;
    struct span host, port;
    uint64_t number;

    while (len < rest.len && !strchr("/?#", rest.at[len]))
        len++;
    port = (struct span){rest.at, len};
    host = span_cut(&port, ':');
    if (port.at && span_number(port, PORT_MAX, &number) < 0)
        return -EINVAL;
    return domain_normalise(host, ret_host);
}

static void add_url(struct tlsrpt_record *r, struct span place)
{
    struct span rest = {place.at + strlen(HTTPS), place.len - strlen(HTTPS)};
    char host[DOMAIN_MAX + 1];

    for (size_t i = 0; i < place.len; i++) {
        if (!is_printable(place.at[i]) || place.at[i] == ' ')
            return;
    }
    if (r->url_count < TLSRPT_PLACES_MAX && place.len <= TLSRPT_URL_MAX && parse_authority(rest, host) == 0)
        r->urls[r->url_count++] = mem_text(place.at, place.len);
}

static void add_places(struct tlsrpt_record *r, struct span list)
{
    while (list.at) {
        struct span place = span_trim(span_cut(&list, ','));

        if (span_starts_nocase(place, SPAN(MAILTO)))
            add_mail(r, (struct span){place.at + strlen(MAILTO), place.len - strlen(MAILTO)});
        else if (span_starts_nocase(place, SPAN(HTTPS)))
            add_url(r, place);
    }
}

void tlsrpt_url_host(const char *url, char ret_host[static DOMAIN_MAX + 1])
{
    int r = parse_authority(span_of(url + strlen(HTTPS)), ret_host);

    must(r == 0); /* it was looked at when the record was read */
}

/* ---- the record ---- */

/* False: another version, or another thing. fields: what follows the version. */
static bool is_ours(struct span record, struct span *ret_fields)
{
    struct span version = span_trim(span_cut(&record, ';'));

    *ret_fields = record;
    return record.at && span_equal(version, SPAN(VERSION));
}

/* The first rua counts. */
static bool find_places(struct span fields, struct span *ret_list)
{
    while (fields.at) {
        struct span value = span_trim(span_cut(&fields, ';')), name = span_cut(&value, '=');

        if (value.at && span_equal(span_trim(name), SPAN("rua"))) {
            *ret_list = value;
            return true;
        }
    }
    return false;
}

bool tlsrpt_record_parse(const struct span *records, size_t count, struct tlsrpt_record *ret_record)
{
    struct tlsrpt_record r = {.mail_count = 0};
    struct span fields, ours = {.at = NULL}, list;
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        if (is_ours(records[i], &fields)) {
            ours = fields;
            found++;
        }
    }
    if (found != 1 || !find_places(ours, &list))
        return false;
    add_places(&r, list);
    if (r.mail_count + r.url_count == 0)
        return false;
    *ret_record = r;
    return true;
}

void tlsrpt_record_done(struct tlsrpt_record *r)
{
    for (size_t i = 0; i < r->mail_count; i++)
        mem_free(r->mails[i]);
    for (size_t i = 0; i < r->url_count; i++)
        mem_free(r->urls[i]);
    *r = (struct tlsrpt_record){.mail_count = 0};
}
