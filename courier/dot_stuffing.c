/* Content in pieces of any size; a CR is held back until the next byte tells whether it ends a line. */
#include "courier/dot_stuffing.h"

#include <string.h>

enum { BEHIND_CONTENT = 512 }; /* the dot and the next message's commands: all of it in one allocation */

void dot_stuffing_begin(struct dot_stuffing *d)
{
    *d = (struct dot_stuffing){.at_line_start = true};
}

static void end_line(struct dot_stuffing *d, struct buf *out)
{
    buf_add(out, "\r\n", 2);
    d->after_cr = false;
    d->at_line_start = true;
}

/* Bytes without CR and LF. */
static void add_text(struct dot_stuffing *d, const char *p, size_t len, struct buf *out)
{
    if (len == 0)
        return;
    if (d->at_line_start && p[0] == '.')
        buf_add_char(out, '.');
    d->at_line_start = false;
    buf_add(out, p, len);
}

/* Whole lines from p on that can go as they are: they end in CR LF and do not begin with a dot. */
static size_t clean_bytes(const char *p, const char *end)
{
    const char *at = p;

    while (at < end && *at != '.') {
        const char *lf = memchr(at, '\n', (size_t) (end - at));

        if (!lf || lf == at || memchr(at, '\r', (size_t) (lf - at)) != lf - 1)
            break;
        at = lf + 1;
    }
    return (size_t) (at - p);
}

void dot_stuffing_add(struct dot_stuffing *d, struct span content, struct buf *out)
{
    const char *p = content.at, *end = p + content.len;

    (void) buf_reserve(out,
                       content.len + BEHIND_CONTENT); /* grows once: the place itself is asked for later */
    while (p < end) {
        const char *lf, *cr;
        size_t line;

        if (d->at_line_start && !d->after_cr) {
            size_t clean = clean_bytes(p, end);

            buf_add(out, p, clean);
            p += clean;
            if (p == end)
                break;
        }
        if (d->after_cr) {
            end_line(d, out);
            if (*p == '\n')
                p++;
            continue;
        }
        lf = memchr(p, '\n', (size_t) (end - p));
        line = (size_t) ((lf ? lf : end) - p);
        cr = memchr(p, '\r', line);
        if (cr) {
            add_text(d, p, (size_t) (cr - p), out);
            d->after_cr = true;
            p = cr + 1;
            continue;
        }
        add_text(d, p, line, out);
        p += line;
        if (lf) {
            end_line(d, out);
            p++;
        }
    }
}

void dot_stuffing_end(struct dot_stuffing *d, struct buf *out)
{
    if (d->after_cr || !d->at_line_start)
        end_line(d, out);
}
