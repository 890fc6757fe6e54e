/*
 * Content between 354 and the dot: the end is found, stuffing taken off, lines and limits checked (RFC 5321 section 4.5.2). Chunks of BDAT go
 * the same way without dots, and those of BINARYMIME without lines.
 *
 * Only CR LF ends a line and only CR LF . CR LF ends the content (BEHAVIOURS B29, B30): a bare LF or CR leaves the scan inside its line. Such
 * content, and content with a NUL, is refused at its end, so that no reader further on can take a part of it for commands.
 * Nothing is copied: a piece ends where a stuffed dot is left out. What lies between two calls is in `place` alone.
 */
#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_private.h"

enum { CHECK_BYTES = 16, LINE_END_BYTES = 2 };

struct smtp_content *smtp_content_new(const struct smtp_profile *profile, const struct smtp_transaction *t,
                                      uint64_t now_ms)
{
    const struct smtp_limits *limits = &profile->limits;
    struct smtp_content *c = mem_resize(NULL, sizeof *c); /* header_scan_init() knows what needs clearing */
    header_scan_init(&c->header, limits->header);
    c->message_max_bytes = limits->message_bytes;
    c->line_max_bytes = limits->line_bytes + LINE_END_BYTES;
    c->total_ms = limits->data_total_ms;
    c->piece_ms = limits->data_ms;
    c->rate = limits->data_rate;
    c->size_bytes = c->line_bytes = 0;
    c->started_ms = now_ms;
    c->waited_ms = 0;
    c->place = SMTP_LINE_START;
    c->fault = SMTP_FAULT_NONE;
    c->is_dropped = c->is_ended = false;
    c->is_chunked = t->is_chunked;
    c->is_binary = t->is_binary;
    c->normalises_lf = profile->normalises_lf;
    return c;
}

/* Sixteen bytes looked at together: a comparison of two of them gives 0xff in each byte where it holds. */
typedef unsigned char block __attribute__((vector_size(CHECK_BYTES)));

static block block_of(char c)
{
    block all;
    memset(&all, c, sizeof all);
    return all;
}

static block block_at(const char *p)
{
    block b;
    memcpy(&b, p, sizeof b);
    return b;
}

/* Each LF behind a CR, a LF behind each CR, no NUL. */
static bool is_clean(struct span s, bool after_cr)
{
    const block lf = block_of('\n'), cr = block_of('\r'), nul = block_of('\0');
    const char *p = s.at;
    block bad = nul;
    bool is_bad = (p[0] == '\n') != after_cr || p[0] == '\0';
    size_t i = 1;
    for (; i + sizeof bad <= s.len; i += sizeof bad) {
        block here = block_at(p + i), before = block_at(p + i - 1);
        bad |= (block) ((here == lf) ^ (before == cr)) | (block) (here == nul);
    }
    for (; i < s.len; i++)
        is_bad |= (p[i] == '\n') != (p[i - 1] == '\r') || p[i] == '\0';
    return !is_bad && memcmp(&bad, &nul, sizeof bad) == 0;
}

void smtp_content_refuse(struct smtp_content *c, enum smtp_fault fault)
{
    if (c->fault == SMTP_FAULT_NONE)
        c->fault = fault;
}

static void count_line(struct smtp_content *c, size_t bytes)
{
    c->line_bytes += bytes;
    if (c->line_bytes > c->line_max_bytes)
        smtp_content_refuse(c, SMTP_FAULT_LINE);
}

/* Moves within a line, up to its end or the end of the input. */
static const char *walk_line(struct smtp_content *c, const char *p, const char *end)
{
    const char *lf = memchr(p, '\n', (size_t) (end - p));
    if (!lf) {
        count_line(c, (size_t) (end - p));
        c->place = end[-1] == '\r' ? SMTP_AFTER_CR : SMTP_IN_LINE;
        return end;
    }
    count_line(c, (size_t) (lf + 1 - p));
    if (lf > p && lf[-1] == '\r') {
        c->place = SMTP_LINE_START;
        c->line_bytes = 0;
    } else if (c->normalises_lf) {
        count_line(c, 1); /* the CR it will have */
        c->place = SMTP_BARE_LF;
        c->line_bytes = 0;
        return lf;
    }
    return lf + 1;
}

/* One step from *p on; what belongs to the content runs from *run. False: the piece ends here. */
static bool step(struct smtp_content *c, const char **run, const char **p, const char *end)
{
    switch (c->place) {
    case SMTP_LINE_START:
    case SMTP_LF_START:
        if (**p != '.' || c->is_chunked) {
            c->place = SMTP_IN_LINE;
            return true;
        }
        c->place = c->place == SMTP_LF_START ? SMTP_IN_LINE : SMTP_DOT;
        *p += 1;
        return false;
    case SMTP_IN_LINE: *p = walk_line(c, *p, end); return true;
    case SMTP_BARE_LF: return false;
    case SMTP_AFTER_CR:
        c->place = **p == '\n' ? SMTP_LINE_START : **p == '\r' ? SMTP_AFTER_CR : SMTP_IN_LINE;
        if (c->place != SMTP_IN_LINE) {
            count_line(c, 1);
            *p += 1;
        }
        if (c->place == SMTP_LINE_START)
            c->line_bytes = 0;
        return true;
    case SMTP_DOT:
        *run = *p;
        c->place = **p == '\r' ? SMTP_DOT_CR : SMTP_IN_LINE;
        if (c->place == SMTP_DOT_CR)
            *run = *p += 1;
        return true;
    case SMTP_DOT_CR:
        c->is_ended = **p == '\n';
        if (c->is_ended) {
            *p += 1;
            return false;
        }
        smtp_content_refuse(c, SMTP_FAULT_BARE);
        c->place = SMTP_AFTER_CR;
        return true;
    }
    return false;
}

static enum smtp_fault header_fault(enum header_fault fault)
{
    switch (fault) {
    case HEADER_TOO_BIG: return SMTP_FAULT_HEADER_SIZE;
    case HEADER_TOO_MANY: return SMTP_FAULT_HEADER_FIELDS;
    case HEADER_TOO_MANY_HOPS: return SMTP_FAULT_HOPS;
    case HEADER_OK: break;
    }
    return SMTP_FAULT_NONE;
}

/* The limits of a piece that is part of the content. */
static void judge(struct smtp_content *c, struct span run, bool after_cr)
{
    if (!c->is_binary && !is_clean(run, after_cr))
        smtp_content_refuse(c, SMTP_FAULT_BARE);
    c->size_bytes += run.len;
    if (c->size_bytes > c->message_max_bytes)
        smtp_content_refuse(c, SMTP_FAULT_SIZE);
    if (c->header.is_over || c->fault != SMTP_FAULT_NONE)
        return;
    header_scan_feed(&c->header, run);
    smtp_content_refuse(c, header_fault(c->header.fault));
}

static void end_header(struct smtp_content *c)
{
    if (c->fault != SMTP_FAULT_NONE)
        return;
    header_scan_end(&c->header);
    smtp_content_refuse(c, header_fault(c->header.fault));
}

/* What a bare LF becomes. */
static size_t take_bare_lf(struct smtp_content *c, struct span *ret_run)
{
    *ret_run = SPAN("\r\n");
    c->place = SMTP_LF_START;
    if (c->fault == SMTP_FAULT_NONE)
        judge(c, *ret_run, false);
    return 1;
}

static size_t take_binary(struct smtp_content *c, struct span in, struct span *ret_run)
{
    *ret_run = in;
    if (c->fault == SMTP_FAULT_NONE)
        judge(c, in, false);
    return in.len;
}

size_t smtp_content_feed(struct smtp_content *c, struct span in, struct span *ret_run)
{
    if (c->is_binary)
        return take_binary(c, in, ret_run);
    if (c->place == SMTP_BARE_LF)
        return take_bare_lf(c, ret_run);
    const char *p = in.at, *end = in.at + in.len, *run = in.at;
    bool after_cr = c->place == SMTP_AFTER_CR;
    const char *run_end = NULL;
    while (p < end && !run_end) {
        const char *before = p;
        if (!step(c, &run, &p, end))
            run_end = c->is_ended ? run : before;
    }
    if (p == in.at) /* at a bare LF */
        return take_bare_lf(c, ret_run);
    if (!run_end)
        run_end = c->place == SMTP_DOT || c->place == SMTP_DOT_CR ? run : end;
    *ret_run = (struct span){.at = run, .len = (size_t) (run_end - run)};
    if (ret_run->len > 0 && c->fault == SMTP_FAULT_NONE)
        judge(c, *ret_run, after_cr && run == in.at);
    if (c->is_ended)
        end_header(c);
    return (size_t) (p - in.at);
}

void smtp_content_end(struct smtp_content *c)
{
    must(c->is_chunked && !c->is_ended);
    if (c->place == SMTP_AFTER_CR)
        smtp_content_refuse(c, SMTP_FAULT_BARE);
    c->is_ended = true;
    end_header(c);
}
