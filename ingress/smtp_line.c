/*
 * Command lines, and those that answer a challenge: only CR LF ends one (BEHAVIOURS B13), unless the listener is there for old devices. What is
 * too long is read past up to its end, and never parsed (B10).
 */
#include <string.h>

#include "ingress/smtp_private.h"

/* has_end: it has been found; else so much is too much. */
static void refuse_line(struct smtp_server *s, bool has_end)
{
    const char *status = s->phase == SMTP_SASL ? "5.5.6" : "5.5.2";
    if (has_end && s->phase == SMTP_SASL)
        smtp_sasl_cancel(s, 500, status, "Line too long");
    else
        smtp_say(s, 500, status, "Line too long");
    if (!has_end)
        smtp_close(s);
}

/* An over-long line is read past to its CR LF, and answered there. */
static size_t skip_line(struct smtp_server *s, struct span in)
{
    size_t i = 0;
    bool is_over = false;
    while (i < in.len && !is_over) {
        is_over = s->skipped_cr && in.at[i] == '\n';
        s->skipped_cr = in.at[i++] == '\r';
    }
    s->skipped += (uint32_t) (i < SMTP_SKIP_MAX ? i : SMTP_SKIP_MAX);
    if (!is_over && s->skipped < SMTP_SKIP_MAX)
        return i;
    s->skipped = 0;
    s->skipped_cr = false;
    refuse_line(s, is_over);
    return i;
}

/* A TLS ClientHello starts so: whoever speaks TLS here would never understand our reply (BEHAVIOURS B18). */
static bool is_tls(struct span in)
{
    return in.at[0] == 0x16;
}

static size_t line_max(const struct smtp_server *s, struct span in)
{
    bool is_auth = s->phase == SMTP_SASL ||
                   (s->profile->auth != SMTP_AUTH_OFF && span_starts_nocase(in, SPAN("AUTH ")));
    return is_auth ? SMTP_AUTH_LINE_MAX : SMTP_LINE_MAX;
}

static void serve_sasl(struct smtp_server *s, struct span line, bool has_more)
{
    if (has_more) {
        smtp_say(s, 554, "5.5.0", "You did not wait for the reply");
        smtp_close(s);
    } else {
        smtp_sasl_line(s, line);
    }
}

size_t smtp_feed_line(struct smtp_server *s, struct span in)
{
    if (s->skipped > 0)
        return skip_line(s, in);
    if (is_tls(in)) {
        smtp_close(s);
        return in.len;
    }
    size_t max = line_max(s, in);
    const char *lf = memchr(in.at, '\n', in.len < max ? in.len : max);
    if (!lf)
        return in.len < max ? 0 : skip_line(s, in);
    size_t used = (size_t) (lf + 1 - in.at);
    bool has_cr = used > 1 && lf[-1] == '\r';
    if (!has_cr && !s->profile->normalises_lf) {
        smtp_say(s, 500, "5.5.2", "Bare LF; lines must end with CR LF");
        smtp_close(s);
        return in.len;
    }
    struct span line = {.at = in.at, .len = used - (has_cr ? 2 : 1)};
    if (s->phase == SMTP_SASL)
        serve_sasl(s, line, used < in.len);
    else if (memchr(line.at, '\r', line.len) || memchr(line.at, '\0', line.len))
        smtp_say(s, 500, "5.5.2", "Bare CR or NUL in a command");
    else
        smtp_serve_command(s, line, used < in.len);
    return used;
}
