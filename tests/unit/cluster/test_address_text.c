/* The text of address tables: keys, values, files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/address_text.h"
#include "cluster/table.h"

/* ---- keys */

static void check_key(const char *text, const char *expected)
{
    AUTO_BUF struct buf key = {.data = NULL};

    assert_int_equal(address_key(span_of(text), &key), 0);
    assert_true(span_equal(buf_span(&key), span_of(expected)));
}

/* proves: N02 N12 E02 */
static void domains_of_keys_are_a_labels_in_lower_case(void **state UNUSED)
{
    check_key("Bob@Example.COM", "Bob@example.com");
    check_key("@Example.COM", "@example.com");
    check_key("bob@B\xc3\xbc"
              "cher.example",
              "bob@xn--bcher-kva.example");
    check_key("@xn--bcher-kva.EXAMPLE", "@xn--bcher-kva.example");
    check_key("bob@example.com.", "bob@example.com");
}

/* proves: B22 N05 */
static void local_parts_are_kept_but_for_quotes_they_do_not_need(void **state UNUSED)
{
    check_key("BoB@example.com", "BoB@example.com");
    check_key("\"bob\"@example.com", "bob@example.com");
    check_key("\"b\\ob\"@example.com", "bob@example.com");
    check_key("\"a b\"@example.com", "\"a b\"@example.com");
    check_key("\"a\\ b\"@example.com", "\"a b\"@example.com");
    check_key("\"a@b\"@example.com", "\"a@b\"@example.com");
    check_key("\"a\\\"\\\\b\"@example.com", "\"a\\\"\\\\b\"@example.com");
    check_key("\"\"@example.com", "\"\"@example.com");
    check_key("\".bob\"@example.com", "\".bob\"@example.com");
    check_key("{a}*'|#@example.com", "{a}*'|#@example.com");
    check_key("\"{a}:*'|#\"@example.com", "\"{a}:*'|#\"@example.com");
    check_key("b\xc3\xb6"
              "b@example.com",
              "b\xc3\xb6"
              "b@example.com");
}

/* proves: M07 */
static void what_is_no_address_is_no_key(void **state UNUSED)
{
    static const struct span texts[] = {
        {NULL, 0},
        {"@", 1},
        {"bob", 3},
        {"bob@", 4},
        {"@[192.0.2.1]", 12},
        {"bob@[192.0.2.1]", 15},
        {"bob@@example.com", 16},
        {"a@b@example.com", 15},
        {"bob @example.com", 16},
        {"bob@exa mple.com", 16},
        {"bob\0@example.com", 16},
        {"bob@exam\0ple.com", 16},
        {"bob\r\n@example.com", 17},
        {"\"bob@example.com", 16},
        {".bob@example.com", 16},
        {"bob@-example.com", 16},
        {"bob@example..com", 16},
        {"\xff@example.com", 13},
        {"\"a\nb\"@example.com", 17},
        {"<bob@example.com>", 17},
    };
    AUTO_BUF struct buf key = {.data = NULL};

    buf_add_text(&key, "as it was");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_true(address_key(texts[i], &key) < 0);
        assert_true(span_equal(buf_span(&key), SPAN("as it was")));
    }
}

/* proves: B23 */
static void keys_have_the_lengths_of_addresses(void **state UNUSED)
{
    AUTO_BUF struct buf text = {.data = NULL}, key = {.data = NULL};

    for (size_t i = 0; i < LOCAL_MAX; i++)
        buf_add_char(&text, 'l');
    buf_add_text(&text, "@example.com");
    assert_int_equal(address_key(buf_span(&text), &key), 0);
    AUTO_BUF struct buf longer = {.data = NULL};
    buf_add_char(&longer, 'l');
    buf_add_span(&longer, buf_span(&text));
    assert_true(address_key(buf_span(&longer), &key) < 0);
    buf_clear(&longer);
    for (size_t i = 0; i < 65536; i++)
        buf_add_char(&longer, 'l');
    buf_add_text(&longer, "@example.com");
    assert_true(address_key(buf_span(&longer), &key) < 0);
}

/* ---- values */

static int value_of(const char *text, const char *key, enum address_rule rule, struct buf *out)
{
    buf_clear(out);
    return address_value(span_of(text), span_of(key), rule, out);
}

static void lists_are_normalised(void **state UNUSED)
{
    AUTO_BUF struct buf value = {.data = NULL};

    assert_int_equal(value_of(" a@X.example ,B@y.example,\t\"c, d\"@z.example", "k@x", ADDRESS_LIST, &value),
                     0);
    assert_true(span_equal(buf_span(&value), SPAN("a@x.example, B@y.example, \"c, d\"@z.example")));
    assert_int_equal(value_of("@Other.Example", "@x", ADDRESS_LIST, &value), 0);
    assert_true(span_equal(buf_span(&value), SPAN("@other.example")));
    assert_int_equal(value_of("@a.example, b@c.example", "@x", ADDRESS_LIST, &value), 0);
    assert_int_equal(value_of("b@c.example", "k@x", ADDRESS_ONE, &value), 0);
}

static void what_is_no_list_is_no_value(void **state UNUSED)
{
    static const char *const texts[] = {"",
                                        ",",
                                        "a@x.example,",
                                        ",a@x.example",
                                        "a@x.example,,b@x.example",
                                        "a@x b@x",
                                        "a",
                                        "@x.example",
                                        "a@[192.0.2.1]",
                                        "|/bin/sh",
                                        "/etc/passwd",
                                        ":include:/etc/passwd",
                                        "a@x.example\nb@x.example"};
    AUTO_BUF struct buf value = {.data = NULL};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_true(value_of(texts[i], "k@x", ADDRESS_LIST, &value) < 0);
    assert_int_equal(value_of("a@x.example, b@x.example", "k@x", ADDRESS_ONE, &value), -E2BIG);
    assert_true(value_of("a@x.example", "k@x", ADDRESS_NOTHING, &value) < 0);
    assert_int_equal(value.len, 0);
}

/* proves: M01 */
static void a_value_has_a_largest_size(void **state UNUSED)
{
    AUTO_BUF struct buf text = {.data = NULL}, value = {.data = NULL};

    for (unsigned i = 0; i < ADDRESS_VALUES_MAX; i++)
        buf_printf(&text, "%sa%u@x.io", i ? "," : "", i);
    assert_int_equal(address_value(buf_span(&text), SPAN("k@x"), ADDRESS_LIST, &value), 0);
    buf_add_text(&text, ",one@too.many");
    assert_int_equal(address_value(buf_span(&text), SPAN("k@x"), ADDRESS_LIST, &value), -E2BIG);
    buf_clear(&text);
    for (unsigned i = 0; i < 200; i++)
        buf_printf(&text, "%s%0*u@%0*u.example", i ? "," : "", LOCAL_MAX, i, LABEL_MAX, 1);
    buf_clear(&value);
    assert_int_equal(address_value(buf_span(&text), SPAN("k@x"), ADDRESS_LIST, &value), -E2BIG);
    assert_int_equal(value.len, 0);
}

/* ---- files */

static struct buf rows;
static const char *refused_key; /* this one is refused */

static const char *on_row(void *context, struct span key, struct span value)
{
    assert_ptr_equal(context, &rows);
    if (refused_key && span_equal(key, span_of(refused_key)))
        return "is refused";
    buf_printf(&rows, "%.*s=%.*s|", SPAN_ARG(key), SPAN_ARG(value));
    return NULL;
}

static int read_text(struct span text, enum address_rule rule, char **ret_error)
{
    buf_clear(&rows);
    return address_text_read(text, "list", rule, on_row, &rows, ret_error);
}

static void check_rows(const char *text, enum address_rule rule, const char *expected)
{
    AUTO_FREE char *error = NULL;

    assert_int_equal(read_text(span_of(text), rule, &error), 0);
    assert_null(error);
    assert_true(span_equal(buf_span(&rows), span_of(expected)));
}

static void check_error(struct span text, enum address_rule rule, const char *expected)
{
    AUTO_FREE char *error = NULL;

    assert_true(read_text(text, rule, &error) < 0);
    assert_string_equal(error, expected);
}

static void lines_are_keys_values_and_comments(void **state UNUSED)
{
    check_rows("", ADDRESS_LIST, "");
    check_rows("# nothing\n\n   \t\r\n  # more", ADDRESS_LIST, "");
    check_rows(
        "a@x.example b@y.example, c@y.example # for now\r\n"
        "\t\"a b\"@x.example\td@y.example\n"
        "a#b@x.example e#f@y.example #, g@y.example\n"
        "@x.example @z.example",
        ADDRESS_LIST,
        "a@x.example=b@y.example, c@y.example|\"a b\"@x.example=d@y.example|a#b@x.example=e#f@y.example|"
        "@x.example=@z.example|");
    check_rows("a@x.example\n@Y.example # all\n", ADDRESS_NOTHING, "a@x.example=|@y.example=|");
    check_rows("a@x.example b@y.example", ADDRESS_ONE, "a@x.example=b@y.example|");
}

static void errors_name_file_and_line(void **state UNUSED)
{
    check_error(SPAN("a@x b@y\n\nnonsense c@y\n"), ADDRESS_LIST,
                "list: line 3: \"nonsense\" is neither an address nor @domain");
    check_error(SPAN("a@x"), ADDRESS_LIST,
                "list: line 1: \"\" is no list of addresses (or of @domains, for a key that is a domain)");
    check_error(SPAN("a@x b@y, c@y"), ADDRESS_ONE,
                "list: line 1: \"b@y, c@y\" is more than one address, or too long");
    check_error(SPAN("a@x @y"), ADDRESS_ONE,
                "list: line 1: \"@y\" is no address (or @domain, for a key that is a domain)");
    check_error(SPAN("a@x b@y"), ADDRESS_NOTHING,
                "list: line 1: \"b@y\" is too much: a line is an address, or @domain");
    check_error(
        SPAN("a@x b\0@y"), ADDRESS_LIST,
        "list: line 1: \"b\\x00@y\" is no list of addresses (or of @domains, for a key that is a domain)");
    refused_key = "b@x";
    check_error(SPAN("a@x a@y\nb@x b@y\n"), ADDRESS_LIST, "list: line 2: \"b@x\" is refused");
    refused_key = NULL;
}

/* proves: M01 */
static void lines_have_a_largest_length(void **state UNUSED)
{
    AUTO_BUF struct buf text = {.data = NULL};
    AUTO_FREE char *error = NULL;

    buf_add_text(&text, "a@x.example b@y.example #");
    while (text.len < ADDRESS_LINE_MAX)
        buf_add_char(&text, '#');
    assert_int_equal(read_text(buf_span(&text), ADDRESS_LIST, &error), 0);
    buf_add_char(&text, '#');
    assert_true(read_text(buf_span(&text), ADDRESS_LIST, &error) < 0);
    assert_non_null(strstr(error, "is longer than 16384 bytes"));
}

static void files_are_read_whole_or_not_at_all(void **state UNUSED)
{
    char path[] = "/tmp/barid-address-XXXXXX";
    AUTO_FREE char *error = NULL, *missing = NULL, *folder = NULL, *large = NULL;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a@x b@y\n", 8), 8);
    buf_clear(&rows);
    assert_int_equal(address_file_read(path, ADDRESS_LIST, on_row, &rows, &error), 0);
    assert_true(span_equal(buf_span(&rows), SPAN("a@x=b@y|")));
    assert_int_equal(ftruncate(fd, ADDRESS_FILE_MAX + 1L), 0);
    assert_true(address_file_read(path, ADDRESS_LIST, on_row, &rows, &large) < 0);
    assert_non_null(strstr(large, "cannot be read: "));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(close(fd), 0);
    assert_true(address_file_read(path, ADDRESS_LIST, on_row, &rows, &missing) < 0);
    assert_non_null(strstr(missing, path));
    assert_true(address_file_read("/tmp", ADDRESS_LIST, on_row, &rows, &folder) < 0);
    assert_string_equal(folder, "/tmp cannot be read: it is no file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_of_keys_are_a_labels_in_lower_case),
        cmocka_unit_test(local_parts_are_kept_but_for_quotes_they_do_not_need),
        cmocka_unit_test(what_is_no_address_is_no_key),
        cmocka_unit_test(keys_have_the_lengths_of_addresses),
        cmocka_unit_test(lists_are_normalised),
        cmocka_unit_test(what_is_no_list_is_no_value),
        cmocka_unit_test(a_value_has_a_largest_size),
        cmocka_unit_test(lines_are_keys_values_and_comments),
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(lines_have_a_largest_length),
        cmocka_unit_test(files_are_read_whole_or_not_at_all),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&rows);
    return failed;
}
