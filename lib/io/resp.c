/* Redis' wire format: writing commands, looking at values. Reading is redis_reply.c's. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/redis.h"

enum { NUMBER_MAX = 24, HEAD_MAX = NUMBER_MAX + 3, END_LEN = 2 };

/* Kind, number, line end; returns what is behind. A request has dozens of these: room is asked for once per argument. */
static char *put_head(char *at, char kind, size_t n)
{
    char digits[NUMBER_MAX];
    size_t from = sizeof(digits);

    *at++ = kind;
    do
        digits[--from] = (char) ('0' + n % 10);
    while (n /= 10);
    memcpy(at, digits + from, sizeof(digits) - from);
    at += sizeof(digits) - from;
    memcpy(at, "\r\n", END_LEN);
    return at + END_LEN;
}

void resp_command(struct buf *b, size_t arg_count)
{
    char *start = buf_reserve(b, HEAD_MAX);

    buf_commit(b, (size_t) (put_head(start, '*', arg_count) - start));
}

void resp_arg(struct buf *b, struct span arg)
{
    char *start = buf_reserve(b, HEAD_MAX + arg.len + END_LEN), *at = put_head(start, '$', arg.len);

    if (arg.len > 0)
        memcpy(at, arg.at, arg.len);
    at += arg.len;
    memcpy(at, "\r\n", END_LEN);
    buf_commit(b, (size_t) (at + END_LEN - start));
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
