/* Formats log lines. Runs two or three times per message: plain bytes are copied in runs, the time's text is kept for its second. */
#include "base/log_line.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/redact.h"

enum { STAMP_LEN = 24, STAMP_MS_AT = 20 };

static void add_stamp(struct buf *out, uint64_t wall_ms)
{
    static _Thread_local char kept[STAMP_LEN];
    static _Thread_local uint64_t kept_second; /* 0: none yet */

    if (wall_ms / 1000 != kept_second) {
        struct buf stamp = {.data = NULL};
        clock_add_stamp(&stamp, wall_ms);
        must(stamp.len == STAMP_LEN);
        memcpy(kept, stamp.data, STAMP_LEN);
        kept_second = wall_ms / 1000;
        buf_done(&stamp);
    }
    unsigned ms = (unsigned) (wall_ms % 1000);
    kept[STAMP_MS_AT] = (char) ('0' + ms / 100);
    kept[STAMP_MS_AT + 1] = (char) ('0' + ms / 10 % 10);
    kept[STAMP_MS_AT + 2] = (char) ('0' + ms % 10);
    buf_add(out, kept, STAMP_LEN);
}

/* Bytes that stand for themselves inside quotes. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Bytes that need no quotes around them. */
static bool is_bare(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

/* JSON has no escape for a byte: it gets the text \xHH. */
static void add_escape(struct buf *out, unsigned char c, bool json)
{
    static const char hex[] = "0123456789abcdef";

    switch (c) {
    case '"': buf_add_text(out, "\\\""); return;
    case '\\': buf_add_text(out, "\\\\"); return;
    case '\n': buf_add_text(out, "\\n"); return;
    case '\r': buf_add_text(out, "\\r"); return;
    case '\t': buf_add_text(out, "\\t"); return;
    default: break;
    }
    buf_add_text(out, json ? (c < 0x80 ? "\\u00" : "\\\\x") : "\\x");
    buf_add_char(out, hex[c >> 4]);
    buf_add_char(out, hex[c & 15]);
}

static void add_quoted(struct buf *out, struct span s, bool json)
{
    const unsigned char *at = (const unsigned char *) s.at;
    size_t from = 0;

    buf_add_char(out, '"');
    for (size_t i = 0; i < s.len;) {
        if (is_plain(at[i])) {
            i++;
            continue;
        }
        size_t taken = at[i] >= 0x80 ? span_utf8_len((struct span){.at = s.at + i, .len = s.len - i}) : 0;
        if (taken) {
            i += taken;
            continue;
        }
        buf_add(out, s.at + from, i - from);
        add_escape(out, at[i], json);
        from = ++i;
    }
    buf_add(out, s.at ? s.at + from : NULL, s.len - from);
    buf_add_char(out, '"');
}

static void add_text_value(struct buf *out, struct span s)
{
    size_t bare = 0;

    while (bare < s.len && is_bare((unsigned char) s.at[bare]))
        bare++;
    if (s.len && bare == s.len)
        buf_add_span(out, s);
    else
        add_quoted(out, s, false);
}

static void add_number(struct buf *out, int64_t number)
{
    if (number < 0)
        buf_add_char(out, '-');
    buf_add_number(out, number < 0 ? -(uint64_t) number : (uint64_t) number);
}

static struct span text_of(const struct log_field *field)
{
    return field->kind == LOG_FIELD_SPAN ? (struct span){.at = field->text, .len = field->len}
                                         : span_of(field->text);
}

/* The text to be shown: as it is, or in `room` without the names in its addresses. */
static struct span shown(const struct log_field *field, struct buf *room)
{
    if (!redact_is_on())
        return text_of(field);
    redact_add(room, text_of(field));
    return buf_span(room);
}

static bool is_left_out(const struct log_field *field)
{
    return field->kind != LOG_FIELD_NUMBER && !field->text;
}

void log_line_text(struct buf *out, const struct log_line *line)
{
    add_stamp(out, line->wall_ms);
    buf_add_char(out, ' ');
    buf_add_text(out, line->level);
    buf_add_text(out, " event=");
    buf_add_text(out, line->event);
    if (line->node) {
        buf_add_text(out, " node=");
        add_text_value(out, span_of(line->node));
    }
    for (size_t i = 0; i < line->count; i++) {
        const struct log_field *field = &line->fields[i];
        AUTO_BUF struct buf room = {.data = NULL};
        if (is_left_out(field))
            continue;
        buf_add_char(out, ' ');
        buf_add_text(out, field->key);
        buf_add_char(out, '=');
        if (field->kind == LOG_FIELD_NUMBER)
            add_number(out, field->number);
        else
            add_text_value(out, shown(field, &room));
    }
    buf_add_char(out, '\n');
}

void log_line_json(struct buf *out, const struct log_line *line)
{
    buf_add_text(out, "{\"time\":\"");
    add_stamp(out, line->wall_ms);
    buf_add_text(out, "\",\"level\":\"");
    buf_add_text(out, line->level);
    buf_add_text(out, "\",\"event\":\"");
    buf_add_text(out, line->event);
    buf_add_char(out, '"');
    if (line->node) {
        buf_add_text(out, ",\"node\":");
        add_quoted(out, span_of(line->node), true);
    }
    for (size_t i = 0; i < line->count; i++) {
        const struct log_field *field = &line->fields[i];
        AUTO_BUF struct buf room = {.data = NULL};
        if (is_left_out(field))
            continue;
        buf_add_char(out, ',');
        add_quoted(out, span_of(field->key), true);
        buf_add_char(out, ':');
        if (field->kind == LOG_FIELD_NUMBER)
            add_number(out, field->number);
        else
            add_quoted(out, shown(field, &room), true);
    }
    buf_add_text(out, "}\n");
}
