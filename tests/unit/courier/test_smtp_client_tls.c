/* STARTTLS: when it is asked for, what follows a no, and that nothing said in plain counts behind it. REQUIRETLS, which builds on it. */
#include "client_scene.h"

static const struct client_terms never = {.tls = CLIENT_TLS_NEVER}, may = {.tls = CLIENT_TLS_MAY},
                                 must_have = {.tls = CLIENT_TLS_MUST};

#define TLS_OFFER "250-mx.one.test\r\n250-PIPELINING\r\n250-SIZE 9\r\n250 STARTTLS\r\n"

/* Up to STARTTLS. */
static void begin_tls(struct scene *s, const struct client_terms *terms)
{
    begin_with(s, terms);
    hear(s, "220 mx.one.test ESMTP\r\n");
    hear(s, TLS_OFFER);
    assert_said(s, "EHLO us.test\r\nSTARTTLS\r\n");
    assert_int_equal(smtp_client_ask(s->client), ASK_REPLY);
}

static void secure(struct scene *s, bool is_proven, const char *ehlo_reply)
{
    hear(s, "220 2.0.0 go\r\n");
    assert_int_equal(smtp_client_ask(s->client), ASK_TLS);
    assert_false(smtp_client_is_secured(s->client));
    smtp_client_secured(s->client, is_proven, &s->out);
    assert_true(smtp_client_is_secured(s->client));
    assert_said(s, "EHLO us.test\r\n");
    hear(s, ehlo_reply);
}

static void secured_dialogue(struct scene *s)
{
    hear(s, "220 mx.one.test ESMTP\r\n");
    hear(s, TLS_OFFER);
    assert_said(s, "EHLO us.test\r\nSTARTTLS\r\n");
    secure(s, false, "250-mx.one.test\r\n250 8BITMIME\r\n");
    smtp_client_send(s->client, message(s, 1), &s->out);
    assert_said(s, "MAIL FROM:<s@us.test>\r\n"); /* neither SIZE nor pipelining: both were offered in plain */
}

/* proves: H04 */
static void what_was_offered_in_plain_is_forgotten_at_every_split(void **state UNUSED)
{
    for (size_t piece = 1; piece < 60; piece++) {
        struct scene s;

        begin_with(&s, &may);
        s.piece = piece;
        secured_dialogue(&s);
        end(&s);
    }
}

/* RFC 8314 section 3: no word before the handshake, and no STARTTLS behind it. */
static void comes_before_the_greeting_where_it_is_wrapped_around_all(void **state UNUSED)
{
    static const struct client_terms wrapped = {.tls = CLIENT_TLS_MUST, .is_wrapped = true};
    struct scene s;

    begin_with(&s, &wrapped);
    assert_said(&s, "");
    assert_int_equal(smtp_client_ask(s.client), ASK_TLS);
    smtp_client_secured(s.client, true, &s.out);
    assert_said(&s, "");
    assert_int_equal(smtp_client_ask(s.client), ASK_REPLY);
    assert_int_equal(smtp_client_limit(s.client), LIMIT_GREETING);
    hear(&s, "220 smart.test ESMTP\r\n");
    assert_said(&s, "EHLO us.test\r\n");
    hear(&s, TLS_OFFER);
    assert_said(&s, "");
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
    begin_with(&s, &wrapped);
    hear(&s, "220 smart.test in plain\r\n");
    assert_int_equal(smtp_client_fault(s.client), FAULT_BAD_REPLY);
    end(&s);
}

static void is_not_asked_for_twice_or_where_it_is_not_wanted(void **state UNUSED)
{
    struct scene s;

    begin_tls(&s, &must_have);
    secure(&s, false, TLS_OFFER);
    assert_said(&s, "");
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
    begin_with(&s, &never);
    greet(&s, TLS_OFFER);
    assert_said(&s, "");
    end(&s);
}

/* proves: L02 */
static void what_stands_behind_its_220_is_never_read(void **state UNUSED)
{
    static const char *const injected[] = {
        "220 go\r\n250-mx.one.test\r\n250 AUTH PLAIN\r\n",
        "220 go\r\n2",
        "220 go\r\n\x16\x03\x03",
        "220-more\r\n220 go\r\n421 bye\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(injected); i++) {
        struct scene s;

        begin_tls(&s, &may);
        hear(&s, injected[i]);
        assert_fault(&s, FAULT_BAD_REPLY, "4.5.0");
        assert_false(smtp_client_is_secured(s.client));
        assert_said(&s, "");
        end(&s);
    }
}

/* proves: L02 */
static void what_comes_in_plain_before_the_handshake_is_never_read(void **state UNUSED)
{
    struct scene s;

    begin_tls(&s, &may);
    hear(&s, "220 go\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_TLS);
    hear(&s, "250 mx.one.test\r\n");
    assert_fault(&s, FAULT_BAD_REPLY, "4.5.0");
    end(&s);
}

/* proves: L03 */
static void a_refusal_leaves_it_plain_unless_it_must_be(void **state UNUSED)
{
    static const char *const refusals[] = {"454 4.7.0 no certificate\r\n", "502 5.5.1 what?\r\n",
                                           "554 5.7.3 no\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct scene s;

        begin_tls(&s, &may);
        hear(&s, refusals[i]);
        assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
        assert_false(smtp_client_is_secured(s.client));
        smtp_client_send(s.client, message(&s, 1), &s.out);
        assert_said(&s, "MAIL FROM:<s@us.test> SIZE=5\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
        end(&s);
        begin_tls(&s, &must_have);
        hear(&s, refusals[i]);
        assert_fault(&s, FAULT_TLS, "4.7.4");
        end(&s);
    }
}

/* proves: L03 */
static void without_an_offer_it_stays_plain_unless_it_must_be(void **state UNUSED)
{
    static const char *const replies[] = {"250-mx.one.test\r\n250 8BITMIME\r\n",
                                          "250-mx.one.test\r\n250 XXXXXXXA\r\n", /* stripped on the way */
                                          "502 no\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        for (size_t is_must = 0; is_must < 2; is_must++) {
            struct scene s;

            begin_with(&s, is_must ? &must_have : &may);
            hear(&s, "220 mx.one.test\r\n");
            hear(&s, replies[i]);
            if (replies[i][0] == '5')
                hear(&s, "250 mx.one.test\r\n"); /* to HELO */
            if (is_must)
                assert_fault(&s, FAULT_TLS, "4.7.4");
            else
                assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
            end(&s);
        }
    }
}

static void an_answer_that_is_neither_yes_nor_no_ends_it(void **state UNUSED)
{
    static const char *const replies[] = {"250 ok\r\n", "354 go\r\n", "221 bye\r\n", "hello\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct scene s;

        begin_tls(&s, &may);
        hear(&s, replies[i]);
        assert_fault(&s, FAULT_BAD_REPLY, "4.5.0");
        end(&s);
    }
}

/* proves: H09 */
static void a_host_that_closes_instead_sends_us_to_the_next(void **state UNUSED)
{
    struct scene s;

    begin_tls(&s, &may);
    hear(&s, "421 4.3.2 not now\r\n");
    assert_fault(&s, FAULT_REFUSED, "4.3.2");
    end(&s);
    begin_tls(&s, &may);
    secure(&s, true, "421 4.3.2 not now\r\n");
    assert_fault(&s, FAULT_REFUSED, "4.3.2");
    end(&s);
}

/* proves: L03 */
static void a_handshake_that_failed_is_told_with_its_reason(void **state UNUSED)
{
    struct scene s;

    begin_tls(&s, &must_have);
    hear(&s, "220 go\r\n");
    smtp_client_end(s.client, FAULT_TLS, "certificate has expired");
    assert_fault(&s, FAULT_TLS, "4.7.5");
    assert_string_equal(smtp_client_fault_verdict(s.client)->text,
                        "TLS with the mail host failed: certificate has expired");
    end(&s);
}

/* proves: H22 */
static void knows_its_own_cluster_inside_tls(void **state UNUSED)
{
    struct scene s;

    begin_tls(&s, &may);
    secure(&s, false, "250 us.test\r\n");
    assert_int_equal(smtp_client_fault(s.client), FAULT_LOOP);
    end(&s);
}

/* ---- REQUIRETLS */

#define KEEPS "250-mx.one.test\r\n250-PIPELINING\r\n250 REQUIRETLS\r\n"

static void give_demanding(struct scene *s)
{
    message(s, 1);
    s->envelope.requires_tls = true;
    smtp_client_send(s->client, &s->message, &s->out);
}

static void assert_unfit(struct scene *s)
{
    assert_said(s, "");
    assert_ptr_equal(smtp_client_result(s->client), &s->message);
    assert_int_equal(s->message.fault, FAULT_UNFIT);
    assert_verdict(&s->message.fault_verdict, VERDICT_FAILED, 0, "5.7.30");
    assert_int_equal(s->verdicts[0].class, VERDICT_NONE);
    assert_int_equal(smtp_client_ask(s->client), ASK_MESSAGE); /* for others it is as good as before */
}

/* proves: L15 */
static void mail_that_must_stay_protected_says_so_to_a_proven_host(void **state UNUSED)
{
    struct scene s;

    begin_tls(&s, &must_have);
    secure(&s, true, KEEPS);
    give_demanding(&s);
    assert_said(&s, "MAIL FROM:<s@us.test> REQUIRETLS\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    end(&s);
    begin_tls(&s, &must_have);
    secure(&s, true, KEEPS);
    smtp_client_send(s.client, message(&s, 1), &s.out);
    assert_said(&s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
    end(&s);
}

/* proves: L15 */
static void it_goes_nowhere_else(void **state UNUSED)
{
    struct scene s;

    begin_tls(&s, &must_have); /* nobody knows who it is */
    secure(&s, false, KEEPS);
    give_demanding(&s);
    assert_unfit(&s);
    end(&s);
    begin_tls(&s, &must_have); /* it promises nothing */
    secure(&s, true, "250 mx.one.test\r\n");
    give_demanding(&s);
    assert_unfit(&s);
    end(&s);
    begin_with(&s, &never); /* it promises in plain */
    greet(&s, KEEPS);
    give_demanding(&s);
    assert_unfit(&s);
    end(&s);
}

/* proves: L15 */
static void a_mail_store_on_this_machine_is_the_end_of_the_way(void **state UNUSED)
{
    static const struct client_terms private = {.is_lmtp = true, .is_private = true},
                                     open = {.is_lmtp = true};
    struct scene s;

    for (size_t i = 0; i < 2; i++) {
        begin_with(&s, i == 0 ? &private : &open);
        hear(&s, "220 mx.one.test\r\n250-mx.one.test\r\n250 PIPELINING\r\n");
        buf_clear(&s.out);
        give_demanding(&s);
        if (i == 0)
            assert_said(&s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
        else
            assert_unfit(&s);
        end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_offered_in_plain_is_forgotten_at_every_split),
        cmocka_unit_test(comes_before_the_greeting_where_it_is_wrapped_around_all),
        cmocka_unit_test(is_not_asked_for_twice_or_where_it_is_not_wanted),
        cmocka_unit_test(what_stands_behind_its_220_is_never_read),
        cmocka_unit_test(what_comes_in_plain_before_the_handshake_is_never_read),
        cmocka_unit_test(a_refusal_leaves_it_plain_unless_it_must_be),
        cmocka_unit_test(without_an_offer_it_stays_plain_unless_it_must_be),
        cmocka_unit_test(an_answer_that_is_neither_yes_nor_no_ends_it),
        cmocka_unit_test(a_host_that_closes_instead_sends_us_to_the_next),
        cmocka_unit_test(a_handshake_that_failed_is_told_with_its_reason),
        cmocka_unit_test(knows_its_own_cluster_inside_tls),
        cmocka_unit_test(mail_that_must_stay_protected_says_so_to_a_proven_host),
        cmocka_unit_test(it_goes_nowhere_else),
        cmocka_unit_test(a_mail_store_on_this_machine_is_the_end_of_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
