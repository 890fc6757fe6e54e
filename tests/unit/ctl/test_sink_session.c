/* A sink's side of SMTP, whole and at every split. */
#include "ctl/sink_session.h"
#include "ctl_test.h"

static struct sink sink;
static struct sink_session session;
static struct buf told; /* what on_message was given */

static void on_message(void *owner, const struct sink_message *m)
{
    (void) owner;
    buf_printf(&told, "[%.*s|%.*s|%.*s|%llu|", SPAN_ARG(m->sender), SPAN_ARG(m->recipients), SPAN_ARG(m->id),
               (unsigned long long) m->size_bytes);
    buf_add_span(&told, m->content);
    buf_add_text(&told, "]");
}

static int set_up(void **state)
{
    (void) state;
    sink = (struct sink){.rules.random = 1, .keeps_content = true, .on_message = on_message};
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    sink_session_done(&session);
    sink_rules_done(&sink.rules);
    buf_done(&told);
    return 0;
}

/* As the stream does it: what was not consumed comes again with more, `piece` bytes at a time. */
static void feed(const char *text, size_t piece)
{
    AUTO_BUF struct buf kept = {.data = NULL};
    size_t len = strlen(text);

    for (size_t at = 0; at < len; at += piece) {
        buf_add(&kept, text + at, len - at < piece ? len - at : piece);
        size_t used;
        while (kept.len > 0 && (used = sink_session_feed(&session, buf_span(&kept))) > 0)
            buf_consume(&kept, used);
    }
}

static void talk(const char *text, size_t piece)
{
    sink_session_done(&session);
    buf_clear(&told);
    sink_session_init(&session, &sink);
    buf_clear(&session.out);
    feed(text, piece);
}

static const char dialogue[] =
    "EHLO me\r\nMAIL FROM:<a@a.test> SIZE=10\r\nRCPT TO:<b@b.test>\r\nRCPT TO:<c@c.test>\r\nDATA\r\n"
    "Subject: x\r\nMessage-ID: <1@a>\r\n\r\nbody\r\n..dot\r\n...\r\nX-Ledger-Id: no\r\n.x\r\n\r\n.\r\n"
    "MAIL FROM:<>\r\nRCPT TO:<d@d.test>\r\nDATA\r\nMessage-ID: 2\r\nx-ledger-id: L7 \r\n\r\n.\r\n"
    "MAIL FROM:<e@e.test>\r\nRCPT TO:<f@f.test>\r\nDATA\r\n.\r\nQUIT\r\n";
static const char expected[] =
    "[a@a.test|b@b.test\nc@c.test\n|<1@a>|74|Subject: x\r\nMessage-ID: <1@a>\r\n\r\nbody\r\n.dot\r\n..\r\n"
    "X-Ledger-Id: no\r\nx\r\n\r\n]"
    "[|d@d.test\n|L7|35|Message-ID: 2\r\nx-ledger-id: L7 \r\n\r\n]"
    "[e@e.test|f@f.test\n||0|]";

static void takes_messages_at_every_split(void **state)
{
    (void) state;
    for (size_t piece = 1; piece <= sizeof(dialogue); piece++) {
        talk(dialogue, piece);
        assert_text(&told, expected);
        assert_true(session.is_over);
    }
    assert_int_equal(sink.counts.messages, 3 * sizeof(dialogue));
}

static void answers_each_command(void **state)
{
    (void) state;
    talk(
        "HELO me\r\nMAIL FROM:<a@a>\r\nMAIL FROM:<a@a>\r\nRCPT TO:<b@b>\r\nDATA\r\nx\r\n.\r\nDATA\r\nRCPT TO:<b@b>\r\nWHAT\r\nNOOP\r\nRSET\r\n"
        "QUIT\r\n",
        1000);
    assert_text(
        &session.out,
        "250 sink\r\n250 2.1.0 ok\r\n503 5.5.1 there is a sender already\r\n250 2.1.5 ok\r\n354 go on\r\n"
        "250 2.0.0 taken\r\n503 5.5.1 first MAIL\r\n503 5.5.1 first MAIL\r\n500 5.5.2 not understood\r\n"
        "250 2.0.0 ok\r\n250 2.0.0 ok\r\n221 2.0.0 bye\r\n");
}

static void defers_and_rejects_as_told(void **state)
{
    (void) state;
    assert_int_equal(sink_rule_add(&sink.rules, ACTION_DEFER, "rcpt@b.test"), 0);
    assert_int_equal(sink_rule_add(&sink.rules, ACTION_REJECT, "dot"), 0);
    talk("HELO me\r\nMAIL FROM:<a@a>\r\nRCPT TO:<b@b.test>\r\nRCPT TO:<c@c.test>\r\nDATA\r\nx\r\n.\r\n",
         1000);
    assert_text(
        &session.out,
        "250 sink\r\n250 2.1.0 ok\r\n450 4.2.1 try again later, as told\r\n250 2.1.5 ok\r\n354 go on\r\n"
        "554 5.6.0 no, as told\r\n");
    assert_text(&told, "");
    assert_int_equal(sink.counts.deferred, 1);
    assert_int_equal(sink.counts.rejected, 1);
    assert_int_equal(sink.counts.messages, 0);
}

static void stalls_and_drops_as_told(void **state)
{
    (void) state;
    assert_int_equal(sink_rule_add(&sink.rules, ACTION_STALL, "mail@stall.test"), 0);
    assert_int_equal(sink_rule_add(&sink.rules, ACTION_DROP, "dot"), 0);
    talk("HELO me\r\nMAIL FROM:<a@stall.test>\r\nNOOP\r\n", 1000);
    assert_text(&session.out, "250 sink\r\n");
    assert_true(session.is_stalled);
    talk("HELO me\r\nMAIL FROM:<a@a>\r\nRCPT TO:<b@b>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n", 1000);
    assert_text(&session.out, "250 sink\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n");
    assert_true(session.is_dropped);
    assert_text(&told, "");
}

static void an_endless_line_is_answered_and_forgotten(void **state)
{
    AUTO_BUF struct buf line = {.data = NULL};

    (void) state;
    for (int i = 0; i < 5000; i++)
        buf_add_char(&line, 'x');
    buf_add_text(&line, "\r\nNOOP\r\n");
    AUTO_FREE char *text = buf_steal_text(&line);
    talk(text, 5000);
    assert_true(span_starts_nocase(buf_span(&session.out), SPAN("500 5.5.2 line too long\r\n")));
}

static void starttls_is_said_once_and_forgets_what_was(void **state)
{
    (void) state;
    sink.offers_tls = true;
    talk("EHLO me\r\nMAIL FROM:<a@a.test>\r\nSTARTTLS\r\nNOOP\r\n", 1000);
    assert_true(session.is_tls_next);
    assert_non_null(memmem(session.out.data, session.out.len, "250-STARTTLS\r\n", 14));
    assert_null(
        memmem(session.out.data, session.out.len, "250 2.0.0 ok", 12)); /* what comes behind it is not read */

    sink_session_secured(&session);
    buf_clear(&session.out);
    feed("EHLO me\r\nSTARTTLS\r\nRCPT TO:<b@b.test>\r\n", 1000);
    assert_null(memmem(session.out.data, session.out.len, "STARTTLS", 8));
    assert_non_null(memmem(session.out.data, session.out.len, "502 5.5.1", 9));
    assert_non_null(memmem(session.out.data, session.out.len, "503 5.5.1", 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(takes_messages_at_every_split, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_each_command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(defers_and_rejects_as_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stalls_and_drops_as_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(starttls_is_said_once_and_forgets_what_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_endless_line_is_answered_and_forgotten, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
