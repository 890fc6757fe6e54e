/* The part of a notification that returns the original, whole or in part. */
#include "dsn_sample.h"

/* proves: K11 */
static void returns_a_large_or_cut_original_as_header(void **state)
{
    (void) state;
    static const char *const header =
        "\r\nContent-Type: text/rfc822-headers\r\n\r\nReceived: from a (b [192.0.2.1])\r\n\tby c; today\r\n"
        "From: sender@example.org\r\nMessage-ID:\r\n <orig.1@example.org>\r\nSubject: hello\r\n\r\n--=_";
    dsn.max_original_bytes = 50;
    write_checked();
    expect(header);
    expect_not("Body with");
    dsn.max_original_bytes = 51200;
    dsn.original_is_whole = false;
    write_checked();
    expect(header);
    dsn.original = SPAN("A: b\r\nC: d\r\n e\r\nF: g");
    write_checked();
    expect("\r\n\r\nA: b\r\nC: d\r\n e\r\n\r\n--=_");
    expect_not("F: g");
    dsn.original = (struct span){.at = NULL};
    write_checked();
    expect("text/rfc822-headers\r\n\r\n\r\n--=_");
    expect_not("In-Reply-To");
}

/* proves: K15 */
static void returns_hostile_originals_in_a_valid_way(void **state)
{
    (void) state;
    dsn.original = SPAN("A: b\r\nS: \xc3\xa4\r\n\r\nbody \xff\r\n");
    assert_true(write_checked().is_8bit);
    expect("\r\nContent-Transfer-Encoding: 8bit\r\n\r\nThis is");
    expect(
        "\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nA: b\r\nS: \xc3\xa4\r\n\r\nbody \xff\r\n\r\n--=_");
    dsn.original = SPAN("A: b\r\nS: \xc3\xa4\r\n\r\nbody \0\r\n");
    assert_true(write_checked().is_8bit);
    expect(
        "\r\nContent-Type: text/rfc822-headers; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nA: b\r\nS: \xc3\xa4\r\n\r\n--=_");
    static const struct span bad_bodies[] = {SPAN("A: b\r\n\r\n\0"), SPAN("A: b\r\n\r\nx\ry\r\n"),
                                             SPAN("A: b\r\n\r\nx\n"), SPAN("A: b\r\n\r\nx\r")};
    for (size_t i = 0; i < ARRAY_LEN(bad_bodies); i++) {
        dsn.original = bad_bodies[i];
        write_checked();
        expect("text/rfc822-headers\r\n\r\nA: b\r\n\r\n--=_");
    }
    dsn.original = SPAN(
        "A: b\r\nN: \0\r\n go\rne\r\n C: gone\r\nD: e\r\n \0\r\n gone\r\nF: g\nH: i\r\n\r\n\0");
    write_checked();
    expect("text/rfc822-headers\r\n\r\nA: b\r\nF: g\r\nH: i\r\n\r\n--=_");
    expect_not("gone");
    dsn.original = SPAN(" starts with a blank\r\nA: b\r\n\r\n\0");
    write_checked();
    expect("text/rfc822-headers\r\n\r\nA: b\r\n\r\n--=_");
}

/* proves: K15 */
static void leaves_out_what_is_too_long_for_mail(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0};
    buf_add_text(&text, "A: b\r\nX: ");
    for (int i = 0; i < 200000; i++)
        buf_add_char(&text, 'x');
    buf_add_text(&text, "\r\n more\r\nC: d\r\n\r\nbody\r\n");
    dsn.original = buf_span(&text);
    dsn.max_original_bytes = 1 << 20;
    write_checked();
    expect("text/rfc822-headers\r\n\r\nA: b\r\nC: d\r\n\r\n--=_");
    buf_clear(&text);
    for (int i = 0; i < 30000; i++)
        buf_printf(&text, "Field-%d: x\r\n", i);
    dsn.original = buf_span(&text);
    write_checked();
    expect("Field-0: x\r\nField-1: x\r\n");
    expect("x\r\n\r\n--=_");
    expect_not("Field-29999");
    assert_true(out.len > DSN_MAX - 4096);
}

/* proves: K04 K15 */
static void finds_a_boundary_the_original_has_not(void **state)
{
    (void) state;
    dsn.original = SPAN(
        "A: b\r\n\r\n--=_01KDSNDSNDSNDSNDSNDSNDSNDS--\r\n--=_01KDSNDSNDSNDSNDSNDSNDSNDS_1_\r\n");
    write_checked();
    expect("boundary=\"=_01KDSNDSNDSNDSNDSNDSNDSNDS_2_\"\r\n");
    expect("\r\n--=_01KDSNDSNDSNDSNDSNDSNDSNDS_2_--\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_FRESH(returns_a_large_or_cut_original_as_header),
        TEST_FRESH(returns_hostile_originals_in_a_valid_way),
        TEST_FRESH(leaves_out_what_is_too_long_for_mail),
        TEST_FRESH(finds_a_boundary_the_original_has_not),
    };
    return cmocka_run_group_tests_name("mail/dsn_original", tests, NULL, NULL);
}
