/* The reply parser, in one piece and at every split. */
#include <errno.h>

#include "mail/reply.h"
#include "mail_test.h"

/* Feeds pieces of the given size; returns all bytes taken, or the error. */
static int feed_in_pieces(struct reply *r, struct span in, size_t piece)
{
    size_t at = 0;
    while (at < in.len && !r->is_complete) {
        size_t len = in.len - at < piece ? in.len - at : piece;
        struct span copy = exact_copy((struct span){.at = in.at + at, .len = len});
        int taken = reply_feed(r, copy);
        exact_free(copy);
        if (taken < 0)
            return taken;
        assert_true((size_t) taken == len || r->is_complete);
        at += (size_t) taken;
    }
    return (int) at;
}

static void check(const char *in, unsigned code, const char *status, const char *text, size_t left)
{
    size_t len = strlen(in);
    for (size_t piece = 1; piece <= len; piece++) {
        struct reply r = {0};
        assert_int_equal(feed_in_pieces(&r, span_of(in), piece), len - left);
        assert_true(r.is_complete);
        assert_int_equal(r.code, code);
        assert_string_equal(r.status, status);
        assert_span(buf_span(&r.text), text);
        reply_done(&r);
    }
}

static void check_refused(struct span in)
{
    for (size_t piece = 1; piece <= in.len; piece++) {
        struct reply r = {0};
        int taken = feed_in_pieces(&r, in, piece);
        if (taken != -EBADMSG)
            fail_msg("'%.*s' in pieces of %zu: %d", SPAN_ARG(in), piece, taken);
        reply_done(&r);
    }
}

/* proves: H06 */
static void parses_one_reply_and_leaves_the_rest(void **state)
{
    (void) state;
    check("250 2.1.0 Ok\r\n", 250, "2.1.0", "2.1.0 Ok", 0);
    check("250 2.1.0 Ok\r\n354 go\r\n", 250, "2.1.0", "2.1.0 Ok", 8);
    check("250\r\n", 250, "", "", 0);
    check("250 \r\n", 250, "", "", 0);
    check("220-a\r\n220-b\r\n220 c\r\n", 220, "", "a\nb\nc", 0);
    check("550-5.1.1 a\r\n550-\r\n550 5.1.1 b\r\n", 550, "5.1.1", "5.1.1 a\n\n5.1.1 b", 0);
    check("299 odd but good\r\n", 299, "", "odd but good", 0);
}

/* proves: H06 */
static void tolerates_bare_line_feeds(void **state)
{
    (void) state;
    check("250-a\n250 b\nrest", 250, "", "a\nb", 4);
    check("250\n", 250, "", "", 0);
}

/* proves: H06 K07 */
static void ignores_an_enhanced_code_that_does_not_fit(void **state)
{
    (void) state;
    check("550 2.1.1 x\r\n", 550, "", "2.1.1 x", 0);
    check("450 5.1.1 x\r\n", 450, "", "5.1.1 x", 0);
    check("354 3.0.0 x\r\n", 354, "3.0.0", "3.0.0 x", 0);
    check("550 5.1.1x\r\n", 550, "", "5.1.1x", 0);
    check("550 5.1234.1 x\r\n", 550, "", "5.1234.1 x", 0);
    check("550 5.123.123 x\r\n", 550, "5.123.123", "5.123.123 x", 0);
    check("550 5.1.1234 x\r\n", 550, "", "5.1.1234 x", 0);
    check("550 5..1 x\r\n", 550, "", "5..1 x", 0);
    check("550 5.1. x\r\n", 550, "", "5.1. x", 0);
    check("550 5.1\r\n", 550, "", "5.1", 0);
    check("550 55.1.1 x\r\n", 550, "", "55.1.1 x", 0);
}

/* A status with nothing behind it once made a client read on (CVE-2026-43964). */
/* proves: H06 */
static void reads_no_further_than_a_bare_enhanced_code(void **state)
{
    (void) state;
    check("550 5.7.2\r\n", 550, "5.7.2", "5.7.2", 0);
    check("550 5.7.2\n", 550, "5.7.2", "5.7.2", 0);
    check("550 5.\r\n", 550, "", "5.", 0);
    check("550 5\r\n", 550, "", "5", 0);
    check("550 5.7\r\n", 550, "", "5.7", 0);
    check("550 5.7.\r\n", 550, "", "5.7.", 0);
    static const char *const unfinished[] = {"550 5.7.2", "550-5.7.2", "550-5.7.2\r\n", "550 5.",
                                             "5",         "55",        "550",           "550 5.7.2\r"};
    for (size_t i = 0; i < ARRAY_LEN(unfinished); i++) {
        struct reply r = {0};
        assert_int_equal(feed_in_pieces(&r, span_of(unfinished[i]), 100), strlen(unfinished[i]));
        assert_false(r.is_complete);
        reply_done(&r);
    }
}

/* proves: H06 H07 */
static void refuses_what_is_no_reply(void **state)
{
    (void) state;
    static const char *const wrong[] = {"\r\n",
                                        "\n",
                                        "5\r\n",
                                        "55\r\n",
                                        "550x\r\n",
                                        "550\tx\r\n",
                                        "2500 x\r\n",
                                        "HTTP/1.1 400\r\n",
                                        " 250 x\r\n",
                                        "199 x\r\n",
                                        "650 x\r\n",
                                        "000 x\r\n",
                                        "250-a\r\n251 b\r\n",
                                        "250-a\r\n550 b\r\n",
                                        "250-a\r\n\r\n",
                                        "250-a\r\nb\r\n",
                                        "2\x35\xb0 a\n",
                                        "\x16\x03\x01\n"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        check_refused(span_of(wrong[i]));
    check_refused((struct span){.at = "25\0 x\r\n", .len = 7});
    check_refused((struct span){.at = "\0\0\0\0\n", .len = 5});
}

/* proves: H07 */
static void makes_text_printable(void **state)
{
    (void) state;
    struct reply r = {0};
    struct span in = SPAN("250-a\0b\x1b[0m\r\n250 c\rd\xc3\xa4\t\r\n");
    assert_int_equal(reply_feed(&r, in), in.len);
    assert_true(r.is_complete);
    assert_span(buf_span(&r.text), "a\\x00b\\x1b[0m\nc\\x0dd\\xc3\\xa4\\x09");
    reply_done(&r);
}

/* proves: H06 H07 */
static void bounds_a_line_in_any_pieces(void **state)
{
    (void) state;
    AUTO_BUF struct buf in = {0};
    buf_add_text(&in, "250 ");
    while (in.len < REPLY_LINE_MAX)
        buf_add_char(&in, 'x');
    buf_add_text(&in, "\n");
    static const size_t pieces[] = {1, 7, 1000, 2047, 2048, 2049, 5000};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct reply r = {0};
        assert_int_equal(feed_in_pieces(&r, buf_span(&in), pieces[i]), in.len);
        assert_true(r.is_complete);
        reply_done(&r);
    }
    in.len--;
    buf_add_text(&in, "x\n");
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct reply r = {0};
        assert_int_equal(feed_in_pieces(&r, buf_span(&in), pieces[i]), -EBADMSG);
        assert_true(r.partial.len <= REPLY_LINE_MAX);
        reply_done(&r);
    }
}

/* proves: H07 */
static void takes_a_hundred_lines_but_not_endlessly_many(void **state)
{
    (void) state;
    struct reply r = {0};
    for (int i = 0; i < 150; i++)
        assert_int_equal(
            reply_feed(&r, SPAN("250-a line of a long reply that says much and means little to us\r\n")), 66);
    assert_int_equal(reply_feed(&r, SPAN("250 end\r\n")), 9);
    assert_true(r.is_complete);
    assert_int_equal(r.line_count, 151);
    assert_true(r.text.len <= REPLY_TEXT_MAX);
    reply_clear(&r);
    int taken = 0, lines = 0;
    while (taken >= 0 && lines < 1000) {
        taken = reply_feed(&r, SPAN("250-x\r\n"));
        lines++;
    }
    assert_int_equal(taken, -EBADMSG);
    assert_int_equal(lines, REPLY_LINES_MAX + 1);
    reply_done(&r);
}

static void check_verdict(const char *in, enum verdict_class class, const char *status, const char *text)
{
    struct reply r = {0};
    struct verdict v = {0};
    assert_true(reply_feed(&r, span_of(in)) > 0);
    assert_true(r.is_complete);
    verdict_set(&v, STATUS_EXPIRED, "what was there goes");
    reply_verdict(&r, "mx.example [192.0.2.1]:25", &v);
    assert_int_equal(v.class, class);
    assert_int_equal(v.code, r.code);
    assert_string_equal(v.status, status);
    assert_string_equal(v.text, text);
    assert_string_equal(v.remote, "mx.example [192.0.2.1]:25");
    assert_true(v.from_remote);
    assert_false(v.in_doubt);
    verdict_done(&v);
    reply_done(&r);
}

/* proves: H05 H06 K07 */
static void judges_by_the_first_digit(void **state)
{
    (void) state;
    check_verdict("250 2.0.0 queued as 1\r\n", VERDICT_DELIVERED, "2.0.0", "2.0.0 queued as 1");
    check_verdict("250 ok\r\n", VERDICT_DELIVERED, "2.0.0", "ok");
    check_verdict("354 go\r\n", VERDICT_DELIVERED, "2.0.0", "go");
    check_verdict("550-5.1.1 no\r\n550 5.1.1 such user\r\n", VERDICT_FAILED, "5.1.1",
                  "5.1.1 no 5.1.1 such user");
    check_verdict("550 no\r\n", VERDICT_FAILED, "5.0.0", "no");
    check_verdict("552 full\r\n", VERDICT_FAILED, "5.2.2", "full");
    check_verdict("556 null mx\r\n", VERDICT_FAILED, "5.1.10", "null mx");
    check_verdict("599 odd\r\n", VERDICT_FAILED, "5.0.0", "odd");
    check_verdict("421 bye\r\n", VERDICT_DEFERRED, "4.3.2", "bye");
    check_verdict("451 later\r\n", VERDICT_DEFERRED, "4.3.0", "later");
    check_verdict("450 5.1.1 wrong class\r\n", VERDICT_DEFERRED, "4.2.0", "5.1.1 wrong class");
    check_verdict("499\r\n", VERDICT_DEFERRED, "4.0.0", "");
}

/* proves: K08 */
static void cuts_a_long_text(void **state)
{
    (void) state;
    AUTO_BUF struct buf in = {0};
    for (int i = 0; i < 100; i++)
        buf_add_text(&in, "550-some words of a long reply, again and again and again\r\n");
    buf_add_text(&in, "550 end\r\n");
    struct reply r = {0};
    struct verdict v = {0};
    assert_int_equal(reply_feed(&r, buf_span(&in)), in.len);
    reply_verdict(&r, "", &v);
    assert_int_equal(strlen(v.text), VERDICT_TEXT_MAX);
    assert_null(strchr(v.text, '\n'));
    verdict_done(&v);
    reply_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parses_one_reply_and_leaves_the_rest),
        TEST(tolerates_bare_line_feeds),
        TEST(ignores_an_enhanced_code_that_does_not_fit),
        TEST(reads_no_further_than_a_bare_enhanced_code),
        TEST(refuses_what_is_no_reply),
        TEST(makes_text_printable),
        TEST(bounds_a_line_in_any_pieces),
        TEST(takes_a_hundred_lines_but_not_endlessly_many),
        TEST(judges_by_the_first_digit),
        TEST(cuts_a_long_text),
    };
    return cmocka_run_group_tests_name("mail/reply", tests, NULL, NULL);
}
