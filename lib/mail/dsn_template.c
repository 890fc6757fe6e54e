/* Templates of the human part. A field that nobody knows is found when the template is parsed, never when a report is due. */
#include "mail/dsn_template.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct dsn_template {
    char *subject; /* NULL: the built-in one */
    char *text;    /* lines with LF */
};

static const char *const names[DSN_FIELDS] = {
    [DSN_FIELD_RECIPIENTS] = "recipients",
    [DSN_FIELD_COUNT] = "count",
    [DSN_FIELD_HOST] = "host",
    [DSN_FIELD_SENDER] = "sender",
    [DSN_FIELD_MESSAGE_ID] = "message_id",
    [DSN_FIELD_NUMBER] = "number",
    [DSN_FIELD_ARRIVED] = "arrived",
    [DSN_FIELD_RETRY_UNTIL] = "retry_until",
};

/* ---- parts of a line: text, or a field */

struct part {
    struct span text; /* as it is written, or a field's name */
    bool is_field;
    enum dsn_field field; /* DSN_FIELDS: nobody knows it */
};

/* "{{" and "}}" are one brace each; a brace that stands alone is bad. */
static bool cut_brace(struct span *rest, struct part *ret_part)
{
    bool is_double = rest->len > 1 && rest->at[1] == rest->at[0];

    *ret_part = (struct part){.text = {.at = rest->at, .len = 1}};
    if (is_double) {
        *rest = (struct span){.at = rest->at + 2, .len = rest->len - 2};
        return true;
    }
    const char *end = *rest->at == '{' ? memchr(rest->at, '}', rest->len) : NULL;
    if (!end)
        return false;
    ret_part->text = (struct span){.at = rest->at + 1, .len = (size_t) (end - rest->at) - 1};
    ret_part->is_field = true;
    for (ret_part->field = 0; ret_part->field < DSN_FIELDS; ret_part->field++)
        if (span_equal(ret_part->text, span_of(names[ret_part->field])))
            break;
    *rest = (struct span){.at = end + 1, .len = rest->len - (size_t) (end + 1 - rest->at)};
    return true;
}

/* The next part of a text that is not empty; false: a brace without its other. */
static bool cut_part(struct span *rest, struct part *ret_part)
{
    size_t len = 0;

    while (len < rest->len && rest->at[len] != '{' && rest->at[len] != '}')
        len++;
    if (len == 0)
        return cut_brace(rest, ret_part);
    *ret_part = (struct part){.text = {.at = rest->at, .len = len}};
    *rest = (struct span){.at = rest->at + len, .len = rest->len - len};
    return true;
}

static void add(const char *text, const struct span *values, struct buf *out)
{
    struct span rest = span_of(text);
    struct part part;

    while (rest.len > 0) {
        must(cut_part(&rest, &part) && (!part.is_field || part.field < DSN_FIELDS));
        buf_add_span(out, part.is_field ? values[part.field] : part.text);
    }
}

/* ---- parsing */

struct parsing {
    unsigned line;
    bool has_recipients;
    char **ret_error;
};

static int fail_line(const struct parsing *p, const char *what)
{
    *p->ret_error = mem_format("line %u %s", p->line, what);
    return -EINVAL;
}

static int fail_field(const struct parsing *p, struct span name)
{
    AUTO_BUF struct buf text = {0};

    buf_add_text(&text, "has the unknown field {");
    buf_add_printable(&text, name, 40);
    buf_add_text(&text, "}; there are");
    for (size_t i = 0; i < DSN_FIELDS; i++)
        buf_printf(&text, "%s {%s}", i > 0 ? "," : "", names[i]);
    AUTO_FREE char *what = buf_steal_text(&text);
    return fail_line(p, what);
}

/* Characters of text and tabs. */
static bool is_clean(struct span line)
{
    while (line.len > 0)
        if (!span_is_text(span_cut(&line, '\t')))
            return false;
    return true;
}

static int check_line(struct parsing *p, struct span line, bool is_subject)
{
    struct part part;

    if (line.len > (is_subject ? DSN_SUBJECT_MAX : DSN_TEMPLATE_LINE_MAX))
        return fail_line(p, "is too long");
    if (!is_clean(line))
        return fail_line(p, "is not plain text in UTF-8");
    while (line.len > 0) {
        if (!cut_part(&line, &part))
            return fail_line(p, "has a single brace; write {{ or }} for one");
        if (!part.is_field)
            continue;
        if (part.field == DSN_FIELDS)
            return fail_field(p, part.text);
        if (part.field == DSN_FIELD_RECIPIENTS && is_subject)
            return fail_line(p, "has {recipients}, which no subject has room for");
        if (part.field == DSN_FIELD_RECIPIENTS && p->has_recipients)
            return fail_line(p, "has {recipients} a second time");
        p->has_recipients |= part.field == DSN_FIELD_RECIPIENTS;
    }
    return 0;
}

static struct span next_line(struct parsing *p, struct span *rest)
{
    struct span line = span_cut(rest, '\n');

    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    p->line++;
    return line;
}

static int parse_text(struct parsing *p, struct span rest, struct buf *out)
{
    while (rest.len > 0) {
        struct span line = next_line(p, &rest);
        int r = check_line(p, line, false);

        if (r < 0)
            return r;
        buf_add_span(out, line);
        buf_add_char(out, '\n');
    }
    if (p->has_recipients)
        return 0;
    *p->ret_error = mem_string("it has no {recipients}");
    return -EINVAL;
}

static int parse_subject(struct parsing *p, struct span *rest, char **ret_subject)
{
    static const struct span name = SPAN("Subject:");

    *ret_subject = NULL;
    if (!span_starts_nocase(*rest, name))
        return 0;
    struct span line = next_line(p, rest);
    line = span_trim((struct span){.at = line.at + name.len, .len = line.len - name.len});
    int r = check_line(p, line, true);
    if (r < 0)
        return r;
    if (line.len == 0)
        return fail_line(p, "has an empty subject");
    if (next_line(p, rest).len > 0)
        return fail_line(p, "stands where an empty line must be, below the subject");
    *ret_subject = mem_text(line.at, line.len);
    return 0;
}

int dsn_template_parse(struct span text, struct dsn_template **ret_template, char **ret_error)
{
    static const struct span mark = SPAN("\xef\xbb\xbf"); /* some editors begin UTF-8 with it */
    struct parsing p = {.ret_error = ret_error};
    AUTO_BUF struct buf lines = {0};
    AUTO_FREE char *subject = NULL;

    if (text.len > DSN_TEMPLATE_MAX) {
        *ret_error = mem_format("it is larger than %d bytes", DSN_TEMPLATE_MAX);
        return -EINVAL;
    }
    if (span_starts_nocase(text, mark))
        text = (struct span){.at = text.at + mark.len, .len = text.len - mark.len};
    int r = parse_subject(&p, &text, &subject);
    if (r >= 0)
        r = parse_text(&p, text, &lines);
    if (r < 0)
        return r;
    struct dsn_template *t = NEW(struct dsn_template);
    t->subject = STEAL(subject);
    t->text = buf_steal_text(&lines);
    *ret_template = t;
    return 0;
}

struct dsn_template *dsn_template_free(struct dsn_template *t)
{
    if (!t)
        return NULL;
    mem_free(t->subject);
    mem_free(t->text);
    return mem_free(t);
}

/* ---- writing */

bool dsn_template_has_subject(const struct dsn_template *t)
{
    return t->subject != NULL;
}

void dsn_template_add_subject(const struct dsn_template *t, const struct span *values, struct buf *out)
{
    add(t->subject, values, out);
}

/* A value of several lines has CRLF already. */
void dsn_template_add_text(const struct dsn_template *t, const struct span *values, struct buf *out)
{
    AUTO_BUF struct buf text = {0};

    add(t->text, values, &text);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\n' && (i == 0 || text.data[i - 1] != '\r'))
            buf_add_char(out, '\r');
        buf_add_char(out, text.data[i]);
    }
}
