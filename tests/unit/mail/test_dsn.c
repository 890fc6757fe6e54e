/*
 * Delivery status notifications. With BARID_DSN_SAMPLES=directory the program writes some of them there instead, for
 * test_dsn_parses.py, which reads them with a MIME library that is not ours.
 */
#include <stdlib.h>

#include "mail/dsn.h"
#include "mail_test.h"

enum { MOST = 3000 };

static struct verdict verdicts[4];
static struct recipient recipients[1];
static struct envelope envelope;
static struct dsn_recipient failed[MOST];
static struct dsn dsn;
static struct buf out;

static const char plain_original[] =
    "Received: from a (b [192.0.2.1])\r\n\tby c; today\r\n"
    "From: sender@example.org\r\nMessage-ID:\r\n <orig.1@example.org>\r\nSubject: hello\r\n\r\n"
    "Body with one line\r\n.dot\r\nno final line end";

static void set_remote(struct verdict *v, unsigned code, const char *status, const char *text)
{
    verdict_done(v);
    *v = (struct verdict){
        .class = code < 500 ? VERDICT_DEFERRED : VERDICT_FAILED, .code = code, .from_remote = true};
    snprintf(v->status, sizeof v->status, "%s", status);
    v->text = mem_string(text);
    v->remote = mem_string("mx.example.com [192.0.2.7]:25");
}

static int setup(void **state)
{
    (void) state;
    recipients[0] = (struct recipient){.addr = (char *) (uintptr_t) "bob@example.com"};
    envelope = (struct envelope){
        .sender = (char *) (uintptr_t) "sender@example.org",
        .recipients = recipients,
        .recipient_count = 1,
        .arrival_ms = 1795331745000,
        .size_bytes = sizeof plain_original - 1,
    };
    assert_int_equal(id_parse(SPAN("01KTESTTESTTESTTESTTESTTE0"), &envelope.id), 0);
    set_remote(&verdicts[0], 550, "5.1.1", "5.1.1 <bob@example.com>: no such user");
    failed[0] = (struct dsn_recipient){.addr = "bob@example.com", .verdict = &verdicts[0]};
    dsn = (struct dsn){
        .reporting_name = "relay.example",
        .from_name = "Mail Delivery System",
        .envelope = &envelope,
        .recipients = failed,
        .recipient_count = 1,
        .wall_ms = 1795331745000 + 60000,
        .last_attempt_ms = 1795331745000 + 59000,
        .attempts = 1,
        .original = SPAN(plain_original),
        .original_is_whole = true,
        .max_original_bytes = 51200,
    };
    assert_int_equal(id_parse(SPAN("01KDSNDSNDSNDSNDSNDSNDSNDS"), &dsn.id), 0);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++)
        verdict_done(&verdicts[i]);
    buf_done(&out);
    return 0;
}

/* What holds for every notification: CRLF lines of at most 998 bytes, no NUL, no bare CR, within DSN_MAX, header without 8-bit bytes. */
static struct dsn_written write_checked(void)
{
    struct span original = exact_copy(dsn.original);
    struct span kept = dsn.original;
    dsn.original = original;
    buf_clear(&out);
    struct dsn_written written = dsn_write(&dsn, &out);
    dsn.original = kept;
    exact_free(original);
    assert_true(out.len <= DSN_MAX);
    bool has_8bit = false;
    for (size_t i = 0; i < out.len; i++)
        has_8bit = has_8bit || (unsigned char) out.data[i] > 0x7f;
    assert_int_equal(written.is_8bit, has_8bit);
    struct span rest = buf_span(&out);
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');
        assert_true(line.len > 0 && line.at[line.len - 1] == '\r');
        assert_true(line.len - 1 <= 998);
        assert_null(memchr(line.at, '\0', line.len));
        assert_null(memchr(line.at, '\r', line.len - 1));
    }
    assert_true(written.recipient_count > 0);
    return written;
}

static void expect(const char *text)
{
    if (!has_text(&out, text)) {
        print_error("missing: %s\n%.*s\n", text, SPAN_ARG(buf_span(&out)));
        fail();
    }
}

static void expect_not(const char *text)
{
    if (has_text(&out, text)) {
        print_error("unwanted: %s\n%.*s\n", text, SPAN_ARG(buf_span(&out)));
        fail();
    }
}

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
    expect("\r\nMessage-ID: <01KDSNDSNDSNDSNDSNDSNDSNDS@relay.example>\r\n");
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
        "    <bob@example.com>:\r\n    mx.example.com [192.0.2.7]:25 answered: 550 5.1.1 <bob@example.com>: no\r\n    such user\r\n");
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

static size_t count_of(const char *text)
{
    size_t count = 0, len = strlen(text);
    for (const char *at = out.data; (at = memmem(at, out.len - (size_t) (at - out.data), text, len));
         at += len)
        count++;
    return count;
}

static void fill_recipients(size_t count, const char *addr)
{
    for (size_t i = 0; i < count; i++)
        failed[i] = (struct dsn_recipient){.addr = addr, .verdict = &verdicts[i % 2]};
    dsn.recipient_count = count;
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
    dsn.original = SPAN(plain_original);
    expiry_tells_how_long_and_the_last_answer(state);
    save(directory, "expired");
    set_remote(
        &verdicts[1], 554, "5.7.1",
        "long words, too many for their own good, follow and are folded over several lines, again and again");
    fill_recipients(20, "\"odd local\"@example.com");
    save(directory, "twenty");
    fill_recipients(MOST, "somebody@example.com");
    save(directory, "endless");
}

#define TEST_FRESH(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_FRESH(has_header_and_three_parts),
        TEST_FRESH(own_verdicts_have_no_remote_fields),
        TEST_FRESH(expiry_tells_how_long_and_the_last_answer),
        TEST_FRESH(folds_and_cuts_a_remotes_words),
        TEST_FRESH(names_a_remote_without_name_by_its_address),
        TEST_FRESH(returns_a_large_or_cut_original_as_header),
        TEST_FRESH(returns_hostile_originals_in_a_valid_way),
        TEST_FRESH(leaves_out_what_is_too_long_for_mail),
        TEST_FRESH(finds_a_boundary_the_original_has_not),
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
