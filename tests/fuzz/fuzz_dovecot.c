/*
 * Lines of Dovecot's auth service: any bytes are a line or none; what was read has its bounds, and a name written by ourselves reads back as it was,
 * whatever is in it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/dovecot_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(struct span line)
{
    struct dovecot_line l;
    int r = dovecot_line_parse(line, &l);
    if (r >= 0) {
        must(l.challenge.len <= line.len && l.user.len <= line.len);
        must(l.word != DOVECOT_OK || l.user.len > 0);
        must(l.word != DOVECOT_MECH || l.mechanism.len > 0);
        must(l.word == DOVECOT_CONT || l.challenge.len == 0);
        must(l.word == DOVECOT_FAIL || !l.is_temporary);
    }
    dovecot_line_done(&l);
}

static void check_name(struct span name)
{
    AUTO_BUF struct buf line = {0};
    struct dovecot_line l;
    buf_add_text(&line, "OK\t7\tx=y\tuser=");
    size_t before = line.len;
    dovecot_add_escaped(&line, name);
    for (size_t i = before; i < line.len; i++)
        must(line.data[i] != '\t' && line.data[i] != '\n' && line.data[i] != '\r' && line.data[i] != '\0');
    must(dovecot_line_parse(buf_span(&line), &l) == (name.len > 0 ? 0 : -EBADMSG));
    must(span_equal(buf_span(&l.user), name));
    dovecot_line_done(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = {.at = (const char *) data, .len = size};
    check_name(rest);
    while (rest.at) {
        struct span line = span_cut(&rest, '\n');
        char *copy = malloc(line.len ? line.len : 1); /* of its exact size: a byte too many is seen */
        must(copy);
        if (line.len > 0)
            memcpy(copy, line.at, line.len);
        check_line((struct span){.at = copy, .len = line.len});
        free(copy);
    }
    return 0;
}
