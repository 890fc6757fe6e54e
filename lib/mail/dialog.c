/* An SMTP session as lines to be shown to people. Everything that could be secret is decided here. */
#include "mail/dialog.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"

static const struct span mask = {.at = "***", .len = 3};

/* ---- a line */

static void give(struct dialog *d, enum dialog_side side, struct span line)
{
    AUTO_BUF struct buf text = {.data = NULL};
    size_t over = line.len > DIALOG_LINE_MAX ? line.len - DIALOG_LINE_MAX : 0;

    line.len -= over;
    buf_add_printable(&text, line, SIZE_MAX);
    if (over > 0)
        buf_printf(&text, " (and %zu octets more)", over);
    d->on_line(d, side, buf_span(&text));
}

static void tell(struct dialog *d, enum dialog_side side, struct span line)
{
    if (d->content > 0) {
        AUTO_BUF struct buf text = {.data = NULL};
        buf_printf(&text, "(content: %llu octets)", (unsigned long long) d->content);
        d->content = 0;
        give(d, d->content_side, buf_span(&text));
    }
    give(d, side, line);
}

/* The next line of *rest without its end. */
static struct span cut_line(struct span *rest)
{
    struct span line = span_cut(rest, '\n');

    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* ---- what is masked */

/* A word in this place that is no mechanism is a response whose mechanism was forgotten. */
static bool is_mechanism(struct span word)
{
    static const char *const names[] = {"PLAIN",         "LOGIN",
                                        "CRAM-MD5",      "DIGEST-MD5",
                                        "SCRAM-SHA-1",   "SCRAM-SHA-1-PLUS",
                                        "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
                                        "SCRAM-SHA-512", "OAUTHBEARER",
                                        "XOAUTH2",       "EXTERNAL",
                                        "GSSAPI",        "NTLM",
                                        "ANONYMOUS"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_equal_nocase(word, span_of(names[i])))
            return true;
    return false;
}

static void mask_auth(struct span rest, struct buf *out)
{
    struct span mechanism = span_cut(&rest, ' ');

    if (!mechanism.at)
        return;
    buf_add_char(out, ' ');
    buf_add_span(out, is_mechanism(mechanism) ? mechanism : mask);
    if (rest.at) {
        buf_add_char(out, ' ');
        buf_add_span(out, mask);
    }
}

static void mask_xclient(struct span rest, struct buf *out)
{
    while (rest.at) {
        struct span value = span_cut(&rest, ' '), name = span_cut(&value, '=');
        bool is_told = value.at && !span_equal_nocase(name, SPAN("LOGIN"));
        buf_add_char(out, ' ');
        if (value.at) {
            buf_add_span(out, name);
            buf_add_char(out, '=');
        }
        buf_add_span(out, is_told ? value : mask);
    }
}

void dialog_command(struct dialog *d, enum dialog_side side, struct span line, bool is_known)
{
    AUTO_BUF struct buf text = {.data = NULL};
    struct span rest = line, word = span_cut(&rest, ' ');
    bool is_auth = span_equal_nocase(word, SPAN("AUTH")),
         is_xclient = span_equal_nocase(word, SPAN("XCLIENT"));

    if (!is_known) {
        tell(d, side, SPAN("(no command: not told)"));
        return;
    }
    if (!is_auth && !is_xclient) {
        tell(d, side, line);
        return;
    }
    buf_add_span(&text, word);
    if (is_auth)
        mask_auth(rest, &text);
    else
        mask_xclient(rest, &text);
    tell(d, side, buf_span(&text));
}

void dialog_commands(struct dialog *d, enum dialog_side side, struct span lines)
{
    while (lines.len > 0)
        dialog_command(d, side, cut_line(&lines), true);
}

void dialog_secret(struct dialog *d, enum dialog_side side)
{
    tell(d, side, mask);
}

void dialog_replies(struct dialog *d, enum dialog_side side, struct span lines)
{
    while (lines.len > 0) {
        struct span line = cut_line(&lines);
        bool is_challenge = line.len >= 3 && memcmp(line.at, "334", 3) == 0;
        tell(d, side, is_challenge ? SPAN("334 ***") : line);
    }
}

/* ---- what has no lines */

void dialog_content(struct dialog *d, enum dialog_side side, uint64_t octets)
{
    d->content += octets;
    d->content_side = side;
}

void dialog_note(struct dialog *d, const char *format, ...)
{
    AUTO_BUF struct buf text = {.data = NULL};
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    tell(d, DIALOG_NOTE, buf_span(&text));
}
