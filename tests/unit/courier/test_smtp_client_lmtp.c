/* LMTP (RFC 2033): one reply for each accepted recipient behind the dot, each its own verdict. */
#include "client_scene.h"

static const struct client_terms lmtp = {.is_lmtp = true};

#define STORE "250-store.one.test\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n"
#define BINARY_STORE "250-store.one.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 BINARYMIME\r\n"

static void begin_lmtp(struct scene *s, const char *offer)
{
    begin_with(s, &lmtp);
    hear(s, "220 store.one.test LMTP\r\n");
    assert_said(s, "LHLO us.test\r\n");
    hear(s, offer);
    assert_int_equal(smtp_client_ask(s->client), ASK_MESSAGE);
}

/* Four recipients, the second of which is refused; up to the dot. */
static void send_to_four(struct scene *s)
{
    smtp_client_send(s->client, message(s, 4), &s->out);
    hear(s, "250 ok\r\n250 ok\r\n550 5.1.1 no such user\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    send_content(s, "x\r\n");
    buf_clear(&s->out);
}

static void mixed_dialogue(struct scene *s)
{
    send_to_four(s);
    hear(s, "250 2.1.5 a has it\r\n");
    assert_int_equal(smtp_client_ask(s->client), ASK_REPLY);
    hear(s, "452 4.2.2 c is full\r\n");
    assert_int_equal(smtp_client_ask(s->client), ASK_REPLY);
    hear(s, "550 5.2.0 d takes none\r\n");
    assert_ptr_equal(smtp_client_result(s->client), &s->message);
    assert_int_equal(s->message.fault, FAULT_NONE);
    assert_verdict(&s->verdicts[0], VERDICT_DELIVERED, 250, "2.1.5");
    assert_verdict(&s->verdicts[1], VERDICT_FAILED, 550, "5.1.1");
    assert_verdict(&s->verdicts[2], VERDICT_DEFERRED, 452, "4.2.2");
    assert_verdict(&s->verdicts[3], VERDICT_FAILED, 550, "5.2.0");
    assert_string_equal(s->verdicts[2].text, "4.2.2 c is full");
    assert_int_equal(smtp_client_ask(s->client), ASK_MESSAGE);
}

/* proves: H05 H11 */
static void each_accepted_recipient_has_its_own_verdict_at_every_split(void **state UNUSED)
{
    for (size_t piece = 1; piece < 40; piece++) {
        struct scene s;

        begin_lmtp(&s, STORE);
        s.piece = piece;
        mixed_dialogue(&s);
        end(&s);
    }
}

/* proves: H13 A05 */
static void a_connection_lost_between_the_replies_leaves_the_rest_in_doubt(void **state UNUSED)
{
    static const char *const replies[] = {"", "250 a has it\r\n", "250 a has it\r\n550 c takes none\r\n"};

    for (size_t count = 0; count < ARRAY_LEN(replies); count++) {
        struct scene s;

        begin_lmtp(&s, STORE);
        send_to_four(&s);
        hear(&s, replies[count]);
        smtp_client_end(s.client, FAULT_LOST, "closed by the host");
        assert_ptr_equal(smtp_client_result(s.client), &s.message);
        assert_int_equal(s.verdicts[0].class, count > 0 ? VERDICT_DELIVERED : VERDICT_DEFERRED);
        assert_int_equal(s.verdicts[0].in_doubt, count == 0);
        assert_verdict(&s.verdicts[1], VERDICT_FAILED, 550, "5.1.1");
        assert_int_equal(s.verdicts[2].class, count > 1 ? VERDICT_FAILED : VERDICT_DEFERRED);
        assert_int_equal(s.verdicts[2].in_doubt, count <= 1);
        assert_int_equal(s.verdicts[3].class, VERDICT_DEFERRED);
        assert_true(s.verdicts[3].in_doubt);
        end(&s);
    }
}

/* proves: H09 H13 */
static void a_store_that_closes_between_the_replies_answers_one(void **state UNUSED)
{
    struct scene s;

    begin_lmtp(&s, STORE);
    send_to_four(&s);
    hear(&s, "250 a has it\r\n421 4.3.2 going down\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_int_equal(s.verdicts[0].class, VERDICT_DELIVERED);
    assert_verdict(&s.verdicts[2], VERDICT_DEFERRED, 421, "4.3.2");
    assert_false(s.verdicts[2].in_doubt);
    assert_true(s.verdicts[3].in_doubt);
    assert_int_equal(smtp_client_ask(s.client), ASK_CLOSE);
    end(&s);
}

/* proves: H06 H13 */
static void nonsense_between_the_replies_leaves_the_rest_in_doubt(void **state UNUSED)
{
    struct scene s;

    begin_lmtp(&s, STORE);
    send_to_four(&s);
    hear(&s, "354 what?\r\nhello\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_int_equal(s.verdicts[0].class, VERDICT_DEFERRED); /* a yes out of place is none */
    assert_true(s.verdicts[2].in_doubt && s.verdicts[3].in_doubt);
    end(&s);
}

static void one_reply_too_many_ends_the_connection_only(void **state UNUSED)
{
    struct scene s;

    begin_lmtp(&s, STORE);
    send_to_four(&s);
    hear(&s, "250 a\r\n250 c\r\n250 d\r\n250 and?\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_int_equal(s.verdicts[3].class, VERDICT_DELIVERED);
    hear(&s, "250 and?\r\n");
    assert_fault(&s, FAULT_BAD_REPLY, "4.4.0");
    end(&s);
}

/* proves: H10 */
static void without_an_accepted_recipient_nothing_is_sent(void **state UNUSED)
{
    struct scene s;

    begin_lmtp(&s, STORE);
    smtp_client_send(s.client, message(&s, 1), &s.out);
    buf_clear(&s.out);
    hear(&s, "250 ok\r\n550 5.1.1 no\r\n503 5.5.1 nobody to send to\r\n");
    assert_said(&s, "RSET\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_verdict(&s.verdicts[0], VERDICT_FAILED, 550, "5.1.1");
    end(&s);
    begin_lmtp(&s, STORE);
    smtp_client_send(s.client, message(&s, 1), &s.out);
    buf_clear(&s.out);
    hear(&s, "250 ok\r\n450 4.2.0 later\r\n354 go\r\n"); /* how many replies would an empty dot have? */
    assert_said(&s, "");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_verdict(&s.verdicts[0], VERDICT_DEFERRED, 450, "4.2.0");
    assert_int_equal(smtp_client_ask(s.client), ASK_CLOSE);
    end(&s);
}

static void the_last_piece_has_one_reply_each_too(void **state UNUSED)
{
    struct scene s;

    begin_lmtp(&s, BINARY_STORE);
    message(&s, 3);
    s.envelope.is_binary = true;
    smtp_client_send(s.client, &s.message, &s.out);
    hear(&s, "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n");
    smtp_client_content(s.client, SPAN("x\n"), &s.out);
    smtp_client_content_end(s.client, &s.out);
    hear(&s, "250 2 octets\r\n"); /* one for the piece */
    buf_clear(&s.out);
    assert_int_equal(smtp_client_ask(s.client), ASK_DOT);
    smtp_client_dot(s.client, &s.out);
    assert_said(&s, "BDAT 0 LAST\r\n");
    hear(&s, "452 4.2.2 full\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_REPLY);
    hear(&s, "250 2.0.0 c has it\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    assert_verdict(&s.verdicts[0], VERDICT_DEFERRED, 452, "4.2.2");
    assert_verdict(&s.verdicts[1], VERDICT_FAILED, 550, "5.0.0");
    assert_verdict(&s.verdicts[2], VERDICT_DELIVERED, 250, "2.0.0");
    end(&s);
}

static void the_next_message_waits_behind_all_of_them(void **state UNUSED)
{
    struct scene s;

    begin_lmtp(&s, STORE);
    send_to_four(&s);
    assert_true(smtp_client_has_room(s.client));
    s.second_envelope = s.envelope;
    s.second = (struct client_message){
        .envelope = &s.second_envelope, .recipients = indexes + 1, .verdicts = s.second_verdicts, .count = 1};
    smtp_client_send(s.client, &s.second, &s.out);
    hear(&s, "250 a\r\n250 c\r\n250 d\r\n250 sender ok\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.message);
    hear(&s, "250 sender ok\r\n250 ok\r\n354 go\r\n");
    send_content(&s, "y\r\n");
    hear(&s, "250 2.0.0 b\r\n");
    assert_ptr_equal(smtp_client_result(s.client), &s.second);
    assert_verdict(&s.second_verdicts[0], VERDICT_DELIVERED, 250, "2.0.0");
    end(&s);
}

static void there_is_no_helo_in_it(void **state UNUSED)
{
    struct scene s;

    begin_with(&s, &lmtp);
    hear(&s, "220 store.one.test\r\n500 5.5.1 this is SMTP\r\n");
    assert_said(&s, "LHLO us.test\r\n");
    assert_fault(&s, FAULT_REFUSED, "4.4.0");
    end(&s);
}

static void a_store_with_our_own_name_is_no_loop(void **state UNUSED)
{
    struct scene s;

    begin_with(&s, &lmtp);
    hear(&s, "220 us.test LMTP\r\n250 us.test\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
}

/* proves: H04 */
static void it_may_be_secured_too(void **state UNUSED)
{
    static const struct client_terms terms = {
        .is_lmtp = true, .tls = CLIENT_TLS_MUST, .helo_name = "out2.us.test"};
    struct scene s;

    begin_with(&s, &terms);
    hear(&s, "220 store.one.test\r\n250-store.one.test\r\n250 STARTTLS\r\n");
    assert_said(&s, "LHLO out2.us.test\r\nSTARTTLS\r\n");
    hear(&s, "220 go\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_TLS);
    smtp_client_secured(s.client, true, &s.out);
    assert_said(&s, "LHLO out2.us.test\r\n");
    hear(&s, STORE);
    mixed_dialogue(&s);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_accepted_recipient_has_its_own_verdict_at_every_split),
        cmocka_unit_test(a_connection_lost_between_the_replies_leaves_the_rest_in_doubt),
        cmocka_unit_test(a_store_that_closes_between_the_replies_answers_one),
        cmocka_unit_test(nonsense_between_the_replies_leaves_the_rest_in_doubt),
        cmocka_unit_test(one_reply_too_many_ends_the_connection_only),
        cmocka_unit_test(without_an_accepted_recipient_nothing_is_sent),
        cmocka_unit_test(the_last_piece_has_one_reply_each_too),
        cmocka_unit_test(the_next_message_waits_behind_all_of_them),
        cmocka_unit_test(there_is_no_helo_in_it),
        cmocka_unit_test(a_store_with_our_own_name_is_no_loop),
        cmocka_unit_test(it_may_be_secured_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
