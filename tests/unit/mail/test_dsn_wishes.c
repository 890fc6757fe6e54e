/* Notifications as their senders asked for them: of what, with what of the original, under which names. */
#include "dsn_sample.h"
#include "mail/mail_kind.h"

/* proves: K05 K06 K07 K12 */
static void tells_what_became_of_each_recipient(void **state)
{
    (void) state;
    make_mixed();
    assert_int_equal(write_checked().recipient_count, 3);
    expect("Subject: Your message could not be delivered\r\n");
    expect("Your message could not be delivered to 1 recipient:\r\n\r\n<bob@example.com>:\r\n");
    expect("Your message has not been delivered yet to 1 recipient:\r\n\r\n<carol@example.com>:\r\n");
    expect("reports nothing back, for 1 recipient:\r\n\r\n<dan@example.com>:\r\n"
           "    mx.example.com [192.0.2.7]:25 answered: 250 2.0.0 taken\r\n");
    expect("Reporting-MTA: dns; relay.example\r\nOriginal-Envelope-Id: QQ+7=\r\nArrival-Date: ");
    expect(
        "\r\n\r\nOriginal-Recipient: rfc822; Bob+x@example.com\r\nFinal-Recipient: rfc822; bob@example.com\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\n");
    expect("\r\n\r\nFinal-Recipient: rfc822; carol@example.com\r\nAction: delayed\r\nStatus: 4.7.1\r\n");
    expect("Last-Attempt-Date: Sun, 22 Nov 2026 07:16:44 +0000\r\n"
           "Will-Retry-Until: Fri, 27 Nov 2026 07:15:45 +0000\r\n");
    expect("\r\n\r\nOriginal-Recipient: x400; a=b\r\nFinal-Recipient: rfc822; dan@example.com\r\n"
           "Action: relayed\r\nStatus: 2.0.0\r\n");
    assert_int_equal(count_of("Will-Retry-Until"), 1);
    expect("Content-Type: message/rfc822\r\n");
}

/* proves: K07 */
static void the_subject_and_the_status_fit_the_action(void **state)
{
    (void) state;
    make_mixed();
    dsn.recipients++;
    dsn.recipient_count = 2;
    write_checked();
    expect("Subject: Your message is delayed\r\n");
    dsn.recipients++;
    dsn.recipient_count = 1;
    write_checked();
    expect("Subject: Your message was passed on\r\n");
    snprintf(verdicts[2].status, sizeof verdicts[2].status, "5.0.0");
    write_checked();
    expect("Action: relayed\r\nStatus: 2.0.0\r\n");
}

/* proves: K11 K17 */
static void only_what_failed_is_returned_whole_and_only_if_that_is_wanted(void **state)
{
    (void) state;
    envelope.ret = RET_FULL;
    write_checked();
    expect("Content-Type: message/rfc822\r\n");
    envelope.ret = RET_HDRS;
    write_checked();
    expect("Content-Type: text/rfc822-headers\r\n");
    expect("Subject: hello\r\n");
    expect_not("Body with one line");
    envelope.ret = RET_FULL;
    envelope.requires_tls = true;
    write_checked();
    expect_not("Body with one line");
    envelope.requires_tls = false;
    failed[0].action = DSN_DELAYED;
    write_checked();
    expect_not("Body with one line");
    failed[0].action = DSN_RELAYED;
    write_checked();
    expect_not("Body with one line");
}

/* proves: K06 K07 */
static void what_a_mail_store_has_is_delivered(void **state)
{
    (void) state;
    set_remote(&verdicts[0], 250, "2.1.5", "2.1.5 saved");
    failed[0].action = DSN_DELIVERED;
    write_checked();
    expect("Subject: Your message was delivered\r\n");
    expect("Your message was delivered to the mail store of 1 recipient:\r\n\r\n<bob@example.com>:\r\n");
    expect("Action: delivered\r\nStatus: 2.1.5\r\n");
    expect_not("Body with one line");
}

/* proves: K17 */
static void mail_for_which_tls_does_not_matter_says_so_in_its_report(void **state)
{
    (void) state;
    write_checked();
    expect_not("TLS-Required");
    envelope.tls_optional = true;
    write_checked();
    expect("\r\nTLS-Required: No\r\n");
}

/* proves: K03 K23 */
static void a_double_bounce_is_told_to_somebody_else(void **state)
{
    (void) state;
    envelope.sender = (char *) (uintptr_t) "";
    dsn.to = "postmaster@example.org";
    write_checked();
    expect("From: Mail Delivery System <double-bounce@relay.example>\r\nTo: postmaster@example.org\r\n"
           "Subject: Mail of the null sender could not be delivered\r\n"
           "Message-ID: <double-bounce.01KDSNDSNDSNDSNDSNDSNDSNDS@relay.example>\r\n");
    expect(
        "\r\nMail of the null sender could not be delivered to 1 recipient:\r\n\r\n<bob@example.com>:\r\n");
    expect("Action: failed\r\nStatus: 5.1.1\r\n");
    assert_true(mail_kind_of(buf_span(&out)).is_double_bounce);
}

/* proves: K23 */
static void it_is_known_as_one_when_it_comes_back(void **state)
{
    (void) state;
    write_checked();
    assert_true(mail_kind_of(buf_span(&out)).is_report && !mail_kind_of(buf_span(&out)).is_double_bounce);
    assert_true(mail_kind_of(buf_span(&out)).is_automatic);
}

/* proves: K10 K16 */
static void names_and_addresses_of_people_are_readable(void **state)
{
    (void) state;
    make_internationalized(false);
    dsn.from_name = "Poststelle M\xc3\xbcnchen";
    write_checked();
    expect("From: =?utf-8?B?UG9zdHN0ZWxsZSBNw7xuY2hlbg==?= <MAILER-DAEMON@relay.example>\r\n");
    expect("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n");
    expect("\r\n<b=C3=B6b@example.com>:\r\n");
}

/* proves: K15 */
static void a_header_is_called_utf8_only_when_it_is(void **state)
{
    (void) state;
    envelope.ret = RET_HDRS;
    dsn.original = SPAN("Subject: caf\xe9\r\n\r\n");
    write_checked();
    expect("Content-Type: text/rfc822-headers; charset=unknown-8bit\r\nContent-Transfer-Encoding: 8bit\r\n");
    envelope.has_utf8_header = true;
    write_checked();
    expect("Content-Type: text/rfc822-headers; charset=unknown-8bit\r\n");
    envelope.ret = RET_FULL;
    write_checked();
    expect("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n");
    dsn.original = SPAN("Subject: caf\xc3\xa9\r\n\r\n\xff\r\n"); /* of the body nothing is said */
    write_checked();
    expect("Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n");
}

static struct dsn_template *template_of(const char *text)
{
    struct dsn_template *t;
    char *error;

    assert_int_equal(dsn_template_parse(span_of(text), &t, &error), 0);
    return t;
}

static void the_operators_words_stand_instead_of_ours(void **state)
{
    (void) state;
    struct dsn_template *t = template_of(
        "Subject: Unzustellbar f\xc3\xbcr {count} Empf\xc3\xa4nger\n\n"
        "Guten Tag {sender},\n\n{recipients}\n\nIhre Post\xc3\xa4mter ({host})\n");
    make_mixed();
    dsn.templates[DSN_FAILED] = t;
    write_checked();
    expect("Subject: =?utf-8?B?VW56dXN0ZWxsYmFyIGbDvHIgMSBFbXBmw6RuZ2Vy?=\r\n");
    expect(
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nGuten Tag sender@example.org,\r\n\r\n"
        "<bob@example.com>:\r\n    mx.example.com [192.0.2.7]:25 answered: 550 5.1.1 <bob@example.com>: no\r\n"
        "    such user\r\n\r\nIhre Post=C3=A4mter (relay.example)\r\n"
        "\r\nYour message has not been delivered yet to 1 recipient:\r\n");
    expect_not("This is the mail system");
    dsn.templates[DSN_FAILED] = NULL;
    dsn.templates[DSN_RELAYED] = t;
    write_checked();
    expect("Subject: Your message could not be delivered\r\n");
    expect("\r\nThis is the mail system at relay.example.\r\n");
    expect("Guten Tag sender@example.org,\r\n\r\n<dan@example.com>:\r\n");
    dsn_template_free(t);
}

static void their_words_give_way_when_there_are_too_many_recipients(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0};
    buf_add_text(&text, "{recipients}\n");
    while (text.len < DSN_TEMPLATE_MAX - 10)
        buf_add_text(&text, "{sender}\n");
    buf_add_char(&text, '\0');
    struct dsn_template *t = template_of(text.data);
    dsn.templates[DSN_FAILED] = t;
    static const size_t counts[] = {1, 10, 100, 300, 600};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        set_remote(&verdicts[1], 554, "5.7.1", "no");
        fill_recipients(counts[i], "somebody@example.com");
        assert_int_equal(write_checked().recipient_count, counts[i]);
        expect("\r\nReceived: from a (b [192.0.2.1])\r\n");
    }
    dsn_template_free(t);
}

/* proves: K14 */
static void what_decodes_to_structure_stays_encoded(void **state)
{
    (void) state;
    envelope.envid = (char *) (uintptr_t) "a+0D+0ABcc:+20x";
    failed[0].orcpt = "rfc822;a+0AStatus:+202.0.0@x";
    write_checked();
    expect("Original-Envelope-Id: a+0D+0ABcc:+20x\r\n");
    expect("Original-Recipient: rfc822; a+0AStatus:+202.0.0@x\r\n");
    envelope.envid = (char *) (uintptr_t) "";
    write_checked();
    expect_not("Original-Envelope-Id");
}

/* proves: K16 */
static void internationalized_addresses_are_told_in_ascii_to_who_may_not_read_others(void **state)
{
    (void) state;
    make_internationalized(false);
    assert_false(write_checked().is_utf8);
    expect("Content-Type: message/delivery-status\r\n");
    expect(
        "Original-Recipient: utf-8; B\\x{F6}b@example.com\r\nFinal-Recipient: utf-8; b\\x{F6}b@example.com\r\n");
    expect("Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n");
    envelope.ret = RET_HDRS;
    write_checked();
    expect(
        "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFrom: s@example.org\r\n");
}

/* proves: K16 */
static void an_internationalized_sender_reads_them_as_they_are(void **state)
{
    (void) state;
    make_internationalized(true);
    assert_true(write_checked().is_utf8);
    expect("\r\nTo: s\xc3\xa4nder@example.org\r\n");
    expect(
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\nReporting-MTA");
    expect("Original-Recipient: utf-8; B\xc3\xb6"
           "b@example.com\r\nFinal-Recipient: utf-8; b\xc3\xb6"
           "b@example.com\r\n");
    envelope.sender = (char *) (uintptr_t) "s\xc3\r\nBcc: x@\xff"; /* from a record that no client wrote */
    write_checked();
    expect_not("\r\nBcc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_FRESH(tells_what_became_of_each_recipient),
        TEST_FRESH(the_subject_and_the_status_fit_the_action),
        TEST_FRESH(only_what_failed_is_returned_whole_and_only_if_that_is_wanted),
        TEST_FRESH(what_a_mail_store_has_is_delivered),
        TEST_FRESH(mail_for_which_tls_does_not_matter_says_so_in_its_report),
        TEST_FRESH(a_double_bounce_is_told_to_somebody_else),
        TEST_FRESH(it_is_known_as_one_when_it_comes_back),
        TEST_FRESH(names_and_addresses_of_people_are_readable),
        TEST_FRESH(a_header_is_called_utf8_only_when_it_is),
        TEST_FRESH(the_operators_words_stand_instead_of_ours),
        TEST_FRESH(their_words_give_way_when_there_are_too_many_recipients),
        TEST_FRESH(what_decodes_to_structure_stays_encoded),
        TEST_FRESH(internationalized_addresses_are_told_in_ascii_to_who_may_not_read_others),
        TEST_FRESH(an_internationalized_sender_reads_them_as_they_are),
    };
    return cmocka_run_group_tests_name("mail/dsn wishes", tests, NULL, NULL);
}
