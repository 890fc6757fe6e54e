/*
 * The header section at submission. It is held until the empty line, walked field by field, and given out with the fields that are to go left
 * out and those that are missing put in front; every other byte is copied as it came. Lines end with LF here, with or without a CR: so does
 * what the engine lets pass.
 */
#include "ingress/fixup.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mail/ascii.h"
#include "mail/header.h"

/* What a walk over the section finds. */
struct finding {
    bool has_date, has_message_id;
    unsigned from_count;
    struct span from; /* the last one, from its value on to the end of its last line */
};

static struct span part(const struct buf *b, size_t from, size_t to)
{
    return (struct span){.at = b->data + from, .len = to - from};
}

/* The length of a line with its end; of what is left where it has none. */
static size_t line_len(struct span rest)
{
    const char *end = rest.len > 0 ? memchr(rest.at, '\n', rest.len) : NULL;
    return end ? (size_t) (end - rest.at) + 1 : rest.len;
}

/* The length of the field at the start of rest, with the lines that continue it. */
static size_t field_len(struct span rest)
{
    size_t len = line_len(rest);
    while (len < rest.len && is_blank(rest.at[len]))
        len += line_len((struct span){.at = rest.at + len, .len = rest.len - len});
    return len;
}

/* Without its end. */
static struct span text_of(struct span line)
{
    if (line.len > 0 && line.at[line.len - 1] == '\n')
        line.len--;
    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* ---- mending */

static void find(struct finding *found, struct span field)
{
    struct span first = {.at = field.at, .len = line_len(field)};
    size_t at = header_value_at(first, SPAN("From"));
    if (at > 0) {
        found->from_count++;
        found->from = (struct span){.at = field.at + at, .len = field.len - at};
    }
    found->has_date = found->has_date || header_value_at(first, SPAN("Date")) > 0;
    found->has_message_id = found->has_message_id || header_value_at(first, SPAN("Message-ID")) > 0;
}

static bool is_bcc(struct span field)
{
    struct span first = {.at = field.at, .len = line_len(field)};
    return header_value_at(first, SPAN("Bcc")) > 0 || header_value_at(first, SPAN("Resent-Bcc")) > 0;
}

static void add_missing(struct fixup *f, const struct finding *found, const struct fixup_facts *facts)
{
    if (!f->rules.adds_fields)
        return;
    if (!found->has_date) {
        buf_add_text(&f->mended, "Date: ");
        clock_add_date(&f->mended, facts->wall_ms);
        buf_add_text(&f->mended, "\r\n");
    }
    if (!found->has_message_id)
        buf_printf(&f->mended, "Message-ID: %s\r\n", facts->message_id);
}

/* A line end of another kind, or a NUL: what is one field to us may be two to others. */
static bool has_odd_line(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] == '\0' || (s.at[i] == '\r' && (i + 1 == s.len || s.at[i + 1] != '\n')) ||
            (s.at[i] == '\n' && (i == 0 || s.at[i - 1] != '\r')))
            return true;
    return false;
}

static void take_from(struct fixup *f, const struct finding *found)
{
    struct buf text = {.data = NULL};
    if (f->rules.checks_from && found->from_count == 1 && !has_odd_line(buf_span(&f->held)) &&
        fixup_parse_from(found->from, &text))
        f->from = buf_steal_text(&text);
    buf_done(&text);
}

/* held is the whole section. */
static void mend(struct fixup *f, const struct fixup_facts *facts)
{
    struct span rest = buf_span(&f->held);
    struct finding found = {.from_count = 0};
    for (size_t at = 0, len; at < rest.len; at += len) {
        struct span field = part(&f->held, at, rest.len);
        field.len = len = field_len(field);
        find(&found, field);
    }
    add_missing(f, &found, facts);
    for (size_t at = 0, len; at < rest.len; at += len) {
        struct span field = part(&f->held, at, rest.len);
        field.len = len = field_len(field);
        if (!f->rules.removes_bcc || !is_bcc(field))
            buf_add_span(&f->mended, field);
    }
    take_from(f, &found);
}

/* held is the start of a body. */
static void mend_without(struct fixup *f, const struct fixup_facts *facts)
{
    const struct finding none = {.from_count = 0};
    add_missing(f, &none, facts);
    buf_add_text(&f->mended, "\r\n");
    buf_add_span(&f->mended, buf_span(&f->held));
}

static void give_out(struct fixup *f, const struct fixup_facts *facts, bool is_header, struct span *ret_out)
{
    if (is_header)
        mend(f, facts);
    else
        mend_without(f, facts);
    buf_done(&f->held);
    f->is_past = true;
    *ret_out = buf_span(&f->mended);
}

/* ---- what comes */

/* The first line is whole, or long enough to tell. */
static bool begins_with_body(const struct fixup *f)
{
    struct span line = buf_span(&f->held);
    line.len = line_len(line);
    line = text_of(line);
    return line.len > 0 && !header_is_field(line);
}

/* One more line, or a part of one. */
static void take_line(struct fixup *f, struct span line, const struct fixup_facts *facts,
                      struct span *ret_out)
{
    bool has_end = line.at[line.len - 1] == '\n';
    buf_add_span(&f->held, line);
    if (!f->has_line && (has_end || f->held.len > HEADER_NAME_LOOK)) {
        f->has_line = true;
        if (begins_with_body(f)) {
            give_out(f, facts, false, ret_out);
            return;
        }
    }
    if (!has_end)
        return;
    if (text_of(part(&f->held, f->line_start, f->held.len)).len == 0)
        give_out(f, facts, true, ret_out);
    else
        f->line_start = f->held.len;
}

size_t fixup_feed(struct fixup *f, struct span piece, const struct fixup_facts *facts, struct span *ret_out)
{
    size_t used = 0;
    if (f->is_past) {
        buf_done(&f->mended);
        *ret_out = piece;
        return piece.len;
    }
    *ret_out = (struct span){.at = NULL};
    while (used < piece.len && !f->is_past) {
        struct span line = {.at = piece.at + used, .len = piece.len - used};
        line.len = line_len(line);
        used += line.len;
        take_line(f, line, facts, ret_out);
    }
    return used;
}

void fixup_end(struct fixup *f, const struct fixup_facts *facts, struct span *ret_out)
{
    *ret_out = (struct span){.at = NULL};
    if (!f->is_past)
        give_out(f, facts, f->has_line || !begins_with_body(f), ret_out);
}

bool fixup_from(const struct fixup *f, struct addr *ret_addr)
{
    return f->from && addr_parse_utf8(span_of(f->from), ret_addr) == 0;
}

void fixup_done(struct fixup *f)
{
    buf_done(&f->held);
    buf_done(&f->mended);
    f->from = mem_free(f->from);
}
