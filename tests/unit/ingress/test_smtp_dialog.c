/* What the SMTP server engine tells of a session to who listens, however the bytes come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/ingress/dialogue.h"
#include "tests/unit/mail/ear.h"

static struct smtp_server server;
static struct buf out;

static int setup(void **state UNUSED)
{
    test_limits_reset();
    test_profile.auth = SMTP_AUTH_OFFERED;
    test_profile.tls_mechanisms = "PLAIN LOGIN";
    smtp_server_init(&server, "mx.relay.example", &test_profile);
    server.dialog = &ear.dialog;
    server.is_secured = true;
    smtp_server_greet(&server, &test_greeting, 1000, &out);
    return 0;
}

static int teardown(void **state UNUSED)
{
    smtp_server_done(&server);
    test_limits_reset();
    ear_forget();
    buf_done(&out);
    return 0;
}

/* The owner's side: whatever is asked is granted; an exchange takes two rounds. */
static void answer(void)
{
    struct smtp_answer ok = {.code = 250, .status = "2.0.0", .text = "Ok"};

    switch ((enum smtp_ask) server.ask) {
    case SMTP_ASK_CONTENT:
    case SMTP_ASK_DROP: smtp_server_go_on(&server, 1000, &out); return;
    case SMTP_ASK_AUTH:
        if (server.sasl->step == SMTP_SASL_CANCEL) {
            smtp_server_go_on(&server, 1000, &out);
            return;
        }
        if (server.sasl->step == SMTP_SASL_START) {
            smtp_server_challenge(&server, SPAN("challenge"), 1000, &out);
            return;
        }
        ok.code = 235;
        break;
    case SMTP_ASK_BODY: ok.code = 354; break;
    case SMTP_ASK_SENDER:
    case SMTP_ASK_RECIPIENT:
    case SMTP_ASK_COMMIT: break;
    default: fail();
    }
    smtp_server_answer(&server, &ok, 1000, &out);
}

/* piece: bytes that come at once. */
static void say(const char *text, size_t piece)
{
    size_t len = strlen(text), given = 0, used = 0;

    while (used < len && server.ask != SMTP_ASK_CLOSE) {
        given = given < len && given - used < piece ? given + 1 : given;
        size_t n = smtp_server_feed(&server, (struct span){text + used, given - used}, 1000, &out);
        used += n;
        while (server.ask != SMTP_ASK_NONE && server.ask != SMTP_ASK_CLOSE)
            answer();
        if (n == 0 && given - used >= piece && given < len)
            given++;
    }
}

static void tells_a_session(void **state UNUSED)
{
    say("EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", 4096);
    say("Subject: hidden\r\n\r\n..hidden\r\n.\r\n", 4096);
    say("QUIT\r\n", 4096);
    ear_must_have("> 220 mx.relay.example ESMTP\n< EHLO client.example\n> 250-mx.relay.example\n");
    ear_must_have(
        "< MAIL FROM:<a@b.example>\n> 250 2.0.0 Ok\n< RCPT TO:<c@d.example>\n> 250 2.0.0 Ok\n< DATA\n> 354 ");
    ear_must_have("< (content: 32 octets)\n> 250 2.0.0 Ok\n< QUIT\n> 221 2.0.0 Bye\n");
    ear_must_not_have("hidden");
}

/* proves: D12 */
static void tells_no_secret_however_it_comes(void **state)
{
    static const char *const said[] = {"AUTH PLAIN AHNlY3JldABoaWRkZW4=\r\n",
                                       "AUTH PLAIN\r\nAHNlY3JldABoaWRkZW4=\r\nSECRET\r\n",
                                       "AUTH LOGIN\r\nc2VjcmV0\r\naGlkZGVu\r\n",
                                       "auth nothing c2VjcmV0\r\nc2VjcmV0\r\n", "AUTH PLAIN SECRET\n"};
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        for (size_t piece = 1; piece < 40; piece += 19) {
            say("EHLO client.example\r\n", piece);
            ear_forget();
            say(said[i], piece);
            ear_must_have(said[i][0] == 'a' ? "< auth ***" : "< AUTH ");
            ear_must_not_have("AHNlY3");
            ear_must_not_have("c2VjcmV0");
            ear_must_not_have("aGlkZGVu");
            ear_must_not_have("SECRET");
            assert_int_equal(teardown(state), 0);
            assert_int_equal(setup(state), 0);
        }
    }
}

/* proves: D12 */
static void tells_no_more_of_chunks_than_their_size(void **state UNUSED)
{
    test_profile.extensions |= 1u << SMTP_CHUNKING;
    say("EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", 4096);
    say("BDAT 8\r\nhidden\r\nBDAT 11 LAST\r\nhidden as\r\nBDAT 10\r\nAUTH hid\r\nNOOP\r\n", 4096);
    ear_must_have("< BDAT 8\n< (content: 8 octets)\n> 250 ");
    ear_must_have("< BDAT 11 LAST\n< (content: ");
    ear_must_have("< BDAT 10\n");
    ear_must_have("< NOOP\n> 250 ");
    ear_must_not_have("hid");
}

static void tells_nothing_of_what_is_too_long(void **state UNUSED)
{
    char line[SMTP_LINE_MAX + 600];

    memset(line, 's', sizeof(line));
    memcpy(line, "MAIL FROM:<", 11);
    memcpy(line + sizeof(line) - 13, "\r\nNOOP hid\r\n", 13);
    say("EHLO client.example\r\n", 4096);
    say(line, 4096);
    ear_must_have("< (no command: not told)\n");
    ear_must_have("> 500 5.5.2 Line too long\n< NOOP hid\n> 250 ");
    ear_must_not_have("ssss");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_a_session, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_no_secret_however_it_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_no_more_of_chunks_than_their_size, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_nothing_of_what_is_too_long, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
