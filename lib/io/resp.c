/* Redis' wire format: writing commands, looking at values. Reading is redis_reply.c's. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/redis.h"

enum { NUMBER_MAX = 24 };

static void resp_head(struct buf *b, char kind, size_t n)
{
    buf_add_char(b, kind);
    buf_add_number(b, n);
    buf_add(b, "\r\n", 2);
}

void resp_command(struct buf *b, size_t arg_count)
{
    resp_head(b, '*', arg_count);
}

void resp_arg(struct buf *b, struct span arg)
{
    resp_head(b, '$', arg.len);
    buf_add_span(b, arg);
    buf_add(b, "\r\n", 2);
}

void resp_arg_text(struct buf *b, const char *arg)
{
    resp_arg(b, span_of(arg));
}

void resp_arg_number(struct buf *b, int64_t n)
{
    char text[NUMBER_MAX];
    size_t at = sizeof(text);
    uint64_t rest = n < 0 ? 0 - (uint64_t) n : (uint64_t) n;
    do
        text[--at] = (char) ('0' + rest % 10);
    while (rest /= 10);
    if (n < 0)
        text[--at] = '-';
    resp_arg(b, (struct span){.at = text + at, .len = sizeof(text) - at});
}

struct span redis_text(const struct redis_value *v)
{
    if (v->type != REDIS_STRING && v->type != REDIS_STATUS)
        return (struct span){.at = NULL};
    return v->text;
}

int redis_number(const struct redis_value *v, int64_t *ret_number)
{
    if (v->type == REDIS_INTEGER) {
        *ret_number = v->integer;
        return 0;
    }
    struct span digits = redis_text(v);
    bool is_negative = digits.len > 0 && digits.at[0] == '-';
    if (is_negative) {
        digits.at++;
        digits.len--;
    }
    uint64_t n;
    if (span_number(digits, (uint64_t) INT64_MAX + is_negative, &n) < 0)
        return -EINVAL;
    if (is_negative)
        *ret_number = n > INT64_MAX ? INT64_MIN : -(int64_t) n;
    else
        *ret_number = (int64_t) n;
    return 0;
}

bool redis_is_text(const struct redis_value *v, const char *text)
{
    return span_equal(redis_text(v), span_of(text)) && (v->type == REDIS_STRING || v->type == REDIS_STATUS);
}
