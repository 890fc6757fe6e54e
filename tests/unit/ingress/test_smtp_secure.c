/* STARTTLS, AUTH and XCLIENT of the SMTP server engine, in dialogues that are also cut at every position. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/mem.h"
#include "tests/unit/ingress/dialogue.h"

#define HELLO S("220 "), C("EHLO client.example"), S("250-")
#define SECURED HELLO, C("STARTTLS"), S("220 2.0.0 Go ahead"), C("EHLO client.example"), S("250-")
#define USER_PASS "AHVzZXIAcGFzcw==" /* "\0user\0pass" */
#define USER_WRONG "AHVzZXIAd3Jvbmc="
#define AWAY_PASS "AGF3YXkAcGFzcw=="
#define LOGGED_IN HELLO, C("AUTH PLAIN " USER_PASS), S("235 2.7.0")
#define OPENED_TOO C("MAIL FROM:<a@b.example>"), S("250 2.1.0"), C("RCPT TO:<c@d.example>"), S("250 2.1.5")
#define QUIT C("QUIT"), S("221 2.0.0"), CLOSED

static int setup(void **state UNUSED)
{
    test_limits_reset();
    test_profile.tls = SMTP_TLS_OFFERED;
    test_profile.auth = SMTP_AUTH_OFFERED;
    test_profile.mechanisms = "PLAIN LOGIN";
    test_profile.tls_mechanisms = "PLAIN LOGIN SCRAM-SHA-256-PLUS";
    return 0;
}

static int setup_auth(void **state)
{
    (void) setup(state); /* never fails */
    test_profile.auth_without_tls = true;
    return 0;
}

/* What EHLO lists, as one text. */
static void expect_ehlo(const char *wanted, bool is_present)
{
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    s.is_secured = test_owner.is_secured;
    s.is_authenticated = test_owner.is_authenticated;
    s.is_xclient_allowed = test_owner.is_xclient_allowed;
    smtp_server_greet(&s, &test_greeting, 1000, &out);
    (void) smtp_server_feed(&s, SPAN("EHLO a\r\n"), 1000, &out);
    assert_int_equal(memmem(out.data, out.len, wanted, strlen(wanted)) != NULL, is_present);
    smtp_server_done(&s);
}

/* ---- STARTTLS */

/* proves: C01 B36 */
static void starttls_is_listed_while_it_can_be_had(void **state UNUSED)
{
    expect_ehlo("250-STARTTLS\r\n", true);
    test_owner.is_secured = true;
    expect_ehlo("STARTTLS", false);
    test_owner.is_secured = false;
    test_profile.tls = SMTP_TLS_OFF;
    expect_ehlo("STARTTLS", false);
    PLAY(HELLO, C("STARTTLS"), S("502 5.5.1"), QUIT);
}

/* proves: B05 C03 */
static void nothing_said_before_tls_counts_after_it(void **state UNUSED)
{
    PLAY(HELLO, OPENED_TOO, C("STARTTLS"), S("220 2.0.0"), C("RCPT TO:<c@d.example>"), S("503 5.5.1"),
         C("DATA"), S("503 5.5.1"), C("MAIL FROM:<a@b.example>"), S("503 5.5.1 Send EHLO"),
         C("EHLO client.example"), S("250-"), C("DATA"), S("503 5.5.1"), OPENED_TOO, C("DATA"), S("354"),
         C("."), S("250"), RECIPIENTS("c@d.example,"), QUIT);
    PLAY(S("220"), C("STARTTLS"), S("220 2.0.0"), C("MAIL FROM:<a@b.example>"), S("503 5.5.1"), QUIT);
}

/* proves: B05 C03 */
static void login_before_tls_counts_no_more(void **state UNUSED)
{
    test_profile.auth = SMTP_AUTH_REQUIRED;
    test_profile.auth_without_tls = true;
    PLAY(LOGGED_IN, C("STARTTLS"), S("220"), C("EHLO client.example"), S("250-"),
         C("MAIL FROM:<a@b.example>"), S("530 5.7.0"), C("AUTH PLAIN " USER_PASS), S("235"), OPENED_TOO,
         QUIT);
}

/* proves: C01 B09 */
static void starttls_with_an_argument_or_twice_is_refused(void **state UNUSED)
{
    PLAY(HELLO, C("STARTTLS x"), S("501 5.5.4"), C("STARTTLS"), S("220"), C("STARTTLS"), S("503 5.5.1"),
         C("EHLO client.example"), S("250-"), C("STARTTLS"), S("503 5.5.1"), QUIT);
}

/* proves: C01 */
static void broken_tls_is_told(void **state UNUSED)
{
    test_tls = (struct smtp_answer){454, "4.7.0", "TLS is not available now", NULL, 0};
    PLAY(HELLO, C("STARTTLS"), S("454 4.7.0"), OPENED_TOO, QUIT);
}

/* What came behind STARTTLS in plain is never read, neither now nor within TLS. */
/* proves: C02 B14 B15 */
static void bytes_behind_starttls_end_the_session(void **state UNUSED)
{
    PLAY_ONCE(HELLO, C("STARTTLS"), C("MAIL FROM:<evil@b.example>"), S("554 5.5.0"), CLOSED);
    PLAY_ONCE(HELLO, RAW("STARTTLS\r\nx"), S("554 5.5.0"), CLOSED);
}

/* proves: C06 */
static void only_a_few_commands_are_served_where_tls_is_required(void **state UNUSED)
{
    test_profile.tls = SMTP_TLS_REQUIRED;
    test_profile.extensions = 1u << SMTP_CHUNKING;
    PLAY(S("220"), C("NOOP"), S("250"), C("HELO client.example"), S("530 5.7.0"), C("EHLO client.example"),
         S("250-"), C("MAIL FROM:<a@b.example>"), S("530 5.7.0"), C("RCPT TO:<c@d.example>"), S("530 5.7.0"),
         C("DATA"), S("530 5.7.0"), RAW("BDAT 6\r\nQUIT\r\n"), S("530 5.7.0"), C("RSET"), S("530 5.7.0"),
         C("VRFY x"), S("530 5.7.0"), C("HELP"), S("530 5.7.0"), C("EXPN x"), S("530 5.7.0"),
         C("AUTH PLAIN " USER_PASS), S("530 5.7.0"), C("FOO"), S("500"), C("STARTTLS"), S("220"),
         C("EHLO client.example"), S("250-"), OPENED_TOO, QUIT);
    PLAY(S("220"), QUIT);
}

/* The owner was told to send plain text and start TLS: no word of ours may come between. */
/* proves: A15 C02 */
static void nothing_is_said_while_tls_begins(void **state UNUSED)
{
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    smtp_server_greet(&s, &test_greeting, 1000, &out);
    (void) smtp_server_feed(&s, SPAN("STARTTLS\r\n"), 1000, &out);
    smtp_server_answer(&s, &test_tls, 1000, &out);
    assert_int_equal(s.ask, SMTP_ASK_HANDSHAKE);
    buf_clear(&out);
    assert_int_equal(smtp_server_deadline(&s), 0);
    smtp_server_stop(&s, false, 1000, &out);
    assert_int_equal(s.ask, SMTP_ASK_HANDSHAKE);
    smtp_server_stop(&s, true, 1000, &out);
    assert_int_equal(s.ask, SMTP_ASK_CLOSE);
    assert_int_equal(out.len, 0);
    smtp_server_done(&s);
}

/* ---- AUTH */

/* proves: D01 D02 B36 */
static void auth_is_listed_where_it_is_taken(void **state UNUSED)
{
    expect_ehlo("AUTH", false);
    test_owner.is_secured = true;
    expect_ehlo("250-AUTH PLAIN LOGIN SCRAM-SHA-256-PLUS\r\n", true);
    test_owner.is_authenticated = true;
    expect_ehlo("AUTH", false);
    test_owner = (struct smtp_server){.is_secured = false};
    test_profile.auth_without_tls = true;
    expect_ehlo("250-AUTH PLAIN LOGIN\r\n", true);
    test_profile.auth = SMTP_AUTH_OFF;
    expect_ehlo("AUTH", false);
}

/* proves: D01 D02 */
static void auth_is_not_taken_where_it_is_not_listed(void **state UNUSED)
{
    PLAY(HELLO, C("AUTH PLAIN " USER_PASS), S("538 5.7.11"), C("AUTH LOGIN"), S("538 5.7.11"), QUIT);
    PLAY(SECURED, C("AUTH PLAIN " USER_PASS), S("235 2.7.0"), QUIT);
    test_profile.tls = SMTP_TLS_REQUIRED;
    PLAY(HELLO, C("AUTH PLAIN " USER_PASS), S("530 5.7.0"), QUIT);
    test_profile.auth = SMTP_AUTH_OFF;
    PLAY(SECURED, C("AUTH PLAIN " USER_PASS), S("502 5.5.1"), QUIT);
}

/* proves: D04 */
static void response_comes_with_auth_or_behind_a_challenge(void **state UNUSED)
{
    PLAY(HELLO, C("AUTH PLAIN " USER_PASS), S("235 2.7.0"), OPENED_TOO, QUIT);
    PLAY(HELLO, C("auth plain"), S("334 "), C(USER_PASS), S("235 2.7.0"), QUIT);
    PLAY(HELLO, C("AUTH LOGIN"), S("334 VXNlcm5hbWU6"), C("dXNlcg=="), S("334 UGFzc3dvcmQ6"), C("cGFzcw=="),
         S("235 2.7.0"), QUIT);
    PLAY(HELLO, C("AUTH LOGIN dXNlcg=="), S("334 UGFzc3dvcmQ6"), C("cGFzcw=="), S("235 2.7.0"), QUIT);
    PLAY(HELLO, C("AUTH PLAIN ="), S("535 5.7.8"), C("AUTH PLAIN"), S("334"), C(""), S("535 5.7.8"), QUIT);
}

/* proves: D03 */
static void failures_are_told_apart(void **state UNUSED)
{
    PLAY(HELLO, C("AUTH PLAIN " USER_WRONG), S("535 5.7.8"), C("AUTH PLAIN " AWAY_PASS), S("454 4.7.0"),
         C("AUTH"), S("501 5.5.4"), C("AUTH CRAM-MD5"), S("504 5.5.4"), C("AUTH SCRAM-SHA-256-PLUS"),
         S("504 5.5.4"), C("AUTH PLAIN*"), S("504 5.5.4"), C("AUTH PLAIN"), S("334"), C("*"), S("501 5.7.0"),
         C("NOOP"), S("250"), C("AUTH LOGIN"), S("334"), C("!"), S("501 5.5.2"), C("AUTH PLAIN " USER_PASS),
         S("235"), QUIT);
}

/* proves: D03 */
static void auth_has_its_place(void **state UNUSED)
{
    PLAY(S("220"), C("AUTH PLAIN " USER_PASS), S("503 5.5.1"), C("EHLO client.example"), S("250-"),
         OPENED_TOO, C("AUTH PLAIN " USER_PASS), S("503 5.5.1"), C("RSET"), S("250"),
         C("AUTH PLAIN " USER_PASS), S("235"), C("AUTH PLAIN " USER_PASS), S("503 5.5.1"),
         C("EHLO client.example"), S("250-"), C("AUTH PLAIN " USER_PASS), S("503 5.5.1"), C("RSET"), S("250"),
         C("AUTH LOGIN"), S("503 5.5.1"), QUIT);
}

/* proves: D03 C06 */
static void mail_waits_for_a_login_that_is_required(void **state UNUSED)
{
    test_profile.auth = SMTP_AUTH_REQUIRED;
    PLAY(HELLO, C("MAIL FROM:<a@b.example>"), S("530 5.7.0"), C("RCPT TO:<c@d.example>"), S("503"), C("NOOP"),
         S("250"), C("RSET"), S("250"), C("AUTH PLAIN " USER_WRONG), S("535"), C("MAIL FROM:<a@b.example>"),
         S("530 5.7.0"), C("AUTH PLAIN " USER_PASS), S("235"), OPENED_TOO, C("RSET"), S("250"), OPENED_TOO,
         QUIT);
}

/* proves: B14 B15 D03 */
static void bytes_behind_auth_or_a_response_end_the_session(void **state UNUSED)
{
    PLAY_ONCE(HELLO, C("AUTH PLAIN " USER_PASS), C("MAIL FROM:<a@b.example>"), S("554 5.5.0"), CLOSED);
    PLAY_ONCE(HELLO, C("AUTH LOGIN"), S("334"), C("dXNlcg=="), C("cGFzcw=="), S("554 5.5.0"), CLOSED);
}

/* proves: D06 */
static void base64_is_strict(void **state UNUSED)
{
    PLAY(HELLO, C("AUTH PLAIN A"), S("501 5.5.2"), C("AUTH PLAIN AB"), S("501 5.5.2"), C("AUTH PLAIN ABC"),
         S("501 5.5.2"), C("AUTH PLAIN AHVzZXIAcGFzcw="), S("501 5.5.2"), C("AUTH PLAIN AHVzZXIAcGFzcw"),
         S("501 5.5.2"), C("AUTH PLAIN AHVzZXIA=cGFzcw="), S("501 5.5.2"), C("AUTH PLAIN AA==AA=="),
         S("501 5.5.2"), C("AUTH PLAIN AHVzZXIA cGFzcw=="), S("501 5.5.2"), C("AUTH PLAIN ===="),
         S("501 5.5.2"), C("AUTH PLAIN =AAA"), S("501 5.5.2"), C("AUTH PLAIN =="), S("501 5.5.2"),
         C("AUTH PLAIN AHVzZXIAcGFzcx=="), S("501 5.5.2"), C("AUTH PLAIN " USER_PASS), S("235"), QUIT);
    PLAY(HELLO, C("AUTH PLAIN"), S("334"), C("A"), S("501 5.5.2"), C("AUTH PLAIN"), S("334"), C("="),
         S("501 5.5.2"), C("AUTH PLAIN"), S("334"), C("AA==AA=="), S("501 5.5.2"), C("AUTH PLAIN"), S("334"),
         C("AAAA AAAA"), S("501 5.5.2"), C("AUTH PLAIN"), S("334"), RAW("AA\0A\r\n"), S("501 5.5.2"),
         C("AUTH PLAIN"), S("334"), RAW("AA\rA\r\n"), S("501 5.5.2"), C("AUTH PLAIN"), S("334"),
         C("\xff\xfe\xfd\xfc"), S("501 5.5.2"), C("NOOP"), S("250"), QUIT);
}

/* A line of AUTH, or one that answers a challenge, of just the limit and of one octet more; no other line is that long. */
/* proves: D04 D06 M01 B10 */
static void auth_lines_are_12288_octets_at_most(void **state UNUSED)
{
    for (size_t more = 0; more <= 4; more += 4)
        for (int is_response = 0; is_response < 2; is_response++) {
            AUTO_BUF struct buf line = {0};
            buf_add_text(&line, is_response ? "" : "AUTH PLAIN  ");
            if (!is_response)
                line.len -= 1;
            size_t digits = (SMTP_AUTH_LINE_MAX - 2 - line.len) / 4 * 4 + more;
            for (size_t i = 0; i < digits; i++)
                buf_add_char(&line, 'A');
            buf_add_text(&line, "\r\n");
            bool is_good = line.len <= SMTP_AUTH_LINE_MAX;
            assert_int_equal(is_good, more == 0);
            const struct step start[] = {HELLO,
                                         {'C', line.data, line.len},
                                         is_good ? (struct step) S("535 5.7.8")
                                                 : (struct step) S("500 5.5.2"),
                                         C("NOOP"),
                                         S("250"),
                                         QUIT};
            const struct step response[] = {HELLO,
                                            C("AUTH PLAIN"),
                                            S("334"),
                                            {'C', line.data, line.len},
                                            is_good ? (struct step) S("535 5.7.8")
                                                    : (struct step) S("500 5.5.6"),
                                            C("NOOP"),
                                            S("250"),
                                            QUIT};
            if (is_response)
                play_once(response, ARRAY_LEN(response));
            else
                play_once(start, ARRAY_LEN(start));
        }
    AUTO_BUF struct buf noop = {0};
    buf_add_text(&noop, "NOOP ");
    while (noop.len < SMTP_LINE_MAX)
        buf_add_char(&noop, 'A');
    buf_add_text(&noop, "\r\n");
    const struct step steps[] = {HELLO, {'C', noop.data, noop.len}, S("500 5.5.2"), QUIT};
    play(steps, ARRAY_LEN(steps));
}

/* proves: B10 D06 */
static void endless_response_ends_the_session(void **state UNUSED)
{
    AUTO_BUF struct buf line = {0};
    while (line.len < 2 * SMTP_SKIP_MAX)
        buf_add_text(&line, "AAAAAAAAAAAAAAAA");
    const struct step steps[] = {HELLO,          C("AUTH PLAIN"), S("334"), {'C', line.data, line.len},
                                 S("500 5.5.6"), CLOSED};
    play_once(steps, ARRAY_LEN(steps));
}

/* proves: B16 B17 A15 */
static void exchange_ends_with_the_session(void **state UNUSED)
{
    PLAY(HELLO, C("AUTH PLAIN"), S("334"), WAIT_MS(299999), OPEN_STILL, WAIT_MS(1), S("421 4.4.2"), CLOSED);
    PLAY(HELLO, C("AUTH PLAIN"), S("334"), STOP, S("421 4.3.2"), CLOSED);
    PLAY(HELLO, C("AUTH PLAIN"), S("334"), END, S("421 4.7.0 Enough"), CLOSED);
    test_limits.errors = 2;
    PLAY(HELLO, C("AUTH PLAIN " USER_WRONG), S("535"), C("AUTH PLAIN"), S("334"), C("!"), S("501"),
         C("AUTH PLAIN " USER_WRONG), S("535"), S("421 4.7.0"), CLOSED);
}

/* proves: D12 */
static void password_does_not_stay_in_memory(void **state UNUSED)
{
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    smtp_server_greet(&s, &test_greeting, 1000, &out);
    (void) smtp_server_feed(&s, SPAN("EHLO a\r\n"), 1000, &out);
    (void) smtp_server_feed(&s, SPAN("AUTH PLAIN " USER_PASS "\r\n"), 1000, &out);
    assert_true(span_equal(s.sasl->response, SPAN("\0user\0pass")));
    smtp_server_challenge(&s, SPAN("more"), 1000, &out);
    assert_true(s.sasl->text.data == NULL && s.sasl->response.len == 0);
    smtp_server_tick(&s, UINT64_MAX, &out);
    assert_null(s.sasl);
    smtp_server_done(&s);
}

/* ---- XCLIENT */

/* proves: E08 */
static void xclient_is_there_for_those_who_may(void **state UNUSED)
{
    expect_ehlo("XCLIENT", false);
    PLAY(HELLO, C("XCLIENT ADDR=192.0.2.1"), S("500 5.5.2"), QUIT);
    test_owner.is_xclient_allowed = true;
    expect_ehlo("250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n", true);
    PLAY(HELLO,
         C("XCLIENT NAME=mail.client.example ADDR=192.0.2.1 PORT=1234 PROTO=ESMTP HELO=client.example "
           "LOGIN=user+40x.example DESTADDR=192.0.2.2 DESTPORT=25"),
         S("220 mx.relay.example ESMTP"),
         TOLD("name=mail.client.example helo=client.example login=user@x.example proto=ESMTP port=1234"),
         QUIT);
    PLAY(S("220"), C("xclient addr=IPV6:2001:db8::1 name=[UNAVAILABLE] helo=[tempunavail]"), S("220 "),
         TOLD("name= helo= login=- proto=- port=0"), QUIT);
    PLAY(S("220"), C("XCLIENT ADDR=192.0.2.99"), S("550 5.7.0"), C("EHLO client.example"), S("250-"), QUIT);
}

/* proves: E08 B07 */
static void xclient_begins_the_session_anew(void **state UNUSED)
{
    test_owner.is_xclient_allowed = true;
    test_profile.auth = SMTP_AUTH_REQUIRED;
    PLAY(LOGGED_IN, OPENED_TOO, C("XCLIENT ADDR=192.0.2.1"), S("503 5.5.1"), C("RSET"), S("250"),
         C("XCLIENT ADDR=192.0.2.1"), S("220 "), C("MAIL FROM:<a@b.example>"), S("503 5.5.1 Send EHLO"),
         C("EHLO client.example"), S("250-"), C("MAIL FROM:<a@b.example>"), S("530 5.7.0"),
         C("XCLIENT LOGIN=user"), S("220 "), C("EHLO client.example"), S("250-"), OPENED_TOO, QUIT);
    PLAY_ONCE(S("220"), C("XCLIENT ADDR=192.0.2.1"), C("EHLO client.example"), S("554 5.5.0"), CLOSED);
}

/* proves: E08 */
static void what_is_no_xclient_is_refused(void **state UNUSED)
{
    test_owner.is_xclient_allowed = true;
    PLAY(S("220"), C("XCLIENT"), S("501 5.5.4"), C("XCLIENT FOO=bar"), S("501 5.5.4"), C("XCLIENT ADDR"),
         S("501 5.5.4"), C("XCLIENT ADDR="), S("501 5.5.4"), C("XCLIENT ADDR=300.1.1.1"), S("501 5.5.4"),
         C("XCLIENT PORT=0"), S("501 5.5.4"), C("XCLIENT PORT=65536"), S("501 5.5.4"), C("XCLIENT NAME=a)(b"),
         S("501 5.5.4"), C("XCLIENT HELO=a+0Ab"), S("501 5.5.4"), C("XCLIENT LOGIN=a+00b"), S("501 5.5.4"),
         C("XCLIENT LOGIN=a+0g"), S("501 5.5.4"), C("XCLIENT PROTO=LMTP"), S("501 5.5.4"),
         C("XCLIENT NAME=ok ADDR=x"), S("501 5.5.4"), QUIT);
}

/* ---- the owner ends it */

/* proves: B01 */
static void owner_ends_the_session_between_commands_only(void **state UNUSED)
{
    PLAY(HELLO, END, S("421 4.7.0 Enough"), CLOSED);
    PLAY(S("220"), END, S("421 4.7.0 Enough"), CLOSED);
    PLAY(HELLO, OPENED_TOO, END, S("421 4.7.0 Enough"), STORED(0), CLOSED);
    PLAY(HELLO, OPENED_TOO, C("DATA"), S("354"), C("x"), END, OPEN_STILL, C("."), S("250 2.0.0"),
         S("421 4.7.0 Enough"), STORED(1), CLOSED);
}

/* proves: B01 B34 */
static void answer_421_ends_the_session(void **state UNUSED)
{
    test_sender = (struct smtp_answer){421, "4.7.0", "Too fast", NULL, 0};
    PLAY(HELLO, C("MAIL FROM:<a@b.example>"), C("NOOP"), S("421 4.7.0 Too fast"), CLOSED);
}

static void banner_may_be_another(void **state UNUSED)
{
    test_profile.banner = "ESMTP ready";
    PLAY(S("220 mx.relay.example ESMTP ready"), QUIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(starttls_is_listed_while_it_can_be_had, setup),
        cmocka_unit_test_setup(nothing_said_before_tls_counts_after_it, setup),
        cmocka_unit_test_setup(login_before_tls_counts_no_more, setup),
        cmocka_unit_test_setup(starttls_with_an_argument_or_twice_is_refused, setup),
        cmocka_unit_test_setup(broken_tls_is_told, setup),
        cmocka_unit_test_setup(bytes_behind_starttls_end_the_session, setup),
        cmocka_unit_test_setup(only_a_few_commands_are_served_where_tls_is_required, setup),
        cmocka_unit_test_setup(nothing_is_said_while_tls_begins, setup),
        cmocka_unit_test_setup(auth_is_listed_where_it_is_taken, setup),
        cmocka_unit_test_setup(auth_is_not_taken_where_it_is_not_listed, setup),
        cmocka_unit_test_setup(response_comes_with_auth_or_behind_a_challenge, setup_auth),
        cmocka_unit_test_setup(failures_are_told_apart, setup_auth),
        cmocka_unit_test_setup(auth_has_its_place, setup_auth),
        cmocka_unit_test_setup(mail_waits_for_a_login_that_is_required, setup_auth),
        cmocka_unit_test_setup(bytes_behind_auth_or_a_response_end_the_session, setup_auth),
        cmocka_unit_test_setup(base64_is_strict, setup_auth),
        cmocka_unit_test_setup(auth_lines_are_12288_octets_at_most, setup_auth),
        cmocka_unit_test_setup(endless_response_ends_the_session, setup_auth),
        cmocka_unit_test_setup(exchange_ends_with_the_session, setup_auth),
        cmocka_unit_test_setup(password_does_not_stay_in_memory, setup_auth),
        cmocka_unit_test_setup(xclient_is_there_for_those_who_may, setup),
        cmocka_unit_test_setup(xclient_begins_the_session_anew, setup_auth),
        cmocka_unit_test_setup(what_is_no_xclient_is_refused, setup),
        cmocka_unit_test_setup(owner_ends_the_session_between_commands_only, setup),
        cmocka_unit_test_setup(answer_421_ends_the_session, setup),
        cmocka_unit_test_setup(banner_may_be_another, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
