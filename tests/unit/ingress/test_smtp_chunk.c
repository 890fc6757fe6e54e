/* BDAT of the SMTP server engine (RFC 3030), in dialogues that are also cut at every position, and old devices' line ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/ingress/dialogue.h"

#define HELLO S("220 "), C("EHLO client.example"), S("250-")
#define OPENED HELLO, C("MAIL FROM:<a@b.example>"), S("250 2.1.0"), C("RCPT TO:<c@d.example>"), S("250 2.1.5")
#define QUIT C("QUIT"), S("221 2.0.0"), CLOSED
#define CLEARED                                                                                          \
    C("RCPT TO:<c@d.example>"), S("503 5.5.1"), C("DATA"), S("503 5.5.1"), C("MAIL FROM:<a@b.example>"), \
        S("250 2.1.0"), C("DATA"), S("503 5.5.1"), C("RSET"), S("250")

static int setup(void **state UNUSED)
{
    test_limits_reset();
    test_profile.extensions = 1u << SMTP_CHUNKING;
    return 0;
}

/* proves: B28 B12 */
static void chunks_make_a_message(void **state UNUSED)
{
    PLAY(OPENED, RAW("BDAT 14\r\nSubject: x\r\n\r\n"), S("250 2.0.0"), RAW("BDAT 8 LAST\r\nHello.\r\n"),
         S("250 2.0.0 Ok: queued"), M("Subject: x\r\n\r\nHello.\r\n"), RECIPIENTS("c@d.example,"), STORED(1),
         CLEARED, QUIT);
    PLAY(OPENED, RAW("bdat 3 last\r\nx\r\n"), S("250 2.0.0"), M("x\r\n"), QUIT);
}

/* proves: B28 */
static void last_chunk_may_be_empty(void **state UNUSED)
{
    PLAY(OPENED, RAW("BDAT 3\r\nx\r\n"), S("250 2.0.0"), C("BDAT 0 LAST"), S("250 2.0.0"), M("x\r\n"), QUIT);
    PLAY(OPENED, C("BDAT 0 LAST"), S("250 2.0.0"), M(""), STORED(1), QUIT);
    PLAY(OPENED, C("BDAT 0"), S("250"), C("BDAT 0"), S("250"), RAW("BDAT 3 LAST\r\nx\r\n"), S("250"),
         M("x\r\n"), QUIT);
}

/* Dots are content, commands in a chunk are content, and the last line needs no end. */
/* proves: B28 B29 */
static void chunk_is_taken_as_it_is(void **state UNUSED)
{
    PLAY(OPENED, RAW("BDAT 19\r\n.\r\n..x\r\n.\r\nQUIT\r\n.\r"), S("250"), RAW("BDAT 8 LAST\r\n\nRSET\r\n."),
         S("250"), M(".\r\n..x\r\n.\r\nQUIT\r\n.\r\nRSET\r\n."), QUIT);
    PLAY(OPENED, RAW("BDAT 4 LAST\r\nx\r\n."), S("250"), M("x\r\n."), QUIT);
}

/* proves: B14 B28 */
static void chunks_are_pipelined(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example>"), C("RCPT TO:<c@d.example>"), RAW("BDAT 3\r\nx\r\n"), C("BDAT 0"),
         RAW("BDAT 3 LAST\r\ny\r\n"), C("MAIL FROM:<b@b.example>"), C("RCPT TO:<d@d.example>"),
         RAW("BDAT 3 LAST\r\nz\r\n"), C("NOOP"), S("250 2.1.0"), S("250 2.1.5"), S("250 2.0.0"),
         S("250 2.0.0"), S("250 2.0.0 Ok: queued"), S("250 2.1.0"), S("250 2.1.5"), S("250 2.0.0 Ok: queued"),
         S("250 2.0.0"), M("z\r\n"), RECIPIENTS("d@d.example,"), STORED(2), QUIT);
}

/* proves: B28 B07 */
static void reset_between_chunks_forgets_all(void **state UNUSED)
{
    PLAY(OPENED, RAW("BDAT 3\r\nx\r\n"), S("250"), C("RSET"), S("250 2.0.0"), CLEARED, STORED(0),
         C("MAIL FROM:<e@b.example>"), S("250"), C("RCPT TO:<f@d.example>"), S("250"),
         RAW("BDAT 3 LAST\r\ny\r\n"), S("250"), M("y\r\n"), RECIPIENTS("f@d.example,"), QUIT);
    PLAY(OPENED, RAW("BDAT 3\r\nx\r\n"), S("250"), C("EHLO client.example"), S("250-"), CLEARED, STORED(0),
         QUIT);
    PLAY(OPENED, RAW("BDAT 3\r\nx\r\n"), S("250"), QUIT);
}

/* RFC 3030 section 2: DATA and BDAT do not mix; nor does anything else of a transaction begin between chunks. */
/* proves: B28 B06 */
static void other_commands_wait_until_the_last_chunk(void **state UNUSED)
{
    PLAY(OPENED, RAW("BDAT 3\r\nx\r\n"), S("250"), C("DATA"), S("503 5.5.1"), C("MAIL FROM:<a@b.example>"),
         S("503 5.5.1"), C("RCPT TO:<e@d.example>"), S("503 5.5.1"), C("STARTTLS"), S("503 5.5.1"), C("NOOP"),
         S("250"), C("VRFY x"), S("252"), C("HELP"), S("214"), RAW("BDAT 3 LAST\r\ny\r\n"), S("250"),
         M("x\r\ny\r\n"), RECIPIENTS("c@d.example,"), QUIT);
    PLAY(OPENED, RAW("BDAT 3 LAST\r\nx\r\n"), S("250"), RAW("BDAT 3 LAST\r\ny\r\n"), S("503 5.5.1"),
         STORED(1), QUIT);
}

/* What is in a chunk that has no transaction is never a command. */
/* proves: B28 B07 */
static void chunk_without_recipients_is_read_past(void **state UNUSED)
{
    PLAY(S("220"), RAW("BDAT 6\r\nQUIT\r\n"), S("503 5.5.1"), C("EHLO client.example"), S("250-"),
         RAW("BDAT 6 LAST\r\nQUIT\r\n"), S("503 5.5.1"), C("BDAT 0 LAST"), S("503 5.5.1"),
         C("MAIL FROM:<a@b.example>"), S("250"), RAW("BDAT 6\r\nQUIT\r\n"), S("503 5.5.1"),
         RAW("BDAT 6 LAST\r\nQUIT\r\n"), S("503 5.5.1"), CLEARED, STORED(0), QUIT);
    PLAY(HELLO, C("MAIL FROM:<a@b.example>"), S("250"), C("RCPT TO:<x@refused.example>"), S("550"),
         RAW("BDAT 6\r\nQUIT\r\n"), S("554 5.5.1"), RAW("BDAT 6 LAST\r\nQUIT\r\n"), S("503 5.5.1"), CLEARED,
         QUIT);
    test_sender = (struct smtp_answer){451, "4.3.0", "Later", NULL, 0};
    PLAY(HELLO, C("MAIL FROM:<a@b.example>"), C("RCPT TO:<c@d.example>"), RAW("BDAT 6 LAST\r\nQUIT\r\n"),
         C("NOOP"), S("451"), S("503"), S("503 5.5.1"), S("250"), STORED(0), QUIT);
}

/* proves: B28 B07 */
static void refused_body_is_told_behind_the_chunk(void **state UNUSED)
{
    test_body = (struct smtp_answer){452, "4.3.1", "Full", NULL, 0};
    PLAY(OPENED, RAW("BDAT 6\r\nQUIT\r\n"), C("BDAT 0 LAST"), S("452 4.3.1 Full"), S("503 5.5.1"), CLEARED,
         STORED(0), QUIT);
    test_body = (struct smtp_answer){421, "4.3.2", "Gone", NULL, 0};
    PLAY(OPENED, C("BDAT 6"), S("421 4.3.2"), STORED(0), CLOSED);
}

/* proves: B28 B07 */
static void refused_commit_leaves_nothing(void **state UNUSED)
{
    test_commit = (struct smtp_answer){451, "4.3.0", "Later", NULL, 0};
    PLAY(OPENED, RAW("BDAT 3 LAST\r\nx\r\n"), S("451 4.3.0"), CLEARED, STORED(0), QUIT);
}

/* proves: B28 B09 */
static void chunk_of_no_known_size_ends_the_session(void **state UNUSED)
{
    PLAY(OPENED, C("BDAT"), S("501 5.5.4"), CLOSED);
    PLAY(OPENED, C("BDAT x"), C("QUIT"), S("501 5.5.4"), CLOSED);
    PLAY(OPENED, C("BDAT -1"), S("501 5.5.4"), CLOSED);
    PLAY(OPENED, C("BDAT 1x LAST"), S("501 5.5.4"), CLOSED);
    PLAY(OPENED, C("BDAT LAST"), S("501 5.5.4"), CLOSED);
    PLAY(OPENED, RAW("BDAT 6 FIRST\r\nQUIT\r\n"), S("501 5.5.4"), CLEARED, STORED(0), QUIT);
}

/* No number wraps, and what is read past has a bound. */
/* proves: B28 M01 B26 */
static void huge_chunks_are_bounded(void **state UNUSED)
{
    PLAY(OPENED, C("BDAT 99999999999999999999999 LAST"), S("552 5.3.4"), CLOSED);
    PLAY(OPENED, C("BDAT 18446744073709551615"), S("552 5.3.4"), CLOSED);
    PLAY(OPENED, C("BDAT 9223372036854775807"), S("552 5.3.4"), CLOSED);
    PLAY(OPENED, C("BDAT 67108865"), S("552 5.3.4"), CLOSED);
    PLAY(OPENED, RAW("BDAT 2\r\nx\r"), S("250"), C("BDAT 9223372036854775807 LAST"), S("552 5.3.4"),
         STORED(0), CLOSED);
    PLAY(S("220"), C("BDAT 67108865"), S("503 5.5.1"), CLOSED);
}

/* proves: B26 B28 M01 */
static void size_is_judged_over_all_chunks(void **state UNUSED)
{
    test_limits.message_bytes = 10;
    PLAY(OPENED, RAW("BDAT 5\r\n123\r\n"), S("250"), RAW("BDAT 5 LAST\r\n678\r\n"), S("250"),
         M("123\r\n678\r\n"), QUIT);
    PLAY(OPENED, RAW("BDAT 9 LAST\r\n1234567\r\n"), S("250"), STORED(1), QUIT);
    PLAY(OPENED, RAW("BDAT 5\r\n123\r\n"), S("250"), RAW("BDAT 6 LAST\r\nRSET\r\n"), S("552 5.3.4"), CLEARED,
         STORED(0), QUIT);
    PLAY(OPENED, RAW("BDAT 11\r\nQUIT\r\nRSET\n"), S("552 5.3.4"), RAW("BDAT 6 LAST\r\nQUIT\r\n"), S("503"),
         CLEARED, STORED(0), QUIT);
    PLAY(OPENED, RAW("BDAT 5\r\n123\r\n"), RAW("BDAT 6\r\nRSET\r\n"), RAW("BDAT 6 LAST\r\nRSET\r\n"),
         C("NOOP"), S("250"), S("552 5.3.4"), S("503 5.5.1"), S("250"), STORED(0), QUIT);
}

/* proves: B30 B31 */
static void other_line_ends_do_not_pass_in_chunks(void **state UNUSED)
{
    PLAY(OPENED, RAW("BDAT 4 LAST\r\nx\ny\n"), S("554 5.6.0"), STORED(0), CLOSED);
    PLAY(OPENED, RAW("BDAT 4 LAST\r\nx\ry\r"), S("554 5.6.0"), STORED(0), CLOSED);
    PLAY(OPENED, RAW("BDAT 2 LAST\r\nx\r"), S("554 5.6.0"), STORED(0), CLOSED);
    PLAY(OPENED, RAW("BDAT 3 LAST\r\nx\0y"), S("554 5.6.0"), STORED(0), CLOSED);
    PLAY(OPENED, RAW("BDAT 2\r\nx\r"), S("250"), RAW("BDAT 2 LAST\r\nyz"), S("554 5.6.0"), STORED(0), CLOSED);
    PLAY(OPENED, RAW("BDAT 2\r\nx\r"), S("250"), C("BDAT 0 LAST"), S("554 5.6.0"), STORED(0), CLOSED);
    PLAY(OPENED, RAW("BDAT 2\r\nx\r"), S("250"), RAW("BDAT 1 LAST\r\n\n"), S("250"), M("x\r\n"), QUIT);
}

/* proves: B32 B37 M01 */
static void other_limits_hold_in_chunks(void **state UNUSED)
{
    test_limits.line_bytes = 4;
    test_limits.header.hops = 1;
    PLAY(OPENED, RAW("BDAT 6 LAST\r\n1234\r\n"), S("250"), QUIT);
    PLAY(OPENED, RAW("BDAT 3\r\n123"), S("250"), RAW("BDAT 4 LAST\r\n45\r\n"), S("554 5.6.0"), CLEARED,
         STORED(0), QUIT);
    test_limits.line_bytes = 2000;
    PLAY(OPENED, RAW("BDAT 26\r\nReceived: 1\r\nReceived: 2\r\n"), S("554 5.4.6"), CLEARED, STORED(0), QUIT);
}

/* proves: B27 */
static void binary_content_is_any_bytes_and_comes_in_chunks(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example> BODY=BINARYMIME"), S("555 5.5.4"), QUIT);
    test_profile.extensions = 1u << SMTP_BINARYMIME;
    PLAY(HELLO, C("MAIL FROM:<a@b.example> BODY=BINARYMIME"), S("555 5.5.4"), QUIT);
    test_profile.extensions = 1u << SMTP_CHUNKING | 1u << SMTP_BINARYMIME;
    test_limits.line_bytes = 4;
    PLAY(HELLO, C("MAIL FROM:<a@b.example> BODY=BINARYMIME"), S("250"), C("RCPT TO:<c@d.example>"), S("250"),
         C("DATA"), S("503 5.5.1"), RAW("BDAT 10\r\n\r\n\n\0\r\r\n.\n\n"), S("250"),
         RAW("BDAT 10 LAST\r\nlong\0line\r"), S("250"), M("\r\n\n\0\r\r\n.\n\nlong\0line\r"),
         TOLD("from=a@b.example binary to=c@d.example"), QUIT);
    PLAY(HELLO, C("MAIL FROM:<a@b.example> BODY=BINARYMIME"), S("250"), C("RSET"), S("250"),
         C("MAIL FROM:<a@b.example>"), S("250"), C("RCPT TO:<c@d.example>"), S("250"),
         RAW("BDAT 2 LAST\r\nx\n"), S("554 5.6.0"), CLOSED);
}

/* proves: B16 */
static void chunks_have_deadlines(void **state UNUSED)
{
    test_limits.data_total_ms = 700000;
    PLAY(OPENED, RAW("BDAT 6\r\nx"), WAIT_MS(299999), RAW("y"), WAIT_MS(299999), RAW("z"), WAIT_MS(100001),
         OPEN_STILL, WAIT_MS(1), S("421 4.4.2"), STORED(0), CLOSED);
    PLAY(OPENED, RAW("BDAT 3\r\nx\r\n"), S("250"), WAIT_MS(299999), C("NOOP"), S("250"), WAIT_MS(299999),
         C("NOOP"), S("250"), WAIT_MS(100002), S("421 4.4.2"), STORED(0), CLOSED);
    PLAY(HELLO, RAW("BDAT 9\r\nx"), WAIT_MS(299999), RAW("y"), WAIT_MS(299999), RAW("z"), WAIT_MS(100002),
         S("421 4.4.2"), CLOSED);
    PLAY(HELLO, RAW("BDAT 9\r\nx"), WAIT_MS(300000), S("421 4.4.2"), CLOSED);
}

/* proves: A15 */
static void draining_node_lets_chunks_end(void **state UNUSED)
{
    PLAY(OPENED, RAW("BDAT 3\r\nx\r\n"), S("250"), STOP, OPEN_STILL, RAW("BDAT 3 LAST\r\ny\r\n"),
         S("250 2.0.0"), S("421 4.3.2"), STORED(1), CLOSED);
    PLAY(HELLO, RAW("BDAT 3\r\nx"), STOP, OPEN_STILL, RAW("yz"), S("503"), S("421 4.3.2"), CLOSED);
}

/* proves: B17 B28 */
static void refused_chunks_are_counted(void **state UNUSED)
{
    test_limits.errors = 2;
    PLAY(HELLO, RAW("BDAT 3\r\nx\r\n"), S("503"), RAW("BDAT 3\r\nx\r\n"), S("503"), RAW("BDAT 3\r\nx\r\n"),
         S("503"), S("421 4.7.0"), CLOSED);
}

/* proves: B28 M02 */
static void a_million_small_chunks_need_no_memory(void **state UNUSED)
{
    enum { COUNT = 1000000, LINE = 10 };
    static const struct smtp_answer go = {354, "", "", NULL, 0};
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    struct smtp_answer yes = {250, "2.0.0", "Ok", NULL, 0};
    test_limits.message_bytes = COUNT + 10;
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    smtp_server_greet(&s, &test_greeting, 1000, &out);
    (void) smtp_server_feed(&s, SPAN("EHLO a\r\n"), 1000, &out);
    (void) smtp_server_feed(&s, SPAN("MAIL FROM:<>\r\n"), 1000, &out);
    smtp_server_answer(&s, &yes, 1000, &out);
    (void) smtp_server_feed(&s, SPAN("RCPT TO:<a@b.example>\r\n"), 1000, &out);
    smtp_server_answer(&s, &yes, 1000, &out);
    for (size_t i = 0; i < COUNT; i++) {
        buf_clear(&out);
        assert_int_equal(smtp_server_feed(&s, SPAN("BDAT 1\r\n"), 1000, &out), 8);
        if (i == 0)
            smtp_server_answer(&s, &go, 1000, &out);
        assert_int_equal(smtp_server_feed(&s,
                                          i % LINE == LINE - 2   ? SPAN("\r")
                                          : i % LINE == LINE - 1 ? SPAN("\n")
                                                                 : SPAN("x"),
                                          1000, &out),
                         1);
        assert_int_equal(s.ask, SMTP_ASK_CONTENT);
        smtp_server_go_on(&s, 1000, &out);
        assert_int_equal(s.last_code, 250);
    }
    assert_int_equal(s.transaction->content->size_bytes, COUNT);
    assert_true(s.transaction->text.cap < 4096 && out.cap < 4096);
    (void) smtp_server_feed(&s, SPAN("BDAT 0 LAST\r\n"), 1000, &out);
    assert_int_equal(s.ask, SMTP_ASK_COMMIT);
    smtp_server_done(&s);
}

/* ---- listeners for old devices */

/* proves: B13 B30 */
static void bare_line_feeds_may_be_made_line_ends(void **state UNUSED)
{
    test_profile.normalises_lf = true;
    PLAY(OPENED, C("DATA"), S("354"), RAW("Subject: x\n\nHello\n..\n.x\n\n\r\n..\r\n.\r\n"), S("250"),
         M("Subject: x\r\n\r\nHello\r\n.\r\nx\r\n\r\n\r\n.\r\n"), QUIT);
    PLAY(OPENED, C("DATA"), S("354"), RAW("\n\r\n.\r\n"), S("250"), M("\r\n\r\n"), QUIT);
    PLAY(S("220"), RAW("EHLO client.example\n"), S("250-"),
         RAW("MAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\n"), S("250"), S("250"), RAW("DATA\n"), S("354"),
         RAW("x\n.\r\n\r\n.\r\n"), S("250"), M("x\r\n\r\n\r\n"), RAW("QUIT\n"), S("221"), CLOSED);
    PLAY(OPENED, RAW("BDAT 6\n.\nx\r\n\n"), S("250"), RAW("BDAT 2 LAST\r\n\ny"), S("250"),
         M(".\r\nx\r\n\r\n\r\ny"), QUIT);
}

/* Only CR LF . CR LF ends content there too, and a bare CR or a NUL is refused. */
/* proves: B30 B31 */
static void old_devices_end_content_as_all_others(void **state UNUSED)
{
    test_profile.normalises_lf = true;
#define GOES_ON(bytes, content)                                                                      \
    PLAY(OPENED, C("DATA"), S("354"), RAW("x" bytes "y\r\n.\r\n"), S("250"), M("x" content "y\r\n"), \
         STORED(1), QUIT)
    GOES_ON("\n.\n", "\r\n\r\n");
    GOES_ON("\n.\r\n", "\r\n\r\n");
    GOES_ON("\r\n.\n", "\r\n\r\n");
#define REFUSED(bytes) \
    PLAY(OPENED, C("DATA"), S("354"), RAW("x" bytes "\r\n.\r\n"), S("554 5.6.0"), STORED(0), CLOSED)
    REFUSED("\r.\r");
    REFUSED("\r.\r\n");
    REFUSED("\r\n.\r");
    REFUSED("\r\r\n.\r\r\n");
    REFUSED("\n\r.\n\r");
    REFUSED("\n\0.\n");
    REFUSED("\r\n\0.\r\n");
}

/* What a bare LF becomes counts, and lines are as long as they become. */
/* proves: M01 B26 B32 */
static void limits_hold_for_what_line_feeds_become(void **state UNUSED)
{
    test_profile.normalises_lf = true;
    test_limits.line_bytes = 4;
    test_limits.message_bytes = 12;
    PLAY(OPENED, C("DATA"), S("354"), RAW("1234\n5678\n.\n\r\n.\r\n"), S("552 5.3.4"), STORED(0), QUIT);
    PLAY(OPENED, C("DATA"), S("354"), RAW("1234\n5678\n\r\n.\r\n"), S("552 5.3.4"), STORED(0), QUIT);
    PLAY(OPENED, C("DATA"), S("354"), RAW("1234\n5678\r\n.\r\n"), S("250"), M("1234\r\n5678\r\n"), QUIT);
    PLAY(OPENED, C("DATA"), S("354"), RAW("12345\n\r\n.\r\n"), S("554 5.6.0"), STORED(0), QUIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(chunks_make_a_message, setup),
        cmocka_unit_test_setup(last_chunk_may_be_empty, setup),
        cmocka_unit_test_setup(chunk_is_taken_as_it_is, setup),
        cmocka_unit_test_setup(chunks_are_pipelined, setup),
        cmocka_unit_test_setup(reset_between_chunks_forgets_all, setup),
        cmocka_unit_test_setup(other_commands_wait_until_the_last_chunk, setup),
        cmocka_unit_test_setup(chunk_without_recipients_is_read_past, setup),
        cmocka_unit_test_setup(refused_body_is_told_behind_the_chunk, setup),
        cmocka_unit_test_setup(refused_commit_leaves_nothing, setup),
        cmocka_unit_test_setup(chunk_of_no_known_size_ends_the_session, setup),
        cmocka_unit_test_setup(huge_chunks_are_bounded, setup),
        cmocka_unit_test_setup(size_is_judged_over_all_chunks, setup),
        cmocka_unit_test_setup(other_line_ends_do_not_pass_in_chunks, setup),
        cmocka_unit_test_setup(other_limits_hold_in_chunks, setup),
        cmocka_unit_test_setup(binary_content_is_any_bytes_and_comes_in_chunks, setup),
        cmocka_unit_test_setup(chunks_have_deadlines, setup),
        cmocka_unit_test_setup(draining_node_lets_chunks_end, setup),
        cmocka_unit_test_setup(refused_chunks_are_counted, setup),
        cmocka_unit_test_setup(a_million_small_chunks_need_no_memory, setup),
        cmocka_unit_test_setup(bare_line_feeds_may_be_made_line_ends, setup),
        cmocka_unit_test_setup(old_devices_end_content_as_all_others, setup),
        cmocka_unit_test_setup(limits_hold_for_what_line_feeds_become, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
