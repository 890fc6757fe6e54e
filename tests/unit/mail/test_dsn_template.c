/* Templates of the human part: what they may say, and what is refused at the start. */
#include "mail/dsn_template.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "mail_test.h"

static const struct span values[DSN_FIELDS] = {
    [DSN_FIELD_RECIPIENTS] = SPAN("<bob@one.test>:\r\n    no {such} user"),
    [DSN_FIELD_COUNT] = SPAN("1"),
    [DSN_FIELD_HOST] = SPAN("relay.example"),
    [DSN_FIELD_SENDER] = SPAN("s@one.test"),
    [DSN_FIELD_MESSAGE_ID] = SPAN("<1@x>"),
    [DSN_FIELD_NUMBER] = SPAN("01KTEST"),
    [DSN_FIELD_ARRIVED] = SPAN("Sun"),
    [DSN_FIELD_RETRY_UNTIL] = SPAN("Mon"),
};

static struct dsn_template *parse(struct span text)
{
    struct dsn_template *t = NULL;
    char *error = NULL;
    struct span s = exact_copy(text);
    int r = dsn_template_parse(s, &t, &error);

    exact_free(s);
    if (r < 0)
        print_error("%s\n", error);
    assert_int_equal(r, 0);
    return t;
}

static void expect_text(const char *text, const char *wanted)
{
    AUTO_BUF struct buf out = {0};
    struct dsn_template *t = parse(span_of(text));

    dsn_template_add_text(t, values, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    dsn_template_free(t);
}

static void expect_refused(struct span text, const char *wanted)
{
    struct dsn_template *t = NULL;
    char *error = NULL;
    struct span s = exact_copy(text);

    assert_int_equal(dsn_template_parse(s, &t, &error), -EINVAL);
    exact_free(s);
    if (!strstr(error, wanted)) {
        print_error("\"%s\" lacks \"%s\"\n", error, wanted);
        fail();
    }
    mem_free(error);
}

static void fields_are_replaced(void **state)
{
    (void) state;
    expect_text("Hello {sender}.\n\n{recipients}\n",
                "Hello s@one.test.\r\n\r\n<bob@one.test>:\r\n    no {such} user\r\n");
    expect_text("{count} {host} {message_id} {number} {arrived} {retry_until}\r\n{recipients}",
                "1 relay.example <1@x> 01KTEST Sun Mon\r\n<bob@one.test>:\r\n    no {such} user\r\n");
    expect_text("{{{count}}} {{}}\n{recipients}\n", "{1} {}\r\n<bob@one.test>:\r\n    no {such} user\r\n");
    expect_text("\xef\xbb\xbfGr\xc3\xbc\xc3\x9f"
                "e\t{recipients}\n",
                "Gr\xc3\xbc\xc3\x9f"
                "e\t<bob@one.test>:\r\n    no {such} user\r\n");
}

static void a_subject_may_come_first(void **state)
{
    (void) state;
    AUTO_BUF struct buf out = {0};
    struct dsn_template *t = parse(SPAN("subject:  Nicht zustellbar: {message_id} \r\n\r\n{recipients}\r\n"));

    assert_true(dsn_template_has_subject(t));
    dsn_template_add_subject(t, values, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, "Nicht zustellbar: <1@x>");
    buf_clear(&out);
    dsn_template_add_text(t, values, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, "<bob@one.test>:\r\n    no {such} user\r\n");
    dsn_template_free(t);
    t = parse(SPAN("{recipients}\nSubject: later is text\n"));
    assert_false(dsn_template_has_subject(t));
    dsn_template_free(t);
}

static void mistakes_are_found_before_they_matter(void **state)
{
    (void) state;
    expect_refused(SPAN(""), "it has no {recipients}");
    expect_refused(SPAN("hello\n"), "it has no {recipients}");
    expect_refused(SPAN("{recipients}\n{recipients}\n"), "line 2 has {recipients} a second time");
    expect_refused(SPAN("a\n{recipient}\n"),
                   "line 2 has the unknown field {recipient}; there are {recipients}, {count}");
    expect_refused(SPAN("{recipients}\n{\n"), "line 2 has a single brace");
    expect_refused(SPAN("{recipients}\na } b\n"), "line 2 has a single brace");
    expect_refused(SPAN("{recipi\nents}\n"), "line 1 has a single brace");
    expect_refused(SPAN("{}{recipients}\n"), "line 1 has the unknown field {}");
    expect_refused(SPAN("Subject: {recipients}\n\n{recipients}\n"), "which no subject has room for");
    expect_refused(SPAN("Subject:\n\n{recipients}\n"), "line 1 has an empty subject");
    expect_refused(SPAN("Subject: a\n{recipients}\n"), "line 2 stands where an empty line must be");
    expect_refused(SPAN("{recipients}\n\0\n"), "line 2 is not plain text in UTF-8");
    expect_refused(SPAN("{recipients}\na\rb\n"), "line 2 is not plain text in UTF-8");
    expect_refused(SPAN("{recipients}\n\xff\n"), "line 2 is not plain text in UTF-8");
    expect_refused(SPAN("{recipients}\n\xe4\n"), "line 2 is not plain text in UTF-8");
}

static void sizes_have_limits(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0};
    buf_add_text(&text, "{recipients}\n");
    for (int i = 0; i < DSN_TEMPLATE_LINE_MAX; i++)
        buf_add_char(&text, 'x');
    dsn_template_free(parse(buf_span(&text)));
    buf_add_char(&text, 'x');
    expect_refused(buf_span(&text), "line 2 is too long");
    buf_clear(&text);
    buf_add_text(&text, "{recipients}\n");
    while (text.len < DSN_TEMPLATE_MAX)
        buf_add_char(&text, '\n');
    dsn_template_free(parse(buf_span(&text)));
    buf_add_char(&text, '\n');
    expect_refused(buf_span(&text), "larger than 8192 bytes");
    buf_clear(&text);
    buf_add_text(&text, "Subject: ");
    for (int i = 0; i <= DSN_SUBJECT_MAX; i++)
        buf_add_char(&text, 'x');
    buf_add_text(&text, "\n\n{recipients}\n");
    expect_refused(buf_span(&text), "line 1 is too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_replaced),
        cmocka_unit_test(a_subject_may_come_first),
        cmocka_unit_test(mistakes_are_found_before_they_matter),
        cmocka_unit_test(sizes_have_limits),
    };
    return cmocka_run_group_tests_name("mail/dsn_template", tests, NULL, NULL);
}
