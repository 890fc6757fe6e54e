/* Lines of Dovecot's auth service: fields between tabs, in which ^A escapes tab, line feed, carriage return, NUL and itself. */
#include "ingress/dovecot_line.h"

#include <errno.h>

#include "base/base64.h"
#include "base/mem.h"

static const char escape = '\x01';
static const char escaped[] = {'\0', '\x01', '\t', '\r', '\n'}, written[] = {'0', '1', 't', 'r', 'n'};

void dovecot_add_escaped(struct buf *out, struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        size_t n = 0;
        while (n < sizeof escaped && value.at[i] != escaped[n])
            n++;
        if (n < sizeof escaped)
            buf_add_char(out, escape);
        buf_add_char(out, n < sizeof escaped ? written[n] : value.at[i]);
    }
}

static int add_unescaped(struct span value, struct buf *out)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] != escape) {
            buf_add_char(out, value.at[i]);
            continue;
        }
        size_t n = 0;
        if (++i == value.len)
            return -EBADMSG;
        while (n < sizeof written && value.at[i] != written[n])
            n++;
        if (n == sizeof written)
            return -EBADMSG;
        buf_add_char(out, escaped[n]);
    }
    return 0;
}

static int read_number(struct span text, uint32_t *ret_number)
{
    uint64_t number;
    if (span_number(text, UINT32_MAX, &number) < 0)
        return -EBADMSG;
    *ret_number = (uint32_t) number;
    return 0;
}

/* user=, and for FAIL what says that another try may go well. */
static int read_parameters(struct span rest, struct dovecot_line *l)
{
    static const struct span user = {.at = "user=", .len = 5};
    while (rest.at) {
        struct span part = span_cut(&rest, '\t');
        if (part.len > user.len && span_starts_nocase(part, user)) {
            buf_clear(&l->user);
            if (add_unescaped((struct span){.at = part.at + user.len, .len = part.len - user.len}, &l->user) <
                0)
                return -EBADMSG;
        }
        if (l->word == DOVECOT_FAIL &&
            (span_equal(part, SPAN("temp")) || span_equal(part, SPAN("code=temp_fail"))))
            l->is_temporary = true;
    }
    return l->word == DOVECOT_OK && l->user.len == 0 ? -EBADMSG : 0;
}

static enum dovecot_word word_of(struct span text)
{
    static const char *const words[DOVECOT_OTHER] = {
        [DOVECOT_VERSION] = "VERSION", [DOVECOT_MECH] = "MECH", [DOVECOT_DONE] = "DONE",
        [DOVECOT_CONT] = "CONT",       [DOVECOT_OK] = "OK",     [DOVECOT_FAIL] = "FAIL"};
    unsigned i = 0;
    while (i < DOVECOT_OTHER && !span_equal(text, span_of(words[i])))
        i++;
    return (enum dovecot_word) i;
}

int dovecot_line_parse(struct span line, struct dovecot_line *ret_line)
{
    struct span rest = line;
    struct dovecot_line *l = ret_line;
    *l = (struct dovecot_line){.word = word_of(span_cut(&rest, '\t'))};
    struct span first = span_cut(&rest, '\t');
    switch (l->word) {
    case DOVECOT_VERSION: return read_number(first, &l->major);
    case DOVECOT_MECH: l->mechanism = first; return first.len > 0 ? 0 : -EBADMSG;
    case DOVECOT_CONT:
        if (read_number(first, &l->id) < 0 || base64_decode(span_cut(&rest, '\t'), &l->challenge) < 0)
            return -EBADMSG;
        return 0;
    case DOVECOT_OK:
    case DOVECOT_FAIL:
        if (read_number(first, &l->id) < 0)
            return -EBADMSG;
        return read_parameters(rest, l);
    case DOVECOT_DONE:
    case DOVECOT_OTHER: break;
    }
    return 0;
}

void dovecot_line_done(struct dovecot_line *l)
{
    buf_wipe(&l->challenge);
    buf_done(&l->user);
}
