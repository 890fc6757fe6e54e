/* The client engine in memory: what it says, and what it makes of the replies. */
#include "client_scene.h"

/* ---- normal path ---- */

static void pipelined_dialogue(struct scene *s)
{
    greet(s, PIPELINING);
    message(s, 2);
    s->envelope.is_8bit = true;
    smtp_client_send(s->client, &s->message, &s->out);
    assert_said(
        s,
        "MAIL FROM:<s@us.test> SIZE=5 BODY=8BITMIME\r\nRCPT TO:<a@one.test>\r\nRCPT TO:<b@one.test>\r\nDATA\r\n");
    hear(s, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.1.5 ok\r\n354 go\r\n");
    send_content(s, "x\r\n.\r\n");
    assert_said(s, "x\r\n..\r\n.\r\n");
    hear(s, "250-2.0.0 queued\r\n250 2.0.0 as 7\r\n");
    assert_int_equal(smtp_client_ask(s->client), ASK_RESULT);
    assert_ptr_equal(smtp_client_result(s->client), &s->message);
    assert_verdict(&s->verdicts[0], VERDICT_DELIVERED, 250, "2.0.0");
    assert_verdict(&s->verdicts[1], VERDICT_DELIVERED, 250, "2.0.0");
    assert_int_equal(smtp_client_ask(s->client), ASK_MESSAGE);
    smtp_client_quit(s->client, &s->out);
    assert_said(s, "QUIT\r\n");
    hear(s, "221 bye\r\n");
    assert_int_equal(smtp_client_ask(s->client), ASK_CLOSE);
}

/* proves: H04 H05 H11 H12 H14 */
static void sends_a_message_with_pipelining_at_every_split(void **state UNUSED)
{
    for (size_t piece = 1; piece < 60; piece++) {
        struct scene s;

        begin(&s);
        s.piece = piece;
        pipelined_dialogue(&s);
        end(&s);
    }
}

/* proves: H04 H11 */
static void waits_for_each_reply_without_pipelining(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, "250 mx.one.test\r\n");
    smtp_client_send(s.client, message(&s, 2), &s.out);
    assert_said(&s, "MAIL FROM:<s@us.test>\r\n");
    hear(&s, "250 ok\r\n");
    assert_said(&s, "RCPT TO:<a@one.test>\r\n");
    hear(&s, "250 ok\r\n");
    assert_said(&s, "RCPT TO:<b@one.test>\r\n");
    hear(&s, "550 5.1.1 no such user\r\n");
    assert_said(&s, "DATA\r\n");
    hear(&s, "354 go\r\n");
    send_content(&s, "hello");
    assert_said(&s, "hello\r\n.\r\n");
    hear(&s, "250 ok\r\n");
    assert_non_null(smtp_client_result(s.client));
    assert_verdict(&s.verdicts[0], VERDICT_DELIVERED, 250, "2.0.0");
    assert_verdict(&s.verdicts[1], VERDICT_FAILED, 550, "5.1.1");
    end(&s);
}

/* proves: H01 */
static void falls_back_to_helo(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    hear(&s, "220 old\r\n");
    assert_said(&s, "EHLO us.test\r\n");
    hear(&s, "502 what?\r\n");
    assert_said(&s, "HELO us.test\r\n");
    hear(&s, "250 old\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
}

static void pipelines_the_next_message_behind_the_dot(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    assert_false(smtp_client_has_room(s.client));
    smtp_client_send(s.client, message(&s, 1), &s.out);
    hear(&s, "250 ok\r\n250 ok\r\n354 go\r\n");
    buf_clear(&s.out);
    send_content(&s, "one\r\n");
    assert_true(smtp_client_has_room(s.client));
    s.second_envelope = s.envelope;
    s.second_envelope.sender = (char *) (uintptr_t) "";
    s.second_envelope.size_bytes = 3;
    s.second = (struct client_message){
        .envelope = &s.second_envelope, .recipients = indexes + 1, .verdicts = s.second_verdicts, .count = 1};
    smtp_client_send(s.client, &s.second, &s.out);
    assert_said(&s, "one\r\n.\r\nMAIL FROM:<> SIZE=3\r\nRCPT TO:<b@one.test>\r\nDATA\r\n");
    assert_false(smtp_client_has_room(s.client));
    hear(&s, "250 2.0.0 one is in\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    hear(&s, "250 ok\r\n250 ok\r\n354 go\r\n");
    assert_verdict(&s.verdicts[0], VERDICT_DELIVERED, 250, "2.0.0");
    assert_ptr_equal(smtp_client_current(s.client), &s.second);
    assert_int_equal(smtp_client_ask(s.client), ASK_CONTENT);
    send_content(&s, "two\r\n");
    hear(&s, "452 4.3.1 full\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.second);
    assert_verdict(&s.second_verdicts[0], VERDICT_DEFERRED, 452, "4.3.1");
    end(&s);
}

/* ---- refusals ---- */

/* proves: H05 */
static void mail_refused_decides_all_recipients(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    smtp_client_send(s.client, message(&s, 2), &s.out);
    hear(&s, "553 5.1.8 sender?\r\n503 no\r\n503 no\r\n503 no\r\n");
    assert_non_null(smtp_client_result(s.client));
    assert_verdict(&s.verdicts[0], VERDICT_FAILED, 553, "5.1.8");
    assert_verdict(&s.verdicts[1], VERDICT_FAILED, 553, "5.1.8");
    assert_int_equal(s.message.fault, FAULT_NONE);
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
}

/* proves: H10 */
static void answers_354_without_recipients_with_a_lone_dot(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    smtp_client_send(s.client, message(&s, 1), &s.out);
    buf_clear(&s.out);
    hear(&s, "250 ok\r\n451 4.2.1 later\r\n354 go\r\n");
    assert_said(&s, ".\r\n");
    hear(&s, "554 no recipients\r\n");
    assert_non_null(smtp_client_result(s.client));
    assert_verdict(&s.verdicts[0], VERDICT_DEFERRED, 451, "4.2.1");
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
}

/* proves: H08 */
static void leaves_recipients_over_the_limit_undecided(void **state UNUSED)
{
    static const char *const replies[] = {"452 4.5.3 too many\r\n", "552 too many\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct scene s;

        begin(&s);
        greet(&s, PIPELINING);
        smtp_client_send(s.client, message(&s, 2), &s.out);
        hear(&s, "250 ok\r\n250 ok\r\n");
        hear(&s, replies[i]);
        hear(&s, "354 go\r\n");
        send_content(&s, "x");
        hear(&s, "250 ok\r\n");
        assert_non_null(smtp_client_result(s.client));
        assert_int_equal(s.verdicts[0].class, VERDICT_DELIVERED);
        assert_int_equal(s.verdicts[1].class, VERDICT_NONE);
        assert_int_equal(s.message.fault, FAULT_NONE);
        end(&s);
    }
}

/* proves: H08 */
static void takes_552_for_the_first_recipient_as_it_is(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    smtp_client_send(s.client, message(&s, 1), &s.out);
    hear(&s, "250 ok\r\n552 5.2.2 mailbox full\r\n503 no\r\n");
    assert_non_null(smtp_client_result(s.client));
    assert_verdict(&s.verdicts[0], VERDICT_FAILED, 552, "5.2.2");
    end(&s);
}

/* proves: H19 */
static void fails_a_message_above_the_remote_limit_without_sending_it(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    message(&s, 1);
    s.envelope.size_bytes = 1001;
    smtp_client_send(s.client, &s.message, &s.out);
    assert_said(&s, "");
    assert_non_null(smtp_client_result(s.client));
    assert_verdict(&s.verdicts[0], VERDICT_FAILED, 0, "5.3.4");
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
}

/* proves: H03 */
static void a_refused_greeting_is_the_hosts_fault(void **state UNUSED)
{
    static const char *const greetings[] = {"421 busy\r\n", "450 later\r\n", "554 no\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
        struct scene s;

        begin(&s);
        hear(&s, greetings[i]);
        assert_int_equal(smtp_client_ask(s.client), ASK_CLOSE);
        assert_int_equal(smtp_client_fault(s.client), FAULT_REFUSED);
        assert_int_equal(smtp_client_fault_verdict(s.client)->class, VERDICT_DEFERRED);
        end(&s);
    }
}

/* proves: H22 */
static void knows_its_own_cluster(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    hear(&s, "220 US.test ESMTP\r\n");
    assert_int_equal(smtp_client_fault(s.client), FAULT_LOOP);
    end(&s);
}

/* ---- what ends a connection ---- */

/* proves: H09 */
static void closing_at_any_step_leaves_the_message_unsent(void **state UNUSED)
{
    static const char *const replies[] = {"421 bye\r\n", "250 ok\r\n421 bye\r\n",
                                          "250 ok\r\n250 ok\r\n421 bye\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct scene s;

        begin(&s);
        greet(&s, PIPELINING);
        smtp_client_send(s.client, message(&s, 1), &s.out);
        hear(&s, replies[i]);
        assert_non_null(smtp_client_result(s.client));
        assert_int_equal(s.message.fault, FAULT_CLOSING);
        assert_int_not_equal(s.verdicts[0].class, VERDICT_DELIVERED);
        assert_int_not_equal(s.verdicts[0].class, VERDICT_FAILED);
        assert_int_equal(smtp_client_ask(s.client), ASK_CLOSE);
        end(&s);
    }
}

/* proves: H13 A05 */
static void a_lost_reply_to_the_dot_leaves_it_in_doubt(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    smtp_client_send(s.client, message(&s, 2), &s.out);
    hear(&s, "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n");
    send_content(&s, "x");
    smtp_client_end(s.client, FAULT_LOST, "closed by the host");
    assert_non_null(smtp_client_result(s.client));
    assert_int_equal(s.verdicts[0].class, VERDICT_DEFERRED);
    assert_true(s.verdicts[0].in_doubt);
    assert_verdict(&s.verdicts[1], VERDICT_FAILED, 550, "5.1.1");
    end(&s);
}

static void a_connection_lost_before_the_dot_is_not_in_doubt(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    smtp_client_send(s.client, message(&s, 1), &s.out);
    hear(&s, "250 ok\r\n250 ok\r\n354 go\r\n");
    smtp_client_content(s.client, SPAN("x"), &s.out);
    smtp_client_end(s.client, FAULT_LOST, NULL);
    assert_non_null(smtp_client_result(s.client));
    assert_int_equal(s.message.fault, FAULT_LOST);
    assert_true(s.message.was_answered);
    assert_int_equal(s.verdicts[0].class, VERDICT_NONE);
    end(&s);
}

/* proves: H15 */
static void a_stale_connection_tells_that_nothing_was_answered(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    smtp_client_send(s.client, message(&s, 1), &s.out);
    smtp_client_end(s.client, FAULT_LOST, NULL);
    assert_non_null(smtp_client_result(s.client));
    assert_false(s.message.was_answered);
    end(&s);
}

/* proves: H06 H11 */
static void a_yes_out_of_place_is_no_delivery(void **state UNUSED)
{
    static const char *const replies[] = {
        "354 go\r\n250 ok\r\n354 go\r\n554 no\r\n", /* 354 to MAIL */
        "250 ok\r\n354 go\r\n554 no\r\n",           /* 354 to RCPT */
        "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n", /* 250 to DATA */
    };

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct scene s;

        begin(&s);
        greet(&s, PIPELINING);
        smtp_client_send(s.client, message(&s, 1), &s.out);
        hear(&s, replies[i]);
        assert_non_null(smtp_client_result(s.client));
        assert_int_equal(s.verdicts[0].class, VERDICT_DEFERRED);
        end(&s);
    }
}

/* proves: H06 H07 */
static void nonsense_ends_the_connection(void **state UNUSED)
{
    static const char *const replies[] = {
        "hello\r\n", "\r\n", "2\r\n", "999 what\r\n", "250-a\r\n550 b\r\n", "\x01\x02\xff\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct scene s;

        begin(&s);
        greet(&s, PIPELINING);
        smtp_client_send(s.client, message(&s, 1), &s.out);
        hear(&s, replies[i]);
        if (smtp_client_ask(s.client) == ASK_RESULT) {
            assert_non_null(smtp_client_result(s.client));
            assert_int_equal(s.verdicts[0].class, VERDICT_NONE);
            assert_int_equal(s.message.fault, FAULT_BAD_REPLY);
        }
        end(&s);
    }
}

/* proves: H07 */
static void an_endless_reply_is_cut_off(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    for (size_t i = 0; i < 100000 && smtp_client_ask(s.client) != ASK_CLOSE; i++)
        hear(&s, "250-more\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_CLOSE);
    end(&s);
}

static void speaking_unasked_ends_an_idle_connection(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    hear(&s, "421 4.4.2 idle too long\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_CLOSE);
    assert_int_equal(smtp_client_fault(s.client), FAULT_CLOSING);
    end(&s);
}

static void an_abort_before_the_dot_hands_the_message_back(void **state UNUSED)
{
    struct scene s;

    begin(&s);
    greet(&s, PIPELINING);
    smtp_client_send(s.client, message(&s, 1), &s.out);
    hear(&s, "250 ok\r\n250 ok\r\n354 go\r\n");
    smtp_client_content(s.client, SPAN("x\r\n"), &s.out);
    smtp_client_content_end(s.client, &s.out);
    smtp_client_end(s.client, FAULT_ABORTED, "lost touch");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_int_equal(s.message.fault, FAULT_ABORTED);
    assert_false(s.message.dot_sent);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_a_message_with_pipelining_at_every_split),
        cmocka_unit_test(waits_for_each_reply_without_pipelining),
        cmocka_unit_test(falls_back_to_helo),
        cmocka_unit_test(pipelines_the_next_message_behind_the_dot),
        cmocka_unit_test(mail_refused_decides_all_recipients),
        cmocka_unit_test(answers_354_without_recipients_with_a_lone_dot),
        cmocka_unit_test(leaves_recipients_over_the_limit_undecided),
        cmocka_unit_test(takes_552_for_the_first_recipient_as_it_is),
        cmocka_unit_test(fails_a_message_above_the_remote_limit_without_sending_it),
        cmocka_unit_test(a_refused_greeting_is_the_hosts_fault),
        cmocka_unit_test(knows_its_own_cluster),
        cmocka_unit_test(closing_at_any_step_leaves_the_message_unsent),
        cmocka_unit_test(a_lost_reply_to_the_dot_leaves_it_in_doubt),
        cmocka_unit_test(a_connection_lost_before_the_dot_is_not_in_doubt),
        cmocka_unit_test(a_stale_connection_tells_that_nothing_was_answered),
        cmocka_unit_test(a_yes_out_of_place_is_no_delivery),
        cmocka_unit_test(nonsense_ends_the_connection),
        cmocka_unit_test(an_endless_reply_is_cut_off),
        cmocka_unit_test(speaking_unasked_ends_an_idle_connection),
        cmocka_unit_test(an_abort_before_the_dot_hands_the_message_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
