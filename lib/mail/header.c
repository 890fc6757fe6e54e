/*
 * The scan of a header section. Every byte of every header passes here: a line that lies whole in one piece is looked at in place, only
 * what crosses two pieces is copied, and only the first bytes of a line are ever looked at.
 */
#include "mail/header.h"

#include <string.h>

#include "mail/ascii.h"

void header_scan_init(struct header_scan *h, struct header_limits limits)
{
    /* Not all of it: line[] needs no clearing, and there is one scan per message. */
    h->limits = limits;
    h->fault = HEADER_OK;
    h->is_over = h->starts_with_body = h->has_8bit = false;
    h->size_bytes = h->fields = h->hops = 0;
    h->message_id[0] = '\0';
    h->is_auto_submitted = h->is_tls_optional = false;
    h->tls_words = 0;
    h->line_len = 0;
    h->line_is_long = h->has_line = h->has_message_id = false;
    h->field = HEADER_OTHER;
}

size_t header_value_at(struct span line, struct span name)
{
    if (!span_starts_nocase(line, name))
        return 0;
    size_t i = name.len;
    while (i < line.len && is_blank(line.at[i]))
        i++;
    return i < line.len && line.at[i] == ':' ? i + 1 : 0;
}

bool header_is_field(struct span line)
{
    size_t name = 0;
    if (line.len > HEADER_NAME_LOOK)
        line.len = HEADER_NAME_LOOK;
    while (name < line.len && line.at[name] > ' ' && line.at[name] <= '~' && line.at[name] != ':')
        name++;
    size_t i = name;
    while (i < line.len && is_blank(line.at[i]))
        i++;
    return name > 0 && i < line.len && line.at[i] == ':';
}

static void judge_first_line(struct header_scan *h, struct span line)
{
    h->has_line = true;
    if (line.len > 0 && !header_is_field(line)) {
        h->starts_with_body = h->is_over = true;
        h->has_8bit = false;
        h->size_bytes = 0;
    }
}

static void add_message_id(struct header_scan *h, struct span piece)
{
    size_t len = strlen(h->message_id);
    size_t gap = len > 0 && piece.len > 0 ? 1 : 0;
    bool is_good = len + gap + piece.len < sizeof h->message_id;
    for (size_t i = 0; is_good && i < piece.len; i++)
        is_good = is_printable(piece.at[i]);
    if (!is_good) {
        h->message_id[0] = '\0';
        h->field = HEADER_OTHER;
        return;
    }
    if (gap)
        h->message_id[len] = ' ';
    if (piece.len > 0)
        memcpy(h->message_id + len + gap, piece.at, piece.len);
    h->message_id[len + gap + piece.len] = '\0';
}

/* RFC 3834 section 5: a keyword, then parameters or a comment. */
static void judge_auto_submitted(struct header_scan *h, struct span value)
{
    if (value.len == 0)
        return; /* folded: it comes on the next line */
    size_t i = 0;
    while (i < value.len && !is_blank(value.at[i]) && value.at[i] != ';' && value.at[i] != '(')
        i++;
    if (!span_equal_nocase((struct span){.at = value.at, .len = i}, SPAN("no")))
        h->is_auto_submitted = true;
    h->field = HEADER_OTHER;
}

static void take_value(struct header_scan *h, struct span line)
{
    struct span piece = span_trim(line);
    if (h->field == HEADER_MESSAGE_ID)
        add_message_id(h, piece);
    else if (h->field == HEADER_AUTO_SUBMITTED)
        judge_auto_submitted(h, piece);
    else if (h->field == HEADER_TLS_REQUIRED && piece.len > 0)
        h->is_tls_optional = h->tls_words++ == 0 && span_equal_nocase(piece, SPAN("no"));
}

static void start_field(struct header_scan *h, struct span line)
{
    h->field = HEADER_OTHER;
    if (++h->fields > h->limits.fields) {
        h->fault = HEADER_TOO_MANY;
        return;
    }
    size_t at = 0;
    switch (to_lower(line.at[0])) {
    case 'r':
        if (header_value_at(line, SPAN("Received")) && ++h->hops > h->limits.hops)
            h->fault = HEADER_TOO_MANY_HOPS;
        return;
    case 'm':
        at = h->has_message_id ? 0 : header_value_at(line, SPAN("Message-ID"));
        if (at) {
            h->has_message_id = true;
            h->field = HEADER_MESSAGE_ID;
        }
        break;
    case 'a':
        at = header_value_at(line, SPAN("Auto-Submitted"));
        if (at)
            h->field = HEADER_AUTO_SUBMITTED;
        break;
    case 't':
        at = header_value_at(line, SPAN("TLS-Required"));
        if (at)
            h->field = HEADER_TLS_REQUIRED;
        break;
    }
    if (at)
        take_value(h, (struct span){.at = line.at + at, .len = line.len - at});
}

static void take_line(struct header_scan *h, struct span line)
{
    if (line.len == 0)
        h->is_over = true;
    else if (!is_blank(line.at[0]))
        start_field(h, line);
    else if (h->field != HEADER_OTHER)
        take_value(h, line);
}

/*
 * A line, or the start of one that goes on: at most sizeof h->line bytes of it in any case, so that where the pieces end makes no
 * difference. Its bytes are counted already.
 */
static void look_at_line(struct header_scan *h, struct span line, bool is_long, bool has_end)
{
    if (!is_long && !has_end && !h->has_line)
        return; /* too little to judge by */
    if (!is_long && has_end && line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    if (!h->has_line)
        judge_first_line(h, line);
    if (h->is_over)
        return;
    if (h->size_bytes > h->limits.size_bytes)
        h->fault = HEADER_TOO_BIG;
    else if (has_end)
        take_line(h, line);
}

/* Keeps the start of a line that goes on in the next piece. */
static void keep_line(struct header_scan *h, struct span part)
{
    size_t room = sizeof h->line - h->line_len;
    if (part.len > room) {
        part.len = room;
        h->line_is_long = true;
    }
    memcpy(h->line + h->line_len, part.at, part.len);
    h->line_len += part.len;
}

static void look_at_kept(struct header_scan *h, bool has_end)
{
    look_at_line(h, (struct span){.at = h->line, .len = h->line_len}, h->line_is_long, has_end);
    if (has_end) {
        h->line_len = 0;
        h->line_is_long = false;
    }
}

void header_scan_feed(struct header_scan *h, struct span content)
{
    while (content.len > 0 && !h->is_over && h->fault == HEADER_OK) {
        const char *end = memchr(content.at, '\n', content.len);
        struct span line = {.at = content.at, .len = end ? (size_t) (end - content.at) : content.len};
        size_t taken = line.len + (end ? 1 : 0);
        h->size_bytes += taken;
        h->has_8bit = h->has_8bit || span_has_8bit(line);
        if (end && h->line_len == 0) {
            bool is_long = line.len > sizeof h->line;
            if (is_long)
                line.len = sizeof h->line;
            look_at_line(h, line, is_long, true);
        } else {
            keep_line(h, line);
            look_at_kept(h, end != NULL);
        }
        content = (struct span){.at = content.at + taken, .len = content.len - taken};
    }
}

void header_scan_end(struct header_scan *h)
{
    if (h->is_over || h->fault != HEADER_OK)
        return;
    if (h->line_len > 0)
        look_at_kept(h, true);
    if (h->fault == HEADER_OK)
        h->is_over = true;
}
