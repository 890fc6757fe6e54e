/* JSON as the CLI prints it. */
#include "io_test.h"

#include <math.h>

#include "io/json.h"

static void prints(struct json *value, const char *want)
{
    struct buf out AUTO_BUF = {.data = NULL};
    json_print(value, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, want);
    value = json_free(value);
    assert_null(value);
}

static void prints_members_in_order(void **state)
{
    (void) state;
    struct json *top = json_new_object(), *list = json_new_array(), *inner = json_new_object();
    json_put_text(top, "z", SPAN("last"));
    json_put_number(top, "a", -5);
    json_put_real(top, "r", 0.1);
    json_put_flag(top, "yes", true);
    json_put_flag(top, "no", false);
    json_put_null(top, "nothing");
    json_put_number(list, NULL, INT64_MAX);
    json_put_text(list, NULL, SPAN(""));
    json_put(list, NULL, json_new_array());
    json_put(inner, "empty", json_new_object());
    json_put(list, NULL, inner);
    json_put(top, "list", list);
    prints(
        top,
        "{\n  \"z\": \"last\",\n  \"a\": -5,\n  \"r\": 0.1,\n  \"yes\": true,\n  \"no\": false,\n  \"nothing\": null,\n"
        "  \"list\": [\n    9223372036854775807,\n    \"\",\n    [],\n    {\n      \"empty\": {}\n    }\n  ]\n}\n");
}

static void a_key_said_twice_has_its_last_value(void **state)
{
    (void) state;
    struct json *top = json_new_object();
    json_put_number(top, "k", 1);
    json_put_number(top, "k", 2);
    prints(top, "{\n  \"k\": 2\n}\n");
}

static void makes_any_bytes_valid(void **state)
{
    (void) state;
    static const struct {
        struct span bytes;
        const char *text;
    } rows[] = {
        {SPAN("plain"), "plain"},
        {SPAN("a\"\\\n\x01z"), "a\\\"\\\\\\n\\u0001z"},
        {SPAN("nul\0end"), "nul\\u0000end"},
        {SPAN("\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xac"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xac"},
        {SPAN("\xff"), "\xef\xbf\xbd"},
        {SPAN("a\xc3"), "a\xef\xbf\xbd"},
        {SPAN("\xc3(\x80"), "\xef\xbf\xbd(\xef\xbf\xbd"},
        {SPAN("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd"},
        {SPAN("\xe0\x80\xaf"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {SPAN("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {SPAN("\xf0\x9f\xa4"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {SPAN("\xf4\x90\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {SPAN("\xf5"), "\xef\xbf\xbd"},
        {SPAN("a\x7f\xc2\x80z\xc2\x9b\xc2\xa0"), "a\\u007f\\u0080z\\u009b\xc2\xa0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf want AUTO_BUF = {.data = NULL};
        struct json *top = json_new_array();
        json_put_text(top, NULL, rows[i].bytes);
        buf_printf(&want, "[\n  \"%s\"\n]\n", rows[i].text);
        buf_add_char(&want, '\0');
        prints(top, want.data);
    }
    struct json *top = json_new_object();
    json_put_null(top, "k\xff");
    prints(top, "{\n  \"k\xef\xbf\xbd\": null\n}\n");
}

static void numbers_that_json_has_not_are_null(void **state)
{
    (void) state;
    struct json *top = json_new_array();
    json_put_real(top, NULL, NAN);
    json_put_real(top, NULL, INFINITY);
    prints(top, "[\n  null,\n  null\n]\n");
}

static void reads_members_of_their_type_only(void **state)
{
    (void) state;
    struct span text;
    int64_t number;
    bool flag = false;
    struct json *top = json_read(
        SPAN("{\"a\": \"x\\u0001y\", \"n\": -7, \"t\": true, \"r\": 1.5, \"o\": {}}"));
    assert_non_null(top);
    assert_true(json_get_text(top, "a", &text) && span_equal(text, SPAN("x\001y")));
    assert_true(json_get_number(top, "n", &number) && number == -7);
    assert_true(json_get_flag(top, "t", &flag) && flag);
    assert_false(json_get_text(top, "n", &text) || json_get_text(top, "o", &text) ||
                 json_get_text(top, "b", &text));
    assert_false(json_get_number(top, "r", &number) || json_get_number(top, "a", &number));
    assert_false(json_get_flag(top, "n", &flag) || json_get_flag(top, "missing", &flag));
    json_free(top);
}

static void refuses_what_is_not_one_object(void **state)
{
    (void) state;
    static const char *const wrong[] = {"",
                                        "[]",
                                        "1",
                                        "null",
                                        "\"x\"",
                                        "{",
                                        "{}x",
                                        "{} {}",
                                        "{\"a\": 1, \"a\": 2}",
                                        "{\"a\": \xff}",
                                        "{'a': 1}",
                                        "{\"a\": \"x\\u0000y\"}"};
    AUTO_BUF struct buf deep = {.data = NULL};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_null(json_read(span_of(wrong[i])));
    for (int i = 0; i < 100000; i++)
        buf_add_text(&deep, "{\"a\":");
    assert_null(json_read(buf_span(&deep)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_members_in_order),
        cmocka_unit_test(a_key_said_twice_has_its_last_value),
        cmocka_unit_test(makes_any_bytes_valid),
        cmocka_unit_test(numbers_that_json_has_not_are_null),
        cmocka_unit_test(reads_members_of_their_type_only),
        cmocka_unit_test(refuses_what_is_not_one_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
