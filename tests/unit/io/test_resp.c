/* Redis' wire format: what is written, and looking at values. */
#include "io_test.h"

#include <errno.h>

#include "io/redis.h"

static void encodes_commands(void **state)
{
    (void) state;
    struct buf b AUTO_BUF = {.data = NULL};
    resp_command(&b, 5);
    resp_arg_text(&b, "SET");
    resp_arg(&b, SPAN("a\0\r\n"));
    resp_arg_number(&b, INT64_MIN);
    resp_arg_number(&b, 0);
    resp_arg_text(&b, "");
    assert_true(span_equal(
        buf_span(&b), SPAN("*5\r\n$3\r\nSET\r\n$4\r\na\0\r\n\r\n$20\r\n-9223372036854775808\r\n$1\r\n0\r\n"
                           "$0\r\n\r\n")));
}

static void reads_numbers_that_come_as_text(void **state)
{
    (void) state;
    static const struct {
        struct span text;
        int result;
        int64_t n;
    } rows[] = {
        {SPAN("0"), 0, 0},
        {SPAN("-1"), 0, -1},
        {SPAN("9223372036854775807"), 0, INT64_MAX},
        {SPAN("-9223372036854775808"), 0, INT64_MIN},
        {SPAN("9223372036854775808"), -EINVAL, 0},
        {SPAN("-9223372036854775809"), -EINVAL, 0},
        {SPAN(""), -EINVAL, 0},
        {SPAN("-"), -EINVAL, 0},
        {SPAN("--1"), -EINVAL, 0},
        {SPAN("+1"), -EINVAL, 0},
        {SPAN("1 "), -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct redis_value v = {.type = REDIS_STRING, .text = rows[i].text};
        int64_t n = 0;
        assert_int_equal(redis_number(&v, &n), rows[i].result);
        assert_true(n == rows[i].n);
    }
    struct redis_value nil = {.type = REDIS_NIL}, number = {.type = REDIS_INTEGER, .integer = -7};
    struct redis_value error = {.type = REDIS_ERROR_REPLY, .text = SPAN("7")};
    int64_t n = 0;
    assert_int_equal(redis_number(&nil, &n), -EINVAL);
    assert_int_equal(redis_number(&error, &n), -EINVAL);
    assert_int_equal(redis_number(&number, &n), 0);
    assert_int_equal(n, -7);
}

static void only_strings_have_text(void **state)
{
    (void) state;
    struct redis_value string = {.type = REDIS_STRING, .text = SPAN("ok")};
    struct redis_value status = {.type = REDIS_STATUS, .text = SPAN("ok")};
    struct redis_value error = {.type = REDIS_ERROR_REPLY, .text = SPAN("ok")};
    struct redis_value nil = {.type = REDIS_NIL};
    assert_true(redis_is_text(&string, "ok"));
    assert_true(redis_is_text(&status, "ok"));
    assert_false(redis_is_text(&error, "ok"));
    assert_false(redis_is_text(&nil, ""));
    assert_null(redis_text(&error).at);
    assert_false(redis_is_text(&string, "OK"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_commands),
        cmocka_unit_test(reads_numbers_that_come_as_text),
        cmocka_unit_test(only_strings_have_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
