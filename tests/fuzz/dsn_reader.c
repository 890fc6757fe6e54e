/* A little reader of notifications that has never seen the writer. */
#include "dsn_reader.h"

#include <string.h>

#include "base/mem.h"

enum { LINE_MAX_BYTES = 998 };

/* ---- lines */

static bool cut_line(struct span *rest, struct span *ret_line)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->at, '\n', rest->len);
    must(end && end > rest->at && end[-1] == '\r');
    *ret_line = (struct span){.at = rest->at, .len = (size_t) (end - rest->at) - 1};
    must(ret_line->len <= LINE_MAX_BYTES);
    must(!memchr(ret_line->at, '\0', ret_line->len) && !memchr(ret_line->at, '\r', ret_line->len));
    *rest = (struct span){.at = end + 1, .len = rest->len - ret_line->len - 2};
    return true;
}

static bool is_8bit(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] & 0x80)
            return true;
    return false;
}

/* ---- fields */

/* Name and value of a field with all its lines. */
static bool cut_field(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    struct span line, next;
    if (!cut_line(rest, &line))
        return false;
    must(line.len > 0 && line.at[0] != ' ' && line.at[0] != '\t');
    const char *colon = memchr(line.at, ':', line.len);
    must(colon && colon > line.at);
    *ret_name = (struct span){.at = line.at, .len = (size_t) (colon - line.at)};
    for (size_t i = 0; i < ret_name->len; i++)
        must(ret_name->at[i] > ' ' && ret_name->at[i] < 0x7f);
    const char *end = line.at + line.len;
    while (rest->len > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t')) {
        must(cut_line(rest, &next));
        must(strspn(next.at, " \t") < next.len); /* a line of blanks is obsolete */
        end = next.at + next.len;
    }
    *ret_value = (struct span){.at = colon + 1, .len = (size_t) (end - colon) - 1};
    return true;
}

static bool is_name(struct span name, const char *text, size_t len)
{
    return name.len == len && strncasecmp(name.at, text, len) == 0;
}

static void unfold(struct span value, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] != '\r' && value.at[i] != '\n')
            buf_add_char(out, value.at[i]);
    struct span trimmed = span_trim(buf_span(out));
    memmove(out->data, trimmed.at, trimmed.len);
    out->len = trimmed.len;
}

size_t read_field(struct span header, const char *name, struct buf *out)
{
    struct span found, value;
    size_t count = 0;
    buf_clear(out);
    buf_add_char(out, ' ');
    while (cut_field(&header, &found, &value)) {
        if (is_name(found, name, strlen(name))) {
            unfold(value, out);
            count++;
        }
    }
    return count;
}

void read_names(struct span header, const char *names)
{
    struct span rest = header, name, value;
    AUTO_BUF struct buf text = {0};
    while (cut_field(&rest, &name, &value)) {
        bool is_known = false;
        for (const char *n = names; *n && !is_known;) {
            size_t len = strcspn(n, " !");
            is_known = is_name(name, n, len);
            n += strcspn(n, " ");
            n += strspn(n, " ");
        }
        must(is_known);
    }
    for (const char *n = names; *n;) {
        size_t len = strcspn(n, " !");
        AUTO_FREE char *one = mem_text(n, len);
        size_t count = read_field(header, one, &text);
        must(n[len] == '!' ? count == 1 : count <= 1);
        n += strcspn(n, " ");
        n += strspn(n, " ");
    }
}

/* The lines before the empty one; *rest is what follows that. */
static struct span cut_header(struct span *rest)
{
    struct span start = *rest, line;
    for (;;) {
        const char *at = rest->at;
        must(cut_line(rest, &line));
        if (line.len == 0)
            return (struct span){.at = start.at, .len = (size_t) (at - start.at)};
    }
}

/* ---- the message */

static void read_boundary(struct span header, struct buf *out)
{
    static const char before[] = "boundary=\"";
    AUTO_BUF struct buf type = {0};
    must(read_field(header, "Content-Type", &type) == 1);
    buf_add_char(&type, '\0');
    must(strncmp(type.data, "multipart/report; report-type=delivery-status;", 46) == 0);
    const char *at = strstr(type.data, before);
    must(at);
    at += sizeof before - 1;
    size_t len = strcspn(at, "\"");
    must(len > 0 && len <= 70 && at[len] == '"');
    buf_add_text(out, "--");
    buf_add(out, at, len);
}

/* Parts between delimiters: a line that begins with one is one (RFC 2046 section 5.1.1). */
static void read_parts(struct span rest, struct span delimiter, struct read_dsn *d)
{
    struct span line, starts[READ_PARTS + 1];
    size_t count = 0;
    bool is_over = false;
    const char *ends[READ_PARTS + 1];
    while (rest.len > 0) {
        const char *at = rest.at;
        must(cut_line(&rest, &line));
        if (line.len < delimiter.len || memcmp(line.at, delimiter.at, delimiter.len) != 0)
            continue;
        must(!is_over && count <= READ_PARTS);
        struct span tail = {.at = line.at + delimiter.len, .len = line.len - delimiter.len};
        is_over = count == READ_PARTS;
        must(is_over ? span_equal(tail, SPAN("--")) : tail.len == 0);
        ends[count] = at;
        starts[count++] = rest;
    }
    must(is_over && rest.len == 0);
    for (size_t i = 0; i < READ_PARTS; i++) {
        struct span part = {.at = starts[i].at, .len = (size_t) (ends[i + 1] - starts[i].at)};
        d->parts[i].header = cut_header(&part);
        must(part.len >= 2); /* the CRLF of the delimiter */
        d->parts[i].body = (struct span){.at = part.at, .len = part.len - 2};
    }
}

static void check_encodings(const struct read_dsn *d)
{
    AUTO_BUF struct buf value = {0};
    bool is_any_8bit = is_8bit(d->header);
    for (size_t i = 0; i < READ_PARTS; i++) {
        const struct read_part *p = &d->parts[i];
        read_names(p->header, "Content-Description Content-Type! Content-Transfer-Encoding");
        must(!is_8bit(p->header));
        bool is_told = read_field(p->header, "Content-Transfer-Encoding", &value) == 1 &&
                       span_equal(buf_span(&value), SPAN("8bit"));
        must(is_told || !is_8bit(p->body));
        is_any_8bit = is_any_8bit || is_8bit(p->body);
    }
    bool is_told = read_field(d->header, "Content-Transfer-Encoding", &value) == 1;
    must(!is_told || span_equal(buf_span(&value), SPAN("8bit")));
    must(is_told || !is_any_8bit);
}

void read_dsn(struct span message, struct read_dsn *ret_dsn)
{
    AUTO_BUF struct buf delimiter = {0};
    struct span rest = message;
    ret_dsn->header = cut_header(&rest);
    read_names(ret_dsn->header,
               "Date! From! To! Subject! Message-ID! Auto-Submitted! MIME-Version! Content-Type! In-Reply-To "
               "References TLS-Required Content-Transfer-Encoding");
    read_boundary(ret_dsn->header, &delimiter);
    read_parts(rest, buf_span(&delimiter), ret_dsn);
    check_encodings(ret_dsn);
}

/* ---- what is in the parts */

bool read_group(struct span *rest, struct span *ret_group)
{
    struct span line, start = *rest;
    if (rest->len == 0)
        return false;
    while (rest->len > 0) {
        const char *at = rest->at;
        must(cut_line(rest, &line));
        if (line.len > 0)
            continue;
        *ret_group = (struct span){.at = start.at, .len = (size_t) (at - start.at)};
        must(ret_group->len > 0 && rest->len > 0); /* nothing empty, and no empty line at the end */
        return true;
    }
    *ret_group = start;
    return true;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void decode_quoted_line(struct span line, struct buf *out)
{
    must(line.len <= 76 &&
         (line.len == 0 || (line.at[line.len - 1] != ' ' && line.at[line.len - 1] != '\t')));
    for (size_t i = 0; i < line.len; i++) {
        if (line.at[i] != '=') {
            buf_add_char(out, line.at[i]);
            continue;
        }
        if (i + 1 == line.len)
            return; /* a soft line end */
        must(i + 2 < line.len && hex(line.at[i + 1]) >= 0 && hex(line.at[i + 2]) >= 0);
        buf_add_char(out, (char) (hex(line.at[i + 1]) << 4 | hex(line.at[i + 2])));
        i += 2;
    }
    buf_add_text(out, "\r\n");
}

void read_words(const struct read_part *part, struct buf *out)
{
    AUTO_BUF struct buf value = {0}, encoding = {0};
    struct span rest = part->body, line;
    must(read_field(part->header, "Content-Type", &value) == 1);
    if (read_field(part->header, "Content-Transfer-Encoding", &encoding) == 0) {
        must(span_equal(buf_span(&value), SPAN("text/plain; charset=us-ascii")));
        buf_add_span(out, rest);
    } else {
        must(span_equal(buf_span(&encoding), SPAN("quoted-printable")));
        must(span_equal(buf_span(&value), SPAN("text/plain; charset=utf-8")));
        while (cut_line(&rest, &line))
            decode_quoted_line(line, out);
    }
    must(span_is_utf8(buf_span(out)));
    for (size_t i = 0; i < out->len; i++)
        must((unsigned char) out->data[i] >= ' ' || strchr("\r\n\t", out->data[i]));
}
