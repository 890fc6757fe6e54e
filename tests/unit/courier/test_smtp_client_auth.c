/* AUTH: which mechanism, where, what is said; a host that refuses us; and hosts that are not who they should be. */
#include "base/base64.h"
#include "client_scene.h"
#include "io/crypto.h"

/* The exchange of RFC 7677 section 3. */
#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define FULL_NONCE NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SIGNATURE "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const struct client_terms inside = {
    .tls = CLIENT_TLS_MUST, .user = "user", .password = "pencil", .nonce = NONCE};
static const struct client_terms private = {
    .is_private = true, .user = "user", .password = "pencil", .nonce = NONCE};

#define AUTH_OFFER(mechanisms) "250-mx.one.test\r\n250-AUTH " mechanisms "\r\n250 PIPELINING\r\n"

static void begin_private(struct scene *s, const struct client_terms *terms, const char *offer)
{
    begin_with(s, terms);
    hear(s, "220 mx.one.test\r\n");
    assert_said(s, "EHLO us.test\r\n");
    hear(s, offer);
}

/* The remote's 334 with these bytes. */
static void challenge(struct scene *s, const char *text)
{
    AUTO_BUF struct buf line = {0};

    buf_add_text(&line, "334 ");
    base64_encode(span_of(text), &line);
    buf_add(&line, "\r\n", sizeof("\r\n"));
    hear(s, line.data);
}

/* The client says base64 of this. */
static void assert_response(struct scene *s, const char *before, const char *text)
{
    AUTO_BUF struct buf line = {0};

    buf_add_text(&line, before);
    base64_encode(span_of(text), &line);
    buf_add(&line, "\r\n", sizeof("\r\n"));
    assert_said(s, line.data);
}

static void give_key(struct scene *s)
{
    struct span password, salt;
    uint32_t iterations;
    uint8_t key[CLIENT_KEY_BYTES];

    assert_int_equal(smtp_client_ask(s->client), ASK_KEY);
    smtp_client_key_request(s->client, &password, &salt, &iterations);
    crypto_pbkdf2(password, salt, iterations, key);
    smtp_client_key(s->client, key, &s->out);
}

/* ---- the mechanisms ---- */

static void plain_dialogue(struct scene *s)
{
    hear(s, "220 mx.one.test\r\n250-mx.one.test\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n");
    assert_said(s, "EHLO us.test\r\nSTARTTLS\r\n");
    hear(s, "220 go\r\n");
    smtp_client_secured(s->client, true, &s->out);
    assert_said(s, "EHLO us.test\r\n");
    hear(s, AUTH_OFFER("LOGIN PLAIN"));
    assert_said(s, "AUTH PLAIN AHVzZXIAcGVuY2ls\r\n");
    assert_int_equal(smtp_client_ask(s->client), ASK_REPLY);
    hear(s, "235 2.7.0 welcome\r\n");
    assert_int_equal(smtp_client_ask(s->client), ASK_MESSAGE);
    smtp_client_send(s->client, message(s, 1), &s->out); /* what was offered still counts */
    assert_said(s, "MAIL FROM:<s@us.test>\r\nRCPT TO:<a@one.test>\r\nDATA\r\n");
}

/* proves: H04 H20 */
static void plain_is_said_inside_tls_at_every_split(void **state UNUSED)
{
    for (size_t piece = 1; piece < 60; piece++) {
        struct scene s;

        begin_with(&s, &inside);
        s.piece = piece;
        plain_dialogue(&s);
        end(&s);
    }
}

static void login_answers_two_questions(void **state UNUSED)
{
    struct scene s;

    begin_private(&s, &private, AUTH_OFFER("LOGIN"));
    assert_said(&s, "AUTH LOGIN\r\n");
    challenge(&s, "Username:");
    assert_response(&s, "", "user");
    challenge(&s, "Password:");
    assert_response(&s, "", "pencil");
    hear(&s, "235 ok\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
}

static void scram_up_to_key(struct scene *s)
{
    begin_private(s, &private, AUTH_OFFER("LOGIN PLAIN SCRAM-SHA-1 SCRAM-SHA-256"));
    assert_response(s, "AUTH SCRAM-SHA-256 ", "n,,n=user,r=" NONCE);
}

static void scram_up_to_proof(struct scene *s)
{
    scram_up_to_key(s);
    challenge(s, "r=" FULL_NONCE ",s=" SALT ",i=4096");
    assert_said(s, "");
    give_key(s);
    assert_response(s, "", "c=biws,r=" FULL_NONCE ",p=" PROOF);
    assert_int_equal(smtp_client_ask(s->client), ASK_REPLY);
}

static void scram_proves_that_both_know_the_password(void **state UNUSED)
{
    for (size_t piece = 1; piece < 60; piece++) {
        struct scene s;

        scram_up_to_proof(&s);
        s.piece = piece;
        challenge(&s, "v=" SIGNATURE);
        assert_said(&s, "\r\n");
        assert_int_equal(smtp_client_ask(s.client), ASK_REPLY);
        hear(&s, "235 2.7.0 ok\r\n");
        assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
        end(&s);
    }
}

static void a_name_with_commas_is_still_one_name(void **state UNUSED)
{
    static const struct client_terms terms = {
        .is_private = true, .user = "a,b=c", .password = "x", .nonce = "N"};
    struct scene s;

    begin_private(&s, &terms, AUTH_OFFER("SCRAM-SHA-256"));
    assert_response(&s, "AUTH SCRAM-SHA-256 ", "n,,n=a=2Cb=3Dc,r=N");
    end(&s);
}

static void a_nonce_is_used_once(void **state UNUSED)
{
    static const struct client_terms terms = {.is_private = true, .user = "user", .password = "pencil"};
    AUTO_BUF struct buf first = {0};

    for (size_t i = 0; i < 2; i++) {
        struct scene s;

        begin_private(&s, &terms, AUTH_OFFER("SCRAM-SHA-256"));
        assert_true(s.out.len > strlen("AUTH SCRAM-SHA-256 ") + 40);
        if (i > 0)
            assert_false(span_equal(buf_span(&first), buf_span(&s.out)));
        buf_add_span(&first, buf_span(&s.out));
        end(&s);
    }
}

static void only_allowed_mechanisms_are_used(void **state UNUSED)
{
    static char *items[] = {(char *) (uintptr_t) "login", (char *) (uintptr_t) "CRAM-MD5"};
    static const struct conf_list list = {.items = items, .count = 2};
    static const struct client_terms terms = {
        .is_private = true, .user = "user", .password = "pencil", .mechanisms = &list};
    struct scene s;

    begin_private(&s, &terms, AUTH_OFFER("SCRAM-SHA-256 PLAIN LOGIN"));
    assert_said(&s, "AUTH LOGIN\r\n");
    end(&s);
    begin_private(&s, &terms, AUTH_OFFER("SCRAM-SHA-256 PLAIN CRAM-MD5"));
    assert_said(&s, "");
    assert_fault(&s, FAULT_AUTH, "4.7.8");
    end(&s);
}

/* A command is 512 octets at most: what is longer waits for its 334. */
static void a_long_password_is_said_in_a_line_of_its_own(void **state UNUSED)
{
    static char password[1001];
    static const struct client_terms terms = {.is_private = true, .user = "user", .password = password};
    AUTO_BUF struct buf whole = {0}, line = {0};
    struct scene s;

    memset(password, 'x', sizeof(password) - 1);
    buf_add(&whole, "\0user", sizeof("\0user"));
    buf_add_text(&whole, password);
    base64_encode(buf_span(&whole), &line);
    buf_add(&line, "\r\n", sizeof("\r\n"));
    begin_private(&s, &terms, AUTH_OFFER("PLAIN"));
    assert_said(&s, "AUTH PLAIN\r\n");
    hear(&s, "334 \r\n");
    assert_said(&s, line.data);
    hear(&s, "235 ok\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_MESSAGE);
    end(&s);
    begin_private(&s, &terms, AUTH_OFFER("PLAIN"));
    hear(&s, "235 ok\r\n"); /* before we said anything */
    assert_fault(&s, FAULT_AUTH, "4.7.8");
    end(&s);
}

/* RFC 4954 section 5 */
static void who_submitted_the_mail_is_told_to_whom_we_log_in(void **state UNUSED)
{
    static const struct {
        const char *auth, *said;
    } cases[] = {{NULL, "MAIL FROM:<s@us.test>\r\n"},
                 {"", "MAIL FROM:<s@us.test> AUTH=<>\r\n"},
                 {"e+m=c2@us.test", "MAIL FROM:<s@us.test> AUTH=e+2Bm+3Dc2@us.test\r\n"},
                 {"\xc3\xa4@us.test", "MAIL FROM:<s@us.test> AUTH=<>\r\n"}};
    static const struct client_terms nobody = {.is_private = true};

    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        struct scene s;

        begin_private(&s, i % 2 ? &nobody : &private, "250-mx.one.test\r\n250 AUTH PLAIN\r\n");
        if (i % 2 == 0)
            hear(&s, "235 ok\r\n");
        buf_clear(&s.out);
        message(&s, 1);
        s.envelope.auth = (char *) (uintptr_t) cases[i / 2].auth;
        smtp_client_send(s.client, &s.message, &s.out);
        assert_said(&s, i % 2 ? cases[0].said : cases[i / 2].said);
        end(&s);
    }
}

/* ---- where ---- */

/* proves: H20 */
static void nothing_secret_is_said_in_plain(void **state UNUSED)
{
    static const struct client_terms never = {.user = "user", .password = "pencil"},
                                     may = {.tls = CLIENT_TLS_MAY, .user = "user", .password = "pencil"};
    static const char *const offers[] = {AUTH_OFFER("SCRAM-SHA-256"), AUTH_OFFER("PLAIN LOGIN"),
                                         "250-mx.one.test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"};

    for (size_t i = 0; i < 2 * ARRAY_LEN(offers); i++) {
        struct scene s;

        begin_private(&s, i % 2 ? &may : &never, offers[i / 2]);
        if (smtp_client_ask(s.client) == ASK_REPLY) {
            assert_said(&s, "STARTTLS\r\n");
            hear(&s, "454 4.7.0 no TLS today\r\n");
        }
        assert_said(&s, "");
        assert_fault(&s, FAULT_AUTH, "4.7.8");
        end(&s);
    }
}

/* proves: H04 H20 */
static void a_host_without_auth_gets_no_mail_of_a_login(void **state UNUSED)
{
    static const char *const offers[] = {"250 mx.one.test\r\n", "250-mx.one.test\r\n250 AUTH\r\n",
                                         AUTH_OFFER("GSSAPI NTLM"), "502 what?\r\n250 mx.one.test\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        struct scene s;

        begin_private(&s, &private, offers[i]);
        buf_clear(&s.out);
        assert_fault(&s, FAULT_AUTH, "4.7.8");
        end(&s);
    }
}

/* ---- refused ---- */

/* proves: H20 */
static void a_refused_login_defers(void **state UNUSED)
{
    static const char *const replies[] = {"535 5.7.8 wrong\r\n", "534 5.7.9 too weak\r\n",
                                          "454 4.7.0 later\r\n", "432 4.7.12 change it\r\n",
                                          "500 what?\r\n",       "535-5.7.8 no\r\n535 5.7.8 no\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct scene s;

        begin_private(&s, &private, AUTH_OFFER("PLAIN"));
        buf_clear(&s.out);
        hear(&s, replies[i]);
        assert_fault(&s, FAULT_AUTH, "4.7.8");
        assert_non_null(
            strstr(smtp_client_fault_verdict(s.client)->text, "refused our login: ")); /* and its words */
        assert_non_null(strstr(smtp_client_fault_verdict(s.client)->text, i == 0 ? "535 5.7.8 wrong" : ""));
        end(&s);
    }
}

/* proves: H09 */
static void a_host_that_closes_instead_sends_us_to_the_next(void **state UNUSED)
{
    struct scene s;

    begin_private(&s, &private, AUTH_OFFER("PLAIN"));
    hear(&s, "421 4.3.2 not now\r\n");
    assert_fault(&s, FAULT_REFUSED, "4.3.2");
    end(&s);
}

/* proves: H20 */
static void what_we_said_is_not_repeated_in_the_verdict(void **state UNUSED)
{
    static const char *const replies[] = {
        "500 5.5.1 what is \"AUTH PLAIN AHVzZXIAcGVuY2ls\"?\r\n", "535 \"pencil\" is not it\r\n",
        "535-no\r\n535 AHVzZXIAcGVuY2ls\r\n", "421 5.5.1 AHVzZXIAcGVuY2ls!\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct scene s;

        begin_private(&s, &private, AUTH_OFFER("PLAIN"));
        hear(&s, replies[i]);
        assert_int_equal(smtp_client_ask(s.client), ASK_CLOSE);
        assert_null(strstr(smtp_client_fault_verdict(s.client)->text, "AHVzZXIA"));
        assert_null(strstr(smtp_client_fault_verdict(s.client)->text, "pencil"));
        end(&s);
    }
}

/* ---- hosts that are not who they should be ---- */

/* proves: H20 */
static void challenges_that_are_none_end_the_login(void **state UNUSED)
{
    static const char *const first[] = {
        "",
        "r=" FULL_NONCE,
        "r=" FULL_NONCE ",s=" SALT,
        "s=" SALT ",r=" FULL_NONCE ",i=4096",
        "r=" FULL_NONCE ",s=,i=4096",
        "r=" FULL_NONCE ",s=!!,i=4096",
        "r=" FULL_NONCE ",s=" SALT ",i=",
        "r=" FULL_NONCE ",s=" SALT ",i=0",
        "r=" FULL_NONCE ",s=" SALT ",i=4095",
        "r=" FULL_NONCE ",s=" SALT ",i=-1",
        "r=" FULL_NONCE ",s=" SALT ",i=1000001", /* a key that takes for ever */
        "r=" FULL_NONCE ",s=" SALT ",i=99999999999999999999999",
        "m=new,r=" FULL_NONCE ",s=" SALT ",i=4096",
        "r=" NONCE ",s=" SALT ",i=4096",           /* nothing of its own */
        "r=other" FULL_NONCE ",s=" SALT ",i=4096", /* not ours */
        "r=rOprNGfw,s=" SALT ",i=4096",
        "r=" NONCE "\x01,s=" SALT ",i=4096",
        "e=unknown-user",
    };

    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        struct scene s;

        scram_up_to_key(&s);
        challenge(&s, first[i]);
        assert_said(&s, "");
        assert_fault(&s, FAULT_AUTH, "4.7.8");
        end(&s);
    }
}

/* proves: H20 */
static void challenges_that_are_no_base64_end_the_login(void **state UNUSED)
{
    static const char *const replies[] = {"334 r=x\r\n", "334 ====\r\n", "334 A\r\n", "334 \xff\xff\r\n",
                                          "334-a\r\n334 b\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct scene s;

        scram_up_to_key(&s);
        hear(&s, replies[i]);
        assert_said(&s, "");
        assert_fault(&s, FAULT_AUTH, "4.7.8");
        end(&s);
    }
}

static void assert_unproven(struct scene *s)
{
    assert_said(s, "");
    assert_fault(s, FAULT_AUTH, "4.7.8");
    assert_string_equal(smtp_client_fault_verdict(s->client)->text,
                        "the mail host did not prove that it knows our password");
}

/* proves: H20 */
static void a_host_that_does_not_know_our_password_gets_no_mail(void **state UNUSED)
{
    static const char *const finals[] = {("v=" PROOF), "v=", "v=AAAA", "e=invalid-proof", "", "v=!"};
    struct scene s;

    for (size_t i = 0; i < ARRAY_LEN(finals); i++) {
        scram_up_to_proof(&s);
        challenge(&s, finals[i]);
        assert_unproven(&s);
        end(&s);
    }
    scram_up_to_proof(&s); /* it lets anybody in */
    hear(&s, "235 2.7.0 welcome\r\n");
    assert_unproven(&s);
    end(&s);
    scram_up_to_key(&s);
    hear(&s, "235 2.7.0 welcome\r\n");
    assert_unproven(&s);
    end(&s);
}

/* proves: H20 */
static void nobody_is_asked_without_end(void **state UNUSED)
{
    struct scene s;

    begin_private(&s, &private, AUTH_OFFER("LOGIN"));
    for (size_t i = 0; i < 2; i++)
        hear(&s, "334 \r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_REPLY);
    hear(&s, "334 \r\n");
    assert_fault(&s, FAULT_AUTH, "4.7.8");
    end(&s);
    begin_private(&s, &private, AUTH_OFFER("PLAIN"));
    hear(&s, "334 and?\r\n");
    assert_fault(&s, FAULT_AUTH, "4.7.8");
    end(&s);
}

static void nothing_is_read_while_the_key_is_made(void **state UNUSED)
{
    struct scene s;

    scram_up_to_key(&s);
    challenge(&s, "r=" FULL_NONCE ",s=" SALT ",i=4096");
    assert_int_equal(smtp_client_feed(s.client, SPAN("235 ok\r\n"), &s.out), 0);
    assert_int_equal(smtp_client_ask(s.client), ASK_KEY);
    smtp_client_end(s.client, FAULT_LOST, NULL); /* it is not waited for either */
    assert_int_equal(smtp_client_ask(s.client), ASK_CLOSE);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_is_said_inside_tls_at_every_split),
        cmocka_unit_test(login_answers_two_questions),
        cmocka_unit_test(scram_proves_that_both_know_the_password),
        cmocka_unit_test(a_name_with_commas_is_still_one_name),
        cmocka_unit_test(a_nonce_is_used_once),
        cmocka_unit_test(only_allowed_mechanisms_are_used),
        cmocka_unit_test(a_long_password_is_said_in_a_line_of_its_own),
        cmocka_unit_test(who_submitted_the_mail_is_told_to_whom_we_log_in),
        cmocka_unit_test(nothing_secret_is_said_in_plain),
        cmocka_unit_test(a_host_without_auth_gets_no_mail_of_a_login),
        cmocka_unit_test(a_refused_login_defers),
        cmocka_unit_test(a_host_that_closes_instead_sends_us_to_the_next),
        cmocka_unit_test(what_we_said_is_not_repeated_in_the_verdict),
        cmocka_unit_test(challenges_that_are_none_end_the_login),
        cmocka_unit_test(challenges_that_are_no_base64_end_the_login),
        cmocka_unit_test(a_host_that_does_not_know_our_password_gets_no_mail),
        cmocka_unit_test(nobody_is_asked_without_end),
        cmocka_unit_test(nothing_is_read_while_the_key_is_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
