/* Recipients in ORCPT and in reports. */
#include "mail/orcpt.h"
#include "mail_test.h"

static void expect_text(struct buf *b, const char *text)
{
    buf_add_char(b, '\0');
    assert_string_equal(b->data, text);
    buf_clear(b);
}

/* proves: K14 */
static void xtext_is_checked(void **state)
{
    static const char *const good[] = {"a", "a+2B", "+3D+20", "", "<>;,~!"};
    static const char *const bad[] = {"a b",  "a=b",  "+",     "+2",   "+2b",  "+zz",     "a\n",
                                      "a\rb", "\x7f", "a\x01", "a+00", "a+0D", "\xc3\xa4"};
    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(xtext_is_sound(span_of(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(xtext_is_sound(span_of(bad[i])));
    assert_true(orcpt_is_sound(SPAN("rfc822;a+2Bb@one.test")));
    assert_true(orcpt_is_sound(SPAN("utf-8;\xc3\xa4@one.test")));
    assert_false(orcpt_is_sound(SPAN("rfc822;\xc3\xa4@one.test")));
    assert_false(orcpt_is_sound(SPAN("utf-8;\xc3@one.test")));
    assert_false(orcpt_is_sound(SPAN("a@one.test")));
    assert_false(orcpt_is_sound(SPAN(";a@one.test")));
    assert_false(orcpt_is_sound(SPAN("rfc822;")));
    assert_false(orcpt_is_sound(SPAN("")));
}

/* proves: K05 K06 K14 */
static void reports_have_it_decoded_unless_that_would_be_more_than_text(void **state)
{
    AUTO_BUF struct buf b = {0};
    (void) state;
    orcpt_add_decoded(SPAN("rfc822;a+2Bb+20c@one.test"), true, &b);
    expect_text(&b, "rfc822;a+b c@one.test");
    orcpt_add_decoded(SPAN("rfc822;a+0D+0ABcc:x@one.test"), true, &b);
    expect_text(&b, "rfc822;a+0D+0ABcc:x@one.test");
    xtext_add_decoded(SPAN("+3DQ+2B+2F"), &b);
    expect_text(&b, "=Q+/");
    xtext_add_decoded(SPAN("a+00b"), &b);
    expect_text(&b, "a+00b");
    xtext_add_decoded(SPAN("a+C3+A4"), &b);
    expect_text(&b, "a+C3+A4");
}

/* proves: K16 */
static void internationalized_addresses_have_a_type_of_their_own(void **state)
{
    AUTO_BUF struct buf b = {0};
    (void) state;
    orcpt_add_addr(SPAN("a+b@one.test"), true, &b);
    expect_text(&b, "rfc822;a+b@one.test");
    orcpt_add_addr(SPAN("\xc3\xa4+\\@one.test"), true, &b);
    expect_text(&b, "utf-8;\\x{E4}\\x{2B}\\x{5C}@one.test");
    orcpt_add_addr(SPAN("\xc3\xa4+@one.test"), false, &b);
    expect_text(&b, "utf-8;\xc3\xa4\\x{2B}@one.test");
    orcpt_add_addr(SPAN("\xf0\x9f\x98\x80@one.test"), true, &b);
    expect_text(&b, "utf-8;\\x{1F600}@one.test");
    orcpt_add_addr(SPAN("\xc3\n\xff@one.test"), false, &b); /* not UTF-8: cut short, and never a byte */
    expect_text(&b, "utf-8;?\\x{A}?@one.test");
    orcpt_add_decoded(SPAN("utf-8;\xc3\xa4\\x{20}@one.test"), true, &b);
    expect_text(&b, "utf-8;\\x{E4}\\x{20}@one.test");
    orcpt_add_decoded(SPAN("UTF-8;\xc3\xa4@one.test"), false, &b);
    expect_text(&b, "UTF-8;\xc3\xa4@one.test");
    orcpt_add_ascii(SPAN("utf-8;\xe2\x82\xac@one.test"), &b);
    expect_text(&b, "utf-8;\\x{20AC}@one.test");
    orcpt_add_ascii(SPAN("rfc822;a+2B@one.test"), &b);
    expect_text(&b, "rfc822;a+2B@one.test");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xtext_is_checked),
        cmocka_unit_test(reports_have_it_decoded_unless_that_would_be_more_than_text),
        cmocka_unit_test(internationalized_addresses_have_a_type_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
