/* SMTP replies, line by line. A whole reply of one line in one piece is parsed where it lies. */
#include "mail/reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mail/ascii.h"

enum { CODE_LEN = 3 };

void reply_clear(struct reply *r)
{
    r->code = 0;
    r->status[0] = '\0';
    r->line_count = 0;
    r->is_complete = false;
    buf_clear(&r->text);
    buf_clear(&r->partial);
}

void reply_done(struct reply *r)
{
    buf_done(&r->text);
    buf_done(&r->partial);
    *r = (struct reply){0};
}

/* Bytes of one to three digits at the start of s; 0: none, or more. */
static size_t digits_len(struct span s, size_t from)
{
    size_t i = from;
    while (i < s.len && is_digit(s.at[i]))
        i++;
    return i - from <= 3 ? i - from : 0;
}

/* The enhanced status code at the start of text (RFC 3463 section 2), when it is whole and of the class of the code's first digit. */
static void take_status(struct span text, char class, char ret_status[static 12])
{
    if (text.len < 5 || text.at[0] != class || text.at[1] != '.')
        return;
    size_t subject = digits_len(text, 2);
    size_t dot = 2 + subject;
    if (subject == 0 || dot >= text.len || text.at[dot] != '.')
        return;
    size_t detail = digits_len(text, dot + 1);
    size_t len = dot + 1 + detail;
    if (detail == 0 || (len < text.len && !is_blank(text.at[len])))
        return;
    memcpy(ret_status, text.at, len);
    ret_status[len] = '\0';
}

/* The three digits at the start of line as a number; -EBADMSG: there are none. RFC 5321 section 4.2.1: the first one is 2 to 5. */
static int code_of(struct span line)
{
    if (line.len < CODE_LEN || line.at[0] < '2' || line.at[0] > '5' || !is_digit(line.at[1]) ||
        !is_digit(line.at[2]))
        return -EBADMSG;
    return (line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 + (line.at[2] - '0');
}

/* One line without its line feed. */
static int take_line(struct reply *r, struct span line)
{
    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    int code = code_of(line);
    if (code < 0)
        return code;
    if (r->line_count == REPLY_LINES_MAX || (r->line_count > 0 && (unsigned) code != r->code))
        return -EBADMSG;
    char separator = line.len > CODE_LEN ? line.at[CODE_LEN] : ' ';
    if (separator != ' ' && separator != '-')
        return -EBADMSG;
    struct span text = {.at = line.at + CODE_LEN, .len = line.len - CODE_LEN};
    if (text.len > 0)
        text = (struct span){.at = text.at + 1, .len = text.len - 1};
    if (r->line_count == 0) {
        r->code = (unsigned) code;
        take_status(text, line.at[0], r->status);
    } else if (r->text.len < REPLY_TEXT_MAX) {
        buf_add_char(&r->text, '\n');
    }
    if (text.len > 0)
        buf_add_printable(&r->text, text, REPLY_TEXT_MAX - r->text.len);
    r->line_count++;
    r->is_complete = separator == ' ';
    return 0;
}

/* Keeps an unfinished line, or its end. */
static int keep_partial(struct reply *r, struct span in)
{
    if (in.len > REPLY_LINE_MAX || r->partial.len + in.len > REPLY_LINE_MAX)
        return -EBADMSG;
    buf_add_span(&r->partial, in);
    return 0;
}

int reply_feed(struct reply *r, struct span in)
{
    must(!r->is_complete);
    size_t at = 0;
    while (at < in.len && !r->is_complete) {
        struct span rest = {.at = in.at + at, .len = in.len - at};
        const char *end = memchr(rest.at, '\n', rest.len);
        struct span line = {.at = rest.at, .len = end ? (size_t) (end - rest.at) : rest.len};
        int error;
        if (end && r->partial.len == 0 && line.len <= REPLY_LINE_MAX) {
            error = take_line(r, line);
        } else {
            error = keep_partial(r, line);
            if (error == 0 && end) {
                error = take_line(r, buf_span(&r->partial));
                buf_clear(&r->partial);
            }
        }
        if (error < 0)
            return error;
        at += line.len + (end ? 1 : 0);
    }
    return (int) at;
}

/* Replies without an enhanced code. 550 and 554 say too little to name a cause: a guessed "no such user" would get addresses removed from lists. */
static const struct {
    unsigned code;
    const char *status;
} status_of_code[] = {
    {421, "4.3.2"}, {432, "4.7.12"}, {450, "4.2.0"}, {451, "4.3.0"},  {452, "4.3.1"},  {454, "4.7.0"},
    {455, "4.5.4"}, {500, "5.5.2"},  {501, "5.5.4"}, {502, "5.5.1"},  {503, "5.5.1"},  {504, "5.5.4"},
    {521, "5.3.2"}, {530, "5.7.0"},  {534, "5.7.9"}, {535, "5.7.8"},  {538, "5.7.11"}, {551, "5.1.6"},
    {552, "5.2.2"}, {553, "5.1.3"},  {555, "5.5.4"}, {556, "5.1.10"},
};

static void map_code(unsigned code, enum verdict_class class, char ret_status[static 12])
{
    for (size_t i = 0; i < ARRAY_LEN(status_of_code); i++) {
        if (status_of_code[i].code == code) {
            snprintf(ret_status, 12, "%s", status_of_code[i].status);
            return;
        }
    }
    snprintf(ret_status, 12, "%s",
             class == VERDICT_DELIVERED ? "2.0.0"
             : class == VERDICT_FAILED  ? "5.0.0"
                                        : "4.0.0");
}

static enum verdict_class class_of(unsigned code)
{
    switch (code / 100) {
    case 2:
    case 3: return VERDICT_DELIVERED;
    case 5: return VERDICT_FAILED;
    default: return VERDICT_DEFERRED;
    }
}

void reply_verdict(const struct reply *r, const char *remote, struct verdict *ret_verdict)
{
    size_t len = r->text.len < VERDICT_TEXT_MAX ? r->text.len : VERDICT_TEXT_MAX;
    struct verdict made = {
        .class = class_of(r->code),
        .code = r->code,
        .text = mem_text(len > 0 ? r->text.data : "", len),
        .remote = mem_string(remote),
        .from_remote = true,
    };
    for (size_t i = 0; i < len; i++)
        if (made.text[i] == '\n')
            made.text[i] = ' ';
    if (r->status[0] != '\0')
        memcpy(made.status, r->status, sizeof made.status);
    else
        map_code(r->code, made.class, made.status);
    verdict_done(ret_verdict);
    *ret_verdict = made;
}
