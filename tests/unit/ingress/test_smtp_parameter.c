/* Parameters of MAIL and RCPT, UTF-8, and recipients that become others, in dialogues that are also cut at every position. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/ingress/dialogue.h"

#define HELLO S("220 "), C("EHLO client.example"), S("250-")
#define RCPT C("RCPT TO:<c@d.example>"), S("250 2.1.5")
#define SENT C("DATA"), S("354"), C("."), S("250 2.0.0")
#define QUIT C("QUIT"), S("221 2.0.0"), CLOSED
#define LENGTH_50 "12345678901234567890123456789012345678901234567890"
#define LENGTH_100 LENGTH_50 LENGTH_50
#define ARING "\xc3\xa5"

static int setup(void **state UNUSED)
{
    test_limits_reset();
    return 0;
}

static int setup_all(void **state)
{
    (void) setup(state); /* never fails */
    test_limits.errors = 1000;
    test_profile.extensions = 0xff;
    test_profile.future_max_ms = 86400000;
    test_profile.by_min_s = 60;
    test_owner.wall_offset_ms = 1795338000000 - 1000000; /* 2026-11-22T09:00:00Z when the test begins */
    return 0;
}

/* proves: B36 B27 N01 */
static void ehlo_lists_just_what_works(void **state UNUSED)
{
    static const char wanted[] =
        "250-mx.relay.example\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250-8BITMIME\r\n250-CHUNKING\r\n"
        "250-BINARYMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250-REQUIRETLS\r\n250-LIMITS MAILMAX=50 RCPTMAX=100\r\n"
        "250-FUTURERELEASE 86400 2026-11-23T09:00:00Z\r\n250-DELIVERBY 60\r\n250 ENHANCEDSTATUSCODES\r\n";
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    s.is_secured = true;
    s.wall_offset_ms = test_owner.wall_offset_ms;
    smtp_server_greet(&s, &test_greeting, 1000000, &out);
    buf_clear(&out);
    (void) smtp_server_feed(&s, SPAN("EHLO a\r\n"), 1000000, &out);
    assert_true(span_equal(buf_span(&out), SPAN(wanted)));
    smtp_server_done(&s);
}

/* proves: B09 */
static void what_is_not_offered_is_555(void **state UNUSED)
{
    static const char *const mail[] = {"SMTPUTF8",
                                       "RET=FULL",
                                       "ENVID=x",
                                       "AUTH=<>",
                                       "REQUIRETLS",
                                       "HOLDFOR=1",
                                       "HOLDUNTIL=2026-11-22T09:00:01Z",
                                       "BY=120;R",
                                       "NOTIFY=NEVER",
                                       "=",
                                       "=x",
                                       "FOO",
                                       "FOO=BAR"};
    for (size_t i = 0; i < ARRAY_LEN(mail); i++) {
        AUTO_FREE char *line = mem_format("MAIL FROM:<a@b.example> %s\r\n", mail[i]);
        const struct step steps[] = {HELLO, {'C', line, strlen(line)}, S("555 5.5.4"), QUIT};
        play(steps, ARRAY_LEN(steps));
    }
    PLAY(HELLO, C("MAIL FROM:<>"), S("250"), C("RCPT TO:<c@d.example> NOTIFY=NEVER"), S("555 5.5.4"),
         C("RCPT TO:<c@d.example> ORCPT=rfc822;x"), S("555 5.5.4"), C("RCPT TO:<c@d.example> SIZE=1"),
         S("555 5.5.4"), C("DATA"), S("554"), QUIT);
}

/* proves: L15 B36 */
static void requiretls_is_taken_within_tls(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example> REQUIRETLS"), S("555 5.5.4"), QUIT);
    test_owner.is_secured = true;
    PLAY(HELLO, C("MAIL FROM:<a@b.example> REQUIRETLS=1"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> requiretls"), S("250"), RCPT, SENT,
         TOLD("from=a@b.example tls to=c@d.example"), C("MAIL FROM:<a@b.example>"), S("250"), RCPT, SENT,
         TOLD("from=a@b.example to=c@d.example"), QUIT);
}

/* proves: K12 K14 */
static void dsn_parameters_come_through_as_given(void **state UNUSED)
{
    PLAY(
        HELLO, C("MAIL FROM:<a@b.example> RET=HDRS ENVID=QQ+2B314+3D"), S("250"),
        C("RCPT TO:<c@d.example> NOTIFY=SUCCESS,delay ORCPT=rfc822;Carol+40d.example"), S("250"),
        C("RCPT TO:<e@d.example> NOTIFY=NEVER"), S("250"), C("RCPT TO:<f@d.example>"), S("250"),
        C("RCPT TO:<g@d.example> NOTIFY=FAILURE"), S("250"), SENT,
        TOLD(
            "from=a@b.example envid=QQ+2B314+3D ret=HDRS to=c@d.example notify=10 orcpt=rfc822;Carol+40d.example "
            "to=e@d.example notify=1 to=f@d.example to=g@d.example notify=4"),
        C("MAIL FROM:<a@b.example> RET=FULL"), S("250"), RCPT, SENT,
        TOLD("from=a@b.example ret=FULL to=c@d.example"), QUIT);
}

/* proves: K12 */
static void never_stands_alone(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example> RET=ALL"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> RET"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> RET=FULL RET=FULL"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example>"), S("250"), C("RCPT TO:<c@d.example> NOTIFY=NEVER,FAILURE"),
         S("501 5.5.4"), C("RCPT TO:<c@d.example> NOTIFY=FAILURE,NEVER"), S("501 5.5.4"),
         C("RCPT TO:<c@d.example> NOTIFY=SOON"), S("501 5.5.4"), C("RCPT TO:<c@d.example> NOTIFY="),
         S("501 5.5.4"), C("RCPT TO:<c@d.example> NOTIFY"), S("501 5.5.4"),
         C("RCPT TO:<c@d.example> NOTIFY=DELAY,"), S("501 5.5.4"), C("RCPT TO:<c@d.example> NOTIFY=,DELAY"),
         S("501 5.5.4"), C("RCPT TO:<c@d.example> NOTIFY=DELAY NOTIFY=DELAY"), S("501 5.5.4"), C("DATA"),
         S("554 5.5.1"), QUIT);
}

/* proves: K14 M01 */
static void xtext_is_strict_and_bounded(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example> ENVID=" LENGTH_100 "1"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> ENVID="), S("501 5.5.4"), C("MAIL FROM:<a@b.example> ENVID=a+00b"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> ENVID=a+0Ab"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> ENVID=a+0D"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> ENVID=a+7F"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> ENVID=a+2b"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> ENVID=a+2"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> ENVID=a+"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> ENVID=a=b"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> ENVID=a+FF"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> ENVID=\xff"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> ENVID=" LENGTH_100), S("250"),
         C("RCPT TO:<c@d.example> ORCPT=rfc822"), S("501 5.5.4"), C("RCPT TO:<c@d.example> ORCPT=rfc822;"),
         S("501 5.5.4"), C("RCPT TO:<c@d.example> ORCPT=;x"), S("501 5.5.4"),
         C("RCPT TO:<c@d.example> ORCPT=rfc822;a+0AX:+20y"), S("501 5.5.4"),
         C("RCPT TO:<c@d.example> ORCPT=rf c822;a"), S("501 5.5.4"), C("RCPT TO:<c@d.example> ORCPT=a(b;x"),
         S("501 5.5.4"), C("RCPT TO:<c@d.example> ORCPT=utf-8;" ARING), S("501 5.5.4"),
         C("RCPT TO:<c@d.example> ORCPT=rfc822;" LENGTH_100 LENGTH_100 LENGTH_100 LENGTH_100 LENGTH_50
           "1234567890123456789012345678901234567890123"
           "x"),
         S("501 5.5.4"),
         C("RCPT TO:<c@d.example> ORCPT=rfc822;" LENGTH_100 LENGTH_100 LENGTH_100 LENGTH_100 LENGTH_50
           "1234567890123456789012345678901234567890123"),
         S("250"), C("RCPT TO:<e@d.example> ORCPT=rfc822;a;b+20c"), S("250"), QUIT);
}

/* proves: D10 */
static void auth_parameter_is_believed_of_the_trusted_only(void **state UNUSED)
{
    test_profile.auth = SMTP_AUTH_OFFERED;
    PLAY(HELLO, C("MAIL FROM:<a@b.example> AUTH=e+3Dmc2@example.com"), S("250"), RCPT, SENT,
         TOLD("from=a@b.example auth=<> to=c@d.example"), C("MAIL FROM:<a@b.example>"), S("250"), RCPT, SENT,
         TOLD("from=a@b.example to=c@d.example"), QUIT);
    test_owner.is_auth_believed = true;
    PLAY(HELLO, C("MAIL FROM:<a@b.example> AUTH=e+3Dmc2@example.com"), S("250"), RCPT, SENT,
         TOLD("from=a@b.example auth=<e=mc2@example.com> to=c@d.example"),
         C("MAIL FROM:<a@b.example> AUTH=<>"), S("250"), RCPT, SENT,
         TOLD("from=a@b.example auth=<> to=c@d.example"), QUIT);
    PLAY(HELLO, C("MAIL FROM:<a@b.example> AUTH=a+0A@b.example"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> AUTH=a+00@b.example"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> AUTH=a+0D+0Ab"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> AUTH="),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> AUTH=a"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> AUTH=a+20b@b.example"), S("501 5.5.4"), QUIT);
}

/* RFC 4865. */
static void future_release_is_bounded(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example> HOLDFOR=86400"), S("250"), RCPT, SENT,
         TOLD("from=a@b.example in=86400000 to=c@d.example"),
         C("MAIL FROM:<a@b.example> HOLDUNTIL=2026-11-23T10:00:00+01:00"), S("250"), RCPT, SENT,
         TOLD("from=a@b.example at=1795424400000 to=c@d.example"),
         C("MAIL FROM:<a@b.example> HOLDUNTIL=2026-11-23T09:00:01Z"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> HOLDFOR=86401"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> HOLDFOR=0"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> HOLDFOR=9999999999"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> HOLDFOR=-1"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> HOLDUNTIL=2026-11-31T09:00:00Z"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> HOLDUNTIL=tomorrow"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> HOLDFOR=1 HOLDUNTIL=2026-11-22T09:00:01Z"), S("501 5.5.4"), QUIT);
}

/* RFC 2852. */
static void deliver_by_has_its_grammar(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<a@b.example> BY=120;R"), S("250"), RCPT, SENT,
         TOLD("from=a@b.example by=120;R to=c@d.example"), C("MAIL FROM:<a@b.example> by=-60;nt"), S("250"),
         RCPT, SENT, TOLD("from=a@b.example by=-60;NT to=c@d.example"),
         C("MAIL FROM:<a@b.example> BY=+60;RT"), S("250"), C("RSET"), S("250"),
         C("MAIL FROM:<a@b.example> BY=59;R"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> BY=-120;R"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> BY=0;R"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> BY=120"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> BY=120;X"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> BY=120;RX"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> BY=;R"), S("501 5.5.4"), C("MAIL FROM:<a@b.example> BY=1234567890;R"),
         S("501 5.5.4"), C("MAIL FROM:<a@b.example> BY=--1;N"), S("501 5.5.4"), QUIT);
}

/* proves: B07 K12 */
static void no_parameter_outlives_its_transaction(void **state UNUSED)
{
    PLAY(
        HELLO, C("MAIL FROM:<a@b.example> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=x HOLDFOR=1 BY=120;R SIZE=9"),
        S("250"), C("RCPT TO:<c@d.example> NOTIFY=NEVER ORCPT=rfc822;x"), S("250"),
        C("RCPT TO:<x@refused.example> NOTIFY=DELAY ORCPT=rfc822;y"), S("550"), C("RCPT TO:<e@d.example>"),
        S("250"), SENT,
        TOLD(
            "from=a@b.example envid=x ret=HDRS 8bit utf8 in=1000 by=120;R to=c@d.example notify=1 orcpt=rfc822;x "
            "to=e@d.example"),
        C("MAIL FROM:<>"), S("250"), RCPT, SENT, TOLD("from= to=c@d.example"),
        C("MAIL FROM:<a@b.example> RET=HDRS ENVID=x"), S("250"), C("RCPT TO:<c@d.example> NOTIFY=NEVER"),
        S("250"), C("RSET"), S("250"), C("MAIL FROM:<>"), S("250"), RCPT, SENT, TOLD("from= to=c@d.example"),
        QUIT);
}

/* ---- UTF-8 */

/* proves: N01 B21 N05 */
static void utf8_addresses_need_the_parameter(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<" ARING "@b.example>"), S("553 5.6.7"), C("MAIL FROM:<a@" ARING ".example>"),
         S("553 5.6.7"), C("MAIL FROM:<" ARING "@b.example> SMTPUTF8=1"), S("501 5.5.4"),
         C("MAIL FROM:<" ARING "@b.example> SMTPUTF8 SMTPUTF8"), S("501 5.5.4"), C("MAIL FROM:<a@b.example>"),
         S("250"), C("RCPT TO:<" ARING "@d.example>"), S("553 5.6.7"), C("RCPT TO:<c@" ARING ".example>"),
         S("553 5.6.7"), C("RSET"), S("250"), C("MAIL FROM:<" ARING "@b.example> smtputf8"), S("250"),
         C("RCPT TO:<" ARING "@" ARING ".example>"), S("250"), C("RCPT TO:<\"" ARING "\"@d.example>"),
         S("250"), SENT,
         TOLD("from=" ARING "@b.example utf8 to=" ARING "@" ARING ".example to=\"" ARING "\"@d.example"),
         QUIT);
}

/* proves: N01 N11 */
static void bad_utf8_is_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "\xc3",             /* cut */
        "\xf0\x9f\x98",     /* cut */
        "\xc0\xaf",         /* overlong */
        "\xe0\x80\xaf",     /* overlong */
        "\xf0\x80\x80\xaf", /* overlong */
        "\xed\xa0\x80",     /* surrogate */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xff",
        "\x80",
        "\xe2\x80\xae", /* turns the text round */
        "\xc2\x85",     /* a control character */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_FREE char *mail = mem_format("MAIL FROM:<%s@b.example> SMTPUTF8\r\n", bad[i]);
        AUTO_FREE char *rcpt = mem_format("RCPT TO:<a%s@d.example>\r\n", bad[i]);
        AUTO_FREE char *domain = mem_format("RCPT TO:<a@%s.example>\r\n", bad[i]);
        AUTO_FREE char *orcpt = mem_format("RCPT TO:<a@d.example> ORCPT=utf-8;%s\r\n", bad[i]);
        const struct step steps[] = {HELLO,          {'C', mail, strlen(mail)},
                                     S("501 5.1.7"), C("MAIL FROM:<" ARING "@b.example> SMTPUTF8"),
                                     S("250"),       {'C', rcpt, strlen(rcpt)},
                                     S("501 5.1.3"), {'C', domain, strlen(domain)},
                                     S("501 5.1.3"), {'C', orcpt, strlen(orcpt)},
                                     S("501 5.5.4"), QUIT};
        play(steps, ARRAY_LEN(steps));
    }
}

/* proves: N01 K14 */
static void utf8_may_stand_in_orcpt_and_auth(void **state UNUSED)
{
    test_profile.auth = SMTP_AUTH_OFFERED;
    test_owner.is_auth_believed = true;
    PLAY(HELLO, C("MAIL FROM:<a@b.example> AUTH=+C3+A5@b.example"), S("553 5.6.7"),
         C("MAIL FROM:<a@b.example> AUTH=+C3@b.example SMTPUTF8"), S("501 5.5.4"),
         C("MAIL FROM:<a@b.example> AUTH=+C3+A5@b.example SMTPUTF8"), S("250"),
         C("RCPT TO:<c@d.example> ORCPT=utf-8;" ARING "@d.example"), S("250"),
         C("RCPT TO:<e@d.example> ORCPT=utf-8;\\x{E5}@d.example"), S("250"),
         C("RCPT TO:<f@d.example> ORCPT=rfc822;" ARING "@d.example"), S("501 5.5.4"),
         C("RCPT TO:<f@d.example> ORCPT=rfc822;+C3+A5@d.example"), S("501 5.5.4"), SENT,
         TOLD("from=a@b.example auth=<" ARING "@b.example> utf8 to=c@d.example orcpt=utf-8;" ARING
              "@d.example to=e@d.example orcpt=utf-8;\\x{E5}@d.example"),
         QUIT);
}

/* proves: N08 B23 */
static void lengths_are_of_bytes(void **state UNUSED)
{
    AUTO_BUF struct buf local = {0};
    for (int i = 0; i < 32; i++)
        buf_add_text(&local, ARING);
    AUTO_FREE char *good = mem_format("RCPT TO:<%.*s@d.example>\r\n", SPAN_ARG(buf_span(&local)));
    AUTO_FREE char *bad = mem_format("RCPT TO:<%.*sa@d.example>\r\n", SPAN_ARG(buf_span(&local)));
    const struct step steps[] = {
        HELLO,          C("MAIL FROM:<> SMTPUTF8"), S("250"), {'C', bad, strlen(bad)},
        S("501 5.1.3"), {'C', good, strlen(good)},  S("250"), QUIT};
    play(steps, ARRAY_LEN(steps));
}

/* proves: N07 B08 */
static void vrfy_takes_the_parameter(void **state UNUSED)
{
    PLAY(HELLO, C("VRFY " ARING " SMTPUTF8"), S("252 2.0.0"), C("VRFY " ARING), S("553 5.6.7"),
         C("VRFY a SMTPUTF8"), S("252 2.0.0"), C("EXPN " ARING " SMTPUTF8"), S("502 5.5.1"), C("DATA"),
         S("503"), C("MAIL FROM:<a@b.example>"), S("250"), C("VRFY " ARING), S("553 5.6.7"), C("DATA"),
         S("503"), RCPT, SENT, TOLD("from=a@b.example to=c@d.example"), QUIT);
    test_profile.extensions = 0;
    PLAY(HELLO, C("VRFY a SMTPUTF8"), S("555 5.5.4"), C("VRFY " ARING), S("553 5.6.7"), QUIT);
}

/* ---- recipients that become others */

/* proves: B25 K13 */
static void one_recipient_may_become_several(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<>"), S("250"), C("RCPT TO:<two@list.example>"), S("250"),
         C("RCPT TO:<many@list.example> NOTIFY=DELAY"), S("250"), C("RCPT TO:<THREE@list.example>"), S("250"),
         SENT,
         TOLD("from= to=two@list.example to=one@list.example notify=8 orcpt=rfc822;many@list.example "
              "to=three@list.example notify=8 orcpt=rfc822;many@list.example to=THREE@list.example"),
         QUIT);
    PLAY(
        HELLO, C("MAIL FROM:<>"), S("250"), C("RCPT TO:<many@list.example> ORCPT=rfc822;x"), S("250"),
        C("RCPT TO:<many@list.example>"), S("250"), SENT,
        TOLD(
            "from= to=one@list.example orcpt=rfc822;x to=two@list.example orcpt=rfc822;x to=three@list.example "
            "orcpt=rfc822;x"),
        QUIT);
}

/* None of them is taken when not all of them can be. */
/* proves: B24 M01 */
static void those_it_becomes_count(void **state UNUSED)
{
    test_limits.recipients = 3;
    PLAY(HELLO, C("MAIL FROM:<>"), S("250"), C("RCPT TO:<c@d.example>"), S("250"),
         C("RCPT TO:<many@list.example>"), S("452 4.5.3"), C("RCPT TO:<e@d.example>"), S("250"), SENT,
         RECIPIENTS("c@d.example,e@d.example,"), C("MAIL FROM:<>"), S("250"),
         C("RCPT TO:<many@list.example>"), S("250"), C("RCPT TO:<c@d.example>"), S("452 4.5.3"), SENT,
         RECIPIENTS("one@list.example,two@list.example,three@list.example,"), QUIT);
    test_limits.recipients = 10;
    PLAY(
        HELLO, C("MAIL FROM:<>"), S("250"), C("RCPT TO:<1@d.example>"), S("250"), C("RCPT TO:<2@d.example>"),
        S("250"), C("RCPT TO:<3@d.example>"), S("250"), C("RCPT TO:<4@d.example>"), S("250"),
        C("RCPT TO:<5@d.example>"), S("250"), C("RCPT TO:<6@d.example>"), S("250"),
        C("RCPT TO:<7@d.example>"), S("250"), C("RCPT TO:<8@d.example>"), S("250"),
        C("RCPT TO:<many@list.example>"), S("452 4.5.3"), C("RCPT TO:<one@list.example>"), S("250"),
        C("RCPT TO:<8@D.example>"), S("250"), C("RCPT TO:<two@list.example>"), S("250"),
        C("RCPT TO:<two@list.example>"), S("250"), SENT,
        RECIPIENTS(
            "1@d.example,2@d.example,3@d.example,4@d.example,5@d.example,6@d.example,7@d.example,8@d.example,"
            "one@list.example,two@list.example,"),
        QUIT);
}

/* Under stress the owner lowers them between calls. */
/* proves: B16 B24 */
static void limits_may_get_smaller_meanwhile(void **state UNUSED)
{
    PLAY(HELLO, C("MAIL FROM:<>"), S("250"), C("RCPT TO:<c@d.example>"), S("250"), C("RCPT TO:<e@d.example>"),
         S("250"), SWITCH("recipients=1"), C("RCPT TO:<f@d.example>"), S("452 4.5.3"),
         C("RCPT TO:<e@d.example>"), S("250"), SENT, RECIPIENTS("c@d.example,e@d.example,"),
         SWITCH("command_ms=10"), C("NOOP"), S("250"), WAIT_MS(10), S("421 4.4.2"), CLOSED);
    PLAY(HELLO, C("FOO"), S("500"), C("FOO"), S("500"), SWITCH("errors=1"), C("NOOP"), S("250"),
         S("421 4.7.0"), CLOSED);
    PLAY(HELLO, C("MAIL FROM:<> SIZE=1000"), S("250"), C("RCPT TO:<c@d.example>"), S("250"), C("DATA"),
         S("354"), SWITCH("message_bytes=2"), C("more than two"), C("."), S("250"), C("MAIL FROM:<> SIZE=3"),
         S("552"), QUIT);
}

/* What was refused leaves nothing behind, however often. */
/* proves: B07 M02 */
static void refused_recipients_need_no_memory(void **state UNUSED)
{
    struct smtp_server s;
    AUTO_BUF struct buf out = {0};
    static const struct smtp_answer later = {450, "4.7.1", "Later", NULL, 0},
                                    yes = {250, "2.1.0", "Ok", NULL, 0};
    smtp_server_init(&s, "mx.relay.example", &test_profile);
    smtp_server_greet(&s, &test_greeting, 1000, &out);
    (void) smtp_server_feed(&s, SPAN("EHLO a\r\n"), 1000, &out);
    (void) smtp_server_feed(&s, SPAN("MAIL FROM:<>\r\n"), 1000, &out);
    smtp_server_answer(&s, &yes, 1000, &out);
    for (int i = 0; i < 100000; i++) {
        (void) smtp_server_feed(&s, SPAN("RCPT TO:<c@d.example> ORCPT=rfc822;" LENGTH_100 LENGTH_100 "\r\n"),
                                1000, &out);
        assert_true(span_equal(s.address.whole, SPAN("c@d.example")) &&
                    span_equal(s.address.local, SPAN("c")) &&
                    span_equal(s.address.domain, SPAN("d.example")));
        smtp_server_answer(&s, &later, 1000, &out);
        buf_clear(&out);
    }
    assert_true(s.transaction->text.cap < 4096);
    smtp_server_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ehlo_lists_just_what_works, setup_all),
        cmocka_unit_test_setup(what_is_not_offered_is_555, setup),
        cmocka_unit_test_setup(requiretls_is_taken_within_tls, setup_all),
        cmocka_unit_test_setup(dsn_parameters_come_through_as_given, setup_all),
        cmocka_unit_test_setup(never_stands_alone, setup_all),
        cmocka_unit_test_setup(xtext_is_strict_and_bounded, setup_all),
        cmocka_unit_test_setup(auth_parameter_is_believed_of_the_trusted_only, setup_all),
        cmocka_unit_test_setup(future_release_is_bounded, setup_all),
        cmocka_unit_test_setup(deliver_by_has_its_grammar, setup_all),
        cmocka_unit_test_setup(no_parameter_outlives_its_transaction, setup_all),
        cmocka_unit_test_setup(utf8_addresses_need_the_parameter, setup_all),
        cmocka_unit_test_setup(bad_utf8_is_refused, setup_all),
        cmocka_unit_test_setup(utf8_may_stand_in_orcpt_and_auth, setup_all),
        cmocka_unit_test_setup(lengths_are_of_bytes, setup_all),
        cmocka_unit_test_setup(vrfy_takes_the_parameter, setup_all),
        cmocka_unit_test_setup(one_recipient_may_become_several, setup_all),
        cmocka_unit_test_setup(those_it_becomes_count, setup_all),
        cmocka_unit_test_setup(limits_may_get_smaller_meanwhile, setup_all),
        cmocka_unit_test_setup(refused_recipients_need_no_memory, setup_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
