/* What the client engine tells of a connection to who listens, however the host's bytes come. */
#include "base/base64.h"
#include "client_scene.h"
#include "io/crypto.h"
#include "tests/unit/mail/ear.h"

#define NONCE "rOprNGfwEbeRWgbNEkqO"

static void begin_told(struct scene *s, const struct client_terms *terms, size_t piece)
{
    begin_with(s, terms);
    s->piece = piece;
    ear_forget();
    smtp_client_tell(s->client, &ear.dialog);
}

static void over(struct scene *s)
{
    end(s);
    ear_forget();
}

static const struct client_terms plain = {.tls = CLIENT_TLS_NEVER};

static void tells_a_message(void **state)
{
    (void) state;
    for (size_t piece = 1; piece < 60; piece += 29) {
        struct scene s;
        begin_told(&s, &plain, piece);
        hear(&s, "220 mx.one.test ESMTP\r\n" PIPELINING);
        smtp_client_send(s.client, message(&s, 2), &s.out);
        hear(&s, "250 2.1.0 fine\r\n250 2.1.5 fine\r\n550-5.1.1 who\r\n550 5.1.1 is that\r\n354 go\r\n");
        send_content(&s, ".hidden\r\n");
        hear(&s, "250 2.0.0 taken\r\n");
        (void) smtp_client_result(s.client);
        smtp_client_quit(s.client, &s.out);
        ear_must_have(
            "< 220 mx.one.test ESMTP\n> EHLO us.test\n< 250-mx.one.test\n< 250-PIPELINING\n< 250-SIZE 1000\n"
            "< 250 8BITMIME\n> MAIL FROM:<s@us.test> SIZE=");
        ear_must_have(
            "> RCPT TO:<a@one.test>\n> RCPT TO:<b@one.test>\n> DATA\n< 250 2.1.0 fine\n< 250 2.1.5 fine\n"
            "< 550-5.1.1 who\n< 550 5.1.1 is that\n< 354 go\n> (content: 10 octets)\n> .\n< 250 2.0.0 taken\n> QUIT\n");
        ear_must_not_have("hidden");
        over(&s);
    }
}

static void tells_chunks_by_their_size(void **state)
{
    (void) state;
    struct scene s;
    begin_told(&s, &plain, SIZE_MAX);
    hear(&s, "220 mx.one.test ESMTP\r\n" OFFER("250-CHUNKING\r\n250-BINARYMIME\r\n"));
    struct client_message *m = message(&s, 1);
    s.envelope.is_binary = true;
    smtp_client_send(s.client, m, &s.out);
    hear(&s, "250 ok\r\n250 ok\r\n");
    assert_int_equal(smtp_client_ask(s.client), ASK_CONTENT);
    smtp_client_content(s.client, SPAN("hidden\r\nAUTH hidden\r\n"), &s.out);
    hear(&s, "250 ok\r\n");
    smtp_client_content_end(s.client, &s.out);
    smtp_client_dot(s.client, &s.out);
    ear_must_have("> BDAT 21\n> (content: 21 octets)\n< 250 ok\n> BDAT 0 LAST\n");
    ear_must_not_have("hidden");
    over(&s);
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

/* The exchange of RFC 7677 section 3. */
#define SERVER_FIRST "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"

/* proves: D12 */
static void tells_no_secret_by_any_mechanism(void **state)
{
    (void) state;
    static const struct client_terms terms = {
        .is_private = true, .user = "user", .password = "pencil", .nonce = NONCE};
    AUTO_BUF struct buf first = {.data = NULL};
    struct scene s;

    begin_told(&s, &terms, 3);
    hear(&s, "220 mx.one.test\r\n250-mx.one.test\r\n250 AUTH PLAIN\r\n");
    hear(&s, "535 5.7.8 no AHVzZXIAcGVuY2ls here\r\n");
    ear_must_have("> AUTH PLAIN ***\n< 535 ");
    ear_must_not_have("AHVzZXIAcGVuY2ls");
    ear_must_not_have("pencil");
    over(&s);

    begin_told(&s, &terms, 3);
    hear(&s, "220 mx.one.test\r\n250-mx.one.test\r\n250 AUTH LOGIN\r\n");
    hear(&s, "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 in\r\n");
    ear_must_have("> AUTH LOGIN\n< 334 ***\n> ***\n< 334 ***\n> ***\n< 235 in\n");
    ear_must_not_have("cGVuY2ls");
    over(&s);

    begin_told(&s, &terms, 3);
    hear(&s, "220 mx.one.test\r\n250-mx.one.test\r\n250 AUTH SCRAM-SHA-256\r\n");
    buf_add_text(&first, "334 ");
    base64_encode(SPAN(SERVER_FIRST), &first);
    buf_add(&first, "\r\n", sizeof("\r\n"));
    hear(&s, first.data);
    give_key(&s);
    hear(&s, "334 dj02cnJpVFJCaTIzV3BSUi93dHVwK21NaFVaVW4vZEI1bkxUSlJzamw5NUc0PQ==\r\n235 in\r\n");
    ear_must_have("> AUTH SCRAM-SHA-256 ***\n< 334 ***\n> ***\n< 334 ***\n> ***\n< 235 in\n");
    over(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_a_message),
        cmocka_unit_test(tells_chunks_by_their_size),
        cmocka_unit_test(tells_no_secret_by_any_mechanism),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
