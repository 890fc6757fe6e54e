/* Notifications as their senders asked for them: of what, with what of the original, under which names. */
#include "dsn_sample.h"

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
        TEST_FRESH(what_decodes_to_structure_stays_encoded),
        TEST_FRESH(internationalized_addresses_are_told_in_ascii_to_who_may_not_read_others),
        TEST_FRESH(an_internationalized_sender_reads_them_as_they_are),
    };
    return cmocka_run_group_tests_name("mail/dsn wishes", tests, NULL, NULL);
}
