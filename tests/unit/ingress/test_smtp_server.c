/* The SMTP server engine, in dialogues. Unless a test says otherwise each is also played cut at every position, byte by byte, and with late answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/ingress/dialogue.h"

#define HELLO S("220 "), C("EHLO client.example"), S("250-")
#define OPENED HELLO, C("MAIL FROM:<a@b.example>"), S("250 2.1.0"), C("RCPT TO:<c@d.example>"), S("250 2.1.5")
#define STARTED OPENED, C("DATA"), S("354")
#define QUIT C("QUIT"), S("221 2.0.0"), CLOSED

static int setup(void **state UNUSED)
{
    test_limits_reset();
    return 0;
}

/* ---- a session */

/* proves: B01 B12 B35 */
static void takes_a_message(void **state UNUSED)
{
    PLAY(STARTED, C("Subject: x"), C(""), C("Hello."), C("."), S("250 2.0.0 Ok: queued as 01ARZ"),
         M("Subject: x\r\n\r\nHello.\r\n"), RECIPIENTS("c@d.example,"), STORED(1), QUIT);
}

/* proves: B01 */
static void greeting_names_the_host(void **state UNUSED)
{
    PLAY(S("220 mx.relay.example ESMTP"), QUIT);
}

/* proves: B01 B34 */
static void overload_is_told_in_the_greeting(void **state UNUSED)
{
    test_greeting = (struct smtp_answer){421, "4.7.0", "Too many sessions; try again later", NULL, 0};
    PLAY(S("421 4.7.0 Too many"), CLOSED);
}

/* proves: B01 */
static void turned_away_client_may_only_quit(void **state UNUSED)
{
    test_greeting = (struct smtp_answer){554, "5.7.1", "No service for you", NULL, 0};
    PLAY(S("554 5.7.1"), C("EHLO client.example"), S("503 5.5.1"), C("MAIL FROM:<a@b.example>"),
         S("503 5.5.1"), C("NOPE"), S("503 5.5.1"), QUIT);
}

/* proves: B02 B27 B36 */
static void ehlo_lists_what_is_offered(void **state UNUSED)
{
    static const char wanted[] =
        "220 mx.relay.example ESMTP\r\n250-mx.relay.example\r\n250-PIPELINING\r\n250-SIZE 100000\r\n"
        "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n";
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    smtp_server_greet(&s, &test_greeting, 1000, &out);
    assert_int_equal(smtp_server_feed(&s, SPAN("eHlO a\r\n"), 1000, &out), 8);
    assert_true(span_equal(buf_span(&out), SPAN(wanted)));
    smtp_server_done(&s);
}

/* proves: B02 */
static void helo_has_one_line_and_verbs_any_case(void **state UNUSED)
{
    PLAY(S("220"), C("hElO client.example"), S("250 mx.relay.example"),
         C("mAiL fRoM:<a@b.example> sIzE=10 bOdY=8bItMiMe"), S("250 2.1.0"), C("rCpT tO:<c@d.example>"),
         S("250 2.1.5"), C("rset"), S("250 2.0.0"), C("quit"), S("221"), CLOSED);
}

/* proves: B03 */
static void mail_needs_a_hello(void **state UNUSED)
{
    PLAY(S("220"), C("MAIL FROM:<a@b.example>"), S("503 5.5.1"), C("NOOP"), S("250"), C("RSET"), S("250"),
         QUIT);
}

/* proves: B03 B07 */
static void second_ehlo_ends_the_transaction(void **state UNUSED)
{
    PLAY(OPENED, C("EHLO client.example"), S("250-"), C("RCPT TO:<c@d.example>"), S("503 5.5.1"), C("DATA"),
         S("503 5.5.1"), C("MAIL FROM:<a@b.example>"), S("250 2.1.0"), C("DATA"), S("503 5.5.1"), QUIT);
}

/* proves: B04 G08 */
static void hello_name_is_checked_for_its_bytes_only(void **state UNUSED)
{
    PLAY(S("220"), C("EHLO !@#$"), S("501 5.5.4"), C("EHLO"), S("501 5.5.4"), C("EHLO a b"), S("501 5.5.4"),
         C("EHLO a)(b"), S("501 5.5.4"), C("EHLO [192.0.2.300]"), S("501 5.5.4"), C("EHLO [x]"),
         S("501 5.5.4"), C("EHLO \xc3\xa4.example"), S("501 5.5.4"), C("MAIL FROM:<a@b.example>"), S("503"),
         C("HELO !"), S("501"), C("EHLO localhost"), S("250-"), C("EHLO not_real.invalid."), S("250-"),
         C("EHLO [192.0.2.1]"), S("250-"), C("EHLO [IPv6:2001:db8::1]"), S("250-"), QUIT);
}

/* proves: M01 */
static void hello_name_may_have_to_be_full(void **state UNUSED)
{
    test_limits.requires_fqdn = true;
    PLAY(S("220"), C("EHLO localhost"), S("504 5.5.2"), C("EHLO [192.0.2.1]"), S("250-"), C("EHLO a.b"),
         S("250-"), QUIT);
}

/* proves: B04 G08 */
static void long_hello_name_is_refused(void **state UNUSED)
{
    char line[300] = "HELO ";
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    memset(line + 5, 'a', 256);
    strncpy(line + 5 + 256, "\r\n", 3);
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    smtp_server_greet(&s, &test_greeting, 1000, &out);
    buf_clear(&out);
    assert_int_equal(smtp_server_feed(&s, span_of(line), 1000, &out), 5 + 256 + 2);
    assert_true(span_starts_nocase(buf_span(&out), SPAN("501 5.5.4")));
    smtp_server_done(&s);
}

/* ---- order of commands */

/* proves: B06 */
static void commands_out_of_order_are_refused(void **state UNUSED)
{
    PLAY(HELLO, C("RCPT TO:<c@d.example>"), S("503 5.5.1"), C("DATA"), S("503 5.5.1"),
         C("MAIL FROM:<a@b.example>"), S("250"), C("MAIL FROM:<a@b.example>"), S("503 5.5.1"), C("DATA"),
         S("503 5.5.1"), C("RCPT TO:<c@d.example>"), S("250"), QUIT);
}

/* proves: B06 */
static void data_after_refused_recipients_only_is_554(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example>"), S("250"), C("RCPT TO:<x@refused.example>"), S("550 5.7.1"),
         C("DATA"), S("554 5.5.1"), C("RCPT TO:<c@d.example>"), S("250 2.1.5"), C("DATA"), S("354"), C("."),
         S("250 2.0.0"), QUIT);
}

/* proves: B07 */
static void nothing_is_left_after_an_accepted_message(void **state UNUSED)
{
    PLAY(STARTED, C("."), S("250 2.0.0"), C("RCPT TO:<c@d.example>"), S("503 5.5.1"), C("DATA"),
         S("503 5.5.1"), C("MAIL FROM:<a@b.example>"), S("250"), C("DATA"), S("503 5.5.1"), STORED(1), QUIT);
}

/* proves: B07 A03 */
static void nothing_is_left_after_a_refused_commit(void **state UNUSED)
{
    test_commit = (struct smtp_answer){451, "4.3.0", "Try again", NULL, 0};
    PLAY(STARTED, C("x"), C("."), S("451 4.3.0"), C("RCPT TO:<c@d.example>"), S("503 5.5.1"), C("DATA"),
         S("503 5.5.1"), STORED(0), QUIT);
}

/* proves: B07 */
static void nothing_is_left_after_refused_content(void **state UNUSED)
{
    test_limits.message_bytes = 10;
    PLAY(STARTED, C("12345678901"), C("."), S("552 5.3.4"), C("RCPT TO:<c@d.example>"), S("503 5.5.1"),
         C("DATA"), S("503 5.5.1"), C("MAIL FROM:<a@b.example>"), S("250"), C("DATA"), S("503 5.5.1"),
         STORED(0), QUIT);
}

/* proves: B07 */
static void refused_body_ends_the_transaction(void **state UNUSED)
{
    test_body = (struct smtp_answer){451, "4.3.0", "Not now", NULL, 0};
    PLAY(OPENED, C("DATA"), S("451 4.3.0"), C("RCPT TO:<c@d.example>"), S("503"), C("DATA"), S("503"), QUIT);
}

/* proves: B07 A03 */
static void refused_sender_opens_nothing(void **state UNUSED)
{
    test_sender = (struct smtp_answer){452, "4.3.1", "Full", NULL, 0};
    PLAY(HELLO, C("MAIL FROM:<a@b.example>"), S("452 4.3.1"), C("RCPT TO:<c@d.example>"), S("503 5.5.1"),
         C("DATA"), S("503"), QUIT);
}

/* proves: B08 */
static void small_commands(void **state UNUSED)
{
    PLAY(HELLO, C("NOOP"), S("250 2.0.0"), C("NOOP with an argument"), S("250 2.0.0"), C("HELP"),
         S("214-2.0.0 RCPT"), C("HELP MAIL"), S("214"), C("VRFY root"), S("252 2.0.0"), C("VRFY"),
         S("501 5.5.4"), C("EXPN staff"), S("502 5.5.1"), C("RSET"), S("250 2.0.0"),
         C("MAIL FROM:<a@b.example>"), S("250"), C("RCPT TO:<c@d.example>"), S("250"), C("RSET"),
         S("250 2.0.0"), C("DATA"), S("503"), C("MAIL FROM:<a@b.example>"), S("250"), QUIT);
}

/* proves: B09 */
static void unknown_and_incomplete_commands(void **state UNUSED)
{
    PLAY(HELLO, C("FOO"), S("500 5.5.2"), C(""), S("500 5.5.2"), C(" NOOP"), S("500 5.5.2"), C("NOOPX"),
         S("500 5.5.2"), C("MAI FROM:<a@b.example>"), S("500 5.5.2"), C("RSET now"), S("501 5.5.4"),
         C("QUIT now"), S("501 5.5.4"), C("MAIL"), S("501 5.5.4"), C("MAIL TO:<a@b.example>"), S("501 5.5.4"),
         C("STARTTLS"), S("502 5.5.1"), C("AUTH PLAIN AAA="), S("502 5.5.1"), C("ETRN x"), S("502 5.5.1"),
         C("TURN"), S("502 5.5.1"), QUIT);
}

/* proves: B09 B27 */
static void unknown_parameters_are_refused(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example> FOO=bar"), S("555 5.5.4"), C("MAIL FROM:<a@b.example> SMTPUTF8"),
         S("555 5.5.4"), C("MAIL FROM:<a@b.example> RET=FULL"), S("555 5.5.4"),
         C("MAIL FROM:<a@b.example> BODY=BINARYMIME"), S("555 5.5.4"), C("MAIL FROM:<a@b.example> BODY=9BIT"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example>SIZE=1"), S("501 5.5.4"), C("RCPT TO:<c@d.example>"),
         S("503"), C("MAIL FROM:<a@b.example> BODY=7BIT SIZE=1"), S("250"),
         C("RCPT TO:<c@d.example> NOTIFY=NEVER"), S("555 5.5.4"), C("DATA"), S("554 5.5.1"), QUIT);
}

/* ---- lines */

/* proves: B13 */
static void bare_line_feed_in_a_command_ends_the_session(void **state UNUSED)
{
    PLAY(HELLO, RAW("NOOP\nMAIL FROM:<a@b.example>\r\n"), S("500 5.5.2"), CLOSED);
}

/* proves: B13 */
static void bare_carriage_return_in_a_command_is_refused(void **state UNUSED)
{
    PLAY(HELLO, RAW("NOOP\rRSET\r\n"), S("500 5.5.2"), RAW("\r\r\n"), S("500 5.5.2"), RAW("NOOP\0\r\n"),
         S("500 5.5.2"), RAW("MAIL FROM:<a\0b@c.example>\r\n"), S("500 5.5.2"), OPEN_STILL, QUIT);
}

/* A client of 512 bytes, then of a bit more, then of the limit. */
/* proves: B10 */
static void long_commands_up_to_the_limit_are_taken(void **state UNUSED)
{
    static const size_t lengths[] = {512, 1000, SMTP_LINE_MAX};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        AUTO_BUF struct buf line = {0};
        buf_add_text(&line, "NOOP ");
        while (line.len < lengths[i] - 2)
            buf_add_char(&line, 'x');
        buf_add(&line, "\r\n", 2);
        const struct step steps[] = {S("220"), {'C', line.data, line.len}, S("250 2.0.0"), QUIT};
        play(steps, ARRAY_LEN(steps));
    }
}

/* proves: B10 */
static void rest_of_an_over_long_line_is_no_command(void **state UNUSED)
{
    AUTO_BUF struct buf line = {0};
    buf_add_text(&line, "NOOP ");
    while (line.len < 5000)
        buf_add_text(&line, "\nQUIT\rQUIT");
    buf_add_text(&line, "\r\n");
    line.data[5] = 'x';
    for (size_t i = 0; i < SMTP_LINE_MAX; i++)
        if (line.data[i] == '\n')
            line.data[i] = ' ';
    const struct step steps[] = {S("220"), {'C', line.data, line.len}, S("500 5.5.2"), C("NOOP"), S("250"),
                                 QUIT};
    play(steps, ARRAY_LEN(steps));
}

/* proves: B10 */
static void endless_line_ends_the_session(void **state UNUSED)
{
    AUTO_BUF struct buf line = {0};
    while (line.len < 4 * SMTP_SKIP_MAX)
        buf_add_text(&line, "xxxxxxxxxxxxxxxx");
    const struct step steps[] = {S("220"), {'C', line.data, line.len}, S("500 5.5.2"), CLOSED};
    play_once(steps, ARRAY_LEN(steps));
}

/* proves: B11 M09 */
static void replies_never_hold_bytes_of_the_client(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<\x1b[31m@b.example>"), S("501 5.1.7"), C("MAIL FROM:<a@b.example>"), S("250"),
         C("RCPT TO:<\xff\xfe@d.example>"), S("553 5.6.7"), C("RCPT TO:<\x1b@d.example>"), S("501 5.1.3"),
         C("\x80\x81"), S("500 5.5.2"), QUIT);
}

/* ---- pipelining */

/* proves: B14 */
static void pipelined_commands_are_answered_in_order(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example>"), C("RCPT TO:<x@refused.example>"), C("RCPT TO:<c@d.example>"),
         C("RCPT TO:<x@later.example>"), C("DATA"), S("250 2.1.0"), S("550 5.7.1"), S("250 2.1.5"),
         S("451 4.3.0"), S("354"), C("one"), C("."), C("MAIL FROM:<b@b.example>"), C("RCPT TO:<d@d.example>"),
         C("DATA"), S("250 2.0.0"), S("250 2.1.0"), S("250 2.1.5"), S("354"), C("two"), C("."), C("RSET"),
         C("NOOP"), C("FOO"), C("QUIT"), S("250 2.0.0 Ok: queued"), S("250"), S("250"), S("500"), S("221"),
         M("two\r\n"), STORED(2), CLOSED);
}

/* proves: B15 */
static void speaking_before_the_greeting_ends_the_session(void **state UNUSED)
{
    PLAY_ONCE(C("EHLO client.example"), S("554 5.5.0"), CLOSED);
}

/* proves: B14 B15 */
static void speaking_before_the_reply_to_ehlo_ends_the_session(void **state UNUSED)
{
    PLAY_ONCE(S("220"), C("EHLO client.example"), C("MAIL FROM:<a@b.example>"), S("554 5.5.0"), CLOSED);
}

/* proves: B14 B15 */
static void content_before_354_ends_the_session(void **state UNUSED)
{
    PLAY_ONCE(OPENED, C("DATA"), C("Subject: early"), C("."), S("554 5.5.0"), STORED(0), CLOSED);
}

/* ---- time and patience */

/* proves: B16 */
static void silent_client_is_told_421(void **state UNUSED)
{
    PLAY(S("220"), WAIT_MS(299999), OPEN_STILL, C("NOOP"), S("250"), WAIT_MS(299999), OPEN_STILL, WAIT_MS(1),
         S("421 4.4.2"), CLOSED);
}

/* proves: B16 */
static void slow_command_does_not_gain_time(void **state UNUSED)
{
    PLAY(HELLO, RAW("NO"), WAIT_MS(200000), RAW("OP"), WAIT_MS(99999), OPEN_STILL, WAIT_MS(1), S("421 4.4.2"),
         CLOSED);
}

/* proves: B16 */
static void over_long_command_does_not_gain_time(void **state UNUSED)
{
    AUTO_BUF struct buf line = {0};
    while (line.len < SMTP_LINE_MAX + 10)
        buf_add_char(&line, 'x');
    const struct step steps[] = {
        HELLO, {'C', line.data, line.len}, WAIT_MS(200000), RAW("x"), WAIT_MS(100000), S("421 4.4.2"),
        CLOSED};
    play_once(steps, ARRAY_LEN(steps));
}

/* proves: B16 */
static void content_has_a_deadline_for_pieces_and_for_all(void **state UNUSED)
{
    test_limits.data_total_ms = 700000;
    PLAY(STARTED, C("x"), WAIT_MS(299999), C("y"), WAIT_MS(299999), C("z"), WAIT_MS(100001), OPEN_STILL,
         WAIT_MS(1), S("421 4.4.2"), STORED(0), CLOSED);
    PLAY(STARTED, C("x"), WAIT_MS(300000), S("421 4.4.2"), STORED(0), CLOSED);
}

/* After the first data_ms it must come at the rate, counted from the beginning; the owner's waiting is not the client's. */
/* proves: B16 */
static void content_must_come_at_its_rate(void **state UNUSED)
{
    test_limits.data_ms = 10000;
    test_limits.data_rate = 1;
    PLAY(STARTED, C("12345678"), WAIT_MS(9999), C("12345678"), WAIT_MS(9999), OPEN_STILL, C("12345678"),
         WAIT_MS(9999), OPEN_STILL, WAIT_MS(9999), S("421 4.4.2"), STORED(0), CLOSED);
    PLAY(STARTED, RAW("1"), WAIT_MS(9000), RAW("2"), WAIT_MS(2999), OPEN_STILL, WAIT_MS(1), S("421 4.4.2"),
         CLOSED);
}

/* proves: B16 */
static void owner_may_hurry_a_client(void **state UNUSED)
{
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    smtp_server_greet(&s, &test_greeting, 1000, &out);
    assert_true(smtp_server_deadline(&s) == 301000);
    smtp_server_hurry(&s, 11000);
    assert_true(smtp_server_deadline(&s) == 11000);
    smtp_server_hurry(&s, 12000);
    assert_true(smtp_server_deadline(&s) == 11000);
    smtp_server_tick(&s, 11000, &out);
    assert_int_equal(s.ask, SMTP_ASK_CLOSE);
    assert_int_equal(s.last_code, 421);
    smtp_server_done(&s);
}

/* proves: B17 */
static void errors_are_counted_up_to_the_limit(void **state UNUSED)
{
    test_limits.errors = 3;
    PLAY(HELLO, C("FOO"), S("500"), C("FOO"), S("500"), C("FOO"), S("500"), C("FOO"), S("500"),
         S("421 4.7.0"), CLOSED);
    PLAY(HELLO, C("FOO"), S("500"), C("FOO"), S("500"), C("FOO"), S("500"), C("MAIL FROM:<a@b.example>"),
         S("250"), C("RCPT TO:<c@d.example>"), S("250"), C("DATA"), S("354"), C("."), S("250"), C("FOO"),
         S("500"), QUIT);
}

/* proves: B17 */
static void junk_is_counted_between_messages(void **state UNUSED)
{
    test_limits.junk = 4;
    PLAY(HELLO, C("NOOP"), S("250"), C("RSET"), S("250"), C("HELP"), S("214"), C("VRFY x"), S("421 4.7.0"),
         CLOSED);
    PLAY(HELLO, C("NOOP"), S("250"), C("RSET"), S("250"), C("MAIL FROM:<a@b.example>"), S("250"),
         C("RCPT TO:<c@d.example>"), S("250"), C("DATA"), S("354"), C("."), S("250"), C("NOOP"), S("250"),
         C("NOOP"), S("250"), C("NOOP"), S("250"), C("NOOP"), S("250"), C("NOOP"), S("421"), CLOSED);
}

/* proves: M01 */
static void transactions_are_counted_up_to_the_limit(void **state UNUSED)
{
    test_limits.transactions = 2;
    PLAY(HELLO, C("MAIL FROM:<a@b.example>"), S("250"), C("RSET"), S("250"), C("MAIL FROM:<a@b.example>"),
         S("250"), C("RSET"), S("250"), C("MAIL FROM:<a@b.example>"), S("421 4.7.0"), CLOSED);
}

/* proves: B18 */
static void other_protocols_are_closed_without_a_word(void **state UNUSED)
{
    PLAY(S("220"), C("GET / HTTP/1.1"), C("Host: x"), CLOSED);
    PLAY(S("220"), C("POST / HTTP/1.1"), CLOSED);
    PLAY(S("220"), C("CONNECT x:25 HTTP/1.1"), CLOSED);
    PLAY(S("220"), C("PROXY TCP4 192.0.2.1 192.0.2.2 1 2"), CLOSED);
    PLAY(S("220"), RAW("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n\r\n"), CLOSED);
}

/* proves: B28 */
static void chunk_that_was_not_offered_ends_the_session(void **state UNUSED)
{
    PLAY(OPENED, C("BDAT 6 LAST"), C("QUIT"), S("502 5.5.1"), STORED(0), CLOSED);
}

/* proves: A15 */
static void draining_node_says_so_between_transactions(void **state UNUSED)
{
    PLAY(HELLO, STOP, S("421 4.3.2"), CLOSED);
    PLAY(S("220"), STOP, S("421 4.3.2"), CLOSED);
    PLAY(OPENED, STOP, OPEN_STILL, C("DATA"), S("354"), C("x"), STOP, OPEN_STILL, C("."), S("250 2.0.0"),
         S("421 4.3.2"), STORED(1), CLOSED);
    PLAY(OPENED, STOP, C("RSET"), S("250"), S("421 4.3.2"), CLOSED);
}

/* ---- addresses */

/* proves: B20 B21 B22 */
static void addresses_of_all_kinds(void **state UNUSED)
{
    PLAY(
        HELLO, C("MAIL FROM:<>"), S("250"), C("RCPT TO:<@a.example,@b.example:u@c.example>"), S("250"),
        C("RCPT TO:<\"a b\"@x.example>"), S("250"), C("RCPT TO:<\"a\\\"b\"@x.example>"), S("250"),
        C("RCPT TO:<UsEr@X.Example>"), S("250"), C("RCPT TO: <spaced@x.example>"), S("250"),
        C("RCPT TO:<u@[192.0.2.1]>"), S("250"), C("RCPT TO:<u@[IPv6:2001:db8::1]>"), S("250"),
        C("RCPT TO:<Postmaster>"), S("250"), C("DATA"), S("354"), C("."), S("250"),
        RECIPIENTS(
            "u@c.example,\"a b\"@x.example,\"a\\\"b\"@x.example,UsEr@X.Example,spaced@x.example,u@[192.0.2.1],"
            "u@[IPv6:2001:db8::1],postmaster@relay.example,"),
        QUIT);
}

/* proves: B22 B23 E02 */
static void what_is_no_address_is_refused(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:a@b.example"), S("501 5.1.7"), C("MAIL FROM:<a@b.example"), S("501 5.1.7"),
         C("MAIL FROM:<a>"), S("501 5.1.7"), C("MAIL FROM:<postmaster>"), S("501 5.1.7"),
         C("MAIL FROM:<a@b..example>"), S("501 5.1.7"), C("MAIL FROM:<>"), S("250"), C("RCPT TO:<>"),
         S("501 5.1.3"), C("RCPT TO:<.a@b.example>"), S("501 5.1.3"), C("RCPT TO:<a..b@c.example>"),
         S("501 5.1.3"), C("RCPT TO:<a@b@c.example>"), S("501 5.1.3"), C("RCPT TO:<a@c.example.>"),
         S("501 5.1.3"), C("RCPT TO:<a@[300.1.1.1]>"), S("501 5.1.3"), C("RCPT TO:<a@-b.example>"),
         S("501 5.1.3"), C("RCPT TO:<;sleep 66;>"), S("501 5.1.3"), C("RCPT TO:< a@b.example>"),
         S("501 5.1.3"), QUIT);
}

/* proves: B23 */
static void parts_that_are_too_long_are_refused_not_cut(void **state UNUSED)
{
    AUTO_BUF struct buf local = {0}, label = {0}, good = {0};
    buf_add_text(&good, "RCPT TO:<");
    for (int i = 0; i < 64; i++)
        buf_add_char(&good, 'a');
    buf_add_text(&local, "RCPT TO:<a");
    buf_add_span(&local, (struct span){.at = good.data + 9, .len = 64});
    buf_add_text(&label, "RCPT TO:<u@");
    buf_add_span(&label, (struct span){.at = good.data + 9, .len = 64});
    buf_add_text(&good, "@x.example>\r\n");
    buf_add_text(&local, "@x.example>\r\n");
    buf_add_text(&label, ".example>\r\n");
    const struct step steps[] = {HELLO,          C("MAIL FROM:<>"),
                                 S("250"),       {'C', local.data, local.len},
                                 S("501 5.1.3"), {'C', label.data, label.len},
                                 S("501 5.1.3"), {'C', good.data, good.len},
                                 S("250 2.1.5"), QUIT};
    play(steps, ARRAY_LEN(steps));
}

/* proves: B24 M01 */
static void recipients_above_the_limit_get_452(void **state UNUSED)
{
    test_limits.recipients = 2;
    PLAY(OPENED, C("RCPT TO:<e@d.example>"), S("250"), C("RCPT TO:<f@d.example>"), S("452 4.5.3"),
         C("RCPT TO:<e@d.example>"), S("250"), C("DATA"), S("354"), C("."), S("250"),
         RECIPIENTS("c@d.example,e@d.example,"), C("MAIL FROM:<>"), S("250"), C("RCPT TO:<f@d.example>"),
         S("250"), QUIT);
}

/* proves: B24 */
static void a_hundred_recipients_are_taken(void **state UNUSED)
{
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    smtp_server_greet(&s, &test_greeting, 1000, &out);
    (void) smtp_server_feed(&s, SPAN("EHLO a\r\n"), 1000, &out);
    (void) smtp_server_feed(&s, SPAN("MAIL FROM:<>\r\n"), 1000, &out);
    smtp_server_answer(&s, &test_sender, 1000, &out);
    for (int i = 0; i < 200; i++) {
        char line[64];
        struct smtp_answer yes = {250, "2.1.5", "Ok", NULL, 0};
        (void) snprintf(line, sizeof line, "RCPT TO:<u%d@%s.example>\r\n", i % 100, i < 100 ? "d" : "D");
        (void) smtp_server_feed(&s, span_of(line), 1000, &out);
        assert_int_equal(s.ask, i < 100 ? SMTP_ASK_RECIPIENT : SMTP_ASK_NONE);
        if (i < 100)
            smtp_server_answer(&s, &yes, 1000, &out);
        assert_int_equal(s.last_code, 250);
    }
    assert_int_equal(s.transaction->recipient_count, 100);
    smtp_server_done(&s);
}

/* proves: B25 */
static void same_recipient_twice_is_one(void **state UNUSED)
{
    PLAY(OPENED, C("RCPT TO:<c@D.Example>"), S("250"), C("RCPT TO:<C@d.example>"), S("250"),
         C("RCPT TO:<@x.example:c@d.example>"), S("250"), C("RCPT TO:<postmaster>"), S("250"),
         C("RCPT TO:<postmaster@relay.example>"), S("250"), C("RCPT TO:<PostMaster>"), S("250"), C("DATA"),
         S("354"), C("."), S("250"), RECIPIENTS("c@d.example,C@d.example,postmaster@relay.example,"), QUIT);
}

/* ---- size and kind */

/* proves: B26 */
static void declared_size_is_judged_at_mail(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example> SIZE=100001"), S("552 5.3.4"),
         C("MAIL FROM:<a@b.example> SIZE=99999999999999999999"), S("552 5.3.4"),
         C("MAIL FROM:<a@b.example> SIZE=999999999999999999999"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> SIZE=-1"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> SIZE="),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> SIZE"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> SIZE=1x"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> SIZE=1 SIZE=2"),
         S("501 5.5.4"), C("RCPT TO:<c@d.example>"), S("503"), C("MAIL FROM:<a@b.example> SIZE=100000"),
         S("250"), QUIT);
}

/* The limit is for what will be stored: a message of just its size passes, stuffing is not counted. */
/* proves: B26 M01 */
static void undeclared_size_is_judged_at_the_dot(void **state UNUSED)
{
    test_limits.message_bytes = 10;
    PLAY(STARTED, C("..345678"), C("."), S("250 2.0.0"), M(".345678\r\n"), QUIT);
    PLAY(STARTED, C("..3456789"), C("."), S("250 2.0.0"), M(".3456789\r\n"), QUIT);
    PLAY(STARTED, C("123456789"), C("NOOP"), C("..x"), C("."), S("552 5.3.4"), STORED(0), C("NOOP"), S("250"),
         QUIT);
}

/* proves: B26 */
static void lying_size_changes_nothing(void **state UNUSED)
{
    test_limits.message_bytes = 100;
    PLAY(HELLO, C("MAIL FROM:<a@b.example> SIZE=5"), S("250"), C("RCPT TO:<c@d.example>"), S("250"),
         C("DATA"), S("354"), C("more than five"), C("."), S("250"), M("more than five\r\n"), QUIT);
}

/* ---- content */

/* proves: B29 */
static void stuffing_is_taken_off_once(void **state UNUSED)
{
    PLAY(STARTED, C("..x"), C("..."), C("...."), C(".y"), C("a.b"), C("a."), C(" ."), C("."), S("250"),
         M(".x\r\n..\r\n...\r\ny\r\na.b\r\na.\r\n .\r\n"), QUIT);
}

/* proves: B29 B33 */
static void lone_dot_ends_content_also_as_first_line(void **state UNUSED)
{
    PLAY(STARTED, C("."), S("250"), M(""), STORED(1), QUIT);
    PLAY(STARTED, C(""), C("."), S("250"), M("\r\n"), STORED(1), QUIT);
}

/* Each of these, and what follows it up to the true end, is content, and is refused. */
/* proves: B30 B31 */
static void other_line_ends_neither_end_content_nor_pass(void **state UNUSED)
{
#define REFUSED(bytes) \
    PLAY(STARTED, RAW("x" bytes "\r\nMAIL FROM:<evil@b.example>\r\n.\r\n"), S("554 5.6.0"), STORED(0), CLOSED)
    REFUSED("\n.\n");
    REFUSED("\n.\r\n");
    REFUSED("\r\n.\n");
    REFUSED("\r.\r");
    REFUSED("\r.\r\n");
    REFUSED("\r\n.\r");
    REFUSED("\r\r\n.\r\r\n");
    REFUSED("\r\n.\r\r\n");
    REFUSED("\n\r.\n\r");
    REFUSED("\r\n\0.\r\n");
    REFUSED("\r\n.\0\r\n");
    REFUSED("\r\0\n.\r\n");
    REFUSED("\n\0.\n");
    REFUSED("\0");
    REFUSED("\n");
    REFUSED("\r");
    REFUSED("\r\r");
    REFUSED("\r\ny\nz");
}

/* The first bytes of content. */
/* proves: B30 */
static void other_line_ends_are_no_end_at_the_start(void **state UNUSED)
{
    PLAY(STARTED, RAW(".\n\r\n.\r\n"), S("554 5.6.0"), STORED(0), CLOSED);
    PLAY(STARTED, RAW("\n.\r\n\r\n.\r\n"), S("554 5.6.0"), STORED(0), CLOSED);
    PLAY(STARTED, RAW(".\r.\r\n.\r\n"), S("554 5.6.0"), STORED(0), CLOSED);
    PLAY(STARTED, RAW("\r.\r\n.\r\n"), S("554 5.6.0"), STORED(0), CLOSED);
}

/* A byte that must not be there, at each place where blocks and pieces end. */
/* proves: B30 B31 */
static void bad_byte_is_found_wherever_it_is(void **state UNUSED)
{
    static const char bad[] = {'\n', '\r', '\0'};
    enum { LEN = 200 };
    for (size_t kind = 0; kind < sizeof bad; kind++)
        for (size_t at = 0; at < LEN; at++) {
            char text[LEN + 6];
            memset(text, 'a', LEN);
            text[at] = bad[kind];
            memcpy(text + LEN, "\r\n.\r\n", 5);
            if (at == LEN - 1 && bad[kind] == '\n')
                continue; /* "\n\r\n" is bare too, but so is every other place */
            const struct step steps[] = {STARTED, {'C', text, LEN + 5}, S("554 5.6.0"), STORED(0), CLOSED};
            play_once(steps, ARRAY_LEN(steps));
        }
}

/* proves: B31 */
static void all_other_bytes_pass(void **state UNUSED)
{
    AUTO_BUF struct buf text = {0}, sent = {0};
    for (int i = 1; i < 256; i++)
        if (i != '\n' && i != '\r')
            buf_add_char(&text, (char) i);
    buf_add_text(&text, "\r\n");
    buf_add_span(&sent, buf_span(&text));
    buf_add_text(&sent, ".\r\n");
    const struct step steps[] = {
        STARTED, {'C', sent.data, sent.len}, S("250"), {'M', text.data, text.len}, QUIT};
    play(steps, ARRAY_LEN(steps));
}

/* proves: B32 M01 */
static void long_lines_pass_up_to_the_limit(void **state UNUSED)
{
    static const size_t lengths[] = {998, 1000, 2000, 2001, 5000};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        AUTO_BUF struct buf text = {0}, sent = {0};
        while (text.len < lengths[i])
            buf_add_char(&text, 'x');
        buf_add_text(&text, "\r\n");
        buf_add_span(&sent, buf_span(&text));
        buf_add_text(&sent, ".\r\n");
        const struct step good[] = {
            STARTED, {'C', sent.data, sent.len}, S("250"), {'M', text.data, text.len}, QUIT};
        const struct step bad[] = {
            STARTED, {'C', sent.data, sent.len}, S("554 5.6.0"), STORED(0), C("NOOP"), S("250"), QUIT};
        if (lengths[i] <= 2000)
            play(good, ARRAY_LEN(good));
        else
            play(bad, ARRAY_LEN(bad));
    }
}

/* proves: B33 */
static void odd_messages_pass(void **state UNUSED)
{
    PLAY(STARTED, C("no header at all"), C("."), S("250"), M("no header at all\r\n"), QUIT);
    PLAY(STARTED, C("Subject: no empty line"), C("."), S("250"), M("Subject: no empty line\r\n"), QUIT);
    PLAY(STARTED, C(" begins with a space"), C("."), S("250"), M(" begins with a space\r\n"), QUIT);
    PLAY(STARTED, C("From me@here Sun"), C("Subject: x"), C("."), S("250"),
         M("From me@here Sun\r\nSubject: x\r\n"), QUIT);
}

/* proves: B37 */
static void looping_message_is_refused(void **state UNUSED)
{
    test_limits.header.hops = 2;
    PLAY(STARTED, C("Received: 1"), C("Received: 2"), C(""), C("Received: 3"), C("."), S("250"), QUIT);
    PLAY(STARTED, C("Received: 1"), C("received : 2"), C("RECEIVED: 3"), C(""), C("."), S("554 5.4.6"),
         STORED(0), C("NOOP"), S("250"), QUIT);
    PLAY(STARTED, C("Received: 1"), C("Received: 2"), C("Received: 3"), C("."), S("554 5.4.6"), STORED(0),
         QUIT);
}

/* proves: M01 G07 */
static void header_limits_are_kept(void **state UNUSED)
{
    test_limits.header = (struct header_limits){.size_bytes = 40, .fields = 3, .hops = 9};
    PLAY(STARTED, C("A: 1"), C("B: 2"), C("C: 3"), C(""), C("."), S("250"), QUIT);
    PLAY(STARTED, C("A: 1"), C("B: 2"), C("C: 3"), C("D: 4"), C(""), C("."), S("554 5.6.0"), STORED(0), QUIT);
    PLAY(STARTED, C("A: 567890123456789012345678901234567"), C(""), C("."), S("250"), QUIT);
    PLAY(STARTED, C("A: 567890123456789012345678901234567"), C("B: 2"), C(""), C("."), S("552 5.3.4"),
         STORED(0), QUIT);
    PLAY(STARTED, C(""), C("the body is not counted, whatever it is"), C("A: 1"), C("."), S("250"), QUIT);
}

/* proves: G07 */
static void odd_header_names_are_data(void **state UNUSED)
{
    PLAY(STARTED, C("__proto__: x"), C("constructor: y"), C(": no name"), C(":"), C("Subject : blank"),
         C("Subject: twice"), C(""), C("."), S("250"),
         M("__proto__: x\r\nconstructor: y\r\n: no name\r\n:\r\nSubject : blank\r\nSubject: twice\r\n\r\n"),
         QUIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(takes_a_message, setup),
        cmocka_unit_test_setup(greeting_names_the_host, setup),
        cmocka_unit_test_setup(overload_is_told_in_the_greeting, setup),
        cmocka_unit_test_setup(turned_away_client_may_only_quit, setup),
        cmocka_unit_test_setup(ehlo_lists_what_is_offered, setup),
        cmocka_unit_test_setup(helo_has_one_line_and_verbs_any_case, setup),
        cmocka_unit_test_setup(mail_needs_a_hello, setup),
        cmocka_unit_test_setup(second_ehlo_ends_the_transaction, setup),
        cmocka_unit_test_setup(hello_name_is_checked_for_its_bytes_only, setup),
        cmocka_unit_test_setup(hello_name_may_have_to_be_full, setup),
        cmocka_unit_test_setup(long_hello_name_is_refused, setup),
        cmocka_unit_test_setup(commands_out_of_order_are_refused, setup),
        cmocka_unit_test_setup(data_after_refused_recipients_only_is_554, setup),
        cmocka_unit_test_setup(nothing_is_left_after_an_accepted_message, setup),
        cmocka_unit_test_setup(nothing_is_left_after_a_refused_commit, setup),
        cmocka_unit_test_setup(nothing_is_left_after_refused_content, setup),
        cmocka_unit_test_setup(refused_body_ends_the_transaction, setup),
        cmocka_unit_test_setup(refused_sender_opens_nothing, setup),
        cmocka_unit_test_setup(small_commands, setup),
        cmocka_unit_test_setup(unknown_and_incomplete_commands, setup),
        cmocka_unit_test_setup(unknown_parameters_are_refused, setup),
        cmocka_unit_test_setup(bare_line_feed_in_a_command_ends_the_session, setup),
        cmocka_unit_test_setup(bare_carriage_return_in_a_command_is_refused, setup),
        cmocka_unit_test_setup(long_commands_up_to_the_limit_are_taken, setup),
        cmocka_unit_test_setup(rest_of_an_over_long_line_is_no_command, setup),
        cmocka_unit_test_setup(endless_line_ends_the_session, setup),
        cmocka_unit_test_setup(replies_never_hold_bytes_of_the_client, setup),
        cmocka_unit_test_setup(pipelined_commands_are_answered_in_order, setup),
        cmocka_unit_test_setup(speaking_before_the_greeting_ends_the_session, setup),
        cmocka_unit_test_setup(speaking_before_the_reply_to_ehlo_ends_the_session, setup),
        cmocka_unit_test_setup(content_before_354_ends_the_session, setup),
        cmocka_unit_test_setup(silent_client_is_told_421, setup),
        cmocka_unit_test_setup(slow_command_does_not_gain_time, setup),
        cmocka_unit_test_setup(over_long_command_does_not_gain_time, setup),
        cmocka_unit_test_setup(content_has_a_deadline_for_pieces_and_for_all, setup),
        cmocka_unit_test_setup(content_must_come_at_its_rate, setup),
        cmocka_unit_test_setup(owner_may_hurry_a_client, setup),
        cmocka_unit_test_setup(errors_are_counted_up_to_the_limit, setup),
        cmocka_unit_test_setup(junk_is_counted_between_messages, setup),
        cmocka_unit_test_setup(transactions_are_counted_up_to_the_limit, setup),
        cmocka_unit_test_setup(other_protocols_are_closed_without_a_word, setup),
        cmocka_unit_test_setup(chunk_that_was_not_offered_ends_the_session, setup),
        cmocka_unit_test_setup(draining_node_says_so_between_transactions, setup),
        cmocka_unit_test_setup(addresses_of_all_kinds, setup),
        cmocka_unit_test_setup(what_is_no_address_is_refused, setup),
        cmocka_unit_test_setup(parts_that_are_too_long_are_refused_not_cut, setup),
        cmocka_unit_test_setup(recipients_above_the_limit_get_452, setup),
        cmocka_unit_test_setup(a_hundred_recipients_are_taken, setup),
        cmocka_unit_test_setup(same_recipient_twice_is_one, setup),
        cmocka_unit_test_setup(declared_size_is_judged_at_mail, setup),
        cmocka_unit_test_setup(undeclared_size_is_judged_at_the_dot, setup),
        cmocka_unit_test_setup(lying_size_changes_nothing, setup),
        cmocka_unit_test_setup(stuffing_is_taken_off_once, setup),
        cmocka_unit_test_setup(lone_dot_ends_content_also_as_first_line, setup),
        cmocka_unit_test_setup(other_line_ends_neither_end_content_nor_pass, setup),
        cmocka_unit_test_setup(other_line_ends_are_no_end_at_the_start, setup),
        cmocka_unit_test_setup(bad_byte_is_found_wherever_it_is, setup),
        cmocka_unit_test_setup(all_other_bytes_pass, setup),
        cmocka_unit_test_setup(long_lines_pass_up_to_the_limit, setup),
        cmocka_unit_test_setup(odd_messages_pass, setup),
        cmocka_unit_test_setup(looping_message_is_refused, setup),
        cmocka_unit_test_setup(header_limits_are_kept, setup),
        cmocka_unit_test_setup(odd_header_names_are_data, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
