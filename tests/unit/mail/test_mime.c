/* UTF-8 made fit for mail. */
#include "mail/mime.h"

#include <string.h>

#include "mail_test.h"

static void expect_words(const char *text, const char *wanted)
{
    AUTO_BUF struct buf out = {0};
    struct span s = exact_copy(span_of(text));
    struct fold f;

    fold_start(&f, &out, "Subject:", 1);
    mime_add_words(&f, s);
    fold_end(&f);
    exact_free(s);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
}

static void expect_quoted(const char *text, const char *wanted)
{
    AUTO_BUF struct buf out = {0};
    struct span s = exact_copy(span_of(text));

    mime_add_quoted(s, &out);
    exact_free(s);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
}

/* proves: K10 */
static void ascii_stays_as_it_is(void **state)
{
    (void) state;
    expect_words("Your message", "Subject: Your message\r\n");
    expect_words("", "Subject:\r\n");
    expect_quoted("plain text\r\nof two lines\r\n", "plain text\r\nof two lines\r\n");
}

/* proves: K10 */
static void words_are_encoded_between_characters(void **state)
{
    (void) state;
    expect_words("Gr\xc3\xbc\xc3\x9f"
                 "e",
                 "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n");
    AUTO_BUF struct buf text = {0}, out = {0};
    for (int i = 0; i < 40; i++)
        buf_add_text(&text, "\xe2\x82\xac"); /* 39 bytes are 13 of them */
    struct fold f;
    fold_start(&f, &out, "Subject:", 1);
    mime_add_words(&f, buf_span(&text));
    fold_end(&f);
    struct span rest = buf_span(&out);
    size_t lines = 0;
    for (; rest.len > 0; lines++) {
        struct span line = span_cut(&rest, '\n');
        assert_in_range(line.len, 2, 80);
        assert_non_null(
            memmem(line.at, line.len, "?utf-8?B?4oKs", 13)); /* each word begins with a whole one */
    }
    assert_int_equal(lines, 4);
}

/* proves: K15 */
static void what_is_no_character_is_a_question_mark(void **state)
{
    (void) state;
    expect_words("\xc3\xa4\xff\r\n", "Subject: =?utf-8?B?w6Q/Pz8=?=\r\n");
    expect_words("\xc3", "Subject: =?utf-8?B?Pw==?=\r\n");
}

static void quotes_what_would_not_arrive(void **state)
{
    (void) state;
    expect_quoted("a=b \r\n\t\r\nc", "a=3Db=20\r\n=09\r\nc");
    expect_quoted("\xc3\xa4\r\n", "=C3=A4\r\n");
    expect_quoted("a\rb\r\n", "a=0Db\r\n");
}

static void lines_are_never_too_long(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0}, out = {0};
    for (int i = 0; i < 500; i++)
        buf_add_text(&text, i % 3 ? "x" : "\xc3\xa4");
    mime_add_quoted(buf_span(&text), &out);
    struct span rest = buf_span(&out);
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');
        assert_in_range(line.len, 1, 77); /* with its CR */
        assert_true(rest.len == 0 || line.at[line.len - 2] == '=');
    }
}

static void knows_what_needs_nothing(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0};
    assert_true(mime_is_plain(SPAN("")));
    assert_true(mime_is_plain(SPAN("a\r\n")));
    assert_false(mime_is_plain(SPAN("\xc3\xa4\r\n")));
    for (int i = 0; i < 998; i++)
        buf_add_char(&text, 'x');
    buf_add_text(&text, "\r\n");
    assert_true(mime_is_plain(buf_span(&text)));
    buf_clear(&text);
    for (int i = 0; i < 1000; i++)
        buf_add_char(&text, 'x');
    buf_add_text(&text, "\r\n");
    assert_false(mime_is_plain(buf_span(&text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ascii_stays_as_it_is),
        cmocka_unit_test(words_are_encoded_between_characters),
        cmocka_unit_test(what_is_no_character_is_a_question_mark),
        cmocka_unit_test(quotes_what_would_not_arrive),
        cmocka_unit_test(lines_are_never_too_long),
        cmocka_unit_test(knows_what_needs_nothing),
    };
    return cmocka_run_group_tests_name("mail/mime", tests, NULL, NULL);
}
