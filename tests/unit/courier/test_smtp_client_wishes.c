/* What the sender asked for, passed on to hosts that offer it; and mail that a host cannot take. */
#include "client_scene.h"

static char *text(const char *literal)
{
    return (char *) (uintptr_t) literal;
}

#define UMLAUT "\xc3\xa4"

static void begin_at(struct scene *s, const char *offer, size_t count)
{
    begin(s);
    greet(s, offer);
    message(s, count);
}

static void give(struct scene *s)
{
    smtp_client_send(s->client, &s->message, &s->out);
}

static void assert_unfit(struct scene *s, const char *status)
{
    assert_said(s, "");
    assert_int_equal(smtp_client_ask(s->client), ASK_RESULT);
    assert_ptr_equal(smtp_client_result(s->client), &s->message);
    assert_int_equal(s->message.fault, FAULT_UNFIT);
    assert_verdict(&s->message.fault_verdict, VERDICT_FAILED, 0, status);
    assert_int_equal(s->verdicts[0].class, VERDICT_NONE);
    assert_int_equal(smtp_client_ask(s->client), ASK_MESSAGE); /* for others it is as good as before */
}

/* ---- notifications ---- */

static void ask_for_notifications(struct scene *s)
{
    s->envelope.ret = RET_HDRS;
    s->envelope.envid = text("a+2Bb");
    s->recipients[0].notify = NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY;
    s->recipients[0].orcpt = text("rfc822;A+2Bx@one.test");
    s->recipients[1].notify = NOTIFY_NEVER;
}

/* proves: K13 K14 H04 */
static void notification_wishes_go_on_as_they_came(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, OFFER("250-DSN\r\n"), 3);
    ask_for_notifications(&s);
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test> RET=HDRS ENVID=a+2Bb\r\n"
                    "RCPT TO:<a@one.test> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;A+2Bx@one.test\r\n"
                    "RCPT TO:<b@one.test> NOTIFY=NEVER\r\nRCPT TO:<c@one.test>\r\nDATA\r\n");
    assert_true(s.message.is_dsn_passed);
    end(&s);
}

/* proves: K13 H04 */
static void a_host_without_dsn_hears_none_of_them(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, OFFER(""), 2);
    ask_for_notifications(&s);
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test>\r\nRCPT TO:<b@one.test>\r\nDATA\r\n");
    assert_false(s.message.is_dsn_passed);
    end(&s);
}

/* ---- SMTPUTF8 ---- */

/* proves: N03 */
static void internationalized_mail_says_so(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, OFFER("250-SMTPUTF8\r\n"), 1);
    s.envelope.is_utf8 = true;
    s.envelope.sender = text(UMLAUT "@us.test");
    give(&s);
    assert_said(&s, "MAIL FROM:<" UMLAUT "@us.test> SMTPUTF8\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    end(&s);
    begin_at(&s, OFFER("250-SMTPUTF8\r\n"), 1);
    s.envelope.is_utf8 = s.envelope.has_utf8_header = true;
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test> SMTPUTF8\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    end(&s);
}

/* proves: N04 */
static void mail_that_does_not_need_it_does_not_say_it(void **state UNUSED)
{
    static const char *const offers[] = {OFFER("250-SMTPUTF8\r\n"), OFFER("")};

    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        struct scene s;

        begin_at(&s, offers[i], 1);
        s.envelope.is_utf8 = true;
        give(&s);
        assert_said(&s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
        end(&s);
    }
}

/* proves: N03 */
static void a_host_without_it_is_the_wrong_host(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, OFFER(""), 1);
    s.envelope.sender = text(UMLAUT "@us.test");
    give(&s);
    assert_unfit(&s, "5.6.7");
    end(&s);
    begin_at(&s, OFFER(""), 2);
    s.recipients[0].addr = s.recipients[1].addr = text(UMLAUT "@one.test");
    give(&s);
    assert_unfit(&s, "5.6.7");
    end(&s);
    begin_at(&s, OFFER(""), 1);
    s.envelope.has_utf8_header = true;
    give(&s);
    assert_unfit(&s, "5.6.9");
    end(&s);
}

static void mixed_dialogue(struct scene *s, const char *offer, bool is_pipelined)
{
    begin_at(s, offer, 3);
    s->recipients[1].addr = text(UMLAUT "@one.test");
    give(s);
    hear(s, "250 ok\r\n");
    if (is_pipelined)
        assert_said(s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test>\r\nRCPT TO:<c@one.test>\r\nDATA\r\n");
    hear(s, "250 ok\r\n");
    hear(s, "250 ok\r\n");
    hear(s, "354 go\r\n");
    send_content(s, "x\r\n");
    hear(s, "250 ok\r\n");
    assert_ptr_equal(smtp_client_result(s->client), &s->message);
    assert_int_equal(s->message.fault, FAULT_NONE);
    assert_int_equal(s->verdicts[0].class, VERDICT_DELIVERED);
    assert_int_equal(s->verdicts[1].class, VERDICT_NONE); /* for another host */
    assert_int_equal(s->verdicts[2].class, VERDICT_DELIVERED);
    end(s);
}

/* proves: N06 */
static void only_the_internationalized_recipients_are_left_out(void **state UNUSED)
{
    struct scene s;

    mixed_dialogue(&s, OFFER(""), true);
    mixed_dialogue(&s, "250 mx.one.test\r\n", false);
}

/* proves: K13 */
static void an_internationalized_orcpt_is_said_in_ascii_where_it_must(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, OFFER("250-DSN\r\n"), 1);
    s.recipients[0].orcpt = text("utf-8;" UMLAUT "@x\\x{20}");
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test> ORCPT=utf-8;\\x{E4}@x\\x{20}\r\nDATA\r\n");
    end(&s);
    begin_at(&s, OFFER("250-DSN\r\n250-SMTPUTF8\r\n"), 1);
    s.recipients[0].orcpt = text("utf-8;" UMLAUT "@x");
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test> SMTPUTF8\r\nRCPT TO:<a@one.test> ORCPT=utf-8;" UMLAUT
                    "@x\r\nDATA\r\n");
    end(&s);
}

/* ---- binary content ---- */

#define BINARY OFFER("250-CHUNKING\r\n250-BINARYMIME\r\n")

static void send_piece(struct scene *s, struct span content)
{
    assert_int_equal(smtp_client_ask(s->client), ASK_CONTENT);
    smtp_client_content(s->client, content, &s->out);
}

/* proves: H18 */
static void binary_content_goes_by_bdat_as_it_is(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, BINARY, 2);
    s.envelope.is_binary = true;
    give(&s);
    assert_said(&s,
                "MAIL FROM:<s@us.test> BODY=BINARYMIME\r\nRCPT TO:<a@one.test>\r\nRCPT TO:<b@one.test>\r\n");
    hear(&s, "250 ok\r\n250 ok\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_REPLY);
    hear(&s, "550 5.1.1 no\r\n");
    send_piece(&s, SPAN("\r\n.\r\na\nb\r"));
    assert_said(&s, "BDAT 9\r\n\r\n.\r\na\nb\r");
    assert_int_equal(smtp_client_ask(s.client), ASK_REPLY);
    hear(&s, "250 9 octets\r\n");
    send_piece(&s, SPAN("."));
    smtp_client_content_end(s.client, &s.out);
    assert_said(&s, "BDAT 1\r\n.");
    assert_int_equal(smtp_client_ask(s.client), ASK_REPLY); /* the last piece is answered before the end */
    hear(&s, "250 1 octet\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_DOT);
    assert_false(s.message.dot_sent);
    smtp_client_dot(s.client, &s.out);
    assert_said(&s, "BDAT 0 LAST\r\n");
    assert_true(s.message.dot_sent);
    hear(&s, "250 2.0.0 taken\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_verdict(&s.verdicts[0], VERDICT_DELIVERED, 250, "2.0.0");
    assert_verdict(&s.verdicts[1], VERDICT_FAILED, 550, "5.1.1");
    end(&s);
}

static void begin_piece(struct scene *s)
{
    begin_at(s, BINARY, 1);
    s->envelope.is_binary = true;
    give(s);
    hear(s, "250 ok\r\n250 ok\r\n");
    send_piece(s, SPAN("x"));
    buf_clear(&s->out);
}

/* proves: H05 */
static void a_refused_piece_ends_the_transaction_only(void **state UNUSED)
{
    struct scene s;

    begin_piece(&s);
    hear(&s, "452 4.3.1 full\r\n");
    assert_said(&s, "RSET\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_verdict(&s.verdicts[0], VERDICT_DEFERRED, 452, "4.3.1");
    assert_false(s.message.dot_sent);
    hear(&s, "250 ok\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
}

/* proves: H13 A05 */
static void only_the_last_piece_leaves_a_doubt(void **state UNUSED)
{
    struct scene s;

    begin_piece(&s);
    smtp_client_end(s.client, FAULT_LOST, NULL);
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_int_equal(s.verdicts[0].class, VERDICT_NONE);
    end(&s);
    begin_piece(&s);
    smtp_client_content_end(s.client, &s.out);
    hear(&s, "250 ok\r\n");
    smtp_client_dot(s.client, &s.out);
    smtp_client_end(s.client, FAULT_LOST, NULL);
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_true(s.verdicts[0].in_doubt);
    end(&s);
}

/* proves: H09 */
static void a_host_that_closes_on_a_piece_defers(void **state UNUSED)
{
    struct scene s;

    begin_piece(&s);
    hear(&s, "421 4.3.2 going down\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_verdict(&s.verdicts[0], VERDICT_DEFERRED, 421, "4.3.2");
    assert_int_equal(smtp_client_ask(s.client), ASK_CLOSE);
    end(&s);
}

/* proves: H10 */
static void nothing_is_sent_by_bdat_for_nobody(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, BINARY, 1);
    s.envelope.is_binary = true;
    give(&s);
    buf_clear(&s.out);
    hear(&s, "250 ok\r\n550 5.1.1 no\r\n");
    assert_said(&s, "RSET\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_RESULT);
    end(&s);
    begin_at(&s, BINARY, 1);
    s.envelope.is_binary = true;
    give(&s);
    hear(&s, "550 5.7.1 no\r\n503 no\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_verdict(&s.verdicts[0], VERDICT_FAILED, 550, "5.7.1");
    end(&s);
}

/* A choice (docs/choices.md): converting it would break signatures. */
/* proves: H18 H04 */
static void eight_bit_content_goes_as_it_is(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, "250-mx.one.test\r\n250 PIPELINING\r\n", 1);
    s.envelope.is_8bit = true;
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    hear(&s, "250 ok\r\n250 ok\r\n354 go\r\n");
    send_content(&s, UMLAUT "\r\n");
    assert_said(&s, UMLAUT "\r\n.\r\n");
    end(&s);
}

/* Measured: nothing is gained by BDAT for content that DATA can carry (docs/choices.md). */
static void text_goes_by_data_also_where_bdat_is_offered(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, BINARY, 1);
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    end(&s);
}

/* proves: H18 */
static void binary_content_goes_nowhere_else(void **state UNUSED)
{
    static const char *const offers[] = {OFFER(""), OFFER("250-CHUNKING\r\n"), OFFER("250-BINARYMIME\r\n")};

    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        struct scene s;

        begin_at(&s, offers[i], 1);
        s.envelope.is_binary = true;
        give(&s);
        assert_unfit(&s, "5.6.3");
        end(&s);
    }
}

/* ---- time ---- */

static void deliver_by(struct scene *s, enum by_mode mode, int64_t left_s)
{
    s->envelope.by_mode = mode;
    s->message.by_left_s = left_s;
}

static void what_is_left_of_the_time_goes_on(void **state UNUSED)
{
    struct scene s;

    begin_at(&s, OFFER("250-DELIVERBY 60\r\n"), 1);
    deliver_by(&s, BY_RETURN, 119);
    s.envelope.by_trace = true;
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test> BY=119;RT\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    end(&s);
    begin_at(&s, OFFER("250-DELIVERBY\r\n"), 1);
    deliver_by(&s, BY_NOTIFY, -5);
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test> BY=-5;N\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    end(&s);
    begin_at(&s, OFFER(""), 1);
    deliver_by(&s, BY_NOTIFY, 9);
    give(&s);
    assert_said(&s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    end(&s);
}

static void mail_to_be_returned_when_late_goes_where_the_clock_is_watched(void **state UNUSED)
{
    static const struct {
        const char *offer;
        int64_t left_s;
    } cases[] = {{OFFER(""), 100}, {OFFER("250-DELIVERBY 60\r\n"), 59}, {OFFER("250-DELIVERBY\r\n"), 0}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene s;

        begin_at(&s, cases[i].offer, 1);
        deliver_by(&s, BY_RETURN, cases[i].left_s);
        give(&s);
        assert_unfit(&s, "5.4.7");
        end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notification_wishes_go_on_as_they_came),
        cmocka_unit_test(a_host_without_dsn_hears_none_of_them),
        cmocka_unit_test(internationalized_mail_says_so),
        cmocka_unit_test(mail_that_does_not_need_it_does_not_say_it),
        cmocka_unit_test(a_host_without_it_is_the_wrong_host),
        cmocka_unit_test(only_the_internationalized_recipients_are_left_out),
        cmocka_unit_test(an_internationalized_orcpt_is_said_in_ascii_where_it_must),
        cmocka_unit_test(binary_content_goes_by_bdat_as_it_is),
        cmocka_unit_test(a_refused_piece_ends_the_transaction_only),
        cmocka_unit_test(only_the_last_piece_leaves_a_doubt),
        cmocka_unit_test(a_host_that_closes_on_a_piece_defers),
        cmocka_unit_test(nothing_is_sent_by_bdat_for_nobody),
        cmocka_unit_test(eight_bit_content_goes_as_it_is),
        cmocka_unit_test(text_goes_by_data_also_where_bdat_is_offered),
        cmocka_unit_test(binary_content_goes_nowhere_else),
        cmocka_unit_test(what_is_left_of_the_time_goes_on),
        cmocka_unit_test(mail_to_be_returned_when_late_goes_where_the_clock_is_watched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
