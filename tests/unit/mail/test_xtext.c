/* xtext: what may stand in it, and that it comes back as it was. */
#include <errno.h>

#include "mail/xtext.h"
#include "mail_test.h"

/* proves: K14 D10 */
static void takes_what_stands_for_text(void **state)
{
    (void) state;
    static const struct {
        const char *xtext, *text;
        bool is_utf8;
    } rows[] = {{"", "", false},
                {"QQ314", "QQ314", false},
                {"a+2Bb+3D+20c", "a+b= c", false},
                {"+41", "A", false},
                {"a\\x{E5}", "a\\x{E5}", false},
                {"+C3+A5", "\xc3\xa5", true},
                {"\xc3\xa5", "\xc3\xa5", true},
                {"~!", "~!", false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf text = {0};
        struct span copy = exact_copy(span_of(rows[i].xtext));
        assert_int_equal(xtext_decode(copy, true, &text), 0);
        assert_span(buf_span(&text), rows[i].text);
        buf_clear(&text);
        assert_int_equal(xtext_decode(copy, false, &text), rows[i].is_utf8 ? -EINVAL : 0);
        exact_free(copy);
    }
}

/* No control byte comes out, and no text that is cut (BEHAVIOURS K14). */
/* proves: K14 D10 */
static void refuses_all_else(void **state)
{
    (void) state;
    static const char *const bad[] = {
        "+",   "+4", "+4g",  "+2b",  "a=b",  "a b", "a+00", "+0A",       "+0D",       "+09",  "+1B",
        "+7F", "\t", "\r\n", "\x7f", "\xff", "+FF", "+C3",  "+ED+A0+80", "+E2+80+AE", "\xc3", "+C3\xa5\xa5"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_BUF struct buf text = {0};
        struct span copy = exact_copy(span_of(bad[i]));
        buf_add_text(&text, "before");
        if (xtext_decode(copy, true, &text) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(xtext_decode(copy, false, &text), -EINVAL);
        assert_span(buf_span(&text), "before");
        exact_free(copy);
    }
}

/* proves: K14 */
static void comes_back_as_it_was(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0}, xtext = {0}, again = {0};
    for (int c = ' '; c <= '~'; c++)
        buf_add_char(&text, (char) c);
    buf_add_text(&text, "\xc3\xa5");
    xtext_encode(buf_span(&text), &xtext);
    for (size_t i = 0; i < xtext.len; i++)
        assert_true(xtext.data[i] > ' ' && xtext.data[i] <= '~' && xtext.data[i] != '=');
    assert_int_equal(xtext_decode(buf_span(&xtext), true, &again), 0);
    assert_true(span_equal(buf_span(&text), buf_span(&again)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(takes_what_stands_for_text),
        TEST(refuses_all_else),
        TEST(comes_back_as_it_was),
    };
    return cmocka_run_group_tests_name("mail/xtext", tests, NULL, NULL);
}
