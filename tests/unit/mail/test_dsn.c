/*
 * Delivery status notifications. With BARID_DSN_SAMPLES=directory the program writes some of them there instead, for
 * tests/peers/test_dsn_parses.py, which reads them with a MIME library that is not ours.
 */
#include <stdlib.h>

#include "dsn_sample.h"

/* proves: K02 K04 K05 K06 K10 K11 */
static void has_header_and_three_parts(void **state)
{
    (void) state;
    struct dsn_written written = write_checked();
    assert_int_equal(written.recipient_count, 1);
    assert_false(written.is_8bit);
    expect("Date: Sun, 22 Nov 2026 07:16:45 +0000\r\n");
    expect("\r\nFrom: Mail Delivery System <MAILER-DAEMON@relay.example>\r\n");
    expect("\r\nTo: sender@example.org\r\n");
    expect("\r\nMessage-ID: <dsn.01KDSNDSNDSNDSNDSNDSNDSNDS@relay.example>\r\n");
    expect("\r\nIn-Reply-To: <orig.1@example.org>\r\nReferences: <orig.1@example.org>\r\n");
    expect("\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
    expect(
        "\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"=_01KDSNDSNDSNDSNDSNDSNDSNDS\"\r\n");
    expect("\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n"
           "Arrival-Date: Sun, 22 Nov 2026 07:15:45 +0000\r\n\r\nFinal-Recipient: rfc822; bob@example.com\r\n"
           "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.com\r\n"
           "Diagnostic-Code: smtp; 550 5.1.1 <bob@example.com>: no such user\r\n"
           "Last-Attempt-Date: Sun, 22 Nov 2026 07:16:44 +0000\r\n\r\n--=_");
    expect("\r\nContent-Type: message/rfc822\r\n\r\n");
    expect(plain_original);
    expect("no final line end\r\n--=_01KDSNDSNDSNDSNDSNDSNDSNDS--\r\n");
    expect_not("Content-Transfer-Encoding");
    expect(
        "\r\n<bob@example.com>:\r\n    mx.example.com [192.0.2.7]:25 answered: 550 5.1.1 <bob@example.com>: no\r\n    such user\r\n");
}

/* proves: K06 K07 */
static void own_verdicts_have_no_remote_fields(void **state)
{
    (void) state;
    verdict_set(&verdicts[0], STATUS_NO_SUCH_DOMAIN, NULL);
    write_checked();
    expect("Status: 5.1.2\r\n");
    expect("    the domain does not exist (5.1.2)\r\n");
    expect_not("Remote-MTA");
    expect_not("Diagnostic-Code");
    verdicts[0].status[0] = '\0';
    write_checked();
    expect("Status: 5.0.0\r\n");
    set_remote(&verdicts[0], 550, "4.1.1", "odd");
    write_checked();
    expect("Status: 5.0.0\r\n");
}

/* proves: K21 K07 J02 */
static void expiry_tells_how_long_and_the_last_answer(void **state)
{
    (void) state;
    verdict_set(&verdicts[0], STATUS_EXPIRED, NULL);
    set_remote(&verdicts[1], 451, "4.7.1", "4.7.1 greylisted, come back");
    failed[0].last = &verdicts[1];
    dsn.wall_ms = envelope.arrival_ms + 5 * 86400000ULL + 3 * 3600000;
    dsn.attempts = 117;
    write_checked();
    expect("    We tried 117 times over 5 days and 3 hours and have given up. The last\r\n    answer:\r\n"
           "    mx.example.com [192.0.2.7]:25 answered: 451 4.7.1 greylisted, come back\r\n");
    expect(
        "Status: 5.4.7\r\nRemote-MTA: dns; mx.example.com\r\nDiagnostic-Code: smtp; 451 4.7.1 greylisted, come back\r\n");
    snprintf(verdicts[0].status, sizeof verdicts[0].status, "4.7.1");
    write_checked();
    expect("Status: 4.7.1\r\n");
    verdict_set(&verdicts[1], STATUS_NO_CONNECTION, "timed out");
    verdicts[1].remote = mem_free(verdicts[1].remote);
    verdicts[1].remote = mem_string("[2001:db8::1]:25");
    dsn.attempts = 1;
    dsn.wall_ms = envelope.arrival_ms + 59999;
    write_checked();
    expect("We tried 1 time over 59 seconds and have given up. The last problem:\r\n"
           "    [2001:db8::1]:25: no connection to the mail host: timed out\r\n");
    expect_not("Diagnostic-Code");
}

/* proves: K08 H07 */
static void folds_and_cuts_a_remotes_words(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0};
    for (int i = 0; i < 100; i++)
        buf_add_text(&text, "many words of a long answer ");
    buf_add_char(&text, '\0');
    set_remote(&verdicts[0], 554, "5.7.1", text.data);
    write_checked();
    expect("Diagnostic-Code: smtp; 554 many words of a long answer many words of a long\r\n answer many");
    buf_clear(&text);
    for (int i = 0; i < 2500; i++)
        buf_add_char(&text, 'x');
    buf_add_char(&text, '\0');
    set_remote(&verdicts[0], 554, "5.7.1", text.data);
    write_checked();
    set_remote(&verdicts[0], 554, "5.7.1",
               "a\r\nAction: delivered\r\n\r\n--=_01KDSNDSNDSNDSNDSNDSNDSNDS\r\n\x80");
    write_checked();
    expect_not("\r\nAction: delivered");
    expect("smtp; 554 a??Action:\r\n delivered????"
           "--=_01KDSNDSNDSNDSNDSNDSNDSNDS???\r\n");
    set_remote(&verdicts[0], 554, "5.7.1", "");
    write_checked();
    expect("Diagnostic-Code: smtp; 554\r\n");
}

/* proves: K06 */
static void names_a_remote_without_name_by_its_address(void **state)
{
    (void) state;
    verdicts[0].remote = mem_free(verdicts[0].remote);
    verdicts[0].remote = mem_string("[192.0.2.7]:25");
    write_checked();
    expect("Remote-MTA: dns; [192.0.2.7]\r\n");
    verdicts[0].remote = mem_free(verdicts[0].remote);
    verdicts[0].remote = mem_string("");
    write_checked();
    expect_not("Remote-MTA");
    expect("    the mail host answered: 550 5.1.1");
}

/* proves: K10 */
static void repeats_only_a_real_message_id(void **state)
{
    (void) state;
    static const struct span no_ids[] = {
        SPAN("Message-ID: hello\r\n\r\n"),  SPAN("Message-ID: <a b>\r\n\r\n"),
        SPAN("Message-ID: <>\r\n\r\n"),     SPAN("Message-ID: <a\x01>\r\n\r\n"),
        SPAN("Message-ID: <a><b>\r\n\r\n"), SPAN("A: b\r\n\r\nMessage-ID: <a@b>\r\n")};
    for (size_t i = 0; i < ARRAY_LEN(no_ids); i++) {
        dsn.original = no_ids[i];
        write_checked();
        expect_not("In-Reply-To");
    }
}

/* proves: K10 */
static void quotes_an_odd_display_name(void **state)
{
    (void) state;
    dsn.from_name = "M\xc3\xbcller, \"Mail\" \\ Co\r\n";
    write_checked();
    expect("\r\nFrom: \"M??ller, \\\"Mail\\\" \\\\ Co??\" <MAILER-DAEMON@relay.example>\r\n");
    dsn.from_name = "";
    write_checked();
    expect("\r\nFrom: \"\" <MAILER");
}

/* proves: K09 */
static void lists_every_recipient_with_fewer_words_when_many(void **state)
{
    (void) state;
    set_remote(&verdicts[0], 550, "5.1.1", "no such user");
    set_remote(
        &verdicts[1], 554, "5.7.1",
        "a remote that explains itself at considerable length, as some of them do, with a link to a page "
        "that nobody reads: https://support.example.com/why-we-did-this?and=more&and=still-more");
    static const size_t counts[] = {1, 2, 10, 60, 100, 200, 300, 600};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        fill_recipients(counts[i], "somebody@example.com");
        assert_int_equal(write_checked().recipient_count, counts[i]);
        assert_int_equal(count_of("\r\nFinal-Recipient: rfc822; somebody@example.com\r\n"), counts[i]);
        expect("\r\nReceived: from a (b [192.0.2.1])\r\n"); /* there is always room for the header */
    }
}

/* proves: K09 */
static void says_how_many_recipients_it_could_not_list(void **state)
{
    (void) state;
    set_remote(&verdicts[1], 554, "5.7.1", "no");
    fill_recipients(MOST, "somebody@example.com");
    struct dsn_written written = write_checked();
    assert_in_range(written.recipient_count, 600, MOST - 1);
    assert_int_equal(count_of("\r\nFinal-Recipient: "), written.recipient_count);
    char text[80];
    snprintf(text, sizeof text, "The report has no room for %zu more recipients.\r\n",
             MOST - written.recipient_count);
    expect(text);
    /* The longest addresses there are: RFC 5321 section 4.5.3.1.3. */
    char addr[255];
    memset(addr, 'a', sizeof addr - 1);
    addr[sizeof addr - 1] = '\0';
    addr[60] = '@';
    fill_recipients(170, addr);
    assert_int_equal(write_checked().recipient_count, 170);
}

static void adds_to_what_is_in_the_buffer(void **state)
{
    (void) state;
    buf_add_text(&out, "before");
    dsn_write(&dsn, &out);
    assert_memory_equal(out.data, "beforeDate: ", 12);
}

static void save(const char *directory, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.eml", directory, name);
    write_checked();
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(out.data, 1, out.len, file), out.len);
    assert_int_equal(fclose(file), 0);
}

static void save_others(void **state, const char *directory)
{
    struct dsn_template *t;
    char *error;

    failed[0].action = DSN_DELIVERED;
    set_remote(&verdicts[0], 250, "2.1.5", "2.1.5 saved");
    save(directory, "delivered");
    sample_setup(state);
    assert_int_equal(
        dsn_template_parse(
            SPAN(
                "Subject: Unzustellbar f\xc3\xbcr {count}\n\nHallo {sender} = f\xc3\xbcr ihn,\n{recipients}\n"),
            &t, &error),
        0);
    dsn.templates[DSN_FAILED] = t;
    dsn.from_name = "Postst\xc3\xa4tte";
    save(directory, "template");
    dsn_template_free(t);
    sample_setup(state);
    envelope.sender = (char *) (uintptr_t) "";
    envelope.tls_optional = true;
    dsn.to = "postmaster@example.org";
    save(directory, "double");
}

static void writes_samples(void **state)
{
    const char *directory = getenv("BARID_DSN_SAMPLES");
    save(directory, "plain");
    dsn.original = SPAN("Subject: \xc3\xa4\r\nMessage-ID: <8@bit>\r\n\r\nbody \xff\r\n");
    save(directory, "eightbit");
    dsn.original = SPAN("Subject: nul\r\n\r\nbody \0\r\n");
    save(directory, "nul");
    dsn.original = SPAN("Subject: collision\r\n\r\n--=_01KDSNDSNDSNDSNDSNDSNDSNDS--\r\n");
    save(directory, "collision");
    dsn.original = span_of(plain_original);
    expiry_tells_how_long_and_the_last_answer(state);
    save(directory, "expired");
    set_remote(
        &verdicts[1], 554, "5.7.1",
        "long words, too many for their own good, follow and are folded over several lines, again and again");
    fill_recipients(20, "\"odd local\"@example.com");
    save(directory, "twenty");
    fill_recipients(MOST, "somebody@example.com");
    save(directory, "endless");
    sample_setup(state);
    make_mixed();
    save(directory, "mixed");
    sample_setup(state);
    make_internationalized(false);
    save(directory, "utf8");
    make_internationalized(true);
    save(directory, "global");
    sample_setup(state);
    save_others(state, directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_FRESH(has_header_and_three_parts),
        TEST_FRESH(own_verdicts_have_no_remote_fields),
        TEST_FRESH(expiry_tells_how_long_and_the_last_answer),
        TEST_FRESH(folds_and_cuts_a_remotes_words),
        TEST_FRESH(names_a_remote_without_name_by_its_address),
        TEST_FRESH(repeats_only_a_real_message_id),
        TEST_FRESH(quotes_an_odd_display_name),
        TEST_FRESH(lists_every_recipient_with_fewer_words_when_many),
        TEST_FRESH(says_how_many_recipients_it_could_not_list),
        TEST_FRESH(adds_to_what_is_in_the_buffer),
    };
    const struct CMUnitTest samples[] = {TEST_FRESH(writes_samples)};
    if (getenv("BARID_DSN_SAMPLES"))
        return cmocka_run_group_tests_name("mail/dsn samples", samples, NULL, NULL);
    return cmocka_run_group_tests_name("mail/dsn", tests, NULL, NULL);
}
